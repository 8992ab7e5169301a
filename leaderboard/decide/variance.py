"""How the scores of trials vary: between pre-trained models, between draws of classes, and what remains."""

import math

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import linalg, optimize

LARGEST_FIT = 600
"""Trials beyond which variance components are not fitted: the fit is cubic in them."""

_STARTS = ((1.0, 1.0), (0.1, 3.0), (3.0, 0.1), (0.1, 0.1))
_LARGEST = 1e3
"""Of a ratio of standard deviations: beyond it the residual is as good as zero."""

_Matrix = npt.NDArray[np.float64]


def variance_components(rows: pd.DataFrame) -> dict[str, float]:
    """Returns how the trials of one table vary: standard deviations between seeds, between draws, and the residual.

    A linear mixed model with the method as fixed effect and random effects for each pre-trained model (`seeds`) and for
    each draw of classes, shared by all methods (`draws`), fitted by restricted maximum likelihood (Patterson and
    Thompson 1971). No p-value is taken from it.

    Args:
        rows: columns method, pretrain_seed, transfer_seed, score.

    Returns:
        Standard deviations `seeds`, `draws`, `residual`: NaN where the fit does not converge; empty where there is too
        little to fit.
    """
    if rows["pretrain_seed"].nunique() < 2 or rows["transfer_seed"].nunique() < 2 or len(rows) > LARGEST_FIT:
        return {}
    models, draws = _indicators(rows, "method", "pretrain_seed"), _indicators(rows, "pretrain_seed", "transfer_seed")
    fixed, scores = _indicators(rows, "method"), rows["score"].to_numpy(dtype=float)
    if len(rows) <= fixed.shape[1] or np.ptp(scores) == 0:
        return {}
    fit = _Restricted(fixed, models, draws, scores / scores.std())
    bounds = [(0.0, _LARGEST)] * 2
    found = [optimize.minimize(fit.deviance, start, method="L-BFGS-B", bounds=bounds) for start in _STARTS]
    best = min((one for one in found if math.isfinite(one.fun)), key=lambda one: float(one.fun), default=None)
    if best is not None and not best.success:  # rounding can end a line search at the minimum itself
        best = optimize.minimize(fit.deviance, best.x, method="Nelder-Mead", bounds=bounds)
    if best is None or not best.success or max(best.x) >= _LARGEST:
        return dict.fromkeys(("seeds", "draws", "residual"), math.nan)
    residual = math.sqrt(fit.profile(best.x)[1]) * float(scores.std())
    return {"seeds": float(best.x[0]) * residual, "draws": float(best.x[1]) * residual, "residual": residual}


def _indicators(rows: pd.DataFrame, *columns: str) -> _Matrix:
    """Returns a column for each combination of values: 1 in its rows, 0 elsewhere."""
    codes = rows.groupby(list(columns), sort=True).ngroup().to_numpy()
    return np.eye(codes.max() + 1)[codes]


class _Restricted:
    """The restricted likelihood, profiled over the residual, by products that are small beside the number of trials.

    The covariance is `I + Z G Z'` times the residual variance, `Z` the indicators of models and draws and `G` the
    squared ratios of their standard deviations to the residual's; its inverse and determinant need `I + g Z'Z g` alone.
    """

    def __init__(self, fixed: _Matrix, models: _Matrix, draws: _Matrix, scores: _Matrix) -> None:
        effects = np.hstack([models, draws])
        known = np.column_stack([fixed, scores])
        self._sizes = (models.shape[1], draws.shape[1])
        self._free = len(scores) - fixed.shape[1]
        self._effects = effects.T @ effects
        self._cross = effects.T @ known
        self._known = known.T @ known

    def profile(self, ratios: npt.ArrayLike) -> tuple[float, float]:
        """Returns minus twice the log-likelihood (up to a constant) and the residual variance, at two ratios."""
        scale = np.repeat(np.asarray(ratios, dtype=float), self._sizes)
        inner = np.eye(len(scale)) + scale[:, None] * self._effects * scale
        factor = linalg.cholesky(inner, lower=True)
        reached = linalg.solve_triangular(factor, scale[:, None] * self._cross, lower=True)
        left = self._known - reached.T @ reached
        fixed = linalg.cholesky(left[:-1, :-1], lower=True)
        explained = linalg.solve_triangular(fixed, left[:-1, -1], lower=True)
        variance = max(float(left[-1, -1] - explained @ explained), 1e-12) / self._free
        log_determinants = 2 * float(np.log(np.diag(factor)).sum() + np.log(np.diag(fixed)).sum())
        return self._free * math.log(variance) + log_determinants, variance

    def deviance(self, ratios: npt.ArrayLike) -> float:
        """Returns the first of `profile`; infinite where it cannot be computed."""
        try:
            return self.profile(ratios)[0]
        except linalg.LinAlgError:
            return math.inf
