"""Frozen sequential transfer with Adam, AdamW or momentum, where each column of the head is updated lazily.

The gradient of a step is the error times the image's features, and after a ReLU half or more of the features are 0.
Where feature j is 0, column j of the head has no gradient and does not affect the logits. Its update can therefore be
deferred to the next image in which feature j is not 0; then all deferred steps are computed together, in the cache. The
result equals the optimiser's, step by step, up to rounding. This avoids most of the passes over the head and its two
moments, and memory bandwidth is what limits a plain loop. Heads are independent, so each thread updates its own.

All matrices are transposed: a head is `(features + 1, outputs)`. Its last row is the bias, whose feature is always 1.
"""

import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from zapbench.networks.kernels import compiled
from zapbench.networks.products import multiply
from zapbench.transfer.features import EVALUATION_BATCH, Features
from zapbench.transfer.metrics import Curve, Trajectory
from zapbench.transfer.plan import TrialPlan
from zapbench.transfer.predictions import predictions
from zapbench.transfer.step_rule import StepRule

Tick = Callable[[], None]

Floats = npt.NDArray[np.floating]
LONGEST = 256
"""Steps after which every column is updated: it bounds the number of errors kept and the size of tables."""


@compiled
def _adam(w, m, v, root, error, x, at, missed, table):  # type: ignore[no-untyped-def]
    """Updates one column by a step with gradient `error * x` (none where x is 0), then by `missed` steps without.

    Args:
        w: weights of the column `(outputs,)`.
        m: its first moments.
        v: its second moments.
        root: a buffer for the square roots of the second moments.
        error: of the step with a gradient.
        x: the feature in that step; 0 where no step had a gradient.
        at: number of steps before these.
        missed: number of steps without a gradient.
        table: see `_table`.
    """
    rates, floors, powers1, powers2, decays, betas = table
    beta1, other1, beta2, other2, root2 = betas[0], betas[1], betas[2], betas[3], betas[4]
    decay = decays[1]
    if x != 0:
        rate, floor = rates[at], floors[at]
        for i in range(len(w)):
            g = error[i] * x
            m[i] = beta1 * m[i] + other1 * g
            v[i] = beta2 * v[i] + other2 * (g * g)
            root[i] = np.sqrt(v[i])
            w[i] = decay * w[i] - rate * m[i] / (root[i] + floor)
        at += 1
    elif missed > 0:
        for i in range(len(w)):
            root[i] = np.sqrt(v[i])
    if missed == 0:
        return
    lasting = min(missed, int(betas[5]))
    for t in range(at, at + lasting):
        rate, floor = rates[t], floors[t]
        for i in range(len(w)):
            m[i] = beta1 * m[i]
            root[i] = root2 * root[i]
            w[i] = decay * w[i] - rate * m[i] / (root[i] + floor)
    left1, left2, left3 = powers1[missed - lasting], powers2[missed], decays[missed - lasting]
    for i in range(len(w)):
        m[i] = left1 * m[i]
        v[i] = left2 * v[i]
        w[i] = left3 * w[i]


@compiled
def _momentum(w, m, error, x, missed, table):  # type: ignore[no-untyped-def]
    """The same for SGD with momentum, whose steps without a gradient add up to a geometric series."""
    rates, series, powers = table[0], table[1], table[2]
    if x != 0:
        momentum, rate = powers[1], rates[0]
        for i in range(len(w)):
            m[i] = momentum * m[i] + error[i] * x
            w[i] = w[i] - rate * m[i]
    if missed > 0:
        total, power = series[missed], powers[missed]
        for i in range(len(w)):
            w[i] = w[i] - total * m[i]
            m[i] = power * m[i]


