"""Zapping: what is drawn, from which distribution, and when."""

import math

import pytest
import torch
from avalanche.training.supervised import EWC, Naive, Replay
from torch import nn

from zapbench.config import parse_bindings
from zapbench.experiment.context import Options
from zapbench.experiment.root import execute
from zapbench.networks.classifier import Classifier, convnet
from zapbench.plugins import silent_evaluator
from zapbench.scenarios.streams import pretraining_experience
from zapbench.seeding import torch_generator
from zapbench.strategies import zapping
from zapbench.strategies.asb import ASB
from zapbench.strategies.iid import IID
from zapbench.strategies.zapping import ZapEpisodeClass, ZapEvery, zap
from zapbench.tasks import Job, RunSpec

FEATURES, OUTPUTS = 2304, 1000


def a_layer() -> nn.Linear:
    layer = nn.Linear(FEATURES, OUTPUTS)
    nn.init.constant_(layer.weight, 7.0)
    nn.init.constant_(layer.bias, 7.0)
    return layer


@pytest.mark.parametrize("count", [1, 100, OUTPUTS])
def test_a_zapped_row_has_the_initial_distribution_however_many_rows_are_zapped(count):
    layer = a_layer()
    zap(layer, range(count), generator=torch_generator("test", 0))
    drawn = layer.weight[:count]
    assert drawn.std().item() == pytest.approx(math.sqrt(2 / FEATURES), rel=4 / math.sqrt(2 * drawn.numel()))
    assert abs(drawn.mean().item()) < 4 * math.sqrt(2 / FEATURES) / math.sqrt(drawn.numel())
    assert (layer.bias[:count] == 0).all()


@pytest.mark.parametrize(("count", "std"), [(1, 0.0295), (100, 0.00295), (OUTPUTS, 0.00093)])
def test_the_official_code_shrinks_with_the_number_of_rows_and_keeps_biases(count, std):
    layer = a_layer()
    zap(layer, range(count), generator=torch_generator("test", 0), fan_in="call", bias="keep")
    assert layer.weight[:count].std().item() == pytest.approx(std, rel=0.06)
    assert (layer.bias == 7).all()


def test_other_rows_stay_as_they_are():
    layer = a_layer()
    zap(layer, [3, 5], generator=torch_generator("test", 0))
    others = [i for i in range(OUTPUTS) if i not in (3, 5)]
    assert (layer.weight[others] == 7).all()
    assert (layer.bias[others] == 7).all()
    assert not (layer.weight[[3, 5]] == 7).any()


class Snapshots(ZapEvery):
    """Keeps which rows a zap changed, by update."""

    def before_training_iteration(self, strategy, *args, **kwargs):
        before = strategy.model.head.weight.detach().clone()
        super().before_training_iteration(strategy)
        changed = (strategy.model.head.weight.detach() != before).any(dim=1)
        strategy.zapped.append(torch.nonzero(changed).flatten().tolist())


def naive(tiny, plugin, epochs=3, strategy=Naive, model=None, **settings):
    model = model or Classifier(nn.Flatten(), nn.Linear(784, 6), name="linear")
    strategy = strategy(
        model=model,
        optimizer=torch.optim.Adam(model.parameters(), lr=0.01),
        criterion=nn.CrossEntropyLoss(),
        train_mb_size=8,
        train_epochs=epochs,
        plugins=[plugin],
        evaluator=silent_evaluator(),
        **settings,
    )
    strategy.zapped = []
    strategy.train(pretraining_experience(tiny.tensor(), tiny.pretraining(0).train), eval_streams=[])
    return strategy


def test_a_cadence_counts_updates_in_a_stock_avalanche_strategy_and_spares_the_first(tiny):
    strategy = naive(tiny, Snapshots(every=4, rows=2))
    at = {update: rows for update, rows in enumerate(strategy.zapped) if rows}
    assert strategy.clock.train_iterations == 9
    assert sorted(at) == [4, 8]
    assert all(len(rows) == 2 for rows in at.values())
    assert at[4] != at[8]


