"""The gradient through an inner loop: its steps are taken back one by one, each a product with its Hessian.

With theta_{i+1} = theta_i - lr * grad L_i(theta_i), the gradient v_i by theta_i is v_{i+1} - lr * H_i v_{i+1}, where
H_i is the Hessian of L_i at theta_i. H v is the derivative of the gradient along v. The gradient itself was computed
when the step was made, which kept what its blocks held (`Kept`) and of the head the two factors of its rank-one step.
"""

import numpy as np
import torch
from torch import Tensor

from zapbench.networks.blocks import Block, Kept, as_features, put
from zapbench.networks.convolutions import Form
from zapbench.networks.kernels import Array, normalise_along, normalise_back_along
from zapbench.networks.low_rank import LowRankChanges
from zapbench.networks.manual_gradients import ManualGradients, Step
from zapbench.networks.products import multiply


class Along:
    """The derivatives along a direction of what a block keeps of an image.

    `x`, `grad_x`, `y`, `out`, `grad_out` and `winner` are those of what `Part` calls so; `mean` and `slant` are as
    `mean_along` and `slant` in `kernels`. The first block has neither `x` nor `grad_x`: its images do not move.
    """

    def __init__(self, block: Block, kept: Kept, out_pad: int, before: "Along | None") -> None:
        self.block, self.out_pad, self.first = block, out_pad, before is None
        nothing: Array = kept.out[:0]
        self.x, self.grad_x = (before.out, before.grad_out) if before is not None else (nothing, nothing)
        self.y, self.winner = np.zeros_like(kept.y), np.zeros_like(kept.winner)
        self.out: Array = np.zeros_like(kept.out)
        self.grad_out: Array = np.zeros_like(kept.grad_out)
        self.form: Form = None
        self.mean, self.slant = np.zeros_like(kept.mean[0]), np.zeros_like(kept.mean[0])

    def forward(self, kept: Kept) -> None:
        """Derives a block's forward pass along the block's `grad` and, but for the first block, along `x`."""
        block, way = self.block, kept.way
        self.y = way.forward(kept.form, way.weights(block.grad), kept.y.shape)
        if not self.first:
            self.form = way.images(self.x)
            self.y += way.forward(self.form, way.weights(kept.weight), kept.y.shape)
        normalise_along(
            kept.y, self.y, kept.scale, block.grad_scale, block.grad_shift, block.pool, self.out_pad, kept.out,
            self.out, kept.winner, self.winner, kept.place, kept.mean, kept.rstd, self.mean, self.slant,
        )  # fmt: skip

    def backward(self, kept: Kept, *, lr: float) -> None:
        """Derives a block's backward pass, and takes `lr` times the Hessian's product off the block's `grad`."""
        block, way = self.block, kept.way
        weight_along = None if self.first else way.weights(block.grad)
        normalise_back_along(
            kept.y, self.y, kept.scale, block.grad_scale, block.grad_shift, block.pool, self.out_pad, kept.out,
            kept.grad_out, self.grad_out, kept.winner, self.winner, kept.place, kept.mean, kept.rstd, self.mean,
            self.slant, -lr,
        )  # fmt: skip
        form = way.gradients(self.y)
        if not self.first:
            of_value = way.gradients(kept.y)
            way.by_images(of_value, weight_along, self.grad_x)
            by_weight = self.grad_x.copy()
            way.by_images(form, way.weights(kept.weight), self.grad_x)
            self.grad_x += by_weight
            block.grad.add_(way.by_weights(self.form, of_value), alpha=-lr)
        block.grad.add_(way.by_weights(kept.form, form), alpha=-lr)


class GradientOfHead:
    """The gradient by the head's weights, and what it makes of each step's features and error.

    Those are known beforehand, so that the matrix is read once for all steps; its changes since are added.

    Args:
        grad: the gradient by the weights after the steps `(outputs, features)`.
        steps: all of them.
        lr: the rate they were made at.

    Attributes:
        changes: the gradient, two products a step being taken off it.
    """

    def __init__(self, grad: Tensor, steps: list[Step], *, lr: float) -> None:
        self.changes = LowRankChanges(grad, -lr, rows=2 * len(steps))
        self._of_features = list(multiply(torch.stack([step.features for step in steps]), grad.t()))
        self._of_errors = list(multiply(torch.stack([step.error for step in steps]), grad))

    def pop(self, step: Step) -> tuple[Tensor, Tensor]:
        """Returns the gradient times the last step's features `(outputs,)`, and its error times it `(1, features)`."""
        of_features = self.changes.plus_changes(self._of_features.pop(), step.features)
        return of_features, self.changes.plus_transposed_changes(self._of_errors.pop()[None], step.error[None])


@torch.no_grad()
def through(net: ManualGradients, steps: list[Step], *, lr: float) -> list[Tensor]:
    """Turns `net`'s gradients after `steps`, made at rate `lr`, into those before them.

    Steps are taken back, the last first, and the list is empty afterwards.

    Returns:
        The gradient of each step's mask `(features,)`, in the order of the steps; nothing where they had none.
    """
    if not steps:
        return []
    blocks: list[Along] = []
    for block, kept, after in zip(net.blocks, steps[-1].kept, [*net.blocks[1:], None]):
        blocks.append(Along(block, kept, after.pad if after else 0, blocks[-1] if blocks else None))
    head = LowRankChanges(net.weight, lr, rows=len(steps))
    grad_head = GradientOfHead(net.grad, steps, lr=lr)
    grad_masks: list[Tensor] = []
    while steps:
        grad_mask = _take_product(net, steps.pop(), blocks, head, grad_head, lr=lr)
        if grad_mask is not None:
            grad_masks.insert(0, grad_mask)
    net.grad = grad_head.changes.apply()
    return grad_masks


def _take_product(
    net: ManualGradients, step: Step, blocks: list[Along], head: LowRankChanges, grad_head: GradientOfHead, *, lr: float
) -> Tensor | None:
    """Takes `lr` times the Hessian's product with `net`'s gradients off them; returns the mask's gradient, if any."""
    error, features, mask = step.error, step.features, step.mask
    head.add(error, features)
    for block, kept in zip(blocks, step.kept):
        block.forward(kept)
    unmasked_along = as_features(blocks[-1].out)[0]
    features_along = unmasked_along if mask is None else unmasked_along * mask
    of_features, of_error = grad_head.pop(step)
    logits_along = of_features.add_(net.grad_bias).add_(head.times(features_along))
    probability = error.clone()
    probability[step.label] += 1
    error_along = probability * (logits_along - probability.dot(logits_along))
    back_along = head.transposed_times(error_along[None]).add_(of_error)
    put(back_along if mask is None else back_along * mask, blocks[-1].grad_out)
    grad_mask = None
    if mask is not None:
        unmasked, back = as_features(step.kept[-1].out)[0], head.transposed_times(error[None])[0]
        grad_mask = -lr * (back_along[0] * unmasked + back * unmasked_along)
    grad_head.changes.add(error_along, features)
    grad_head.changes.add(error, features_along)
    net.grad_bias.add_(error_along, alpha=-lr)
    for block, kept in zip(reversed(blocks), reversed(step.kept)):
        block.backward(kept, lr=lr)
    return grad_mask
