"""The gradient through an inner loop, written out: steps taken back one by one, each a product with its Hessian.

With theta_{i+1} = theta_i - lr * grad L_i(theta_i), the gradient v_i by theta_i is v_{i+1} - lr * H_i v_{i+1}, where
H_i is the Hessian of L_i at theta_i. H v is the derivative of the gradient along v, computed forwards beside it.
Nothing of a step is kept but its weights before it, and of the head the two factors of its rank-one step.
"""

from itertools import pairwise

import numpy as np
import torch

from zapbench.networks.kernels import add_patches, normalise_along, normalise_back_along, patches
from zapbench.networks.manual_gradients import Block, Maps, Step, WrittenOut, as_features, put


class Along:
    """The derivatives of one block's `Maps`, of one image, along a direction."""

    def __init__(self, maps: Maps) -> None:
        self.x, self.grad_x, self.y = (np.zeros_like(a) for a in (maps.x, maps.grad_x, maps.y))
        self.out, self.grad_out = np.zeros_like(maps.out), np.zeros_like(maps.out)
        self.winner = np.zeros_like(maps.winner)
        self.mean, self.slant = np.zeros_like(maps.mean[0]), np.zeros_like(maps.mean[0])
        self.cols = torch.from_numpy(np.zeros_like(maps.cols))
        self.rows = torch.from_numpy(self.y).view(-1, self.y.shape[3])


def forward_along(block: Block, maps: Maps, along: Along, *, first: bool) -> None:
    """Carries the derivative through a block; the direction is the block's `grad`."""
    (_, _, _, cols, _) = maps.parts[0]
    torch.mm(cols, block.grad, out=along.rows)
    if not first:
        patches(along.x, along.cols.numpy(), 0, 1, maps.height, maps.width)
        along.rows.addmm_(along.cols, block.weight)
    normalise_along(
        maps.y, along.y, block.scale, block.grad_scale, block.grad_shift, block.pool, maps.out_pad, maps.out, along.out,
        maps.winner, along.winner, maps.place, maps.mean, maps.rstd, along.mean, along.slant,
    )  # fmt: skip


def backward_along(block: Block, maps: Maps, along: Along, *, first: bool, lr: float) -> None:
    """Carries gradient and derivative back through a block, and takes `lr` times the Hessian product off `grad`."""
    (_, _, y, cols, grad_cols) = maps.parts[0]
    normalise_back_along(
        maps.y, along.y, block.scale, block.grad_scale, block.grad_shift, block.pool, maps.out_pad, maps.out,
        maps.grad_out, along.grad_out, maps.winner, along.winner, maps.place, maps.mean, maps.rstd,
        along.mean, along.slant, -lr,
    )  # fmt: skip
    if not first:
        torch.mm(along.rows, block.weight.t(), out=grad_cols)
        grad_cols.addmm_(y, block.grad.t())
        add_patches(maps.grad_cols, along.grad_x, 0, 1, maps.height, maps.width)
        torch.mm(y, block.weight.t(), out=grad_cols)
        add_patches(maps.grad_cols, maps.grad_x, 0, 1, maps.height, maps.width)
    block.grad.addmm_(cols.t(), along.rows, alpha=-lr)
    if not first:
        block.grad.addmm_(along.cols.t(), y, alpha=-lr)


@torch.no_grad()
def through(net: WrittenOut, steps: list[Step], *, lr: float) -> None:
    """Turns `net`'s gradients after `steps`, made at rate `lr`, into those before them, and its weights likewise.

    Steps are taken back, the last first; the list is empty afterwards.
    """
    if not steps:
        return
    maps = net.maps(steps[-1].image[None])
    alongs = [Along(own) for own in maps]
    for along, following in pairwise(alongs):
        along.out, along.grad_out = following.x, following.grad_x
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
