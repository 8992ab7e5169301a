"""The gradient through an inner loop, written out: steps taken back one by one, each a product with its Hessian.

With theta_{i+1} = theta_i - lr * grad L_i(theta_i), the gradient v_i by theta_i is v_{i+1} - lr * H_i v_{i+1}, where
H_i is the Hessian of L_i at theta_i. H v is the derivative of the gradient along v, computed forwards beside it.
Nothing of a step is kept but its weights before it, and of the head the two factors of its rank-one step.
"""

import numpy as np
import torch

from zapbench.networks.convolutions import Form
from zapbench.networks.kernels import Array, normalise_along, normalise_back_along
from zapbench.networks.manual_gradients import Block, Maps, Step, WrittenOut, as_features, put


class Along:
    """The derivatives of one block's `Maps`, of one image, along a direction."""

    def __init__(self, maps: Maps, out: Array, grad_out: Array) -> None:
        (part,) = maps.parts
        self.x, self.grad_x = np.zeros_like(part.x), np.zeros_like(part.x)
        self.out, self.grad_out = out, grad_out
        self.form: Form = None
        self.weight: Form = None
        self.y = np.empty(0, part.x.dtype)
        self.winner = np.zeros_like(part.winner)
        self.mean, self.slant = np.zeros_like(part.mean[0]), np.zeros_like(part.mean[0])


def forward_along(block: Block, maps: Maps, along: Along, *, first: bool) -> None:
    """Carries the derivative through a block; the direction is the block's `grad`."""
    (part,), way = maps.parts, maps.way
    along.weight = way.weights(block.grad)
    along.y = way.forward(part.form, along.weight, part.shape)
    if not first:
        along.form = way.images(along.x)
        along.y += way.forward(along.form, maps.weight, part.shape)
    normalise_along(
        part.y, along.y, block.scale, block.grad_scale, block.grad_shift, block.pool, maps.out_pad, part.out, along.out,
        part.winner, along.winner, part.place, part.mean, part.rstd, along.mean, along.slant,
    )  # fmt: skip


def backward_along(block: Block, maps: Maps, along: Along, *, first: bool, lr: float) -> None:
    """Carries gradient and derivative back through a block, and takes `lr` times the Hessian product off `grad`."""
    (part,), way = maps.parts, maps.way
    normalise_back_along(
        part.y, along.y, block.scale, block.grad_scale, block.grad_shift, block.pool, maps.out_pad, part.out,
        part.grad_out, along.grad_out, part.winner, along.winner, part.place, part.mean, part.rstd,
        along.mean, along.slant, -lr,
    )  # fmt: skip
    form, form_along = way.gradients(part.y), way.gradients(along.y)
    if not first:
        way.by_images(form, along.weight, along.grad_x)
        way.by_images(form_along, maps.weight, part.grad_x)
        along.grad_x += part.grad_x
        way.by_images(form, maps.weight, part.grad_x)
    block.grad.add_(way.by_weights(part.form, form_along), alpha=-lr)
    if not first:
        block.grad.add_(way.by_weights(along.form, form), alpha=-lr)


@torch.no_grad()
def through(net: WrittenOut, steps: list[Step], *, lr: float) -> None:
    """Turns `net`'s gradients after `steps`, made at rate `lr`, into those before them, and its weights likewise.

    Steps are taken back, the last first; the list is empty afterwards.
    """
    if not steps:
        return
    maps = net.maps(steps[-1].image[None])
    alongs: list[Along] = []
    out, grad_out = np.zeros_like(maps[-1].out), np.zeros_like(maps[-1].out)
    for own in reversed(maps):
        alongs.insert(0, Along(own, out, grad_out))
        out, grad_out = alongs[0].x, alongs[0].grad_x
    while steps:
        step = steps.pop()
        _undo(net, step, lr)
        net.features(maps, step.image[None])
        _take_product(net, step, maps, alongs, lr)


def _undo(net: WrittenOut, step: Step, lr: float) -> None:
    for block, (weight, scale, shift) in zip(net.blocks, step.before):
        block.weight.copy_(weight)
        block.scale[:], block.shift[:] = scale, shift
    net.weight.addmm_(step.error[:, None], step.features[None], alpha=lr)
    net.bias.add_(step.error, alpha=lr)


def _take_product(net: WrittenOut, step: Step, maps: list[Maps], alongs: list[Along], lr: float) -> None:
    """Takes `lr` times the Hessian's product with `net`'s gradients off them, the maps being those of a forward."""
    for block, own, along in zip(net.blocks, maps, alongs):
        forward_along(block, own, along, first=own is maps[0])
    error, features = step.error, step.features
    features_along = as_features(alongs[-1].out)[0]
    logits_along = torch.addmv(net.grad_bias, net.grad, features).addmv_(net.weight, features_along)
    probability = error.clone()
    probability[step.label] += 1
    error_along = probability * (logits_along - probability.dot(logits_along))
    put(torch.mv(net.weight.t(), error), maps[-1].grad_out)
    put(torch.mv(net.weight.t(), error_along).addmv_(net.grad.t(), error), alongs[-1].grad_out)
    left, right = torch.stack([error_along, error], dim=1), torch.stack([features, features_along])
    net.grad.addmm_(left, right, alpha=-lr)
    net.grad_bias.add_(error_along, alpha=-lr)
    for block, own, along in zip(reversed(net.blocks), reversed(maps), reversed(alongs)):
        backward_along(block, own, along, first=own is maps[0], lr=lr)
