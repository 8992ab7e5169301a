"""Whether a record can be true: values in range, steps in order, a fingerprint that is that of its fields."""

import itertools
import math
from collections.abc import Sequence

from zapbench.leaderboard import contract
from zapbench.leaderboard.contract import Closing, Description

ACCURACIES = (
    contract.HELD_OUT,
    contract.HELD_OUT_SEEN,
    contract.TRAINED_ON,
    contract.FORGETTING,
    contract.VALIDATION_ACCURACY,
)

Curves = dict[str, tuple[list[int], list[float]]]
"""Tag -> (steps, values)."""


def implausible(about: Description | None, closing: Closing, curves: Curves, class_accuracy: Sequence[float]) -> str:
    """Returns why a record cannot be true, in words; nothing where it can."""
    if about is not None and about.transfer is not None:
        problem = _of_trial(about, closing, curves)
        if problem:
            return problem
    for tag in ACCURACIES:
        if problem := _of_curve(tag, *curves.get(tag, ([], []))):
            return problem
    if not all(0.0 <= value <= 1.0 for value in class_accuracy):
        return f"{contract.CLASS_ACCURACY} holds a value outside 0 to 1"
    return ""


def _of_trial(about: Description, closing: Closing, curves: Curves) -> str:
    if not _stands_for_its_fields(about):
        return f"fingerprint {about.fingerprint!r} is not that of its fields"
    if not about.protocol:
        return "states no protocol"
    classes = about.fingerprint_fields["classes_per_trial"]
    if isinstance(classes, int) and about.outputs < classes:
        return f"has {about.outputs} outputs for {classes} classes"
    if closing.status == contract.FINISHED and not curves.get(contract.HELD_OUT, ([], []))[1]:
        return f"is finished, but holds no {contract.HELD_OUT}"
    return ""


def _of_curve(tag: str, steps: list[int], values: list[float]) -> str:
    for value in values:
        if not 0.0 <= value <= 1.0:
            shown = f"{value:g}" if math.isfinite(value) else "a value that is not a number"
            return f"{tag} holds {shown}; allowed: 0 to 1"
    if steps and min(steps) < 0:
        return f"{tag} has a step of {min(steps)}; steps are at least 0"
    if len(set(steps)) < len(steps):
        seen: set[int] = set()
        twice = next(step for step in steps if step in seen or seen.add(step))  # type: ignore[func-returns-value]
        return f"{tag} has step {twice} twice"
    if any(b < a for a, b in itertools.pairwise(steps)):
        return f"{tag} has steps that go back"
    return ""


def _stands_for_its_fields(about: Description) -> bool:
    try:
        return contract.fingerprint(about.fingerprint_fields) == about.fingerprint
    except ValueError:
        return False