@compiled
def _catch_up(j, until, start, state, since, table, is_adam):  # type: ignore[no-untyped-def]
    """Computes the deferred updates of column `j`, up to `until` steps after `start`."""
    w, m, v, errors, root, then, touched = state
    first = since[j]
    if is_adam:
        if first >= 0:
            _adam(w[j], m[j], v[j], root, errors[first], then[j], start + first, until - first - 1, table)
        elif touched[j]:
            _adam(w[j], m[j], v[j], root, errors[0], 0, start, until, table)
        elif table[4][1] != 1:
            w[j] *= table[4][until]
    elif first >= 0:
        _momentum(w[j], m[j], errors[first], then[j], until - first - 1, table)
    elif touched[j]:
        _momentum(w[j], m[j], errors[0], 0, until, table)


@compiled
def _steps(features, rows, labels, start, state, since, logits, table, is_adam):  # type: ignore[no-untyped-def]
    """Makes one step per row of the features; returns the step whose loss is not finite, or -1."""
    w, _, _, errors, _, then, touched = state
    width = len(w) - 1
    since[:] = -1
    for s in range(len(rows)):
        x = features[rows[s]]
        logits[:] = 0
        for j in range(width + 1):
            value = x[j] if j < width else then[width]
            if value != 0:
                _catch_up(j, s, start, state, since, table, is_adam)
                then[j] = value
                since[j] = s
                touched[j] = True
                row = w[j]
                for i in range(len(logits)):
                    logits[i] += value * row[i]
        error = errors[s]
        highest = logits.max()
        total = 0.0
        for i in range(len(logits)):
            total += np.exp(logits[i] - highest)
        # As torch rounds it: a label's error, its probability minus 1, may be all rounding, which Adam scales up.
        spread = np.log(logits.dtype.type(total))
        if not np.isfinite(spread - (logits[labels[s]] - highest)):
            return s
        for i in range(len(logits)):
            error[i] = np.exp((logits[i] - highest) - spread)
        error[labels[s]] -= 1
    for j in range(width + 1):
        _catch_up(j, len(rows), start, state, since, table, is_adam)
    return -1


@np.errstate(over="ignore")
def _table(rule: StepRule, steps: int, dtype: npt.DTypeLike) -> tuple[Floats, ...]:
    """Returns the constants of the optimiser's steps, computed in float64.

    For Adam: the rate and eps of each step, both including bias correction; powers of beta1 and beta2; powers of the
    weight decay; and `(beta1, 1 - beta1, beta2, 1 - beta2, square root of beta2, number of steps after which a first
    moment without gradients no longer changes a weight)`. For momentum: the rate, the sums of the geometric series,
    and powers of the momentum.
    """
    count = np.arange(LONGEST + 1.0)
    if rule.kind == "momentum":
        powers = rule.momentum**count
        series = rule.rate * rule.momentum * (1 - powers) / (1 - rule.momentum)
        found = [np.array([rule.rate]), series, powers, powers, powers, powers]
        return tuple(array.astype(dtype) for array in found)
    (beta1, beta2), step = rule.betas, np.arange(1.0, steps + 1)
    root = np.sqrt(1 - beta2**step)
    ratio = beta1 / math.sqrt(beta2) if beta2 else math.inf
    lost = np.finfo(np.dtype(dtype)).eps / 1000
    lasting = LONGEST if ratio >= 1 else 1 if not ratio else math.ceil(math.log(lost) / math.log(ratio))
    betas = np.array([beta1, 1 - beta1, beta2, 1 - beta2, math.sqrt(beta2), lasting])
    decays = (1 - rule.rate * rule.decay) ** count
    found = [rule.rate * root / (1 - beta1**step), rule.eps * root, beta1**count, beta2**count, decays, betas]
    return tuple(array.astype(dtype) for array in found)


