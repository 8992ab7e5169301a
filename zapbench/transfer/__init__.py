"""Transfer: a pre-trained model learns unseen classes from few images.

`protocol` says how, and which scores may be compared; `plan` is one trial to be learned, `features` what its learner is
given. A transfer engine turns inputs and a plan into a trajectory (`metrics`): the plain loop (`reference`), any
Avalanche strategy (`avalanche`, with `avalanche_fixes`), the fast engines for frozen transfer (`fast`: `fast_sgd`,
`fast_adam`, for an optimiser's `step_rule`), or heads computed without
steps (package `closed_form`). May import networks, scenarios,
plugins; experiment and checks import it.
"""

from zapbench.transfer.avalanche import run_strategy
from zapbench.transfer.features import Features
from zapbench.transfer.metrics import Trajectory
from zapbench.transfer.plan import TrialPlan, learner_for
from zapbench.transfer.protocol import Protocol, iid_transfer, least_squares_transfer, sequential_transfer
from zapbench.transfer.reference import run_trial

__all__ = [
    "Features",
    "Protocol",
    "Trajectory",
    "TrialPlan",
    "iid_transfer",
    "learner_for",
    "least_squares_transfer",
    "run_strategy",
    "run_trial",
    "sequential_transfer",
]
