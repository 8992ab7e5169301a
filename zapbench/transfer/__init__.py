"""Transfer: a pre-trained model learns unseen classes from few images.

`protocol` defines how classes are learned, and so which scores may be compared. `plan` holds what one trial needs, and
`features` the inputs of its learner. A transfer engine computes a trajectory (`metrics`) from inputs and a plan: the
plain loop (`reference`), any Avalanche strategy (`avalanche`, with `avalanche_fixes`), the fast engines for frozen
transfer (`fast`: `fast_sgd` and `fast_adam`, each for the optimisers of a `step_rule`), or heads in closed form
(`closed_form`). May import networks, scenarios, plugins; experiment and checks import it.
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
