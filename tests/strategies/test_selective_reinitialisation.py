"""Selective weight re-initialisation: which weights, and what becomes of them."""

import pytest
import torch
from support.trained import SGD, changed, narrow, train

from zapbench.seeding import torch_generator
from zapbench.strategies.selective_reinitialisation import SelectiveReinitialisation, below_mean, least_useful


def test_the_least_useful_share_is_chosen_and_a_fraction_of_a_weight_is_drawn():
    utility = torch.tensor([[3.0, 0.1], [0.2, 5.0]])
    generator = torch_generator("test", 0)
    assert least_useful(utility, share=0.5, generator=generator).tolist() == [[False, True], [True, False]]
    drawn = [int(least_useful(utility, share=0.3, generator=generator).sum()) for _ in range(400)]
    assert set(drawn) == {1, 2}
    assert sum(drawn) / 400 == pytest.approx(1.2, abs=0.08)


def test_by_the_threshold_weights_below_a_part_of_the_mean_are_chosen():
    assert below_mean(torch.tensor([1.0, 2.0, 9.0]), factor=0.5).tolist() == [True, True, False]


class Watch(SelectiveReinitialisation):
    """Keeps the gradients of the update before, by which it decides."""

    def before_training_iteration(self, strategy, *args, **kwargs):
        if strategy.clock.train_iterations == 4:
            strategy.gradients = {name: w.grad.clone() for name, w in strategy.model.named_parameters()}
        super().before_training_iteration(strategy)


def utility_and_replaced(strategy, utility, name):
    before, after = (seen.weights[4][name] for seen in (strategy.before, strategy.after))
    of_gradient = strategy.gradients[name].abs() if utility == "gradient" else 1.0
    return before.abs() * of_gradient, before != after


@pytest.mark.parametrize("optimizer", ["adam", SGD])
@pytest.mark.parametrize("utility", ["magnitude", "gradient"])
def test_the_weights_of_lowest_utility_get_new_values_at_the_interval(tiny, optimizer, utility):
    strategy = train(tiny, Watch(model=narrow, every=4, share=0.25, utility=utility), optimizer=optimizer)
    assert [update for update, names in enumerate(changed(strategy)) if names] == [4, 8]
    for name in ("encoder.4.weight", "head.weight"):
        found, replaced = utility_and_replaced(strategy, utility, name)
        assert int(replaced.sum()) == replaced.numel() // 4
        assert found[replaced].max() <= found[~replaced].min()


@pytest.mark.parametrize("utility", ["magnitude", "gradient"])
def test_by_the_threshold_weights_of_low_utility_get_new_values(tiny, utility):
    plugin = Watch(model=narrow, every=4, share=0.25, utility=utility, pruning="threshold")
    found, replaced = utility_and_replaced(train(tiny, plugin), utility, "encoder.4.weight")
    assert 0 < replaced.sum() < replaced.numel()
    assert torch.equal(replaced, found <= 0.25 * found.mean())


def test_moments_of_replaced_weights_alone_are_cleared(tiny):
    class Watch(SelectiveReinitialisation):
        def before_training_iteration(self, strategy, *args, **kwargs):
            old = strategy.model.head.weight.detach().clone()
            super().before_training_iteration(strategy)
            if strategy.clock.train_iterations == 4:
                state = strategy.optimizer.state[strategy.model.head.weight]["exp_avg"]
                replaced = old != strategy.model.head.weight
                strategy.seen = bool((state[replaced] == 0).all()), bool((state[~replaced] != 0).any())

    assert train(tiny, Watch(model=narrow, every=4, share=0.25)).seen == (True, True)


def test_gradients_are_part_of_a_checkpoint_where_utilities_need_them():
    model = narrow(outputs=6, channels=1, size=28)
    model(torch.zeros(2, 1, 28, 28)).sum().backward()
    plugin, other = (SelectiveReinitialisation(model=narrow, every=1, utility="gradient") for _ in range(2))
    plugin._model, other._model = model, narrow(outputs=6, channels=1, size=28)
    other.load_state_dict(plugin.state_dict())
    assert torch.equal(other._model.head.bias.grad, model.head.bias.grad)
    assert SelectiveReinitialisation(model=narrow, every=1).utility == "magnitude"


@pytest.mark.parametrize("wrong", [{"share": 0.0}, {"share": 1.0}, {"utility": "x"}, {"pruning": "x"}, {"every": 0}])
def test_impossible_settings_are_refused_in_words(wrong):
    with pytest.raises(ValueError, match=r"^selective re-initialisation: .* allowed: [^\n]*$"):
        SelectiveReinitialisation(**({"model": narrow, "every": 1} | wrong))
