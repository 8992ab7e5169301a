"""A learner's outputs where no gradient is wanted: the fast way and the learner itself agree on real images."""

import functools

import pytest
import torch
from support.paths import WEIGHTS
from torch import nn

from zapbench.networks import outputs
from zapbench.networks.classifier import convnet
from zapbench.networks.outputs import FAST_PASS, FastOutputs, LearnersOutputs, outputs_of
from zapbench.scenarios.omniglot import omniglot
from zapbench.transfer.plan import TrialPlan, learner_for, trial_generator
from zapbench.transfer.protocol import count_steps, iid_transfer, sequential_transfer
from zapbench.transfer.reference import run_trial


@pytest.fixture
def images(omniglot_files):
    return omniglot().tensor()


def trained_a_little(filters: int) -> nn.Module:
    torch.manual_seed(0)
    model = convnet(outputs=7, channels=1, size=28, filters=filters)
    with torch.no_grad():
        for parameter in model.parameters():  # norms of ones and zeros would hide a scale or shift that is left out
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model.eval()


@pytest.mark.parametrize("count", [1, 5, 16, 39, FAST_PASS])
@pytest.mark.parametrize("filters", [4, 32])
def test_fast_outputs_are_the_learners_for_any_number_of_images(filters, count, images):
    model = trained_a_little(filters)
    fast = FastOutputs(model)
    fast.load()
    inputs = images(torch.arange(count))
    with torch.no_grad():
        expected = model(inputs)
    assert torch.allclose(fast(inputs), expected, rtol=1e-4, atol=1e-4 * float(expected.std() if count > 1 else 1))


@pytest.mark.parametrize("count", [5, 20])
def test_fast_outputs_are_those_of_the_weights_that_were_loaded_last(count, images):
    model, inputs = trained_a_little(8), images(torch.arange(count))
    fast = FastOutputs(model)
    fast.load()
    before = fast(inputs)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1.5)
    assert torch.equal(fast(inputs), before)
    fast.load()
    with torch.no_grad():
        assert torch.allclose(fast(inputs), model(inputs), atol=1e-3)
    assert not torch.allclose(fast(inputs), before, atol=1e-3)


def test_the_learners_own_weights_stay_as_they_lie_in_memory(images):
    model = trained_a_little(8)
    strides = [parameter.stride() for parameter in model.parameters()]
    fast = FastOutputs(model)
    fast.load()
    fast(images(torch.arange(FAST_PASS)))
    assert [parameter.stride() for parameter in model.parameters()] == strides
    assert all(parameter.grad is None for parameter in model.parameters())


def test_outputs_of_weights_with_nan_are_nan(images):
    model = trained_a_little(8)
    with torch.no_grad():
        model.encoder[0].weight[0, 0, 0, 0] = torch.nan
    fast = FastOutputs(model)
    fast.load()
    assert fast(images(torch.arange(16))).isnan().all()


@pytest.mark.parametrize("way", ["learner", "manual"])
def test_the_way_is_the_one_that_was_measured_to_be_faster(way, monkeypatch):
    monkeypatch.setattr(outputs, "fastest", lambda question, ways: way)
    kind = FastOutputs if way == "manual" else LearnersOutputs
    assert type(outputs_of(trained_a_little(8), fast=True, pass_size=8)) is kind
    assert type(outputs_of(trained_a_little(8), fast=False, pass_size=8)) is LearnersOutputs


@pytest.mark.parametrize(
    "changed",
    [
        lambda model: model.double(),
        lambda model: model.encoder.append(nn.Dropout()),
        lambda model: model.register_forward_hook(lambda module, inputs, output: output),
        lambda model: setattr(model, "head", nn.Linear(model.head.in_features, 7, bias=False)),
    ],
    ids=["float64", "another layer", "a hook", "no bias"],
)
def test_what_the_fast_way_does_not_know_goes_through_the_learner(changed, monkeypatch):
    monkeypatch.setattr(outputs, "fastest", lambda question, ways: "manual")
    model = trained_a_little(8)
    changed(model)
    assert type(outputs_of(model, fast=True, pass_size=8)) is LearnersOutputs


def test_a_function_is_called_with_the_inputs_of_a_pass():
    found = outputs_of(lambda inputs: inputs + 1, fast=True, pass_size=3)
    assert [len(part) for part in found.passes(torch.arange(8))] == [3, 3, 2]
    assert found(torch.tensor([1.0])).tolist() == [2.0]


@pytest.mark.parametrize("protocol", [sequential_transfer(frozen=False), iid_transfer(batch_size=25, epochs=3)])
def test_an_unfrozen_trial_has_the_same_curves_either_way(protocol, omniglot_root, monkeypatch):
    scenario = omniglot(name="ten", pretrain_classes=100, selection_classes=100, classes_per_trial=10)
    trial, images = scenario.trial(0, 0, role="report"), scenario.tensor()
    model = convnet(outputs=1000, channels=1, size=28, filters=32)
    model.load_state_dict(torch.load(WEIGHTS, weights_only=True), strict=False)
    found = {}
    for way in ("learner", "manual"):
        monkeypatch.setattr(outputs, "fastest", lambda question, ways, way=way: way)
        learner = learner_for(model, protocol, 1000, trial_generator("head", "ten", 0, 0, "report"), images)
        points = protocol.points(count_steps(protocol, *trial.train.shape), "report")
        order = trial_generator("order", "ten", 0, 0, "report")
        optimizer = functools.partial(torch.optim.Adam, fused=True)
        plan = TrialPlan(trial, learner, protocol, optimizer=optimizer, rate=0.001, points=points, order=order)
        found[way] = run_trial(images, plan)
    plain, fast = found["learner"], found["manual"]
    assert fast.steps == plain.steps
    assert len(plain.steps) > 3
    assert fast.held_out == pytest.approx(plain.held_out, abs=0.021)  # an image of fifty: logits differ in rounding
    assert fast.held_out_loss == pytest.approx(plain.held_out_loss, rel=1e-3)
    assert fast.trained_on_loss == pytest.approx(plain.trained_on_loss, rel=1e-3, abs=1e-5)
    assert plain.held_out_loss[-1] < 0.8 * plain.held_out_loss[0]
