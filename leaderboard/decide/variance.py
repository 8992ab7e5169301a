"""How the scores of trials vary: between pre-trained models, between draws of classes, and what remains."""

import math
import warnings

import numpy as np
import pandas as pd
from statsmodels.regression.mixed_linear_model import MixedLM

LARGEST_FIT = 600
"""Trials beyond which variance components are not fitted: the fit is cubic in them."""


def variance_components(rows: pd.DataFrame) -> dict[str, float]:
    """Returns how the trials of one table vary: standard deviations between seeds, between draws, and the residual.

    A mixed model with the method as fixed effect and random effects for each pre-trained model (`seeds`) and for each
    draw of classes, shared by all methods (`draws`); statsmodels' `MixedLM`, REML. No p-value is taken from it.

    Args:
        rows: columns method, pretrain_seed, transfer_seed, score.

    Returns:
        Standard deviations `seeds`, `draws`, `residual`; empty where there is too little to fit, or the fit fails.
    """
    if rows["pretrain_seed"].nunique() < 2 or rows["transfer_seed"].nunique() < 2 or len(rows) > LARGEST_FIT:
        return {}
    keys = rows.assign(
        model=rows["method"].astype(str) + "/" + rows["pretrain_seed"].astype(str),
        draw=rows["pretrain_seed"].astype(str) + "/" + rows["transfer_seed"].astype(str),
        whole=1,
    )
    formula = {"seeds": "0 + C(model)", "draws": "0 + C(draw)"}
    fixed = "score ~ C(method)" if rows["method"].nunique() > 1 else "score ~ 1"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of convergence: a fit on the edge is still the best estimate
        try:
            fit = MixedLM.from_formula(fixed, keys, groups="whole", vc_formula=formula, re_formula="0").fit()
        except (np.linalg.LinAlgError, ValueError):
            return {}
    names = fit.model.exog_vc.names
    found = {name: math.sqrt(max(0.0, float(value))) for name, value in zip(names, fit.vcomp)}
    return found | {"residual": math.sqrt(max(0.0, float(fit.scale)))}
