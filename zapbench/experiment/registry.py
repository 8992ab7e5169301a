"""Registers everything of zapbench with gin, so that a name is unknown only where nothing has it."""

import functools
import importlib
import pkgutil

import zapbench.networks
import zapbench.scenarios
import zapbench.strategies


@functools.cache
def register_everything() -> None:
    """Imports every module that registers something with gin."""
    importlib.import_module("zapbench.experiment.root")
    for package in (zapbench.networks, zapbench.scenarios, zapbench.strategies):
        for module in pkgutil.iter_modules(package.__path__):
            importlib.import_module(f"{package.__name__}.{module.name}")
