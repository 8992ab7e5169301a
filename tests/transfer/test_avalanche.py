"""The general engine: any Avalanche strategy or plug-in as a contender in transfer."""

import itertools
import warnings

import numpy as np
import pytest
import torch
from avalanche.core import SupervisedPlugin
from avalanche.training.plugins import EWCPlugin, ReplayPlugin
from avalanche.training.supervised import Cumulative, Naive
from support.contending import ADAM, assert_alike, contend, cut, with_plugin
from support.paths import WEIGHTS

from zapbench import config
from zapbench.config import compose, configurables, parse_bindings
from zapbench.experiment.context import Options
from zapbench.experiment.root import configured, execute, register_everything
from zapbench.leaderboard import contract
from zapbench.leaderboard.read.parse import read_file
from zapbench.networks.classifier import convnet
from zapbench.scenarios.omniglot import omniglot
from zapbench.seeding import seed_global_state
from zapbench.tasks import Job, RunSpec, TrialSpec
from zapbench.transfer.avalanche import rehearse, run_strategy
from zapbench.transfer.features import Features
from zapbench.transfer.plan import TrialPlan, learner_for, trial_generator
from zapbench.transfer.protocol import iid_transfer, least_squares_transfer, sequential_transfer
from zapbench.transfer.reference import run_trial

RATES = (0.0001, 0.0003, 0.001, 0.003, 0.01)
DIVERGING = 1e37


@pytest.fixture(scope="module")
def pretrained():
    """A really pre-trained encoder under a head that no test uses."""
    model = convnet(outputs=1000, channels=1, size=28, filters=32)
    missing, unexpected = model.load_state_dict(torch.load(WEIGHTS, weights_only=True), strict=False)
    assert missing == ["head.weight", "head.bias"]
    assert not unexpected
    return model


@pytest.fixture(scope="module")
def small(omniglot_root):
    """omniglot_small."""
    return omniglot(
        name="omniglot_small",
        pretrain_classes=100,
        selection_classes=100,
        classes_per_trial=100,
        classes_per_selection_trial=100,
    )


@pytest.fixture(scope="module")
def features(small, pretrained):
    trials = [small.trial(0, seed) for seed in range(3)]
    wanted = np.concatenate([part.reshape(-1) for t in trials for part in (t.train, t.held_out)])
    return Features(pretrained.encoder, small.tensor(), torch.from_numpy(wanted))


def head(pretrained, protocol, inputs, seed=0):
    generator = trial_generator("head", "omniglot_small", 0, seed, "report")
    return learner_for(pretrained, protocol, 1000, generator, inputs)


@pytest.mark.parametrize("rate", [*RATES, DIVERGING])
def test_the_general_engine_and_the_feature_engine_give_the_same_trajectory(small, pretrained, features, rate):
    trial = small.trial(0, 0)
    protocol = sequential_transfer()
    points = [1, *range(5, 101, 5)]
    general = contend(Naive, head(pretrained, protocol, features), features, trial, rate=rate, points=points)
    fast = run_trial(
        features,
        TrialPlan(
            trial,
            head(pretrained, protocol, features),
            protocol,
            optimizer=ADAM,
            rate=rate,
            points=points,
            order=torch.Generator(),
        ),
    )
    assert_alike(general, fast, rel=1e-4)
    if rate == DIVERGING:
        assert "the loss is not finite at class" in general.diverged
        assert general.steps[-1:] != [100]
    else:
        assert general.steps == points


def test_the_engines_agree_where_all_layers_learn_in_mini_batches_and_several_passes(tiny):
    model = convnet(outputs=6, channels=1, size=28, filters=4)
    images, trial = tiny.tensor(), tiny.trial(0, 0)
    sizes = {"frozen": False, "passes": 2, "images_per_step": 3}
    protocol = sequential_transfer(**sizes)

    def whole():
        return learner_for(model, protocol, 10, trial_generator("head", "tiny", 0, 0, "report"), images)

    general = contend(Naive, whole(), images, trial, points=[1, 2, 3, 4], **sizes)
    plain = run_trial(
        images,
        TrialPlan(trial, whole(), protocol, optimizer=ADAM, rate=0.001, points=[1, 2, 3, 4], order=torch.Generator()),
    )
    assert_alike(general, plain, rel=1e-4)


