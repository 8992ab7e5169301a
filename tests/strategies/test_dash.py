"""DASH: factors from the angle between weights and descent, and the average gradient they come from."""

import pytest
import torch
from support.trained import SGD, changed, train

from zapbench.strategies.dash import DASH, shrinkage
from zapbench.strategies.training_gradients import gradients_by_batch


def test_a_row_shrinks_by_its_cosine_with_the_descent_direction():
    weight = torch.tensor([[3.0, 4.0], [1.0, 0.0], [0.0, 2.0]])
    direction = torch.tensor([[4.0, 3.0], [1.0, 1.0], [0.0, -5.0]])
    factors = shrinkage(direction, weight, least=0.3)
    torch.testing.assert_close(factors, torch.tensor([[24 / 25], [0.5**0.5], [0.3]]))


def test_each_kernel_of_each_channel_has_its_own_factor_and_a_bias_has_one():
    weight = torch.tensor([[[[1.0, 0.0]], [[0.0, 2.0]]]])
    direction = torch.tensor([[[[2.0, 0.0]], [[1.0, 0.0]]]])
    assert shrinkage(direction, weight, least=0.25).tolist() == [[[[1.0]], [[0.25]]]]
    assert shrinkage(torch.tensor([0.0, 1.0]), torch.tensor([1.0, 1.0]), least=0.1).tolist() == pytest.approx(
        [0.5**0.5]
    )


@pytest.mark.parametrize("optimizer", ["adam", SGD])
def test_at_the_interval_layers_shrink_and_norms_do_not(tiny, optimizer):
    strategy = train(tiny, DASH(every=4, least=0.3), optimizer=optimizer)
    layers = {f"encoder.{n}.{part}" for n in (0, 4, 8) for part in ("weight", "bias")} | {"head.weight", "head.bias"}
    for update, names in enumerate(changed(strategy)):
        assert names == (layers if update in (4, 8) else set())
    before, after = (seen.weights[4]["head.weight"] for seen in (strategy.before, strategy.after))
    ratio = (after / before).nan_to_num(0.3)
    assert ratio.min() >= 0.299
    assert ratio.max() <= 1.001


def test_gradients_of_batches_add_up_to_the_gradient_of_all_and_leave_the_model_as_it_was(tiny):
    class Watch(DASH):
        def before_training_iteration(self, strategy, *args, **kwargs):
            if strategy.clock.train_iterations == 2:
                strategy.kept = {n: w.grad.clone() for n, w in strategy.model.named_parameters()}
                parts = list(gradients_by_batch(strategy, batch_size=12))
                (whole,) = gradients_by_batch(strategy, batch_size=1000)
                (first,) = gradients_by_batch(strategy, batch_size=12, most=1)
                strategy.seen = parts, whole, first
                strategy.same = all(torch.equal(strategy.kept[n], w.grad) for n, w in strategy.model.named_parameters())

    strategy = train(tiny, Watch(every=100))
    parts, whole, first = strategy.seen
    assert len(parts) == 2
    torch.testing.assert_close((parts[0]["head.weight"] + parts[1]["head.weight"]) / 2, whole["head.weight"])
    assert torch.equal(first["head.weight"], parts[0]["head.weight"])
    assert strategy.same


@pytest.mark.parametrize("wrong", [{"alpha": 0.0}, {"least": 1.0}, {"least": -0.1}, {"batch_size": 0}, {"every": 0}])
def test_impossible_settings_are_refused_in_words(wrong):
    with pytest.raises(ValueError, match=r"^DASH: .* allowed: [^\n]*$"):
        DASH(**({"every": 1} | wrong))
