"""Modules that were moved into packages: code and .gin files that import them by their first names still work.

Importing one warns of its new name (`DeprecationWarning`). Only modules that people's own files import are listed.
"""

import importlib
import importlib.abc
import importlib.util
import sys
import warnings
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType

MOVED = {
    "zapbench.anml": "zapbench.networks.anml",
    "zapbench.backbones": "zapbench.networks.backbones",
    "zapbench.contenders": "zapbench.transfer.avalanche",
    "zapbench.mended": "zapbench.transfer.avalanche_fixes",
    "zapbench.models": "zapbench.networks.classifier",
    "zapbench.oml": "zapbench.networks.oml",
    "zapbench.protocol": "zapbench.transfer.protocol",
    "zapbench.weights": "zapbench.networks.weights",
    "zapbench.leaderboard.archives": "zapbench.leaderboard.submissions.archives",
    "zapbench.leaderboard.compare": "zapbench.leaderboard.decide.compare",
    "zapbench.leaderboard.mapping": "zapbench.leaderboard.read.mapping",
    "zapbench.leaderboard.parse": "zapbench.leaderboard.read.parse",
    "zapbench.leaderboard.select": "zapbench.leaderboard.decide.select",
}


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds a moved module; importlib sets the spec of what it loads, so the module's own is put back."""

    def __init__(self) -> None:
        self._specs: dict[str, ModuleSpec | None] = {}

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        return importlib.util.spec_from_loader(fullname, self) if fullname in MOVED else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        warnings.warn(f"{spec.name} is now {MOVED[spec.name]}", DeprecationWarning, stacklevel=2)
        module = importlib.import_module(MOVED[spec.name])
        self._specs[module.__name__] = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self._specs[module.__name__]


def find_moved_modules() -> None:
    """Lets moved modules be imported by their first names; called once, by the package."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.append(_Finder())