@pytest.mark.parametrize(("strategy", "settings"), [(Replay, {"mem_size": 4}), (EWC, {"ewc_lambda": 1.0})])
def test_other_avalanche_strategies_are_zapped_alike(tiny, strategy, settings):
    found = naive(tiny, Snapshots(every=4, rows=2), strategy=strategy, **settings)
    assert [update for update, rows in enumerate(found.zapped) if rows] == [4, 8]


def test_a_gin_file_zaps_any_avalanche_strategy_in_pretraining(tmp_path, monkeypatch):
    path = tmp_path / "ewc_zap.gin"
    path.write_text("""# EWC with zapping
import zapbench.strategies.zapping

run.model = %MODEL
run.strategy = @EWC
run.optimizer = @outer/Adam
EWC.ewc_lambda = 1.0
EWC.train_mb_size = 300
EWC.train_epochs = 2
EWC.plugins = [@ZapEvery()]
ZapEvery.every = 1
ZapEvery.unit = "epochs"
""")
    zapped = []
    monkeypatch.setattr(zapping, "zap", lambda layer, rows, **how: zapped.append(len(rows)))
    smaller = ["glyphs.pretrain_images = 1", "glyphs.validation_images = 0", "convnet.filters = 4"]
    assert not execute(Job(RunSpec("glyphs", str(path), 0, bindings=parse_bindings(smaller))), Options(tmp_path)).failed
    assert zapped == [300]


def test_a_share_of_rows_is_of_all_outputs(tiny):
    assert len(naive(tiny, Snapshots(every=4, rows=0.5)).zapped[4]) == 3
    assert len(naive(tiny, Snapshots(every=4, rows=0.01)).zapped[4]) == 1


@pytest.mark.parametrize(("every", "expected"), [(1, [3, 6, 9, 12]), (2, [6, 12])])
def test_a_cadence_in_epochs_zaps_before_their_first_update_and_spares_the_first(tiny, every, expected):
    found = naive(tiny, Snapshots(every=every, unit="epochs"), epochs=5)
    assert [update for update, rows in enumerate(found.zapped) if rows] == expected


def test_a_cadence_in_epochs_is_the_same_after_a_stop_in_the_middle_of_one(tiny):
    """24 images in batches of 8 make 3 updates an epoch; training resumes at update 4, inside the second epoch."""
    model = Classifier(nn.Flatten(), nn.Linear(784, 6), name="linear")
    strategy = IID(
        model=model,
        optimizer=torch.optim.Adam(model.parameters()),
        epochs=4,
        batch_size=8,
        plugins=[Snapshots(every=1, unit="epochs")],
        evaluator=silent_evaluator(),
    )
    strategy.zapped, strategy.first_update = [], 4
    strategy.train(pretraining_experience(tiny.tensor(), tiny.pretraining(0).train), eval_streams=[])
    assert [update for update, rows in enumerate(strategy.zapped, start=4) if rows] == [6, 9]


def test_episodes_are_a_unit_where_there_are_some(tiny):
    strategy = asb(tiny, Snapshots(every=2, unit="episodes", rows=3))
    assert [len(rows) for rows in strategy.zapped] == [0, 0, 3, 0, 3, 0]
    with pytest.raises(ValueError, match="unit is 'episodes', but Naive does not train in episodes"):
        naive(tiny, ZapEvery(every=2, unit="episodes"))


def test_the_episodes_class_may_be_zapped_in_some_episodes_alone(tiny):
    class Watch(ZapEpisodeClass):
        def before_inner_updates(self, strategy, *args, **kwargs):
            before = strategy.model.head.weight.detach().clone()
            super().before_inner_updates(strategy)
            strategy.zapped.append(not torch.equal(before, strategy.model.head.weight))

    assert asb(tiny, Watch(every=3)).zapped == [True, False, False, True, False, False]


def test_rows_are_drawn_as_pytorch_draws_a_new_layer_or_set_to_zero():
    layer = a_layer()
    zap(layer, range(100), generator=torch_generator("test", 0), distribution="pytorch")
    bound = 1 / math.sqrt(FEATURES)
    assert bound * 0.999 < layer.weight[:100].abs().max().item() <= bound
    assert layer.weight[:100].std().item() == pytest.approx(bound / math.sqrt(3), rel=0.01)
    zap(layer, [4], generator=torch_generator("test", 0), distribution="zero")
    assert (layer.weight[4] == 0).all()
    assert (layer.weight[100:] == 7).all()


