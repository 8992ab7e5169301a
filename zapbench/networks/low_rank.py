"""A matrix that is changed by products of a column and a row, of which many are applied at once.

One image's gradient of a linear layer is of rank one. To write a large matrix at every step takes longer than to read
it: memory is what a single image's step waits for.
"""

import torch
from torch import Tensor

from zapbench.networks.products import multiply

ROWS = 32
"""Products that are kept before they are applied, by default."""


class LowRankChanges:
    """A matrix plus `factor` times the sum of the outer products of pairs of vectors.

    Attributes:
        matrix: `(outputs, features)`, without the changes until `apply`.
        factor: of every product.

    Args:
        rows: products that are kept before they are applied.
    """

    def __init__(self, matrix: Tensor, factor: float, *, rows: int = ROWS) -> None:
        self.matrix, self.factor = matrix, factor
        self._left, self._right = (matrix.new_empty(rows, side) for side in matrix.shape)
        self._count = 0

    def add(self, left: Tensor, right: Tensor) -> None:
        """Adds the product of `left` `(outputs,)` and `right` `(features,)`."""
        if self._count == len(self._left):
            self.apply()
        self._left[self._count], self._right[self._count] = left, right
        self._count += 1

    def times(self, features: Tensor) -> Tensor:
        """Returns the changed matrix times a vector `(features,)`."""
        return self.plus_changes(torch.mv(self.matrix, features), features)

    def plus_changes(self, product: Tensor, features: Tensor) -> Tensor:
        """Returns `product`, `matrix` times a vector `(features,)`, with the changes that are not applied yet."""
        left, right = self._left[: self._count], self._right[: self._count]
        return product.addmv_(left.t(), torch.mv(right, features), alpha=self.factor)

    def transposed_times(self, outputs: Tensor) -> Tensor:
        """Returns vectors `(n, outputs)` times the changed matrix: `(n, features)`."""
        return self.plus_transposed_changes(multiply(outputs, self.matrix), outputs)

    def plus_transposed_changes(self, product: Tensor, outputs: Tensor) -> Tensor:
        """Returns `product`, vectors `(n, outputs)` times `matrix`, with the changes that are not applied yet."""
        left, right = self._left[: self._count], self._right[: self._count]
        return product.addmm_(torch.mm(outputs, left.t()), right, alpha=self.factor)

    def apply(self) -> Tensor:
        """Returns the changed matrix, which is another than the one before."""
        left, right = self._left[: self._count], self._right[: self._count]
        self.matrix = torch.addmm(self.matrix, left.t(), right, alpha=self.factor)
        self._count = 0
        return self.matrix
