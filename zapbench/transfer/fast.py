"""Fast engines for frozen sequential transfer, and the choice of one.

A fast engine takes features and plans and returns one trajectory per plan, equal to the plain loop's
(`zapbench.transfer.reference`) up to rounding. Every engine makes the steps in the plain loop's order, and a trajectory
does not depend, bit for bit, on the other plans of the call. So plans are learned in chunks that fit a memory budget,
and a sweep resumes at the first trial that is not recorded. Where no engine is exact, the plain loop runs.
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
"""Called repeatedly while an engine runs; may raise to stop it."""


@dataclass(frozen=True)
class FastEngine:
    """One fast engine.

    Attributes:
        name: its name in logs.
        transfer: learns and measures some plans.
        memory: bytes that plans take together.
        most: number of plans in one call beyond which a larger call is not faster.
    """

    name: str
    transfer: Callable[[Features, Sequence[TrialPlan], Tick], list[Trajectory]]
    memory: Callable[[Features, Sequence[TrialPlan]], int]
    most: int


def fast_engine_for(
    protocol: Protocol, optimizer: OptimizerFactory, features: Features, rates: Iterable[float]
) -> FastEngine | None:
    """Returns the engine whose trajectories equal the plain loop's at all rates, or None where there is none."""
    one_by_one = protocol.protocol == "sequential" and protocol.frozen and protocol.images_per_step == 1
    known = features.table.device.type == "cpu" and features.table.dtype in (torch.float32, torch.float64)
    if protocol.class_losses or not (one_by_one and known):
        return None
    kinds = {rule.kind if (rule := step_rule_of(optimizer, rate)) else None for rate in rates}
    if len(kinds) != 1 or None in kinds:
        return None
    if kinds == {"sgd"}:
        from zapbench.transfer import fast_sgd

        return FastEngine("gram", fast_sgd.transfer, fast_sgd.memory, sys.maxsize)
    from zapbench.transfer import fast_adam  # compiles on import

    return FastEngine("columns", fast_adam.transfer, fast_adam.memory, torch.get_num_threads())


def chunks(
    engine: FastEngine, features: Features, plans: Iterable[TrialPlan], budget: float
) -> Iterator[list[TrialPlan]]:
    """Yields plans in order, in chunks that fit the budget of bytes, with at least one plan each."""
    chunk: list[TrialPlan] = []
    for plan in plans:
        full = len(chunk) >= engine.most or engine.memory(features, [*chunk, plan]) > budget
        if chunk and full:
            yield chunk
            chunk = []
        chunk.append(plan)
    if chunk:
        yield chunk
