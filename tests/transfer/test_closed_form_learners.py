"""Streaming heads in closed form against batch computations in NumPy, at every point of a trial."""

from functools import partial

import numpy as np
import pytest
import torch
from support.contending import cut

from zapbench.cli.main import main
from zapbench.networks.classifier import convnet
from zapbench.transfer.closed_form import (
    SLDA,
    NearestClassMean,
    RanPAC,
    Ridge,
    base,
    check_protocol,
    run_closed_form,
)
from zapbench.transfer.features import Features
from zapbench.transfer.plan import TrialPlan
from zapbench.transfer.protocol import iid_transfer, sequential_transfer

OUTPUTS = 9
FEW = partial(RanPAC, projections=50)
PROTOCOL = sequential_transfer(learner="closed")


def nearest(x, y, **bindings):
    means = np.array([x[y == c].mean(0) for c in np.unique(y)])
    return lambda q: -((q[:, None] - means) ** 2).sum(2) / 2 + (q**2).sum(1)[:, None] / 2


def cosine(x, y, **bindings):
    means = np.array([x[y == c].mean(0) for c in np.unique(y)])
    return lambda q: q @ (means / np.linalg.norm(means, axis=1, keepdims=True)).T


def discriminant(x, y, shrinkage=1e-4):
    means = {c: x[y == c].mean(0) for c in np.unique(y)}
    deviations = x - np.array([means[c] for c in y])
    shrunk = (1 - shrinkage) * deviations.T @ deviations / len(x) + shrinkage * np.eye(x.shape[1])
    weights = np.linalg.solve(shrunk, np.array(list(means.values())).T)
    return lambda q: q @ weights - 0.5 * np.diag(np.array(list(means.values())) @ weights)


def ridge(x, y, penalty, constant=True):
    x = np.hstack([x, np.ones((len(x), 1))]) if constant else x
    targets = (y[:, None] == np.unique(y)).astype(float)
    weights = np.linalg.solve(x.T @ x + penalty * np.eye(x.shape[1]), x.T @ targets)
    return lambda q: (np.hstack([q, np.ones((len(q), 1))]) if constant else q) @ weights


def ranpac(x, y, penalty, projections):
    drawn = torch.randn(x.shape[1], projections, dtype=torch.float64, generator=torch.Generator().manual_seed(4))
    scores = ridge(np.maximum(x @ drawn.numpy(), 0), y, penalty, constant=False)
    return lambda q: scores(np.maximum(q @ drawn.numpy(), 0))


LEARNERS = [
    (NearestClassMean, nearest, {}),
    (NearestClassMean, cosine, {"cosine": True}),
    (SLDA, discriminant, {"shrinkage": 1e-4}),
    (SLDA, discriminant, {"shrinkage": 1.0}),
    (Ridge, ridge, {"penalty": 1.0}),
    (Ridge, ridge, {"penalty": 1e-3, "constant": False}),
    (RanPAC, ranpac, {"penalty": 0.1, "projections": 50}),
]


def stream(images, *, features=12, classes=5, seed=0):
    """Images of some classes, class after class."""
    generator = np.random.default_rng(seed)
    labels = np.array([7, 2, 5, 0, 8])[:classes].repeat(images)
    return np.maximum(generator.normal(size=(len(labels), features)) + labels[:, None] % 3, 0), labels


def made(make, features, **bindings):
    return make(features, OUTPUTS, generator=torch.Generator().manual_seed(4), **bindings)


def learned(learner, x, y, sizes):
    with torch.no_grad():
        expanded, labels = learner.expand(torch.from_numpy(x)), torch.from_numpy(y)
        for part, own in zip(expanded.split(sizes), labels.split(sizes)):
            learner.learn(part, own)
        learner.update_head()
    return learner


def scores(learner, q):
    with torch.no_grad():
        return learner(learner.expand(torch.from_numpy(q))).numpy()


@pytest.mark.parametrize(("make", "batch", "bindings"), LEARNERS)
@pytest.mark.parametrize("images", [1, 6])
def test_after_every_image_a_learner_is_the_batch_computation(make, batch, bindings, images):
    """With one image per class the covariance within classes is 0; with five in all there are fewer than features."""
    x, y = stream(images)
    asked, _ = stream(3, seed=1)
    learner = made(make, x.shape[1], **bindings)
    for n in range(1, len(x) + 1):
        learned(learner, x[n - 1 : n], y[n - 1 : n], 1)
        found, expected = scores(learner, asked), batch(x[:n], y[:n], **bindings)(asked)
        seen = np.unique(y[:n])
        assert np.abs(found[:, seen] - expected).max() <= 1e-9 * max(1.0, np.abs(expected).max())
        assert np.isneginf(np.delete(found, seen, axis=1)).all(), "an output without an image is never the largest"


