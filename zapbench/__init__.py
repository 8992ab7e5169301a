"""A continual-learning benchmark around *Reset It and Forget It* (Frati et al., ECAI 2024).

From Python: `zapbench.run`, `zapbench.load`, `zapbench.compare` (see `zapbench.api`), imported when first used.
Elsewhere start at `zapbench.cli` (the commands), `zapbench.experiment` (what one run does) or `zapbench.leaderboard`
(from TensorBoard logs to a ranked table).
"""

import warnings
from importlib import import_module
from typing import TYPE_CHECKING, Any

from zapbench.moved import find_moved_modules

if TYPE_CHECKING:
    from zapbench.api import Comparison as Comparison
    from zapbench.api import compare as compare
    from zapbench.api import load as load
    from zapbench.api import run as run

__version__ = "0.1.0"

_API = ("Comparison", "compare", "load", "run")


def __getattr__(name: str) -> Any:
    if name not in _API:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("zapbench.api"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_API})


find_moved_modules()
# Avalanche imports qpsolvers for GEM, which no shipped transfer uses; without a solver it warns when it is imported.
warnings.filterwarnings("ignore", message="no QP solver found", category=UserWarning)
