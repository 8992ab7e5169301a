"""Streaming linear discriminant analysis: a mean per class and one covariance that all classes share.

Hayes and Kanan, *Lifelong Machine Learning with Deep Streaming Linear Discriminant Analysis* (2020), equations 1 to 4.
Their update of the covariance weighs an image by the number of all images before it, and takes a class's first image
as a deviation from 0, so that their covariance depends on the order of the images. Here it is the pooled covariance
within classes itself (Welford's update by class), which depends on no order. Their shrinkage, 1e-4, is the default.
"""

import gin
import torch
from torch import Tensor

from zapbench.transfer.closed_form.base import ClosedForm
from zapbench.transfer.closed_form.ncm import add_to_means


def deviations(mean: Tensor, count: int, features: Tensor) -> Tensor:
    """Returns rows `D` such that `D^T D` is what new images of one class add to the scatter within classes.

    The scatter of `count` and `n` images about their common mean is the sum of both scatters and
    `count n / (count + n) (difference of the means)^2` (Chan, Golub and LeVeque 1983).

    Args:
        mean: of the images that the class had before, `(features,)`.
        count: how many these were.
        features: the new images, at least one, `(images, features)`.
    """
    own = features.mean(0)
    moved = (own - mean) * (count * len(features) / (count + len(features))) ** 0.5
    return torch.cat([features - own, moved[None]])


def discriminant_head(means: Tensor, covariance: Tensor, shrinkage: float) -> tuple[Tensor, Tensor]:
    """Returns the head `w = P mean`, `b = -mean . P mean / 2`, `P = ((1 - e) covariance + e I)^-1` (equations 2, 4).

    Args:
        means: of the classes, `(classes, features)`.
        covariance: within classes, `(features, features)`.
        shrinkage: e, above 0: the matrix has an inverse however few the images are.

    Raises:
        ValueError: it has none in float64.
    """
    shrunk = (1 - shrinkage) * covariance
    shrunk.diagonal().add_(shrinkage)
    factor, wrong = torch.linalg.cholesky_ex(shrunk)
    if wrong:
        raise ValueError(f"the covariance has no inverse at shrinkage {shrinkage:g}: features are too large")
    weights = torch.cholesky_solve(means.T, factor).T
    return weights, -(weights * means).sum(1) / 2


@gin.register
class SLDA(ClosedForm):
    """Keeps a mean per class and the scatter within classes; the order of classes and images changes nothing.

    Args:
        features: number of features.
        outputs: outputs of the head.
        generator: not used; nothing is drawn.
        shrinkage: share of the identity in the covariance, in (0, 1]; 1 is the nearest class mean.

    Raises:
        ValueError: the shrinkage is not allowed.
    """

    def __init__(
        self, features: int, outputs: int, *, generator: torch.Generator | None = None, shrinkage: float = 1e-4
    ) -> None:
        if not 0 < shrinkage <= 1:
            raise ValueError(f"SLDA: shrinkage must be above 0 and at most 1, got {shrinkage}")
        super().__init__(features, outputs)
        self.shrinkage = shrinkage
        self._means = torch.zeros(outputs, features, dtype=torch.float64)
        self._scatter = torch.zeros(features, features, dtype=torch.float64)

    def learn(self, features: Tensor, labels: Tensor) -> None:
        """See `ClosedForm`."""
        rows = [
            deviations(self._means[label], int(self.counts[label]), features[labels == label])
            for label in labels.unique()
        ]
        if rows:
            together = torch.cat(rows)
            self._scatter.addmm_(together.T, together)
        add_to_means(self._means, self.counts, features, labels)

    def solve(self) -> tuple[Tensor, Tensor]:
        """See `ClosedForm`."""
        seen = self.counts > 0
        covariance = self._scatter / self.counts.sum().clamp(min=1)
        weights, biases = torch.zeros_like(self.head.weight), torch.zeros_like(self.head.bias)
        weights[seen], biases[seen] = discriminant_head(self._means[seen], covariance, self.shrinkage)
        return weights, biases
