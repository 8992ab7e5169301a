"""RanPAC: ridge regression on random projections of the features behind a ReLU.

McDonnell, Gong, Parvaneh, Abbasnejad and van den Hengel, *RanPAC: Random Projections and Pre-trained Models for
Continual Learning* (2023), section 4.1 (phase 2; no adapter is trained). The paper draws 10,000 projections and chooses
the penalty by a split of the images trained on; here both are bindings. With about as many images as projections and a
small penalty the solution interpolates, and generalises badly: choose either much larger.
"""

import gin
import torch
from torch import Tensor

from zapbench.transfer.closed_form.ridge import Ridge


@gin.register
class RanPAC(Ridge):
    """Ridge regression, without a constant feature, on `relu(x R)`; `R` is drawn once per trial from N(0, 1).

    The number of projections and the penalty are unverified.

    Args:
        features: number of the encoder's features.
        outputs: outputs of the head.
        generator: draws the projections.
        projections: how many, at least 1; the learner keeps a square matrix of as many rows.
        penalty: see `Ridge`; in units of squared projected features.

    Raises:
        ValueError: a number is not allowed.
    """

    def __init__(
        self,
        features: int,
        outputs: int,
        *,
        generator: torch.Generator | None = None,
        projections: int = 5000,
        penalty: float = 1e4,
    ) -> None:
        if projections < 1:
            raise ValueError(f"RanPAC: projections must be at least 1, got {projections}")
        super().__init__(projections, outputs, penalty=penalty, constant=False)
        self._projection = torch.randn(features, projections, dtype=torch.float64, generator=generator)

    def expand(self, features: Tensor) -> Tensor:
        """See `ClosedForm`."""
        return (features @ self._projection).relu_()
