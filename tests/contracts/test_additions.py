"""What CONTRIBUTING.md lists for a new strategy is complete: each has a configuration and a test."""

import re

import gin
import pytest
import reference
from support.paths import ROOT

from zapbench import config

STRATEGIES = sorted(path.stem for path in (ROOT / "strategies").glob("[a-z]*.py"))


@pytest.fixture(scope="module", autouse=True)
def everything_is_registered():
    with gin.unlock_config():  # another test may have composed a run, which locks gin
        reference.configurables()


def registered_in(module):
    """The names that a module registers with gin."""
    registry = gin.config._REGISTRY.items()  # gin has no public list of its configurables
    return {selector.rsplit(".", 1)[-1] for selector, found in registry if found.wrapped.__module__ == module}


def named_by_configurations():
    pairs = [(kind, name) for kind in ("strategies", "transfers") for name in config.names(kind)]
    return set().union(*(config.mentioned(kind, name) for kind, name in pairs))


@pytest.mark.parametrize("module", STRATEGIES)
def test_everything_that_a_strategy_module_registers_has_a_configuration(module):
    assert registered_in(f"zapbench.strategies.{module}") <= named_by_configurations(), (
        f"add gin/strategies/{module}.gin"
    )


def test_the_modules_of_strategies_register_what_their_users_bind():
    assert registered_in("zapbench.strategies.asb") == {"ASB"}
    assert registered_in("zapbench.strategies.zapping") == {"ZapEpisodeClass", "ZapEvery"}


@pytest.mark.parametrize("module", STRATEGIES)
def test_every_class_that_a_strategy_module_registers_has_a_test(module):
    names = registered_in(f"zapbench.strategies.{module}")
    tests = [path.read_text(encoding="utf-8") for path in (ROOT / "tests" / "strategies").glob("test_*.py")]
    untested = {name for name in names if not any(re.search(rf"\b{name}\b", text) for text in tests)}
    assert not untested, f"add tests/strategies/test_{module}.py"