def test_layers_before_the_head_are_zapped_by_the_same_share_of_their_nodes(tiny):
    torch.manual_seed(0)
    model = convnet(outputs=6, channels=1, size=28, filters=64)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(7.0)
    strategy = naive(tiny, ZapEvery(every=4, rows=3, layers=2, moments="clear"), epochs=1, model=model)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(7.0)
    strategy.plugins[0].zapping(strategy, [0, 1, 2], torch_generator("test", 0))
    convolutions = [layer for layer in model.encoder if isinstance(layer, nn.Conv2d)]
    drawn = (convolutions[2].weight != 7).flatten(1).all(dim=1)
    assert drawn.sum() == 32, "half of the head's rows, half of the filters"
    assert convolutions[2].weight[drawn].std().item() == pytest.approx(math.sqrt(2 / (64 * 9)), rel=0.05)
    assert torch.equal(convolutions[2].bias == 0, drawn)
    assert (strategy.optimizer.state[convolutions[2].weight]["exp_avg"][drawn] == 0).all()
    assert (strategy.optimizer.state[convolutions[2].weight]["exp_avg"][~drawn] != 0).any()
    assert (convolutions[1].weight == 7).all()


def test_without_a_number_every_row_is_zapped(tiny):
    strategy = naive(tiny, Snapshots(every=4))
    assert strategy.zapped[4] == list(range(6))


@pytest.mark.parametrize("moments", ["keep", "clear"])
def test_whether_the_moments_of_zapped_rows_survive_is_a_choice(tiny, moments):
    seen = {}

    class Watch(ZapEvery):
        def before_training_iteration(self, strategy, *args, **kwargs):
            super().before_training_iteration(strategy)
            if strategy.clock.train_iterations == 4:
                state = strategy.optimizer.state[strategy.model.head.weight]
                seen["moments"] = state["exp_avg"].abs().sum(dim=1)

    naive(tiny, Watch(every=4, rows=2, moments=moments))
    zeros = int((seen["moments"] == 0).sum())
    # Two of six outputs stand for no class; their gradients, and so their moments, are not 0 (softmax).
    assert zeros == (2 if moments == "clear" else 0)


def asb(tiny, plugin):
    model = Classifier(nn.Flatten(), nn.Linear(784, 6), name="linear")
    strategy = ASB(
        model=model,
        optimizer=torch.optim.Adam(model.parameters()),
        inner_lr=0.01,
        episodes=6,
        inner_images=3,
        random_images=5,
        plugins=[plugin],
        evaluator=silent_evaluator(),
    )
    strategy.zapped = []
    strategy.train(pretraining_experience(tiny.tensor(), tiny.pretraining(0).train), eval_streams=[])
    return strategy


def test_an_episode_zaps_the_row_of_its_class_alone(tiny):
    seen = []

    class Watch(ZapEpisodeClass):
        def before_inner_updates(self, strategy, *args, **kwargs):
            before = strategy.model.head.weight.detach().clone()
            super().before_inner_updates(strategy)
            changed = (strategy.model.head.weight.detach() != before).any(dim=1)
            seen.append((strategy.episode_class, torch.nonzero(changed).flatten().tolist()))

    asb(tiny, Watch())
    assert [rows for _, rows in seen] == [[label] for label, _ in seen]
    assert len({label for label, _ in seen}) > 1


def test_more_rows_than_outputs_are_refused(tiny):
    with pytest.raises(ValueError, match="rows is 7, but the head has 6 rows"):
        naive(tiny, ZapEvery(every=1, rows=7))


@pytest.mark.parametrize(
    "wrong",
    [
        {"every": 0},
        {"rows": 0},
        {"rows": 1.5},
        {"bias": "half"},
        {"unit": "days"},
        {"layers": 0},
        {"distribution": "x"},
    ],
)
def test_impossible_settings_are_refused_in_words(wrong):
    with pytest.raises(ValueError, match="allowed"):
        ZapEvery(**({"every": 1} | wrong))
