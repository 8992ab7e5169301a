"""Images on a device, gathered in batches."""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

Augmentation = Callable[[Tensor], Tensor]
"""uint8 images `(n, channels, height, width)` on their device -> images of the same shape and type."""


class ImageTensor:
    """uint8 images on a device; calling it with indices gives normalised floats `(n, channels, height, width)`.

    Attributes:
        pixels: `(images, channels, height, width)`, uint8.
        dtype: floating type of what a call returns.
    """

    def __init__(
        self,
        pixels: npt.NDArray[np.uint8],
        *,
        mean: Sequence[float] = (),
        std: Sequence[float] = (),
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        # Copied only where torch requires it: on the CPU all processes of a suite share the pages of one memory map.
        tensor = torch.from_numpy(pixels if pixels.flags.writeable else np.array(pixels))
        tensor = tensor[:, None] if tensor.ndim == 3 else tensor.permute(0, 3, 1, 2)
        self.pixels = tensor.to(device)
        self.dtype = dtype
        self._mean = torch.tensor(mean or (0.0,), device=device, dtype=dtype).view(-1, 1, 1)
        self._std = torch.tensor(std or (1.0,), device=device, dtype=dtype).view(-1, 1, 1)

    def __call__(self, index: Tensor, augmentation: Augmentation | None = None) -> Tensor:
        """Returns images `index`, augmented, scaled to [0, 1], then normalised by mean and standard deviation."""
        chosen = self.pixels[index.to(self.pixels.device)].contiguous()
        images = (chosen if augmentation is None else augmentation(chosen)).to(self.dtype).div_(255.0)
        return images.sub_(self._mean).div_(self._std)
