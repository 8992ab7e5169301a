"""Ridge regression from features to one-hot targets, as recursive least squares.

After any images the weights are `(X^T X + penalty I)^-1 X^T Y`: of all images so far, `X` their features and `Y` their
targets. See *System Identification: Theory for the User* by Ljung (1999), section 11.2; a block of images is one
update by Woodbury's identity.
"""

import gin
import torch
from torch import Tensor, nn

from zapbench.transfer.closed_form.base import ClosedForm


def recursive_step(inverse: Tensor, weights: Tensor, features: Tensor, targets: Tensor) -> bool:
    """Updates, in place, the inverse and the weights with some images; returns whether the inverse is still precise.

    Args:
        inverse: `(X^T X + penalty I)^-1` of the images before, `(features, features)`.
        weights: their solution, `(features, outputs)`.
        features: the new images, `(images, features)`.
        targets: theirs, `(images, outputs)`.
    """
    products = features @ inverse
    innovation = products @ features.T
    innovation.diagonal().add_(1.0)
    factor, wrong = torch.linalg.cholesky_ex(innovation)
    if wrong:
        return False
    half = torch.linalg.solve_triangular(factor, products, upper=False)
    inverse.addmm_(half.T, half, alpha=-1)
    gain = torch.linalg.solve_triangular(factor.T, half, upper=True)
    weights.addmm_(gain.T, targets - features @ weights)
    return True


@gin.register
class Ridge(ClosedForm):
    """Keeps the inverse of the penalised Gram matrix and the weights; the order changes them by rounding alone.

    A feature that is always 1 is added; its weight, the bias, is penalised like the others. The penalty is unverified.

    Args:
        features: number of features.
        outputs: outputs of the head.
        generator: not used; nothing is drawn.
        penalty: of the squared weights, above 0; in units of squared features.
        constant: whether the feature that is always 1 is added.

    Raises:
        ValueError: the penalty is not allowed.
    """

    def __init__(
        self,
        features: int,
        outputs: int,
        *,
        generator: torch.Generator | None = None,
        penalty: float = 100.0,
        constant: bool = True,
    ) -> None:
        if not 0 < penalty < torch.inf:
            raise ValueError(f"{type(self).__name__}: penalty must be above 0 and finite, got {penalty}")
        super().__init__(features, outputs)
        self.penalty = penalty
        self.constant = constant
        self._precise = True
        self._inverse = torch.empty(0, dtype=torch.float64)
        self._weights = torch.zeros(features + constant, outputs, dtype=torch.float64)

    def learn(self, features: Tensor, labels: Tensor) -> None:
        """See `ClosedForm`."""
        if not len(features):
            return
        if not len(self._inverse):  # a large matrix: not before it is needed
            self._inverse = torch.eye(len(self._weights), dtype=torch.float64) / self.penalty
        if self.constant:
            features = torch.cat([features, features.new_ones(len(features), 1)], 1)
        targets = nn.functional.one_hot(labels, len(self.counts)).double()
        self._precise &= recursive_step(self._inverse, self._weights, features, targets)
        self.counts += targets.sum(0).long()

    def solve(self) -> tuple[Tensor, Tensor]:
        """See `ClosedForm`."""
        if not self._precise:
            raise ValueError(f"{type(self).__name__} lost its precision at penalty {self.penalty:g}; raise it")
        if self.constant:
            return self._weights[:-1].T, self._weights[-1]
        return self._weights.T, self._weights.new_zeros(len(self.counts))
