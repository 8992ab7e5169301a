"""Frozen sequential transfer with plain SGD, computed from inner products of features.

A step subtracts `rate * error x features` from the head. So after any number of steps, the logits of an image are its
initial logits minus the sum over steps of `rate * error * <features of the step, features of the image>`. Two passes:

1. For each block of classes, one matrix product with all earlier errors gives the logits of the block's images before
   its first class. The steps of each class then use the inner products of its own images, and give their errors.
2. For each block of images, one matrix product per interval between two points updates the logits from pass 1 through
   all later classes, while they stay in the cache.

So a trial can be measured after every class without computing logits again. The bias is the weight of a feature that is
always 1. Rates share the inner products and the initial logits. Everything else is computed one rate at a time, so that
a trajectory does not depend, bit for bit, on the other rates.
"""

from collections.abc import Callable, Hashable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from zapbench.networks.products import multiply
from zapbench.transfer.features import Features
from zapbench.transfer.metrics import Curve, Trajectory
from zapbench.transfer.plan import TrialPlan
from zapbench.transfer.predictions import predictions

Tick = Callable[[], None]

BLOCK = 100
"""Images per block: with 1,000 outputs their logits take 400 kB and stay in the second-level cache."""


@dataclass
class _Rate:
    """The steps and logits of one plan.

    Attributes:
        plan: what is learned.
        errors: rate times error of every step, `(steps, outputs)`.
        logits: of every image at the start of its block, `(images, outputs)`.
        right: whether each image is predicted right, at each point; `(points, images)`.
        right_seen: the same where predictions are among the classes seen.
        losses: of each image where losses are wanted; `(points with losses, images)`.
        ends: index of the class at which the loss was not finite; the number of classes where it always was.
    """

    plan: TrialPlan
    errors: Tensor
    logits: Tensor
    right: Tensor
    right_seen: Tensor
    losses: Tensor
    ends: int


class _Draw:
    """Plans that differ only in their rate: the same classes, images and initial head."""

    def __init__(self, features: Features, plans: Sequence[TrialPlan]) -> None:
        head, trial = plans[0].head, plans[0].trial
        train, held_out = features.rows_of(trial)
        self.classes, self.trained = train.shape
        self._table, self._weight, self._bias = features.table, head.weight.detach(), head.bias.detach()
        self._rows = torch.cat([train, held_out], 1)
        self.images = self._rows.shape[1]
        self._labels = torch.from_numpy(trial.labels)
        # One step per image trained on and pass.
        self._order = torch.arange(self.trained).repeat(plans[0].protocol.passes)
        self.steps = len(self._order)
        self._trained = self._table[train].repeat(1, plans[0].protocol.passes, 1).flatten(0, 1)
        self.rates = [self._rate(plan) for plan in plans]

    def _rate(self, plan: TrialPlan) -> _Rate:
        outputs = len(self._bias)
        errors = self._table.new_zeros(self.classes * self.steps, outputs)
        logits = self._table.new_empty(self.classes * self.images, outputs)
        right = torch.zeros(len(plan.points), self.classes * self.images, dtype=torch.bool)
        right_seen = torch.zeros_like(right)
        losses = torch.zeros(len(plan.loss_points), self.classes * self.images, dtype=torch.float64)
        return _Rate(plan, errors, logits, right, right_seen, losses, self.classes)

    def block(self, first: int, last: int, steps: slice) -> tuple[Tensor, Tensor]:
        """Returns the features of classes `first` to `last` and their inner products with those of some steps."""
        own = self._table[self._rows[first:last].flatten()]
        return own, multiply(own, self._trained[steps].T).add_(1.0)

    def learn(self, first: int, last: int) -> None:
        """Pass 1 for classes `first` to `last`: computes their errors and the logits before class `first`."""
        n, images = self.steps, self.images
        own, products = self.block(first, last, slice(0, last * n))
        start = multiply(own, self._weight.T).add_(self._bias)
        before = products[:, : first * n]
        alive = [rate for rate in self.rates if first <= rate.ends]
        for rate in alive:
            logits = rate.logits[first * images : last * images]
            torch.sub(start, multiply(before, rate.errors[: first * n]), out=logits)
        for c in range(first, last):
            rows = (c - first) * images + self._order
            since = products[rows, first * n : (c + 1) * n]
            for rate in alive:
                if c < rate.ends and not self._learn_class(rate, c, first, since):
                    rate.ends = c

    def _learn_class(self, rate: _Rate, c: int, first: int, products: Tensor) -> bool:
        """Makes the steps of one class; returns whether every loss was finite."""
        n, label = self.steps, int(self._labels[c])
        logits = rate.logits[c * self.images + self._order]
        done = rate.errors[first * n : c * n]
        logits.addmm_(products[:, : len(done)], done, alpha=-1)
        errors, inside = rate.errors[c * n : (c + 1) * n], products[:, len(done) :]
        losses = []
        for s in range(n):
            if s:
                logits[s].addmv_(errors[:s].T, inside[s, :s], alpha=-1)
            error = torch.log_softmax(logits[s], 0, out=errors[s])
            losses.append(error[label].clone())
            error.exp_()
            error[label] -= 1
            error *= rate.plan.step_rule.rate
        return bool(torch.stack(losses).isfinite().all())

    def measure_block(self, first: int, last: int) -> None:
        """Pass 2 for the images of classes `first` to `last`, at all rates."""
        _, products = self.block(first, last, slice(first * self.steps, None))
        for rate in self.rates:
            self.measure(rate, first, last, products)

    def measure(self, rate: _Rate, first: int, last: int, products: Tensor) -> None:
        """Pass 2 for the images of classes `first` to `last` at one rate."""
        n, images = self.steps, self.images
        logits = rate.logits[first * images : last * images]
        labels = self._labels[first:last].repeat_interleave(images)
        among = np.zeros(logits.shape[1], np.int32)
        among[self._labels[:first]] = 1
        own = slice(first * images, last * images)
        right, right_seen = rate.right[:, own].numpy(), rate.right_seen[:, own].numpy()
        at = first
        for number, point in enumerate(rate.plan.points):
            if point <= first or point > rate.ends:
                continue
            part = slice((at - first) * n, (point - first) * n)
            logits.addmm_(products[:, part], rate.errors[at * n : point * n], alpha=-1)
            among[self._labels[at:point]] = 1
            at = point
            seen = (min(point, last) - first) * images
            predictions(
                logits[:seen].numpy(), labels[:seen].numpy(), among, right[number, :seen], right_seen[number, :seen]
            )
            if point in rate.plan.loss_points:
                found = nn.functional.cross_entropy(logits[:seen], labels[:seen], reduction="none")
                place = rate.plan.loss_points.index(point)
                rate.losses[place, first * images : first * images + seen] = found

    def trajectory(self, rate: _Rate) -> Trajectory:
        """Returns the curves of one plan."""
        curve = Curve(self.classes)
        right = rate.right.view(-1, self.classes, self.images).numpy()
        right_seen = rate.right_seen.view(right.shape).numpy()
        losses = rate.losses.view(-1, self.classes, self.images)
        for number, point in enumerate(rate.plan.points):
            if point <= rate.ends:
                seen = right[number, :point]
                among = right_seen[number, :point, self.trained :]
                curve.add(point, seen[:, self.trained :], seen[:, : self.trained], among)
        for found, point in zip(losses, rate.plan.loss_points):
            if point <= rate.ends:
                curve.add_losses(
                    point,
                    *(float(part[:point].mean()) for part in (found[:, self.trained :], found[:, : self.trained])),
                )
        if rate.ends < self.classes:
            curve.end(rate.ends + 1)
        return curve.trajectory


