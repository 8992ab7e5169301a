"""Each contender works as its paper describes; what is fixed was broken.

On the pixels of drawn letters: a linear head on them forgets, and a memory helps.
"""

import copy
import warnings
from collections import Counter

import avalanche.training.plugins as plugins
import gin
import numpy as np
import pytest
import torch
from avalanche.training.plugins import EWCPlugin, LwFPlugin, ReplayPlugin
from avalanche.training.supervised import DER, ER_ACE, BiC, Cumulative, Naive
from support.contending import ADAM, Watch, contend, cut, with_plugin
from torch.nn import functional

from zapbench.scenarios.glyphs import glyphs
from zapbench.scenarios.trial import Trial
from zapbench.transfer import avalanche_fixes
from zapbench.transfer.avalanche_fixes import (
    AGEMPlugin,
    CumulativeInBatches,
    GDumbWhenAsked,
    JointInBatches,
    MASPlugin,
    SynapticIntelligencePlugin,
)
from zapbench.transfer.plan import trial_generator

OUTPUTS = 300


@pytest.fixture(scope="module")
def letters():
    return glyphs(classes_per_trial=20)


@pytest.fixture(scope="module")
def pixels(letters):
    images = letters.tensor()
    return lambda index: images(index).flatten(1)


@pytest.fixture
def trial(letters) -> Trial:
    return cut(letters.trial(0, 0), 6)


def head(seed=0, inputs=784):
    generator = trial_generator("head", "glyphs", 0, seed, "report")
    made = torch.nn.Linear(inputs, OUTPUTS)
    with torch.no_grad():
        made.weight.normal_(0, 0.05, generator=generator)
        made.bias.zero_()
    return made


def learned(factory, inputs, trial, **rest):
    learner = head()
    contend(factory, learner, inputs, trial, **rest)
    return learner


def equal(one, other):
    return torch.equal(one.weight, other.weight) and torch.equal(one.bias, other.bias)


def strategy_of(kind, *watching, **settings):
    return lambda **kwargs: kind(plugins=list(watching), **settings, **kwargs)


@pytest.mark.parametrize(
    "make",
    [
        lambda: SynapticIntelligencePlugin(0.0),
        lambda: MASPlugin(0.0),
        lambda: LwFPlugin(0.0),
        lambda: EWCPlugin(0.0, mode="online", decay_factor=1.0),
    ],
)
def test_at_strength_zero_a_penalty_is_finetuning_bit_for_bit(make, pixels, trial):
    assert equal(learned(with_plugin(make), pixels, trial), learned(Naive, pixels, trial))


@pytest.mark.parametrize("make", [lambda: SynapticIntelligencePlugin(1e12), lambda: MASPlugin(1e10)])
def test_at_a_huge_strength_a_pull_leaves_what_matters_nearly_still(make, pixels, trial):
    """What no image of the first class told anything of (a pixel that is always 0) is free."""
    seen = pixels(torch.from_numpy(trial.train[0])).min(0).values > 0.5
    assert seen.any()
    first = learned(Naive, pixels, cut(trial, 1))
    row = int(trial.labels[0])

    def moved(factory):
        return (learned(factory, pixels, trial).weight - first.weight)[row, seen].norm().item()

    assert moved(with_plugin(make)) < 0.2 * moved(Naive)


@pytest.mark.parametrize(
    "factory",
    [
        with_plugin(lambda: ReplayPlugin(mem_size=500, batch_size_mem=10)),
        strategy_of(ER_ACE, mem_size=500, batch_size_mem=10),
        strategy_of(DER, mem_size=500, batch_size_mem=10, beta=5.0),
        with_plugin(GDumbWhenAsked),
        strategy_of(CumulativeInBatches, batch_size=4),
    ],
    ids=["replay", "er_ace", "der", "gdumb", "cumulative"],
)
def test_a_memory_of_everything_beats_finetuning_by_more_than_the_draws_spread(factory, letters, pixels, plain):
    other = final(factory, letters, pixels)
    assert other.mean() - plain.mean() > 2 * max(plain.std(ddof=1), other.std(ddof=1)), (plain, other)


