"""The gradient through an inner loop: its steps are taken back one by one, each a product with its Hessian.

With theta_{i+1} = theta_i - lr * grad L_i(theta_i), the gradient v_i by theta_i is v_{i+1} - lr * H_i v_{i+1}, where
H_i is the Hessian of L_i at theta_i. H v is the derivative of the gradient along v, computed forwards beside it.
Nothing of a step is kept but its weights before it, and of the head the two factors of its rank-one step.
"""

import numpy as np
import torch
from torch import Tensor

from zapbench.networks.convolutions import Form, convolution
from zapbench.networks.kernels import Array, normalise, normalise_along, normalise_back_along
from zapbench.networks.low_rank import LowRankChanges
from zapbench.networks.manual_gradients import Block, ManualGradients, Step, as_features, put, put_images


class Pair:
    """What a block keeps of an image, and, as if that were a second image, of its derivative along a direction.

    `x`, `grad_x`, `y`, `out`, `grad_out` and `winner` are as in `Part`, the value before the derivative; `place`,
    `mean` and `rstd` are the value's; `mean_along` and `slant` as in `kernels`.
    """

    def __init__(self, block: Block, x: Array, grad_x: Array, out: Array, grad_out: Array, out_pad: int) -> None:
        self.x, self.grad_x, self.out, self.grad_out, self.out_pad = x, grad_x, out, grad_out, out_pad
        self.way = convolution(x.shape, block.filters, block.weight.dtype)
        self.forms: tuple[Form, Form, Form, Form] = (None,) * 4
        _, height, width, _ = x.shape
        self.y = np.zeros((2, height - 2, width - 2, block.filters), x.dtype)
        pooled = 2, (height - 2) // block.pool, (width - 2) // block.pool, block.filters
        self.winner, self.place = np.zeros(pooled, x.dtype), np.zeros((1, *pooled[1:]), np.int8)
        self.mean, self.rstd = (np.zeros((1, block.filters), x.dtype) for _ in range(2))
        self.mean_along, self.slant = (np.zeros(block.filters, x.dtype) for _ in range(2))


def forward_pair(block: Block, pair: Pair, *, first: bool) -> None:
    """Puts the image through a block, and its derivative along the block's `grad`."""
    way, shape = pair.way, (1, *pair.y.shape[1:])
    weight, weight_along = way.weights(block.weight), way.weights(block.grad)
    value = way.images(pair.x[:1])
    both = value if first else way.images(pair.x)
    if first:
        pair.y[:1] = way.forward(value, weight, shape)
        pair.y[1:] = way.forward(value, weight_along, shape)
    else:
        pair.y = way.forward(both, weight, pair.y.shape)
        pair.y[1:] += way.forward(value, weight_along, shape)
    pair.forms = value, both, weight, weight_along
    normalise(
        pair.y[:1], block.scale, block.shift, block.epsilon, block.pool, pair.out_pad, pair.out[:1],
        pair.winner[:1], pair.place, pair.mean, pair.rstd,
    )  # fmt: skip
    normalise_along(
        pair.y[:1], pair.y[1:], block.scale, block.grad_scale, block.grad_shift, block.pool, pair.out_pad,
        pair.out[:1], pair.out[1:], pair.winner[:1], pair.winner[1:], pair.place, pair.mean, pair.rstd,
        pair.mean_along, pair.slant,
    )  # fmt: skip


def backward_pair(block: Block, pair: Pair, *, first: bool, lr: float) -> None:
    """Carries gradient and derivative back through a block, and takes `lr` times the Hessian product off `grad`."""
    value, both, weight, weight_along = pair.forms
    way, y = pair.way, pair.y
    normalise_back_along(
        y[:1], y[1:], block.scale, block.grad_scale, block.grad_shift, block.pool, pair.out_pad, pair.out[:1],
        pair.grad_out[:1], pair.grad_out[1:], pair.winner[:1], pair.winner[1:], pair.place, pair.mean, pair.rstd,
        pair.mean_along, pair.slant, -lr,
    )  # fmt: skip
    if first:
        block.grad.add_(way.by_weights(value, way.gradients(y[1:])), alpha=-lr)
        return
    way.by_images(way.gradients(y[:1]), weight_along, pair.grad_x[:1])
    from_weights = pair.grad_x[0].copy()
    way.by_images(way.gradients(y), weight, pair.grad_x)
    pair.grad_x[1] += from_weights
    block.grad.add_(way.by_weights(both, way.gradients(y[::-1].copy())), alpha=-lr)


@torch.no_grad()
def through(net: ManualGradients, steps: list[Step], *, lr: float) -> list[Tensor]:
    """Turns `net`'s gradients after `steps`, made at rate `lr`, into those before them.

    Steps are taken back, the last first; the list is empty afterwards, and the net is to `load` its weights again.

    Returns:
        The gradient of each step's mask `(features,)`, in the order of the steps; nothing where they had none.
    """
    if not steps:
        return []
    pairs = [Pair(*arguments) for arguments in net.ends((2, *steps[-1].image.shape))]
    heads = LowRankChanges(net.weight, lr), LowRankChanges(net.grad, -lr)
    grad_masks: list[Tensor] = []
    while steps:
        step = steps.pop()
        for block, (weight, scale, shift) in zip(net.blocks, step.before):
            block.weight, block.scale, block.shift = weight, scale, shift
        heads[0].add(step.error, step.features)
        put_images(step.image[None], pairs[0].x[:1], net.blocks[0].pad)
        grad_mask = _take_product(net, step, pairs, *heads, lr=lr)
        if grad_mask is not None:
            grad_masks.insert(0, grad_mask)
    net.grad = heads[1].apply()
    return grad_masks


def _take_product(
    net: ManualGradients, step: Step, pairs: list[Pair], head: LowRankChanges, grad_head: LowRankChanges, *, lr: float
) -> Tensor | None:
    """Takes `lr` times the Hessian's product with `net`'s gradients off them; returns the mask's gradient, if any."""
    for block, pair in zip(net.blocks, pairs):
        forward_pair(block, pair, first=pair is pairs[0])
    unmasked = as_features(pairs[-1].out)
    features, features_along = unmasked if step.mask is None else unmasked * step.mask
    error = step.error
    logits_along = grad_head.times(features).add_(net.grad_bias).add_(head.times(features_along))
    probability = error.clone()
    probability[step.label] += 1
    error_along = probability * (logits_along - probability.dot(logits_along))
    back = head.transposed_times(torch.stack([error, error_along]))
    back[1].add_(grad_head.transposed_times(error[None])[0])
    put(back if step.mask is None else back * step.mask, pairs[-1].grad_out)
    grad_head.add(error_along, features)
    grad_head.add(error, features_along)
    net.grad_bias.add_(error_along, alpha=-lr)
    for block, pair in zip(reversed(net.blocks), reversed(pairs)):
        backward_pair(block, pair, first=pair is pairs[0], lr=lr)
    return None if step.mask is None else -lr * (back[1] * unmasked[0] + back[0] * unmasked[1])
