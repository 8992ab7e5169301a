"""Heads in closed form: computed from statistics of a frozen encoder's features, without a gradient step.

Streaming learners (`base`: the interface and the loop over a trial) see class after class in one pass and are exact
after every image: `ncm` (nearest class mean), `slda` (linear discriminant analysis with a shared covariance), `ridge`
(recursive least squares) and `ranpac` (ridge on random projections). `least_squares` is the official code's head from
all images at once. May import networks, scenarios and the modules of `zapbench.transfer` below the engines.
"""

from zapbench.transfer.closed_form.base import ClosedForm, HeadFactory, check_protocol, run_closed_form
from zapbench.transfer.closed_form.least_squares import least_squares, start_from_least_squares
from zapbench.transfer.closed_form.ncm import NearestClassMean
from zapbench.transfer.closed_form.ranpac import RanPAC
from zapbench.transfer.closed_form.ridge import Ridge
from zapbench.transfer.closed_form.slda import SLDA

__all__ = [
    "SLDA",
    "ClosedForm",
    "HeadFactory",
    "NearestClassMean",
    "RanPAC",
    "Ridge",
    "check_protocol",
    "least_squares",
    "run_closed_form",
    "start_from_least_squares",
]
