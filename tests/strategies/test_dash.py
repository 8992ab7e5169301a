"""DASH: factors from the angle between weights and descent, and the average gradient they come from."""

import pytest
import torch
from support.trained import SGD, changed, narrow, train

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


def test_layers_that_are_not_trained_keep_their_weights(tiny):
    model = narrow(outputs=6, channels=1, size=28)
    model.encoder[4].requires_grad_(False)
    strategy = train(tiny, DASH(every=4), model=model)
    assert {"encoder.0.weight", "encoder.8.weight", "head.weight"} <= changed(strategy)[4]
    assert not {"encoder.4.weight", "encoder.4.bias"} & changed(strategy)[4]


@pytest.mark.parametrize("optimizer", ["adam", SGD])
def test_at_the_interval_layers_shrink_and_norms_do_not(tiny, optimizer):
    strategy = train(tiny, DASH(every=4, least=0.3), optimizer=optimizer)
    layers = {f"encoder.{n}.{part}" for n in (0, 4, 8) for part in ("weight", "bias")} | {"head.weight", "head.bias"}
    for update, names in enumerate(changed(strategy)):
        assert names == (layers if update in (4, 8) else set())


def test_weights_shrink_by_the_running_mean_of_negative_gradients(tiny):
    """Two batches of 12 images; lambda is so small that rows that point uphill shrink to almost nothing."""

    class Watch(DASH):
        def before_training_iteration(self, strategy, *args, **kwargs):
            if strategy.clock.train_iterations == 4:
                strategy.old = {name: w.detach().clone() for name, w in strategy.model.named_parameters()}
                strategy.gradients = list(gradients_by_batch(strategy, batch_size=12))
            super().before_training_iteration(strategy)

    strategy = train(tiny, Watch(every=4, alpha=0.4, least=0.01, batch_size=12))
    first, second = strategy.gradients
    downhill = uphill = 0
    for name, weight in strategy.old.items():
        if weight.ndim == 1:
            continue
        direction = -(0.6 * 0.4 * first[name] + 0.4 * second[name])
        vector = (2, 3) if weight.ndim == 4 else (1,)
        lengths = (direction.square().sum(vector, keepdim=True) * weight.square().sum(vector, keepdim=True)).sqrt()
        cosines = (direction * weight).sum(vector, keepdim=True) / lengths
        expected = weight * cosines.clamp(min=0.01)
        torch.testing.assert_close(strategy.after.weights[4][name], expected, atol=1e-6, rtol=1e-4)
        downhill, uphill = downhill + int((cosines > 0.02).sum()), uphill + int((cosines < -0.02).sum())
    assert min(downhill, uphill) > 4, "both signs occur"


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
