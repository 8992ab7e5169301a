"""Frozen sequential transfer with plain SGD, from the products of features alone.

A step takes `rate * error x features` from the head, so after any steps the logits of an image are its first ones
minus the sum over steps of `rate * error * <features of the step, features of the image>`. Two passes:

1. A block of classes after another: the logits of its images by one product with all earlier errors, then the steps of
   each class on the products of its own images, which gives their errors.
2. A block of images after another: from where pass 1 left them through all later classes, by one product between two
   points of the curve, while the block's logits stay in the cache.

So every class may be a point of the curve, and nothing that an update gives is computed anew. The bias is a feature
that is always 1. Rates share the products of features and the first logits; what only touches the logits is done a
rate at a time, so that a trajectory is the same, bit for bit, whatever the other rates are.
"""

from collections.abc import Callable, Hashable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from zapbench.transfer.features import Features
from zapbench.transfer.metrics import Curve, Trajectory
from zapbench.transfer.plan import TrialPlan

Tick = Callable[[], None]

BLOCK = 100
"""Images whose logits go together: 400 kB with 1,000 outputs, which stay in the second-level cache."""


@dataclass
class _Rate:
    """One plan's steps and logits.

    Attributes:
        plan: what is learned.
        errors: of every step, times the rate; `(steps, outputs)`.
        logits: of every image, at the start of its block; `(images, outputs)`.
        right: whether each image is predicted right, at each point; `(points, images)`.
        right_seen: the same of held-out images where predictions are among the classes seen; `(points, images)`.
        losses: of each image where losses are wanted; `(points with losses, images)`.
        ends: class at which the loss was not finite, from 0; the number of classes if it always was.
    """

    plan: TrialPlan
    errors: Tensor
    logits: Tensor
    right: Tensor
    right_seen: Tensor
    losses: Tensor
    ends: int


class _Draw:
    """Tasks that differ by rate alone: the same classes, images and first head."""

    def __init__(self, features: Features, plans: Sequence[TrialPlan]) -> None:
        head, trial = plans[0].head, plans[0].trial
        train, held_out = features.rows_of(trial)
        self.classes, self.trained = train.shape
        self._table, self._weight, self._bias = features.table, head.weight.detach(), head.bias.detach()
        self._rows = torch.cat([train, held_out], 1)
        self.images = self._rows.shape[1]
        self._labels = torch.from_numpy(trial.labels)
        # A class's steps are its images trained on, as often as there are passes.
        self._order = torch.arange(self.trained).repeat(plans[0].protocol.passes)
        self.steps = len(self._order)
        self._trained = self._table[train].repeat(1, plans[0].protocol.passes, 1).flatten(0, 1)
        self.rates = [self._rate(plan) for plan in plans]

    def _rate(self, plan: TrialPlan) -> _Rate:
        outputs = len(self._bias)
        errors = self._table.new_zeros(self.classes * self.steps, outputs)
        logits = self._table.new_empty(self.classes * self.images, outputs)
        right = torch.zeros(len(plan.points), self.classes * self.images, dtype=torch.bool)
        held_out = self.images - self.trained
        right_seen = torch.zeros(len(plan.points), self.classes * held_out, dtype=torch.bool)
        losses = torch.zeros(len(plan.loss_points), self.classes * self.images, dtype=torch.float64)
        return _Rate(plan, errors, logits, right, right_seen, losses, self.classes)

    def block(self, first: int, last: int, steps: slice) -> tuple[Tensor, Tensor]:
        """Returns the features of classes `first` to `last`, and their products with those of some steps."""
        own = self._table[self._rows[first:last].flatten()]
        return own, torch.mm(own, self._trained[steps].T).add_(1.0)

    def learn(self, first: int, last: int) -> None:
        """Pass 1 for classes `first` to `last`: their errors, and the logits of their images before any of them."""
        n, images = self.steps, self.images
        own, products = self.block(first, last, slice(0, last * n))
        start = torch.addmm(self._bias, own, self._weight.T)
        before = products[:, : first * n]
        alive = [rate for rate in self.rates if first <= rate.ends]
        for rate in alive:
            logits = rate.logits[first * images : last * images]
            torch.addmm(start, before, rate.errors[: first * n], alpha=-1, out=logits)
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
        labels = self._labels[first:last].repeat_interleave(images)[:, None]
        at = first
        for number, point in enumerate(rate.plan.points):
            if point <= first or point > rate.ends:
                continue
            part = slice((at - first) * n, (point - first) * n)
            logits.addmm_(products[:, part], rate.errors[at * n : point * n], alpha=-1)
            at = point
            seen = (min(point, last) - first) * images
            own = logits[:seen].gather(1, labels[:seen])[:, 0]
            rate.right[number, first * images : first * images + seen] = own >= logits[:seen].amax(1)
            self._measure_among_seen(rate, number, first, logits[:seen], own)
            if point in rate.plan.loss_points:
                found = nn.functional.cross_entropy(logits[:seen], labels[:seen, 0], reduction="none")
                place = rate.plan.loss_points.index(point)
                rate.losses[place, first * images : first * images + seen] = found

    def _measure_among_seen(self, rate: _Rate, number: int, first: int, logits: Tensor, own: Tensor) -> None:
        """Keeps whether held-out images are predicted right among the classes seen at the point of this number.

        Args:
            rate: the plan.
            number: of the point.
            first: class of the first image.
            logits: of the images of some classes, `(images, outputs)`.
            own: those of the images' labels, `(images,)`.
        """
        held_out = self.images - self.trained
        seen = self._labels[: rate.plan.points[number]]
        rows = logits.view(-1, self.images, logits.shape[1])[:, self.trained :]
        highest = rows.index_select(2, seen).amax(2)
        right = own.view(-1, self.images)[:, self.trained :] >= highest
        rate.right_seen[number, first * held_out : first * held_out + right.numel()] = right.flatten()

    def trajectory(self, rate: _Rate) -> Trajectory:
        """Returns the curves of one plan."""
        curve = Curve(self.classes)
        right = rate.right.view(-1, self.classes, self.images).numpy()
        right_seen = rate.right_seen.view(len(right), self.classes, -1).numpy()
        losses = rate.losses.view(-1, self.classes, self.images)
        for number, point in enumerate(rate.plan.points):
            if point <= rate.ends:
                seen = right[number, :point]
                curve.add(point, seen[:, self.trained :], seen[:, : self.trained], right_seen[number, :point])
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
    """Makes every thread of a pool do its own products: they are too small to be shared."""
    count = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with ThreadPoolExecutor(count) as pool:
            yield pool, count
    finally:
        torch.set_num_threads(count)


def memory(features: Features, plans: Sequence[TrialPlan]) -> int:
    """Returns the bytes that plans take here: each its errors and logits, each draw its images trained on."""
    total = 0
    shared: dict[Hashable, int] = {}
    for plan in plans:
        outputs, trained = plan.head.out_features, plan.trial.train.size * plan.protocol.passes
        images = plan.trial.train.size + plan.trial.held_out.size
        total += features.table.element_size() * (trained + images) * outputs
        total += (2 * len(plan.points) + 8 * len(plan.loss_points)) * images
        shared[plan.draw] = trained * features.width + 2 * BLOCK * (trained + features.width + outputs)
    return total + features.table.element_size() * sum(shared.values())
