"""Frozen sequential transfer with Adam, AdamW or momentum: one head per plan, in steps of `lazy_columns`.

The result equals the optimiser's, step by step, up to rounding. Several threads learn as many heads at a time. Two or
three threads can also share one head, half of its outputs each: memory bandwidth limits the steps, and two heads at a
time are twice the memory in use. But then the threads wait for each other after every step, which is slow where other
processes use the cores. Both ways give the same bits, so the faster is taken, as timed in the call's first steps.
"""

import math
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numba
import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from zapbench.networks.products import multiply
from zapbench.transfer.features import EVALUATION_BATCH, Features
from zapbench.transfer.lazy_columns import LANES, LONGEST, TERMS, steps_alone, steps_together
from zapbench.transfer.metrics import Curve, Trajectory
from zapbench.transfer.plan import TrialPlan
from zapbench.transfer.predictions import predictions
from zapbench.transfer.step_rule import StepRule

Tick = Callable[[], None]
Floats = npt.NDArray[np.floating]
Tables = tuple[Floats, Floats, Floats, float]


@np.errstate(over="ignore")
def _tables(rule: StepRule, steps: int, dtype: npt.DTypeLike) -> Tables:
    """Returns the constants of the optimiser's steps, in float64.

    They are: the rate and eps of each step, both including bias correction `(2, steps)`; powers of beta1, of beta2, of
    the square root of beta2 and of the weight decay `(4, LONGEST + 1)`; `1 - beta1`, `1 - beta2` and the gradient that
    counts at least in a second moment; and the rounding that is allowed. Momentum is Adam's first moment: its factor
    takes the place of beta1, and the gradient has factor 1.
    """
    count, step = np.arange(LONGEST + 1.0), np.arange(1.0, steps + 1)
    tiny = float(np.finfo(np.dtype(dtype)).eps) / 8
    if rule.kind == "momentum":
        constant = np.ones_like(count)
        powers = np.stack([rule.momentum**count, constant, constant, constant])
        return np.stack([np.full(steps, rule.rate), np.zeros(steps)]), powers, np.array([1.0, 1.0, 0.0]), tiny
    beta1, beta2 = rule.betas
    root = np.sqrt(1 - beta2**step)
    schedule = np.stack([rule.rate * root / (1 - beta1**step), rule.eps * root])
    bases = (beta1, beta2, math.sqrt(beta2), 1 - rule.rate * rule.decay)
    others = np.array([1 - beta1, 1 - beta2, 2 * tiny * schedule[1, 0]])
    return schedule, np.stack([base**count for base in bases]), others, tiny


def _parts() -> int:
    """Returns the number of threads that can share a head."""
    return 2 if torch.get_num_threads() in (2, 3) and numba.config.NUMBA_NUM_THREADS > 1 else 1


class _Ways:
    """Makes steps with heads apart, each in one thread, or with threads that share a head: whichever is faster."""

    TIMED = 2
    """How often each way is timed; the first time includes its compilation and does not count."""

    def __init__(self, pool: ThreadPoolExecutor) -> None:
        self._pool = pool
        self._seconds: dict[bool, list[float]] = {shared: [] for shared in (False, True)[: _parts()]}

    def step(self, heads: Sequence["_Head"], start: int, end: int) -> None:
        """Makes steps `start` to `end` of all heads."""
        fewest = min(self._seconds, key=lambda shared: len(self._seconds[shared]))
        timed = len(self._seconds[fewest]) < self.TIMED
        shared = fewest if timed else min(self._seconds, key=lambda shared: self._seconds[shared][-1])
        began = time.perf_counter()
        if shared:
            for head in heads:
                head.step(start, end, shared=True)
        else:
            list(self._pool.map(lambda head: head.step(start, end, shared=False), heads))
        if timed:
            self._seconds[shared].append((time.perf_counter() - began) / (end - start))


class _Head:
    """The head of one plan."""

    def __init__(self, features: Features, plan: TrialPlan) -> None:
        self.plan, self._features = plan, features
        self._train, self._held_out = features.rows_of(plan.trial)
        self._rows = self._train.repeat(1, plan.protocol.passes).flatten().numpy()
        self.steps = len(self._rows)
        self._labels = np.repeat(plan.trial.labels, self.steps // len(plan.trial.labels))
        self.curve = Curve(len(plan.trial.labels))
        joined = torch.cat([plan.head.weight.detach(), plan.head.bias.detach()[:, None]], 1).numpy()
        self._outputs, width = joined.shape
        parts = _parts()
        wide = math.ceil(self._outputs / parts / LANES) * LANES
        moments = 2 if plan.step_rule.kind == "adam" else 1
        self._state = np.zeros((parts, width, 1 + moments, wide), joined.dtype)
        for part in range(parts):
            own = joined[part * wide : (part + 1) * wide]
            self._state[part, :, 0, : len(own)] = own.T
        self._last = np.zeros(width, joined.dtype), np.zeros(width, np.bool_), np.zeros(width, np.int64)
        self._tables = _tables(plan.step_rule, self.steps, joined.dtype)

    def step(self, start: int, end: int, *, shared: bool) -> None:
        """Makes steps `start` to `end`; ends the curve where the loss is not finite."""
        if self.curve.trajectory.diverged:
            return
        parts, width, _, wide = self._state.shape
        x = np.ones((end - start, width), self._state.dtype)
        x[:, :-1] = self._features.table.numpy()[self._rows[start:end]]
        errors, logits = (np.zeros(shape, x.dtype) for shape in ((parts, LONGEST, wide), (parts, wide)))
        gaps = np.zeros((LONGEST + parts, TERMS)), np.zeros(LONGEST + parts, np.int64)
        if shared:
            numba.set_num_threads(parts)
        with np.errstate(all="ignore"):
            at = (steps_together if shared else steps_alone)(
                x, self._labels[start:end], self._outputs, start, self._state, errors, logits, self._last, gaps,
                self._tables,
            )  # fmt: skip
        if at >= 0:
            self.curve.end((start + at) * len(self.plan.trial.labels) // self.steps + 1)

    def _joined(self) -> torch.Tensor:
        """Returns the head's weights and bias, transposed `(features + 1, outputs)`."""
        rows = self._state[:, :, 0].transpose(1, 0, 2).reshape(self._state.shape[1], -1)
        return torch.from_numpy(np.ascontiguousarray(rows[:, : self._outputs]))

    def measure(self, seen: int) -> None:
        """Adds a point over the first `seen` classes."""
        if self.curve.trajectory.diverged:
            return
        joined = self._joined()
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
        ways = _Ways(pool)
        for classes in sorted({len(head.plan.trial.labels) for head in heads}):
            own = [head for head in heads if len(head.plan.trial.labels) == classes]
            points = sorted({point for head in own for point in head.plan.points})
            images = own[0].steps // classes
            start = 0
            while start < own[0].steps:
                end = min(start + LONGEST, next(p for p in points if p * images > start) * images)
                ways.step(own, start, end)
                start = end
                tick()
                for head in own:
                    if start % images == 0 and start // images in head.plan.points:
                        head.measure(start // images)
    return [head.curve.trajectory for head in heads]


def memory(features: Features, plans: Sequence[TrialPlan]) -> int:
    """Returns the bytes that plans need: of each, the initial and the current head, moments and some errors."""
    total = 0
    for plan in plans:
        outputs, width = plan.head.weight.shape
        heads = 5 if plan.step_rule.kind == "adam" else 4
        total += plan.head.weight.element_size() * outputs * (heads * (width + 1) + LONGEST)
    return total