class _Head:
    """The head of one plan."""

    def __init__(self, features: Features, plan: TrialPlan) -> None:
        weight = plan.head.weight.detach()
        self.plan, self._features = plan, features
        self._train, self._held_out = features.rows_of(plan.trial)
        self._rows = self._train.repeat(1, plan.protocol.passes).flatten().numpy()
        self.steps = len(self._rows)
        self._labels = np.repeat(plan.trial.labels, self.steps // len(plan.trial.labels))
        self.curve = Curve(len(plan.trial.labels))
        joined = torch.cat([weight, plan.head.bias.detach()[:, None]], 1).T.contiguous().numpy()
        width, outputs = joined.shape
        self._is_adam = plan.step_rule.kind == "adam"
        second = (width if self._is_adam else 0, outputs)
        errors, room, then = (np.zeros(n, joined.dtype) for n in ((LONGEST, outputs), outputs, width))
        then[-1] = 1
        touched = np.zeros(width, np.bool_)
        self._state = (joined, np.zeros_like(joined), np.zeros(second, joined.dtype), errors, room, then, touched)
        self._since, self._logits = np.zeros(width, np.int64), np.zeros(outputs, joined.dtype)
        self._table = _table(plan.step_rule, self.steps, joined.dtype)

    def step(self, start: int, end: int) -> None:
        """Makes steps `start` to `end`; ends the curve where the loss is not finite."""
        if self.curve.trajectory.diverged:
            return
        part = slice(start, end)
        with np.errstate(all="ignore"):
            at = _steps(
                self._features.table.numpy(), self._rows[part], self._labels[part], start, self._state, self._since,
                self._logits, self._table, self._is_adam,
            )  # fmt: skip
        if at >= 0:
            self.curve.end((start + at) * len(self.plan.trial.labels) // self.steps + 1)

    def measure(self, seen: int) -> None:
        """Adds a point over the first `seen` classes."""
        if self.curve.trajectory.diverged:
            return
        joined = torch.from_numpy(self._state[0])
        rows, trained = torch.cat([self._train[:seen], self._held_out[:seen]], 1), self._train.shape[1]
        labels = torch.from_numpy(self.plan.trial.labels[:seen, None]).expand(rows.shape).flatten()
        among = np.zeros(len(joined[-1]), np.int32)
        among[self.plan.trial.labels[:seen]] = 1
        losses = seen in self.plan.loss_points
        right, right_seen = np.zeros((2, rows.numel()), np.bool_)
        found = torch.zeros(rows.numel() if losses else 0, dtype=torch.float64)
        for first in range(0, rows.numel(), EVALUATION_BATCH):
            at = slice(first, first + EVALUATION_BATCH)
            logits = multiply(self._features.table[rows.flatten()[at]], joined[:-1]).add_(joined[-1])
            predictions(logits.numpy(), labels[at].numpy(), among, right[at], right_seen[at])
            if losses:
                found[at] = nn.functional.cross_entropy(logits, labels[at], reduction="none").double()
        right, right_seen = right.reshape(rows.shape), right_seen.reshape(rows.shape)
        self.curve.add(seen, right[:, trained:], right[:, :trained], right_seen[:, trained:])
        if losses:
            found = found.view(rows.shape)
            self.curve.add_losses(seen, float(found[:, trained:].mean()), float(found[:, :trained].mean()))


def transfer(features: Features, plans: Sequence[TrialPlan], tick: Tick) -> list[Trajectory]:
    """Learns and measures plans of one protocol; see `zapbench.transfer.fast`."""
    heads = [_Head(features, plan) for plan in plans]
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        for classes in sorted({len(head.plan.trial.labels) for head in heads}):
            own = [head for head in heads if len(head.plan.trial.labels) == classes]
            points = sorted({point for head in own for point in head.plan.points})
            images = own[0].steps // classes
            start = 0
            while start < own[0].steps:
                end = min(start + LONGEST, next(p for p in points if p * images > start) * images)
                list(pool.map(lambda head, a=start, b=end: head.step(a, b), own))
                start = end
                tick()
                for head in own:
                    if start % images == 0 and start // images in head.plan.points:
                        head.measure(start // images)
    return [head.curve.trajectory for head in heads]


def memory(features: Features, plans: Sequence[TrialPlan]) -> int:
    """Returns the bytes that plans need: initial and current heads, moments and some errors per plan."""
    total = 0
    for plan in plans:
        outputs, width = plan.head.weight.shape
        heads = 4 if plan.step_rule.kind == "adam" else 3
        total += plan.head.weight.element_size() * outputs * (heads * (width + 1) + LONGEST)
    return total
