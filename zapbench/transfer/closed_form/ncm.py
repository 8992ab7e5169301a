"""The nearest class mean: an image is of the class whose mean feature is nearest (Mensink et al. 2013, section 3.1)."""

import gin
import torch
from torch import Tensor

from zapbench.transfer.closed_form.base import ClosedForm


def add_to_means(means: Tensor, counts: Tensor, features: Tensor, labels: Tensor) -> None:
    """Adds images to the means of their classes, in place.

    Args:
        means: of the classes, `(outputs, features)`; 0 where there was no image.
        counts: images of each class, `(outputs,)`.
        features: the new images, `(images, features)`.
        labels: theirs, `(images,)`.
    """
    counts += torch.bincount(labels, minlength=len(counts))
    means.index_add_(0, labels, (features - means[labels]) / counts[labels, None])


def nearest_mean_head(means: Tensor, *, cosine: bool) -> tuple[Tensor, Tensor]:
    """Returns the linear head whose largest score is the nearest mean's.

    By distance, `argmin ||x - mean||^2 = argmax mean . x - ||mean||^2 / 2`; by cosine, `argmax mean / ||mean|| . x`.

    Args:
        means: of the classes, `(outputs, features)`.
        cosine: whether the nearest mean is that of the least angle. A mean of 0 has a score of 0.
    """
    if not cosine:
        return means, -means.square().sum(1) / 2
    lengths = means.norm(dim=1, keepdim=True)
    return means / torch.where(lengths > 0, lengths, 1.0), means.new_zeros(len(means))


@gin.register
class NearestClassMean(ClosedForm):
    """Keeps a mean feature per class; the order of classes and images changes nothing.

    Args:
        features: number of features.
        outputs: outputs of the head.
        generator: not used; nothing is drawn.
        cosine: whether similarity is the cosine instead of the negative squared distance.

    Attributes:
        means: `(outputs, features)`; 0 where no image was seen.
    """

    def __init__(
        self, features: int, outputs: int, *, generator: torch.Generator | None = None, cosine: bool = False
    ) -> None:
        super().__init__(features, outputs)
        self.means = torch.zeros(outputs, features, dtype=torch.float64)
        self.cosine = cosine

    def learn(self, features: Tensor, labels: Tensor) -> None:
        """See `ClosedForm`."""
        add_to_means(self.means, self.counts, features, labels)

    def solve(self) -> tuple[Tensor, Tensor]:
        """See `ClosedForm`."""
        return nearest_mean_head(self.means, cosine=self.cosine)
