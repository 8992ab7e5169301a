"""Optional members of a strategy: each is used where it exists, and its default where it does not."""

from types import SimpleNamespace

import pytest
import torch
from avalanche.core import SupervisedMetaLearningPlugin, SupervisedPlugin
from avalanche.training.supervised import Naive
from torch import nn

from zapbench.plugins import silent_evaluator
from zapbench.strategies import (
    ASB,
    IID,
    ContinualBackprop,
    CountsEffort,
    CountsEpochs,
    CountsUpdates,
    EpisodicStrategy,
    MetaASB,
    Reptile,
    ResumableStrategy,
    ZapEpisodeClass,
    base,
)
from zapbench.strategies.continual_backprop import UnitStatistics
from zapbench.strategies.iid_at_equal_cost import IIDAtEqualCost

FOUND = {
    IID: {CountsUpdates, ResumableStrategy},
    IIDAtEqualCost: {CountsUpdates, CountsEpochs, CountsEffort, ResumableStrategy},
    ASB: {CountsUpdates, CountsEffort, ResumableStrategy, base.DrawsRandomImages},
    MetaASB: {CountsUpdates, CountsEffort, ResumableStrategy, base.DrawsRandomImages},
    Reptile: {CountsUpdates, CountsEffort, ResumableStrategy, base.DrawsRandomImages},
}


def make(kind, **settings):
    model = nn.Linear(4, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    return kind(
        model=model, optimizer=optimizer, criterion=nn.CrossEntropyLoss(), evaluator=silent_evaluator(), **settings
    )


def settings_of(kind):
    if kind is IIDAtEqualCost:
        return {"unit": "steps", "episodes": 10, "inner_images": 3, "random_images": 8, "batch_size": 50}
    return {"epochs": 3, "batch_size": 8} if kind is IID else {"inner_lr": 0.1, "episodes": 7, "random_images": 30}


@pytest.mark.parametrize("kind", FOUND)
def test_the_shipped_strategies_have_these_optional_members(kind):
    strategy = make(kind, **settings_of(kind))
    known = (CountsUpdates, CountsEpochs, CountsEffort, ResumableStrategy, base.DrawsRandomImages)
    assert {member for member in known if isinstance(strategy, member)} == FOUND[kind]
    assert isinstance(strategy, base.DeclaresPluginClass)


def test_epochs_are_those_that_the_strategy_counts_else_its_train_epochs():
    counts = make(IIDAtEqualCost, **settings_of(IIDAtEqualCost))
    assert counts.train_epochs == 1, "until it has seen the training set"
    assert base.epochs_of(counts, 100) == 20  # 40 steps, 2 an epoch
    plain = make(Naive, train_epochs=3, train_mb_size=8)
    assert base.epochs_of(plain, 100) == 3
    plain.epochs = 7
    assert base.epochs_of(plain, 100) == 3, "a number is no count"


def test_a_plain_avalanche_strategy_has_the_defaults():
    strategy = make(Naive, train_epochs=3, train_mb_size=8)
    assert base.updates_of(strategy, 20) == 3 * 3
    assert base.effort_of(strategy, 20) == (60, 9)
    assert base.effort_of(strategy, 20).gradient_steps == 9
    assert not base.can_resume(strategy)
    assert base.fewest_images(strategy) == 1
    assert not isinstance(strategy, EpisodicStrategy)
    assert issubclass(base.plugin_class_of(strategy), SupervisedPlugin)


def test_an_episodic_strategy_counts_its_own_updates_and_effort():
    strategy = make(ASB, inner_lr=0.1, episodes=7, inner_images=5, random_images=30)
    assert base.updates_of(strategy, 1000) == 7
    assert base.effort_of(strategy, 1000) == (7 * 40, 7 * 6)
    assert base.fewest_images(strategy) == 30
    assert issubclass(base.plugin_class_of(strategy), SupervisedMetaLearningPlugin)


def test_a_strategy_that_declares_no_plugin_class_promises_no_hook():
    assert base.plugin_class_of(SimpleNamespace()) is object


def test_a_resumable_strategy_starts_at_the_given_update():
    strategy = make(IID, epochs=3, batch_size=8)
    assert base.can_resume(strategy)
    base.resume_at(strategy, 5)
    assert strategy.first_update == 5


def test_a_strategy_that_cannot_resume_is_named():
    with pytest.raises(ValueError, match="Naive cannot resume"):
        base.resume_at(make(Naive, train_epochs=1, train_mb_size=8), 5)


def test_the_state_of_each_plug_in_is_restored_to_the_same_plug_in():
    saved, restored = ContinualBackprop(), ContinualBackprop()
    saved._statistics = [UnitStatistics(torch.rand(3), torch.arange(3.0), 0.5)]
    restored.hidden = [SimpleNamespace(layer=torch.nn.Linear(2, 3))]
    states = base.plugin_states(SimpleNamespace(plugins=[ZapEpisodeClass(), saved]))
    assert set(states) == {"1"}
    base.load_plugin_states(SimpleNamespace(plugins=[ZapEpisodeClass(), restored]), states)
    assert torch.equal(restored._statistics[0].utility, saved._statistics[0].utility)
    assert restored._statistics[0].pending == 0.5


def test_state_for_a_plug_in_without_any_is_refused():
    with pytest.raises(ValueError, match="ZapEpisodeClass, which has no `load_state_dict`"):
        base.load_plugin_states(SimpleNamespace(plugins=[ZapEpisodeClass()]), {"0": {}})


def test_a_plug_in_that_could_save_its_state_and_not_restore_it_is_refused():
    class Forgetful(SupervisedPlugin):
        def state_dict(self):
            return {}

    with pytest.raises(ValueError, match="Forgetful has state_dict alone"):
        base.plugin_states(SimpleNamespace(plugins=[Forgetful()]))
