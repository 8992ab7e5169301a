"""How many images go through a network at once where no gradient is wanted."""

import torch
from torch import Tensor, nn

ON_CPU = 32
"""Images; the C library maps and clears larger tensors anew at every layer (`launchers.allocator`)."""

ON_GPU = 512
"""Images."""


def in_passes(index: Tensor, model: nn.Module) -> tuple[Tensor, ...]:
    """Splits image indices `(n,)` into those of each forward pass, as many as the model's device takes best.

    In eval mode, what a network makes of an image does not depend on the others of its pass.
    """
    first = next(model.parameters(), torch.empty(0))
    passes: tuple[Tensor, ...] = index.split(ON_CPU if first.device.type == "cpu" else ON_GPU)
    return passes
