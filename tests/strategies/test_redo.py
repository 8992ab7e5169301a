"""ReDo: which units are dormant, and what becomes of them."""

import pytest
import torch
from support.trained import SGD, changed, narrow, train

from zapbench.strategies.asb import ASB
from zapbench.strategies.redo import ReDo, dormant


def test_a_unit_is_dormant_where_its_score_is_at_most_the_threshold():
    """The mean is 2: scores of 0, 0.5, 1 and 2.5."""
    activity = torch.tensor([0.0, 1.0, 2.0, 5.0])
    assert dormant(activity, threshold=0.0).tolist() == [0]
    assert dormant(activity, threshold=0.5).tolist() == [0, 1]
    assert dormant(activity, threshold=0.999).tolist() == [0, 1]
    assert dormant(torch.zeros(3), threshold=0.0).tolist() == [0, 1, 2], "a dead layer"


@pytest.mark.parametrize("optimizer", ["adam", SGD])
def test_dormant_filters_are_reset_at_the_interval_with_any_optimiser(tiny, optimizer):
    strategy = train(tiny, ReDo(every=4, threshold=0.99), optimizer=optimizer)
    acted = [update for update, names in enumerate(changed(strategy)) if names]
    assert acted == [4, 8]
    before, after = strategy.before.weights[4], strategy.after.weights[4]
    reset = (before["encoder.0.weight"] != after["encoder.0.weight"]).flatten(1).any(dim=1)
    assert 0 < reset.sum() < 4, "a threshold below 1 leaves at least one unit"
    assert (after["encoder.4.weight"][:, reset] == 0).all(), "outgoing weights"


def test_a_dead_filter_comes_back(tiny):
    model = narrow(outputs=6, channels=1, size=28)
    with torch.no_grad():
        model.encoder[1].weight[2], model.encoder[1].bias[2] = 0.0, -1.0
    strategy = train(tiny, ReDo(every=4, threshold=0.0), model=model)
    before, after = strategy.before.weights[4], strategy.after.weights[4]
    assert (before["encoder.0.weight"] != after["encoder.0.weight"]).flatten(1).any(dim=1).tolist() == [0, 0, 1, 0]
    assert after["encoder.1.weight"][2] == 1


def test_moments_of_reset_filters_alone_are_cleared(tiny):
    class Watch(ReDo):
        def before_training_iteration(self, strategy, *args, **kwargs):
            old = strategy.model.encoder[0].weight.detach().clone()
            super().before_training_iteration(strategy)
            if strategy.clock.train_iterations == 4:
                weight = strategy.model.encoder[0].weight
                strategy.reset = (old != weight).flatten(1).any(dim=1)
                strategy.moments = strategy.optimizer.state[weight]["exp_avg_sq"].clone()

    strategy = train(tiny, Watch(every=4, threshold=0.99))
    assert 0 < strategy.reset.sum() < 4
    assert (strategy.moments[strategy.reset] == 0).all()
    assert (strategy.moments[~strategy.reset] != 0).all()


def test_episodes_have_dormant_units_too(tiny):
    sizes = {"inner_lr": 0.01, "episodes": 6, "inner_images": 2, "random_images": 3}
    strategy = train(tiny, ReDo(every=2, threshold=0.99), kind=ASB, **sizes)
    assert [update for update, names in enumerate(changed(strategy)) if names] == [2, 4]


@pytest.mark.parametrize("wrong", [{"threshold": -0.1}, {"threshold": 1.0}, {"threshold": 5}, {"every": 0}])
def test_impossible_settings_are_refused_in_words(wrong):
    with pytest.raises(ValueError, match=r"^ReDo: .* allowed: [^\n]*$"):
        ReDo(**({"every": 1} | wrong))
