"""Least-squares heads against NumPy, and the protocols that they make."""

import numpy as np
import pytest
import torch

from zapbench.leaderboard.contract import fingerprint
from zapbench.networks.classifier import convnet
from zapbench.transfer.closed_form import least_squares, start_from_least_squares
from zapbench.transfer.features import Features
from zapbench.transfer.plan import TrialPlan, learner_for, trial_generator
from zapbench.transfer.protocol import count_steps, iid_transfer, least_squares_transfer, sequential_transfer
from zapbench.transfer.reference import run_trial


@pytest.fixture
def model():
    torch.manual_seed(1)
    return convnet(outputs=6, channels=1, size=28, filters=4)


@pytest.mark.parametrize(("images", "features"), [(40, 9), (6, 9)])
def test_a_least_squares_head_is_numpys_with_a_column_of_ones(images, features):
    generator = np.random.default_rng(3)
    inputs = generator.normal(size=(images, features))
    labels = generator.integers(2, 5, images)
    weight, bias = least_squares(torch.from_numpy(inputs), torch.from_numpy(labels), 8)
    targets = np.zeros((images, 8))
    targets[np.arange(images), labels] = 1.0
    expected = np.linalg.lstsq(np.hstack([inputs, np.ones((images, 1))]), targets, rcond=None)[0]
    assert np.abs(weight.numpy() - expected[:-1].T).max() < 1e-10
    assert np.abs(bias.numpy() - expected[-1]).max() < 1e-10


def test_as_the_whole_transfer_it_takes_no_step_and_measures_all_classes_once(tiny, model):
    protocol, trial = least_squares_transfer(), tiny.trial(0, 0)
    inputs = Features(model.encoder, tiny.tensor(), torch.arange(96))
    learner = learner_for(model, protocol, 10, trial_generator("head", "tiny", 0, 0, "report"), inputs)
    start_from_least_squares(learner, inputs, trial)
    points = protocol.points(count_steps(protocol, *trial.train.shape), "report")
    generator = trial_generator("order", "tiny", 0, 0, "report")
    found = run_trial(
        inputs, TrialPlan(trial, learner, protocol, optimizer=torch.optim.SGD, rate=1e9, points=points, order=generator)
    )

    with torch.no_grad():
        features = model.eval().encoder(tiny.tensor()(torch.arange(96))).double().numpy()
    ones = np.hstack([features, np.ones((96, 1))])
    targets = np.eye(10)[trial.labels].repeat(5, axis=0)
    head = np.linalg.lstsq(ones[trial.train.reshape(-1)], targets, rcond=None)[0]
    right = (ones[trial.held_out] @ head).argmax(axis=2) == trial.labels[:, None]
    assert found.steps == [1]
    assert found.held_out == [pytest.approx(right.mean())]
    assert found.class_accuracy == pytest.approx(right.mean(axis=1).tolist())
    assert found.trained_on == [1.0], "20 images of 36 features are fitted exactly"


def test_as_a_start_of_iid_transfer_it_replaces_the_drawn_head_alone(tiny, model):
    trial, images = tiny.trial(0, 0), tiny.tensor()
    protocol = iid_transfer(start="lstsq")
    learner = learner_for(model, protocol, 10, trial_generator("head", "tiny", 0, 0, "report"), images)
    start_from_least_squares(learner, images, trial)
    index = torch.from_numpy(trial.train.reshape(-1).copy())
    with torch.no_grad():
        features = model.eval().encoder(images(index))
    weight, bias = least_squares(features, torch.from_numpy(trial.labels).repeat_interleave(5), 10)
    assert torch.allclose(learner.head.weight.double(), weight, atol=1e-5)
    assert torch.allclose(learner.head.bias.double(), bias, atol=1e-5)
    assert all(torch.equal(p, q) for p, q in zip(learner.encoder.parameters(), model.encoder.parameters()))


def test_what_sees_all_images_first_is_another_protocol(tiny):
    protocols = [
        iid_transfer(),
        iid_transfer(start="lstsq"),
        iid_transfer(frozen=True),
        iid_transfer(layers=2),
        iid_transfer(layers=3),
        least_squares_transfer(),
        sequential_transfer(),
    ]
    prints = {fingerprint(tiny.facts() | p.facts()) for p in protocols}
    assert len(prints) == len({p.name for p in protocols}) == len(protocols)
    assert {p.name for p in protocols} >= {"at once, frozen", "iid after least squares, unfrozen", "iid, last 2 layers"}


def test_the_width_of_the_head_makes_another_row_and_not_another_protocol(tiny):
    narrow, wide = sequential_transfer(head="classes"), sequential_transfer()
    assert (narrow.outputs(tiny), wide.outputs(tiny)) == (8, 10)
    assert narrow.facts() == wide.facts()
    assert narrow.learner != wide.learner == ""


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: iid_transfer(start="lsqt"), "start is 'lsqt'; allowed: random, lstsq"),
        (lambda: iid_transfer(head="paper"), "head is 'paper'; allowed: scenario, classes"),
        (
            lambda: sequential_transfer(frozen=True, layers=2),
            "layers is for unfrozen transfer and at least 1, got frozen",
        ),
        (lambda: sequential_transfer(frozen=False, layers=0), "layers is for unfrozen transfer and at least 1, got 0"),
    ],
)
def test_impossible_variants_are_refused(make, words):
    with pytest.raises(ValueError, match=words):
        make()