def final(factory, letters, pixels):
    trials = [(head(seed), cut(letters.trial(0, seed), 12)) for seed in range(3)]
    return np.array([contend(factory, one, pixels, trial, rate=0.003).held_out[-1] for one, trial in trials])


@pytest.fixture(scope="module")
def plain(letters, pixels):
    return final(Naive, letters, pixels)


class Steps:
    """What synaptic intelligence sees of a strategy."""

    def __init__(self, weights):
        self.model = torch.nn.Linear(len(weights), 1, bias=False)
        self.model.weight.data = torch.tensor([weights])
        self.loss = torch.zeros(1)

    def step(self, plugin, gradient, way):
        plugin.before_training_iteration(self)
        self.model.weight.grad = torch.tensor([gradient])
        self.model.weight.data += torch.tensor([way])
        plugin.after_training_iteration(self)


def test_synaptic_intelligence_by_hand():
    """Three weights that move by 1: one did a little for the loss, one was against it, one did more than counts."""
    plugin, steps = SynapticIntelligencePlugin(4.0, eps=0.25), Steps([1.0, 2.0, 3.0])
    plugin.before_training_exp(steps)
    steps.step(plugin, [-0.001, 0.1, -1.0], [0.5, 0.5, 0.5])
    steps.step(plugin, [-0.0005, 0.1, -1.0], [0.5, 0.5, 0.5])
    plugin.after_training_exp(steps)
    assert plugin.importance["weight"].tolist()[0] == pytest.approx([0.00075 / 1.25, 0, 0.001])
    plugin.before_training_exp(steps)
    steps.model.weight.data += torch.tensor([[0.5, 7.0, 2.0]])
    plugin.before_backward(steps)
    assert steps.loss.item() == pytest.approx(4 / 2 * (0.0006 * 0.25 + 0.001 * 4))


def test_avalanches_own_synaptic_intelligence_is_finetuning_and_the_fixed_one_is_not(pixels, trial):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        broken = learned(with_plugin(lambda: plugins.SynapticIntelligencePlugin(1e6)), pixels, trial)
    plain = learned(Naive, pixels, trial)
    assert equal(broken, plain)
    assert not equal(learned(with_plugin(lambda: SynapticIntelligencePlugin(1e6)), pixels, trial), plain)


def test_learning_without_forgetting_adds_the_divergence_from_the_model_before_over_the_old_classes(pixels, trial):
    def before(strategy):
        old, lwf = list(map(int, trial.labels[: strategy.clock.train_exp_counter])), plugin.lwf
        if lwf.prev_model is None:
            return 0.0, strategy.loss.item()
        old_out, out = (model(strategy.mb_x)[:, old].double() for model in (lwf.prev_model, strategy.model))
        p, q = (part.div(2).softmax(1) for part in (old_out, out))
        expected = 3 * (p * (p / q).log()).sum().item()
        return expected, strategy.loss.item()

    plugin = LwFPlugin(alpha=3, temperature=2)
    first, then = Watch("before_backward", before), Watch("after_backward", lambda s: s.loss.item())
    contend(lambda **kwargs: Naive(plugins=[first, plugin, then], **kwargs), head(), pixels, trial, rate=0.003)
    added = [after - loss for (_, loss), after in zip(first.seen, then.seen)]
    assert added == pytest.approx([expected for expected, _ in first.seen], abs=1e-5)
    assert max(added) > 0.001


def test_memory_aware_synapses_by_hand(pixels, trial):
    """The importance of a weight: the mean, over images, of how steeply it moves the squared norm of the outputs."""
    plugin = MASPlugin(lambda_reg=2.0, alpha=0.5)
    first = learned(with_plugin(lambda: plugin), pixels, cut(trial, 1))
    images = pixels(torch.from_numpy(trial.train[0]))
    with torch.no_grad():
        steep = torch.stack([(2 * first(x)[:, None] * x[None]).abs() for x in images]).mean(0)
    assert torch.allclose(plugin.importance["weight"].data, steep, rtol=1e-4, atol=1e-6)

    class Strategy:
        model = copy.deepcopy(first)
        loss = torch.ones(1)

    Strategy.model.weight.data += 0.1
    plugin.before_backward(Strategy)
    assert Strategy.loss.item() == pytest.approx(1 + 2 * 0.01 * steep.sum().item(), rel=1e-4)