@pytest.mark.parametrize(("make", "batch", "bindings"), LEARNERS)
def test_neither_the_order_of_images_nor_how_many_come_together_changes_a_head(make, batch, bindings):
    x, y = stream(6)
    order = np.random.default_rng(2).permutation(len(x))
    heads = [
        learned(made(make, x.shape[1], **bindings), *streamed, sizes).head.weight.detach()
        for streamed, sizes in (((x, y), 1), ((x, y), 11), ((x[order], y[order]), 1), ((x[order], y[order]), 30))
    ]
    for other in heads[1:]:
        assert torch.allclose(heads[0], other, rtol=1e-9, atol=1e-9 * float(heads[0].abs().max()))


@pytest.mark.parametrize(("make", "batch", "bindings"), LEARNERS)
def test_features_that_are_constant_or_zero_give_finite_scores(make, batch, bindings):
    x, y = stream(6)
    x[:, 3], x[:, 4] = 2.0, 0.0
    for changed in (x, np.zeros_like(x)):
        learner = learned(made(make, x.shape[1], **bindings), changed, y, 1)
        assert np.isfinite(scores(learner, changed)[:, np.unique(y)]).all()


@pytest.mark.parametrize(("make", "batch", "bindings"), LEARNERS)
def test_no_images_change_nothing(make, batch, bindings):
    x, y = stream(6)
    heads = []
    for parts in ([x], [x[:0], x[:8], x[:0], x[8:]]):
        learner = made(make, x.shape[1], **bindings)
        start = 0
        with torch.no_grad():
            for part in parts:
                learner.learn(learner.expand(torch.from_numpy(part)), torch.from_numpy(y[start : start + len(part)]))
                start += len(part)
            learner.update_head()
        heads.append(learner.head.weight.detach())
    assert torch.allclose(*heads, rtol=1e-9, atol=1e-9)


def test_of_fewer_images_than_features_recursive_least_squares_is_the_batch_solution_to_1e_9():
    generator = np.random.default_rng(5)
    x, y = np.maximum(generator.normal(size=(90, 300)), 0), np.arange(9).repeat(10)
    for penalty in (1e-2, 1.0, 100.0):
        learner = learned(made(Ridge, 300, penalty=penalty), x, y, 1)
        assert np.abs(scores(learner, x) - ridge(x, y, penalty)(x)).max() < 1e-9


def plan_of(tiny, learner, inputs, *, points=(1, 2, 3, 4), trial=None):
    return TrialPlan(trial or tiny.trial(0, 0), learner, PROTOCOL, torch.optim.SGD, 1.0, list(points))


@pytest.fixture
def inputs(tiny):
    torch.manual_seed(1)
    return Features(convnet(outputs=6, channels=1, size=28, filters=4).encoder, tiny.tensor(), torch.arange(96))


@pytest.mark.parametrize(("make", "batch", "bindings"), LEARNERS)
def test_a_trials_curve_is_measured_with_the_batch_computation_at_every_class(tiny, inputs, make, batch, bindings):
    trial = tiny.trial(0, 0)
    learner = make(36, 10, generator=torch.Generator().manual_seed(4), **bindings)
    found = run_closed_form(inputs, plan_of(tiny, learner, inputs))
    table = inputs.table.double().numpy()
    for seen in range(1, 5):
        x, y = table[trial.train[:seen].reshape(-1)], trial.labels[:seen].repeat(5)
        judge = batch(x, y, **bindings)
        for images, curve in ((trial.held_out, found.held_out), (trial.train, found.trained_on)):
            predicted = np.unique(y)[judge(table[images[:seen].reshape(-1)]).argmax(1)]
            assert curve[seen - 1] == pytest.approx((predicted == trial.labels[:seen].repeat(images.shape[1])).mean())
    assert found.steps == found.loss_steps == [1, 2, 3, 4]
    assert found.held_out_seen == found.held_out, "an output of an unseen class is never predicted either way"
    assert np.isfinite(found.held_out_loss).all()
    assert not found.diverged


