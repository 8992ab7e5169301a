"""Writes a package for a new strategy: a plug-in, its .gin file and its test, all of which work as they are."""

from pathlib import Path

from zapbench import config
from zapbench.cli.new_package import INSTALLED, class_name, write_package
from zapbench.text import nearest

PLUGIN = '''"""{title}: an Avalanche plug-in for pre-training."""

from typing import Any

import gin
import torch
from avalanche.core import SupervisedPlugin


@gin.register
class {cls}(SupervisedPlugin):
    """Shrinks the weights of the last layer at an interval of updates; replace this with your own idea.

    Avalanche's hooks: https://avalanche-api.continualai.org (`SupervisedPlugin`). In ASB and Meta-ASB an update is an
    episode, and `SupervisedMetaLearningPlugin` has hooks around its inner and outer updates.

    Attributes:
        every: updates between two shrinkages.
        factor: the weights are multiplied by this, in [0, 1].
    """

    def __init__(self, *, every: int = 10, factor: float = 0.5) -> None:
        super().__init__()
        if every < 1:
            raise ValueError(f"{cls}: every must be at least 1, got {{every}}")
        self.every = every
        self.factor = factor

    def before_training_iteration(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        """Called before each update; `strategy.clock.train_iterations` are done."""
        done = strategy.clock.train_iterations
        if done and done % self.every == 0:
            with torch.no_grad():
                strategy.model.head.weight.mul_(self.factor)
'''

GIN = """# {title}: {like} with my own plug-in
include "strategies/{like}.gin"
import {package}.plugin

{strategy}.plugins = {plugins}
{cls}.every = 10
{cls}.factor = 0.5
"""

TEST = '''"""Tests the contract of every zapbench strategy, and the effect of this one."""

from pathlib import Path

import pytest
import torch
from zapbench.checks.strategy import check_strategy

from {package}.plugin import {cls}

GIN = Path(__file__).parent.parent / "{package}" / "{package}.gin"


def test_the_contract_holds() -> None:
    assert [finding for finding in check_strategy(str(GIN)) if not finding.holds] == []


def test_the_head_shrinks_at_the_interval_and_at_no_other_update() -> None:
    class Strategy:
        model = torch.nn.Module()

        class clock:
            train_iterations = 4

    Strategy.model.head = torch.nn.Linear(3, 2)
    before = Strategy.model.head.weight.detach().clone()
    {cls}(every=2, factor=0.25).before_training_iteration(Strategy)
    assert torch.equal(Strategy.model.head.weight, 0.25 * before)
    Strategy.clock.train_iterations = 5
    {cls}(every=2, factor=0.25).before_training_iteration(Strategy)
    assert torch.equal(Strategy.model.head.weight, 0.25 * before)


def test_an_interval_below_1_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        {cls}(every=0)
'''

README = """# {title}

A pre-training strategy for zapbench. In this folder:

    zapbench check {package}/{package}.gin            # tests the contract: hooks fire, deterministic, resumable, ...
    zapbench run glyphs {package}/{package}.gin       # pre-trains, transfers, and prints its table
    zapbench run glyphs {like}                 # what it is built on, to compare it with
    zapbench leaderboard runs               # both in one table
    python -m pytest  # of `pip install pytest`

`{package}/plugin.py` implements the idea, `{package}/{package}.gin` configures it. Every binding can be changed with
`-p`:

    zapbench run glyphs {package}/{package}.gin -p '{cls}.factor = 0.9'
"""


FILES = {
    "{package}/{package}.gin": GIN,
    "{package}/plugin.py": PLUGIN,
    "tests/test_{package}.py": TEST,
    "README.md": README + INSTALLED,
}


def new_strategy(name: str, folder: Path, *, like: str = "iid") -> list[Path]:
    """Writes a package for a strategy into `folder / name`; returns its files, the .gin file first.

    Args:
        name: of the package and of the strategy.
        folder: see above.
        like: the shipped strategy that it adds its plug-in to.

    Raises:
        ValueError: there is no such shipped strategy, it does not train, or see `write_package`.
    """
    if like not in config.shipped_names("strategies"):
        near = nearest(like, config.shipped_names("strategies"))
        raise ValueError(f"{like!r} is not among the shipped strategies{near}; zapbench list strategies shows them")
    bound = config.bindings_of("strategies", like)
    strategy = bound.get("run.strategy", "").strip("@()")
    if strategy in ("", "Untrained"):
        raise ValueError(f"{like!r} does not train, so that no plug-in of it would be called")
    others = bound.get(f"{strategy}.plugins", "[]").strip("[]")
    plugins = f"[{others}{', ' if others else ''}@{class_name(name)}()]"
    fields = {"like": like, "strategy": strategy, "plugins": plugins}
    return write_package("strategies", name, folder, FILES, fields)