def test_a_loss_of_exactly_zero_ends_avalanches_own_memory_aware_synapses_and_not_the_fixed_one(pixels, trial):
    def sure(factory):
        learner = head()
        with torch.no_grad():
            learner.bias[trial.labels] = 1e4
            learner.weight[trial.labels] = 0
            learner.bias[int(trial.labels[1])] = 1e6
        contend(factory, learner, pixels, cut(trial, 2), rate=1e-9)

    with pytest.raises(ValueError, match="Loss is not available"):
        sure(with_plugin(plugins.MASPlugin))
    sure(with_plugin(MASPlugin))


def gradient_of(model):
    return torch.cat([p.grad.flatten() for p in model.parameters()])


def test_a_step_of_agem_never_goes_against_the_remembered_images(pixels, letters):
    plugin = AGEMPlugin(patterns_per_experience=2, sample_size=7)
    first = Watch("after_backward", lambda s: gradient_of(s.model).clone())
    then = Watch("after_backward", lambda s: (gradient_of(s.model).clone(), plugin.reference_gradients.clone()))
    trial = letters.trial(0, 0)
    contend(lambda **kwargs: Naive(plugins=[first, plugin, then], **kwargs), head(), pixels, trial, rate=0.003)
    against = 0
    for raw, (projected, reference) in list(zip(first.seen, then.seen))[trial.train.shape[1] :]:
        scale = reference.norm() * raw.norm()
        if (raw @ reference) >= 0:
            assert torch.equal(raw, projected)
        else:
            against += 1
            by_hand = raw - (raw @ reference) / (reference @ reference) * reference
            assert torch.allclose(projected, by_hand, atol=1e-6)
        assert projected @ reference >= -1e-5 * scale
    assert 0 < against < len(first.seen)


def test_agem_remembers_of_every_class_and_draws_of_all_where_avalanches_own_fails(pixels, letters):
    trial = letters.trial(0, 0)
    plugin = AGEMPlugin(patterns_per_experience=2, sample_size=5)
    learned(with_plugin(lambda: plugin), pixels, trial)
    assert Counter(plugin._labels.tolist()) == dict.fromkeys(trial.labels.tolist(), 2)
    drawn = [plugin.sample_from_memory() for _ in range(60)]
    assert {len(labels) for _, labels, _ in drawn} == {5}
    assert {label for _, labels, _ in drawn for label in labels.tolist()} == set(trial.labels.tolist())
    with pytest.raises(ValueError, match="batch_size"):
        learned(with_plugin(lambda: plugins.AGEMPlugin(2, 5)), pixels, trial)


def test_gdumbs_memory_is_balanced_and_is_all_that_it_learns(pixels, trial):
    plugin = GDumbWhenAsked(mem_size=14, epochs=3, batch_size=4)
    watch = Watch("after_training_iteration", lambda s: s.mb_y.tolist())
    contend(with_plugin(lambda: plugin, watch), head(), pixels, trial)
    counts = Counter(label for batch in watch.seen for label in batch)
    assert set(counts) == set(trial.labels.tolist())
    assert sorted(counts.values()) == [6, 6, 6, 6, 9, 9]  # 14 images of six classes, three times
    assert [len(batch) for batch in watch.seen] == [4, 4, 4, 2] * 3


def test_gdumb_starts_again_so_that_only_classes_that_are_measured_need_steps(pixels, trial):
    def last(points):
        made, watch = [], Watch("after_training_iteration", lambda s: 1)

        def factory(**kwargs):
            made.append(Naive(plugins=[GDumbWhenAsked(mem_size=14, epochs=3, batch_size=4), watch], **kwargs))
            return made[0]

        found = contend(factory, head(), pixels, trial, points=points)
        return made[0].model, found.held_out[-1], len(watch.seen)

    one, score, few = last([6])
    other, same, many = last([1, 2, 3, 4, 5, 6])
    assert equal(one, other)
    assert score == same
    assert few < many