def test_points_and_blocks_change_no_value_of_a_curve(tiny, inputs, monkeypatch):
    curves = []
    for block, points in ((1, (1, 2, 3, 4)), (10, (1, 2, 3, 4)), (256, (2, 4)), (10, (4,))):
        monkeypatch.setattr(base, "BLOCK", block)
        found = run_closed_form(inputs, plan_of(tiny, Ridge(36, 10, penalty=1.0), inputs, points=points))
        assert tuple(found.steps) == points
        curves.append(dict(zip(found.steps, found.trained_on)))
    for other in curves[1:]:
        assert other == {step: curves[0][step] for step in other}


@pytest.mark.parametrize("part", ["train", "held_out"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_feature_that_is_not_finite_ends_a_trial_as_diverged(tiny, inputs, part, value):
    bad = getattr(tiny.trial(0, 0), part)[2, 1]
    inputs.table[inputs.rows(torch.tensor([bad]))[0], 5] = value
    for make in (NearestClassMean, SLDA, Ridge, FEW):
        found = run_closed_form(inputs, plan_of(tiny, make(36, 10), inputs))
        assert found.diverged == "a feature is not finite at class 3"
        assert found.steps == [1, 2]


@pytest.mark.parametrize("make", [NearestClassMean, SLDA, Ridge, FEW])
def test_features_too_large_for_their_squares_end_a_trial_as_diverged(tiny, inputs, make):
    inputs.table = inputs.table.double() * 1e200
    found = run_closed_form(inputs, plan_of(tiny, make(36, 10), inputs))
    assert found.steps == []
    assert "(class 1)" in found.diverged
    assert "\n" not in found.diverged


def test_a_trial_of_one_image_per_class_is_measured(tiny, inputs):
    trial = cut(tiny.trial(0, 0), 4)
    trial = type(trial)(trial.classes, trial.labels, trial.train[:, :1], trial.held_out)
    for make in (NearestClassMean, SLDA, Ridge, FEW):
        found = run_closed_form(inputs, plan_of(tiny, make(36, 10), inputs, trial=trial))
        assert found.trained_on[-1] == 1.0


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: SLDA(4, 3, shrinkage=0.0), "shrinkage must be above 0 and at most 1, got 0.0"),
        (lambda: SLDA(4, 3, shrinkage=float("nan")), "shrinkage must be above 0 and at most 1, got nan"),
        (lambda: Ridge(4, 3, penalty=0.0), "Ridge: penalty must be above 0 and finite, got 0.0"),
        (lambda: RanPAC(4, 3, penalty=float("inf")), "RanPAC: penalty must be above 0 and finite, got inf"),
        (lambda: RanPAC(4, 3, projections=0), "projections must be at least 1, got 0"),
        (
            lambda: check_protocol(sequential_transfer(frozen=False, learner="x")),
            "frozen encoder, got 'sequential, unf",
        ),
        (lambda: check_protocol(sequential_transfer(passes=2, learner="x")), "frozen', passes = 2"),
        (lambda: check_protocol(iid_transfer(frozen=True, learner="x")), "frozen encoder, got 'iid, frozen'"),
        (lambda: check_protocol(sequential_transfer()), "needs a name for its row"),
    ],
)
def test_what_cannot_be_computed_is_refused_in_words(make, words):
    with pytest.raises(ValueError, match=words):
        make()


@pytest.mark.parametrize(
    ("binding", "words"),
    [
        ("transfer/sequential_transfer.frozen = False", "needs one pass of sequential transfer with a frozen encoder"),
        ("transfer/SLDA.shrinkage = 0.0", "shrinkage must be above 0"),
    ],
)
def test_the_command_refuses_in_one_line_before_it_trains(tmp_path, capsys, binding, words):
    arguments = ["glyphs", "iid", "--transfer", "slda", "-p", binding, "--out", str(tmp_path)]
    assert main(["run", *arguments]) == 2
    *_, line = capsys.readouterr().err.strip().splitlines()
    assert line.startswith("zapbench: ")
    assert words in line
    assert not list(tmp_path.rglob("events*"))


def test_a_penalty_too_small_for_float64_is_said_and_gives_no_number():
    generator = np.random.default_rng(5)
    x = generator.normal(size=(40, 1)) * np.ones((1, 30)) * 1e3
    with pytest.raises(ValueError, match="Ridge lost its precision at penalty 1e-14; raise it"):
        learned(made(Ridge, 30, penalty=1e-14), x, np.arange(4).repeat(10), 1)
