"""The contract of all strategies, and tests of this one."""

from pathlib import Path

import pytest
import torch
from my_strategy.plugin import ZapDirection, new_direction

from zapbench.checks.strategy import check_strategy

GIN = Path(__file__).parent.parent / "my_strategy" / "my_strategy.gin"


def test_the_contract_holds() -> None:
    assert [finding for finding in check_strategy(str(GIN)) if not finding.holds] == []


class Strategy:
    """The attributes of a strategy that the plug-in uses."""

    def __init__(self, done: int) -> None:
        self.model = torch.nn.Module()
        self.model.head = torch.nn.Linear(50, 3)
        self.episode_class = 1
        self.clock = type("Clock", (), {"train_iterations": done})


def test_the_row_of_the_class_keeps_its_norm_and_loses_its_direction_and_bias() -> None:
    strategy = Strategy(done=4)
    before = strategy.model.head.weight.detach().clone()
    ZapDirection(every=2).before_inner_updates(strategy)
    after = strategy.model.head.weight.detach()
    assert torch.equal(after[[0, 2]], before[[0, 2]])
    assert after[1].norm().item() == pytest.approx(before[1].norm().item(), rel=1e-5)
    assert abs(torch.cosine_similarity(after[1], before[1], dim=0).item()) < 0.5
    assert strategy.model.head.bias[1] == 0
    assert strategy.model.head.bias[0] != 0


def test_nothing_changes_between_two_zaps() -> None:
    strategy = Strategy(done=5)
    before = strategy.model.head.weight.detach().clone()
    ZapDirection(every=2).before_inner_updates(strategy)
    assert torch.equal(strategy.model.head.weight, before)


def test_directions_are_uniform() -> None:
    generator = torch.Generator().manual_seed(0)
    row = torch.tensor([3.0, 0.0, 4.0])
    drawn = torch.stack([new_direction(row, generator) for _ in range(4000)])
    assert torch.allclose(drawn.norm(dim=1), torch.tensor(5.0))
    assert torch.allclose(drawn.mean(0), torch.zeros(3), atol=0.2)
    assert torch.allclose(drawn.var(0), torch.full((3,), 25 / 3), atol=0.5)


def test_an_interval_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        ZapDirection(every=0)