def order():
    return trial_generator("order", "tiny", 0, 0, "report")


@pytest.mark.parametrize("rate", [0.001, 0.01, DIVERGING])
def test_iid_the_general_engine_gives_the_plain_loops_trajectory_bit_for_bit(small, pretrained, features, rate):
    trial = cut(small.trial(0, 0), 20)
    protocol = iid_transfer(frozen=True, epochs=3, batch_size=64, learner="naive")
    points = [1, 4, 5, 6, 15]
    rest = {"optimizer": ADAM, "rate": rate, "points": points}
    plans = [TrialPlan(trial, head(pretrained, protocol, features), protocol, **rest, order=order()) for _ in range(2)]
    seed_global_state("contender", "test")
    general = run_strategy(Naive, features, plans[0])
    plain = run_trial(features, plans[1])
    assert_alike(general, plain, rel=1e-4)
    if rate == DIVERGING:
        assert "the loss is not finite at update" in general.diverged
    else:
        assert general.steps == points
        assert all(torch.equal(a, b) for a, b in zip(plans[0].learner.parameters(), plans[1].learner.parameters()))


def test_iid_the_engines_agree_where_all_layers_learn(tiny):
    torch.manual_seed(0)
    model = convnet(outputs=6, channels=1, size=28, filters=4).double()
    images, trial = tiny.tensor(dtype=torch.float64), tiny.trial(0, 0)
    protocol = iid_transfer(epochs=3, batch_size=6, learner="naive")

    def whole():
        return learner_for(model, protocol, 10, trial_generator("head", "tiny", 0, 0, "report"), images)

    rest = {"optimizer": torch.optim.Adam, "rate": 0.001, "points": [1, 12], "order": order()}
    learner, other = whole(), whole()
    general = run_strategy(Naive, images, TrialPlan(trial, learner, protocol, **rest))
    plain = run_trial(images, TrialPlan(trial, other, protocol, **(rest | {"order": order()})), fast=False)
    assert_alike(general, plain, rel=1e-4)
    assert all(torch.equal(a, b) for a, b in zip(learner.parameters(), other.parameters()))


def test_iid_every_epoch_sees_each_image_once_in_an_order_of_its_own_and_tells_of_each_update(tiny):
    seen, told = [], []

    class Keep(SupervisedPlugin):
        def before_training_iteration(self, strategy, *args, **kwargs):
            seen.append(strategy.mb_y.tolist())

    protocol = iid_transfer(frozen=True, epochs=2, batch_size=6, learner="keep")
    inputs = Features(convnet(outputs=6, channels=1, size=28, filters=4).encoder, tiny.tensor(), torch.arange(96))
    trial = tiny.trial(0, 0)
    learner = torch.nn.Linear(inputs.width, 10)
    rest = {"optimizer": ADAM, "rate": 0.001, "points": [8], "order": order()}
    run_strategy(with_plugin(Keep), inputs, TrialPlan(trial, learner, protocol, **rest), tell=lambda: told.append(1))
    assert [len(batch) for batch in seen] == [6, 6, 6, 2] * 2
    first, second = list(itertools.chain(*seen[:4])), list(itertools.chain(*seen[4:]))
    assert sorted(first) == sorted(second) == sorted(trial.labels.repeat(5).tolist())
    assert first != second
    assert len(told) == 8