def test_er_ace_counts_a_new_image_among_its_own_class_alone_and_learns_the_rest_from_memory(pixels, trial):
    """Of one class alone there is nothing to tell apart: the loss is half that of the memory, which holds it, too."""

    def look(strategy):
        if strategy.replay_loader is None:
            return None
        memory = functional.cross_entropy(strategy.mb_buffer_out, strategy.mb_buffer_y).item()
        return strategy.loss.item() - memory / 2, set(strategy.mb_buffer_y.tolist())

    watch = Watch("before_backward", look)
    contend(strategy_of(ER_ACE, watch, mem_size=50, batch_size_mem=10), head(), pixels, trial)
    seen = [found for found in watch.seen if found]
    assert len(watch.seen) - len(seen) == trial.train.shape[1]
    assert [rest for rest, _ in seen] == pytest.approx([0] * len(seen), abs=1e-6)
    assert set().union(*(labels for _, labels in seen)) == set(trial.labels.tolist())


def test_der_adds_the_distance_from_outputs_as_they_were_when_a_class_ended(pixels, trial):
    outputs = {}

    def keep(strategy):
        images, _, _, logits = zip(*(strategy.storage_policy.buffer[i] for i in range(9)))
        if not outputs:
            outputs.update({"stored": torch.stack(logits), "now": strategy.model(torch.stack(images)).detach()})

    def look(strategy):
        out, label = strategy.mb_output.double(), strategy.mb_y
        if strategy.replay_loader is None:
            return functional.cross_entropy(out, label).item(), strategy.loss.item()
        new, old = functional.cross_entropy(out[4:], label[4:]), functional.cross_entropy(out[:4], label[:4])
        return (new + 0.3 * ((out[:4] - strategy.batch_logits) ** 2).mean() + 0.7 * old).item(), strategy.loss.item()

    watch, end = Watch("before_backward", look), Watch("after_training_exp", keep)
    factory = strategy_of(DER, watch, end, mem_size=50, batch_size_mem=4, alpha=0.3, beta=0.7)
    contend(factory, head(), pixels, trial, rate=0.003)
    expected, losses = zip(*watch.seen)
    assert losses == pytest.approx(expected, rel=1e-4, abs=1e-6)
    assert torch.allclose(outputs["stored"], outputs["now"], atol=1e-5)


def test_cumulative_ends_with_one_pass_over_all_classes(pixels, trial):
    """Its last class equals a pass over all images, from where the class before left model and optimiser."""
    kept = {}

    def keep(strategy):
        kept.update(model=copy.deepcopy(strategy.model), state=copy.deepcopy(strategy.optimizer.state_dict()))

    start = Watch("before_training_exp", keep)
    watch = Watch("after_training_iteration", lambda s: (s.clock.train_exp_counter, s.mb_x, s.mb_y))
    learner = head()
    contend(strategy_of(CumulativeInBatches, start, watch, batch_size=16), learner, pixels, trial)
    batches = [(images, labels) for experience, images, labels in watch.seen if experience == 5]
    images, labels = (torch.cat(part) for part in zip(*batches))
    everything = pixels(torch.from_numpy(trial.train.reshape(-1)))
    assert sorted(map(hash, map(bytes, images.numpy()))) == sorted(map(hash, map(bytes, everything.numpy())))
    assert Counter(labels.tolist()) == dict.fromkeys(trial.labels.tolist(), trial.train.shape[1])
    assert labels.tolist() != sorted(labels.tolist(), key=trial.labels.tolist().index)
    optimizer = ADAM(kept["model"].parameters(), lr=0.001)
    optimizer.load_state_dict(kept["state"])
    for x, y in batches:
        optimizer.zero_grad()
        functional.cross_entropy(kept["model"](x), y).backward()
        optimizer.step()
    assert equal(kept["model"], learner)


