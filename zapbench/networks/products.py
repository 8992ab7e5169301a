"""Matrix products by the library that is fastest for their sizes on this machine.

torch's own product is MKL's, which has no AVX-512 code for processors of AMD: on an EPYC, one thread, it reaches 100
GFLOP/s where oneDNN reaches 200 to 240. oneDNN multiplies float32 matrices as 1x1 convolutions, torch's public way to
it, which takes 16 images or more, or by an operator that torch keeps for its compiler.
"""

from collections.abc import Callable
from functools import cache, partial

import torch
import torch.nn.functional as F
from torch import Tensor

from zapbench.networks.choices import chosen, fastest

LEAST_OPERATIONS = 200_000
"""Multiply-adds below which a product is not worth a choice."""

EXACT_SIZE = 256
"""Sizes up to which each has its own choice."""

LEAST_IMAGES = 16
MOST_PIXELS = 64


def multiply(left: Tensor, right: Tensor) -> Tensor:
    """Returns the product `(rows, columns)` of `left` `(rows, inner)` and `right` `(inner, columns)`, on the CPU.

    Args:
        left: any strides.
        right: the same.
    """
    rows, inner, columns = *left.shape, right.shape[1]
    if left.dtype is not torch.float32 or rows * inner * columns < LEAST_OPERATIONS or not has_onednn():
        return torch.mm(left, right)
    return WAYS[_way(left, right)](left, right)


def has_onednn() -> bool:
    """Returns whether torch was built with oneDNN, and it is switched on."""
    return bool(torch.backends.mkldnn.is_available() and torch.backends.mkldnn.enabled)


def _way(left: Tensor, right: Tensor) -> str:
    sizes = _rounded(left.shape[0]), _rounded(left.shape[1]), _rounded(right.shape[1])
    question = _question(*sizes, left.stride(1) == 1, right.stride(1) == 1)
    known = chosen(question)
    if known in WAYS and (known != OPERATOR or _has_operator()):
        return known  # a thousand times an episode
    ways = {name: partial(way, left, right) for name, way in WAYS.items()}
    if not _has_operator():
        del ways[OPERATOR]
    return fastest(question, ways)


def _rounded(size: int) -> int:
    """Returns a size as choices know it: large ones, which hardly matter for a choice, up to a power of two."""
    return size if size <= EXACT_SIZE else 1 << (size - 1).bit_length()


@cache
def _question(rows: int, inner: int, columns: int, left_by_rows: bool, right_by_rows: bool) -> str:
    order = ("N" if left_by_rows else "T") + ("N" if right_by_rows else "T")
    return f"product {rows}x{inner}x{columns} {order}"


def _has_operator() -> bool:
    return hasattr(torch.ops.mkldnn, "_linear_pointwise")


def _as_convolution(left: Tensor, right: Tensor) -> Tensor:
    """Multiplies as a 1x1 convolution of images `(height, 1)`, channels last."""
    rows, inner = left.shape
    height = max(d for d in range(1, MOST_PIXELS + 1) if rows % d == 0 and (d == 1 or rows // d >= LEAST_IMAGES))
    images = left.reshape(rows // height, height, 1, inner).permute(0, 3, 1, 2)
    return F.conv2d(images, right.t()[:, :, None, None]).permute(0, 2, 3, 1).reshape(rows, -1)


def _by_operator(left: Tensor, right: Tensor) -> Tensor:
    if not (right.is_contiguous() or right.t().is_contiguous()):
        right = right.contiguous()  # a view of a wider matrix takes a thousand times as long
    product: Tensor = torch.ops.mkldnn._linear_pointwise(left, right.t(), None, "none", [], "")
    return product


OPERATOR = "oneDNN operator"

WAYS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "torch.mm": torch.mm,
    "oneDNN convolution": _as_convolution,
    OPERATOR: _by_operator,
}
"""Public interfaces first."""