def test_iid_a_contender_that_a_file_names_learns_the_trials_of_the_plain_transfer(tmp_path):
    path = tmp_path / "naive.gin"
    plain = config.read_text(config.root() / "transfers" / "iid_frozen.gin")
    path.write_text(f"""{plain}
import zapbench.contenders
run.transfer_strategy = @transfer/Naive
transfer/iid_transfer.learner = "naive"
""")
    small = ["glyphs.classes_per_trial = 3", "glyphs.pretrain_images = 1", "glyphs.validation_images = 0",
             "convnet.filters = 4", "IID_EPOCHS = 1", "IID_TRANSFER_BATCH = 5"]  # fmt: skip
    run = RunSpec("glyphs", "iid", 0, bindings=parse_bindings(small))
    found = []
    for transfer in ("iid_frozen", str(path)):
        spec = TrialSpec(transfer, 0.01, "report", 0)
        assert not execute(Job(run, (spec,)), Options(tmp_path)).failed
        curves = read_file(tmp_path / run.folder / spec.folder / contract.EVENT_FILE).curves
        found.append({tag: curve for tag, curve in curves.items() if not tag.startswith("cost/")})
    assert len(found[0]) >= 3
    assert found[0] == found[1]


def test_replay_with_an_unbounded_buffer_beats_finetuning_by_more_than_the_seeds_spread(small, pretrained, features):
    def scores(factory):
        found = []
        for seed in range(3):
            trial = cut(small.trial(0, seed), 40)
            found.append(
                contend(
                    factory, head(pretrained, sequential_transfer(), features, seed), features, trial, rate=0.003
                ).held_out[-1]
            )
        return np.array(found)

    plain = scores(Naive)
    replay = scores(with_plugin(lambda: ReplayPlugin(mem_size=10**6, batch_size_mem=20)))
    assert (replay.mean() - plain.mean()) > 2 * max(plain.std(ddof=1), replay.std(ddof=1))


def test_ewc_at_strength_zero_is_finetuning_bit_for_bit(small, pretrained, features):
    trial = cut(small.trial(0, 0), 10)
    plain, zero = head(pretrained, sequential_transfer(), features), head(pretrained, sequential_transfer(), features)
    contend(Naive, plain, features, trial)
    contend(with_plugin(lambda: EWCPlugin(0.0, mode="online", decay_factor=0.9)), zero, features, trial)
    assert torch.equal(plain.weight, zero.weight)
    assert torch.equal(plain.bias, zero.bias)


def test_ewc_at_a_huge_strength_leaves_the_weights_still(small, pretrained, features):
    trial = cut(small.trial(0, 0), 10)

    def moved(factory):
        first, whole = (head(pretrained, sequential_transfer(), features) for _ in range(2))
        contend(factory, first, features, cut(trial, 1))
        contend(factory, whole, features, trial)
        return (whole.weight - first.weight).norm().item()

    finetuned, still = moved(Naive), moved(with_plugin(lambda: EWCPlugin(1e10, mode="online", decay_factor=1.0)))
    assert still < 0.1 * finetuned


def test_the_same_contender_learns_the_same_twice(small, pretrained, features):
    trial = cut(small.trial(0, 0), 10)
    factory = with_plugin(lambda: ReplayPlugin(mem_size=50, batch_size_mem=5))
    found = [contend(factory, head(pretrained, sequential_transfer(), features), features, trial) for _ in range(2)]
    assert vars(found[0]) == vars(found[1])


def test_a_strategy_that_makes_its_own_batches_keeps_them(tiny):
    """Cumulative trains on all classes so far: a loader put back into one class's order would undo it."""
    model = convnet(outputs=6, channels=1, size=28, filters=4)
    trial, images = tiny.trial(0, 0), tiny.tensor()
    seen = []

    class Counts(SupervisedPlugin):
        def after_training_iteration(self, strategy, *args, **kwargs):
            seen.append(set(strategy.mb_y.tolist()))

    protocol = sequential_transfer()
    inputs = Features(model.encoder, images, torch.arange(96))
    learner = learner_for(model, protocol, 10, torch.Generator(), inputs)
    contend(lambda **kwargs: Cumulative(plugins=[Counts()], **kwargs), learner, inputs, trial)
    assert len(set().union(*seen[-4 * 5 :])) == 4
    assert len(seen) == 5 * (1 + 2 + 3 + 4)