def test_joint_training_is_a_plain_loop_over_all_images_from_the_first_head(pixels, trial):
    watch = Watch("after_training_iteration", lambda s: (s.clock.train_exp_counter, s.mb_x, s.mb_y))
    learner = head()
    contend(strategy_of(JointInBatches, watch, epochs=3, batch_size=16), learner, pixels, trial)
    assert {experience for experience, *_ in watch.seen} == {5}, "nothing is learned where nothing is measured"
    images = len(trial.train.reshape(-1))
    assert len(watch.seen) == 3 * -(-images // 16)
    for epoch in range(3):
        seen = torch.cat([y for _, _, y in watch.seen[epoch * len(watch.seen) // 3 :][: len(watch.seen) // 3]])
        assert Counter(seen.tolist()) == dict.fromkeys(trial.labels.tolist(), trial.train.shape[1])
    plain = head()
    optimizer = ADAM(plain.parameters(), lr=0.001)
    for _, x, y in watch.seen:
        optimizer.zero_grad()
        functional.cross_entropy(plain(x), y).backward()
        optimizer.step()
    assert equal(plain, learner)


def test_joint_training_ends_the_same_however_often_it_is_measured_before(pixels, trial):
    ends = []
    for points in ([6], [2, 3, 6]):
        learner = head()
        contend(strategy_of(JointInBatches, epochs=2, batch_size=16), learner, pixels, trial, points=points)
        ends.append(learner)
    assert equal(*ends)


def test_joint_training_bounds_finetuning_and_fits_what_it_is_trained_on(letters, pixels, plain):
    trial = cut(letters.trial(0, 0), 12)
    found = contend(strategy_of(JointInBatches, epochs=200, batch_size=16), head(), pixels, trial, rate=0.003)
    assert found.trained_on[-1] > 0.99
    assert found.held_out[-1] > plain.max()


def test_cumulative_of_avalanche_is_shuffled_too(pixels, trial):
    watch = Watch("after_training_iteration", lambda s: (s.clock.train_exp_counter, int(s.mb_y)))
    contend(strategy_of(Cumulative, watch), head(), pixels, trial)
    order = [label for experience, label in watch.seen if experience == 5]
    assert order != sorted(order, key=trial.labels.tolist().index)


@pytest.mark.parametrize("make", [lambda: AGEMPlugin(2, 5), MASPlugin, lambda: EWCPlugin(1.0)])
def test_running_statistics_stay_though_a_plugin_asks_for_train_mode(make, letters, trial):
    images = letters.tensor()
    model = torch.nn.Sequential(torch.nn.BatchNorm2d(1), torch.nn.Flatten(), head())
    before = copy.deepcopy(model[0].state_dict())
    contend(with_plugin(make), model, images, cut(trial, 3), frozen=False)
    after = model[0].state_dict()
    assert torch.equal(before["running_mean"], after["running_mean"])
    assert after["num_batches_tracked"] == 0


def test_what_is_left_out_still_fails(pixels, trial):
    """The day this passes, it can be shipped."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(AttributeError, match="'dataset' of 'DatasetExperience' object has no setter"):
            learned(lambda **kwargs: BiC(mem_size=50, **kwargs), pixels, trial)


@pytest.mark.parametrize(
    "make",
    [
        lambda: GDumbWhenAsked(mem_size=0),
        lambda: GDumbWhenAsked(epochs=0),
        lambda: CumulativeInBatches(batch_size=0, model=head(), optimizer=None, criterion=None),
        lambda: JointInBatches(epochs=0, model=head(), optimizer=None, criterion=None),
    ],
)
def test_impossible_sizes_are_refused_in_words(make):
    with pytest.raises(ValueError, match="must be at least 1, got 0"):
        make()


def test_a_fixed_plugin_replaces_avalanches_under_its_name():
    for name in ("SynapticIntelligencePlugin", "MASPlugin", "AGEMPlugin"):
        assert gin.config._REGISTRY.get_match(name).wrapped is getattr(avalanche_fixes, name)
