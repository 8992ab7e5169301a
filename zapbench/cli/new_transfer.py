"""Writes a package for a new transfer: a plug-in that learns the new classes, its .gin file and its test."""

from pathlib import Path

from zapbench.cli.new_package import INSTALLED, write_package

PLUGIN = '''"""{title}: an Avalanche plug-in for learning the new classes."""

from typing import Any

import gin
from avalanche.core import SupervisedPlugin


@gin.register
class {cls}(SupervisedPlugin):
    """Pulls the weights towards what they were before the current class; replace this with your own idea.

    Avalanche's hooks: https://avalanche-api.continualai.org (`SupervisedPlugin`). An experience is one new class.

    Attributes:
        strength: of the pull: it is added to the gradient, times the distance.
    """

    def __init__(self, *, strength: float = 1.0) -> None:
        super().__init__()
        if strength < 0:
            raise ValueError(f"{cls}: strength must be at least 0, got {{strength}}")
        self.strength = strength
        self._before: list[Any] = []

    def before_training_exp(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        """Called before each class."""
        self._before = [weight.detach().clone() for weight in strategy.model.parameters()]

    def before_update(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        """Called between the backward pass and the step of the optimiser."""
        for weight, before in zip(strategy.model.parameters(), self._before):
            if weight.grad is not None:
                weight.grad.add_(weight.detach() - before, alpha=self.strength)
'''

GIN = """# {title}: sequential transfer with my own plug-in
import {package}.plugin

run.transfer = @transfer/sequential_transfer()
run.transfer_optimizer = @transfer/Adam
run.transfer_strategy = @transfer/Naive
transfer/sequential_transfer.frozen = True
transfer/sequential_transfer.learner = "{package}"
transfer/Naive.plugins = [@transfer/{cls}()]
transfer/{cls}.strength = 1.0
"""

TEST = '''"""Tests the contract of every zapbench transfer, and the effect of this one."""

from pathlib import Path

import pytest
import torch
from zapbench.checks.transfer import check_transfer

from {package}.plugin import {cls}

GIN = Path(__file__).parent.parent / "{package}" / "{package}.gin"


def test_the_contract_holds() -> None:
    assert [finding for finding in check_transfer(str(GIN)) if not finding.holds] == []


def test_the_gradient_points_away_from_the_weights_before_the_class() -> None:
    class Strategy:
        model = torch.nn.Linear(1, 1, bias=False)

    plugin = {cls}(strength=2.0)
    plugin.before_training_exp(Strategy)
    Strategy.model.weight.data += 3.0
    Strategy.model.weight.grad = torch.ones(1, 1)
    plugin.before_update(Strategy)
    assert torch.allclose(Strategy.model.weight.grad, torch.tensor([[1.0 + 2.0 * 3.0]]))


def test_a_negative_strength_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 0"):
        {cls}(strength=-1.0)
'''

README = """# {title}

A transfer for zapbench. In this folder:

    zapbench check {package}/{package}.gin                                         # tests the contract
    zapbench run glyphs asb --transfer sequential {package}/{package}.gin          # plain fine-tuning, and this
    python -m pytest  # of `pip install pytest`

`{package}/plugin.py` implements the idea, `{package}/{package}.gin` configures it. Every binding can be changed with
`-p`:

    zapbench run glyphs asb --transfer {package}/{package}.gin -p 'transfer/{cls}.strength = 0.1'
"""

FILES = {
    "{package}/{package}.gin": GIN,
    "{package}/plugin.py": PLUGIN,
    "tests/test_{package}.py": TEST,
    "README.md": README + INSTALLED,
}


def new_transfer(name: str, folder: Path) -> list[Path]:
    """Writes a package for a transfer into `folder / name`; returns its files, the .gin file first.

    Raises:
        ValueError: see `write_package`.
    """
    return write_package("transfers", name, folder, FILES)