@pytest.mark.parametrize(
    ("strategy", "bindings", "words"),
    [
        ("asb", ["ASB.plugins = [@EWCPlugin()]", "EWCPlugin.ewc_lambda = 1.0"], "EWCPlugin would do nothing in ASB"),
        ("iid", ["IID.plugins = [@ZapEpisodeClass()]"], "ZapEpisodeClass would do nothing in IID"),
    ],
)
def test_a_plugin_whose_hooks_never_fire_is_refused_by_name(strategy, bindings, words, tmp_path):
    run = RunSpec("glyphs", strategy, 0, bindings=parse_bindings(bindings))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Avalanche warns of some and continues
        with pytest.raises(ValueError, match=words):
            configured(Job(run), Options(tmp_path)).rehearse()
    assert not list(tmp_path.iterdir())


def test_a_misspelt_hook_is_refused_with_the_one_that_it_may_mean_and_so_is_a_plugin_without_any(tiny):
    class Misspelt(SupervisedPlugin):
        def before_train_epoch(self, strategy):
            raise AssertionError("never called")

    class Empty(SupervisedPlugin):
        pass

    model = convnet(outputs=6, channels=1, size=28, filters=4)
    protocol = sequential_transfer(frozen=False, learner="mine")
    rest = (tiny.tensor(), TrialPlan(tiny.trial(0, 0), model, protocol, ADAM, 0.001, []))
    warnings.filterwarnings("ignore", message="Plugin .* implements incompatible callbacks")
    with pytest.raises(ValueError, match=r"Misspelt would do nothing.*did you mean before_training_epoch"):
        rehearse(with_plugin(Misspelt), *rest)
    with pytest.raises(ValueError, match="Empty would do nothing: it overrides no hook"):
        rehearse(with_plugin(Empty), *rest)


def test_a_strategy_without_a_name_for_its_row_or_under_another_protocol_is_refused(tiny):
    model = convnet(outputs=6, channels=1, size=28, filters=4)

    def try_under(protocol):
        rehearse(Naive, tiny.tensor(), TrialPlan(tiny.trial(0, 0), model, protocol, torch.optim.Adam, 0.001, []))

    with pytest.raises(ValueError, match="needs a name for its row"):
        try_under(sequential_transfer())
    with pytest.raises(ValueError, match=r"transfer/iid_transfer\.learner"):
        try_under(iid_transfer())
    with pytest.raises(ValueError, match="step by step, but the protocol is 'at once, frozen'"):
        try_under(least_squares_transfer())


def test_every_avalanche_plugin_and_strategy_can_be_named():
    register_everything()
    compose("glyphs", "iid", "ewc", (), pretrain_seed=0)
    assert {"Naive", "LwF", "AGEM", "ReplayPlugin", "MASPlugin", "ER_ACE", "DER"} <= set(configurables())


@pytest.mark.parametrize("epochs", [1, 6])
def test_iid_a_strategy_that_makes_other_updates_than_the_protocol_is_refused(tiny, epochs):
    """Its curve would end in the middle of training, or before the protocol's end."""
    protocol = iid_transfer(frozen=True, epochs=2, batch_size=6, learner="longer")
    inputs = Features(convnet(outputs=6, channels=1, size=28, filters=4).encoder, tiny.tensor(), torch.arange(96))
    rest = {"optimizer": ADAM, "rate": 0.001, "points": [8], "order": order()}
    plan = TrialPlan(tiny.trial(0, 0), torch.nn.Linear(inputs.width, 10), protocol, **rest)
    with pytest.raises(ValueError, match=f"Naive makes {4 * epochs} updates, and the protocol has 8"):
        run_strategy(lambda **kwargs: Naive(**kwargs | {"train_epochs": epochs}), inputs, plan)
