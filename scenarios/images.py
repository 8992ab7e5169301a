"""Decoded images of a data set, as arrays. No torch: decoding and its cache need none."""

import hashlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Indices = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Images:
    """Decoded images of a data set.

    Attributes:
        pixels: `(images, height, width)` or `(images, height, width, 3)`, uint8, as the network sees them.
        labels: `(images,)` int64, the class of each image, `0..classes-1`.
        classes: the classes' names, in the order of their labels.
        digest: hex SHA-256 of the decoded original images and labels, before any resizing.
        groups: `(images,)` int64 or None; the images of one group (say: of one typeface) are all trained on or all
            held out.
    """

    pixels: npt.NDArray[np.uint8]
    labels: Indices
    classes: tuple[str, ...]
    digest: str
    groups: Indices | None = None


def digest(pixels: npt.NDArray[np.uint8], labels: Indices) -> str:
    """Returns the hex SHA-256 of decoded original images and their labels, in their order."""
    content = hashlib.sha256(str(pixels.shape).encode())
    content.update(np.ascontiguousarray(pixels).data)
    content.update(np.ascontiguousarray(labels, dtype=np.int64).data)
    return content.hexdigest()
