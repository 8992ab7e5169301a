"""Unfrozen transfer by manual gradients against the same by autograd, on real images."""

import copy
import functools

import pytest
import torch
from support.contending import assert_alike
from support.paths import WEIGHTS

from zapbench.networks.choices import choices
from zapbench.networks.classifier import convnet, last_layers
from zapbench.networks.gradients import gradients_of, manual_gradients, reason_for_autograd, uses_manual_gradients
from zapbench.networks.oml import oml
from zapbench.scenarios.omniglot import omniglot
from zapbench.transfer.plan import TrialPlan, learner_for, trial_generator
from zapbench.transfer.protocol import count_steps, iid_transfer, sequential_transfer
from zapbench.transfer.reference import run_trial

ADAM = functools.partial(torch.optim.Adam, fused=True)
DIVERGING = 1e300


@pytest.fixture(scope="module")
def pretrained():
    model = convnet(outputs=1000, channels=1, size=28, filters=32)
    model.load_state_dict(torch.load(WEIGHTS, weights_only=True), strict=False)
    return model.double()


@pytest.fixture(scope="module")
def ten_classes(omniglot_root):
    scenario = omniglot(name="ten", pretrain_classes=100, selection_classes=100, classes_per_trial=10)
    return scenario.trial(0, 0, role="report"), scenario.tensor()


def learn(pretrained, ten_classes, protocol, *, rate, optimizer=ADAM, fast=True):
    trial, pixels = ten_classes

    def images(index):
        return pixels(index).double()

    learner = learner_for(pretrained, protocol, 1000, trial_generator("head", "ten", 0, 0, "report"), images)
    points = protocol.points(count_steps(protocol, *trial.train.shape), "report")
    order = trial_generator("order", "ten", 0, 0, "report")
    found = run_trial(
        images,
        TrialPlan(trial, learner, protocol, optimizer=optimizer, rate=rate, points=points, order=order),
        fast=fast,
    )
    return found, learner


@pytest.mark.parametrize("protocol", [sequential_transfer(frozen=False), iid_transfer(batch_size=5, epochs=1)])
@pytest.mark.parametrize(("optimizer", "rate"), [(torch.optim.SGD, 0.03), (torch.optim.SGD, 0.3), (ADAM, 0.001)])
def test_manual_gradients_learn_as_autograd_does(pretrained, ten_classes, protocol, optimizer, rate):
    fast, fast_learner = learn(pretrained, ten_classes, protocol, rate=rate, optimizer=optimizer)
    plain, plain_learner = learn(pretrained, ten_classes, protocol, rate=rate, optimizer=optimizer, fast=False)
    assert_alike(fast, plain)
    assert len(plain.steps) > 1
    # a convolution's bias moves nothing (the norm takes it away): its gradient is 0, or by autograd rounding noise
    names = [name for name, _ in plain_learner.named_parameters() if not name.endswith("bias") or "head" in name]
    moved = dict(fast_learner.named_parameters())
    for name in names:
        expected = plain_learner.get_parameter(name)
        assert not torch.equal(expected, pretrained.get_parameter(name)) or "head" in name
        torch.testing.assert_close(moved[name], expected, rtol=1e-6, atol=1e-6)


def test_a_rate_that_diverges_does_so_at_the_same_class(pretrained, ten_classes):
    protocol = sequential_transfer(frozen=False)
    fast, plain = (
        learn(pretrained, ten_classes, protocol, rate=DIVERGING, optimizer=torch.optim.SGD, fast=fast)[0]
        for fast in (True, False)
    )
    assert "not finite" in plain.diverged
    assert fast == plain


def test_the_pretrained_model_is_left_alone(pretrained, ten_classes):
    before = copy.deepcopy(pretrained.state_dict())
    learn(pretrained, ten_classes, sequential_transfer(frozen=False), rate=0.03)
    for name, weights in pretrained.state_dict().items():
        assert torch.equal(weights, before[name])


def test_other_networks_go_through_autograd(pretrained):
    assert not reason_for_autograd(pretrained, 1)
    partly = copy.deepcopy(pretrained).requires_grad_(False)
    for layer in last_layers(partly, 2):
        layer.requires_grad_(True)
    assert "frozen" in reason_for_autograd(partly, 1)
    assert "convnet" in reason_for_autograd(oml(outputs=5, channels=1, size=28, filters=4, hidden=8), 1)
    assert "convnet" in reason_for_autograd(pretrained.head, 1)


def test_the_faster_way_is_taken_and_the_log_says_why(pretrained, monkeypatch, caplog):
    caplog.set_level("INFO")
    model = convnet(outputs=7, channels=1, size=28, filters=3)
    for way in ("manual", "autograd"):
        monkeypatch.setattr("zapbench.networks.gradients.fastest", lambda question, ways, way=way: way)
        net = manual_gradients(model, 1, 64)
        assert (net is None) == (way == "autograd")
    assert "as fast here with 1 images" in caplog.messages[-1]
    assert "by hand" in caplog.messages[-2]


@pytest.mark.parametrize("size", [28, 29])
def test_images_of_the_measured_size_fit_the_network(size):
    model = convnet(outputs=2, channels=3, size=size, filters=3)
    assert uses_manual_gradients(model, 2) in (True, False)
    assert any(question.startswith("gradients of convnet3x3, 2 outputs, 2 images") for question in choices())


@pytest.mark.parametrize("fast", [True, False])
def test_gradients_replace_those_that_were_there(pretrained, fast):
    learner = copy.deepcopy(pretrained)
    gradients = gradients_of(learner, 2, fast=fast)
    images = torch.rand(2, 1, 28, 28, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    first = gradients(images, torch.tensor([3, 5]))
    kept = [p.grad.clone() for p in learner.parameters()]
    assert torch.equal(gradients(images, torch.tensor([3, 5])), first)
    for parameter, before in zip(learner.parameters(), kept):
        assert torch.equal(parameter.grad, before)