def transfer(features: Features, plans: Sequence[TrialPlan], tick: Tick) -> list[Trajectory]:
    """Learns and measures plans of one protocol; see `zapbench.transfer.fast`."""
    found: dict[int, Trajectory] = {}
    by_draw: dict[Hashable, list[int]] = {}
    for i, plan in enumerate(plans):
        by_draw.setdefault(plan.draw, []).append(i)
    for own in by_draw.values():
        draw = _Draw(features, [plans[i] for i in own])
        width = max(1, BLOCK // draw.images)
        blocks = [(first, min(first + width, draw.classes)) for first in range(0, draw.classes, width)]
        for block in blocks:
            draw.learn(*block)
            tick()
        with _threads() as (pool, side_by_side):
            for at in range(0, len(blocks), side_by_side):
                list(pool.map(lambda block, draw=draw: draw.measure_block(*block), blocks[at : at + side_by_side]))
                tick()
        found |= {i: draw.trajectory(rate) for i, rate in zip(own, draw.rates)}
    return [found[i] for i in range(len(plans))]


@contextmanager
def _threads() -> Iterator[tuple[Executor, int]]:
    """Yields a pool whose threads each compute their own products, which are too small to be split."""
    count = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with ThreadPoolExecutor(count) as pool:
            yield pool, count
    finally:
        torch.set_num_threads(count)


def memory(features: Features, plans: Sequence[TrialPlan]) -> int:
    """Returns the bytes that plans need: errors and logits per plan, features trained on per draw."""
    total = 0
    shared: dict[Hashable, int] = {}
    for plan in plans:
        outputs, trained = plan.head.out_features, plan.trial.train.size * plan.protocol.passes
        images = plan.trial.train.size + plan.trial.held_out.size
        total += features.table.element_size() * (trained + images) * outputs
        total += (2 * len(plan.points) + 8 * len(plan.loss_points)) * images
        shared[plan.draw] = trained * features.width + 2 * BLOCK * (trained + features.width + outputs)
    return total + features.table.element_size() * sum(shared.values())
