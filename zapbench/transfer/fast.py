"""Fast engines for frozen sequential transfer, and which of them applies.

A fast engine takes features and plans and returns the plain loop's trajectories (`zapbench.transfer.reference`) up to
rounding, one a plan. Every engine makes the steps in the plain loop's order, and a trajectory has the same bits
whichever other plans are in the call. So plans are learned in chunks that fit a memory budget, and a sweep resumes at
the first trial that is not recorded. Where no engine is exact, the plain loop runs.
"""

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch

from zapbench.transfer.features import Features
from zapbench.transfer.metrics import Trajectory
from zapbench.transfer.plan import OptimizerFactory, TrialPlan
from zapbench.transfer.protocol import Protocol
from zapbench.transfer.step_rule import step_rule_of

Tick = Callable[[], None]
"""Called repeatedly while an engine works; may raise to stop it."""


@dataclass(frozen=True)
class FastEngine:
    """One fast engine.

    Attributes:
        name: what the log calls it.
        transfer: learns and measures some plans.
        memory: bytes that plans take together.
        most: plans in one call beyond which nothing more is gained.
    """

    name: str
    transfer: Callable[[Features, Sequence[TrialPlan], Tick], list[Trajectory]]
    memory: Callable[[Features, Sequence[TrialPlan]], int]
    most: int


def fast_engine_for(
    protocol: Protocol, optimizer: OptimizerFactory, features: Features, rates: Iterable[float]
) -> FastEngine | None:
    """Returns the engine that gives the plain loop's trajectories at all rates, or None where only that loop does."""
    one_by_one = protocol.protocol == "sequential" and protocol.frozen and protocol.images_per_step == 1
    known = features.table.device.type == "cpu" and features.table.dtype in (torch.float32, torch.float64)
    if not (one_by_one and known):
        return None
    kinds = {rule.kind if (rule := step_rule_of(optimizer, rate)) else None for rate in rates}
    if len(kinds) != 1 or None in kinds:
        return None
    if kinds == {"sgd"}:
        from zapbench.transfer import fast_sgd

        return FastEngine("gram", fast_sgd.transfer, fast_sgd.memory, sys.maxsize)
    from zapbench.transfer import fast_adam  # compiles when imported

    return FastEngine("columns", fast_adam.transfer, fast_adam.memory, torch.get_num_threads())


def chunks(
    engine: FastEngine, features: Features, plans: Iterable[TrialPlan], budget: float
) -> Iterator[list[TrialPlan]]:
    """Yields plans in order, as many at a time as the budget of bytes holds, but at least one."""
    chunk: list[TrialPlan] = []
    for plan in plans:
        full = len(chunk) >= engine.most or engine.memory(features, [*chunk, plan]) > budget
        if chunk and full:
            yield chunk
            chunk = []
        chunk.append(plan)
    if chunk:
        yield chunk
