"""What a verdict on a claim holds. All numbers are in points (percent)."""

import math
from dataclasses import dataclass

REPRODUCED, REFUTED, UNDECIDED = "reproduced", "refuted", "undecided"


@dataclass(frozen=True)
class Verdict:
    """The verdict on a claim.

    Attributes:
        verdict: `reproduced`, `refuted` or `undecided`.
        ours: our value, in words.
        seeds: pre-training seeds of the method with the fewest.
        why: what decided it, or what is missing.
        value: our value; NaN where it is not one number.
        low: lower end of its 95% interval; NaN without one.
        high: upper end of it.
        detects: the difference that is detected with 80% power, or for a number the deviation that would refute it; NaN
            where it is not known.
        needed: seeds that would decide an undecided claim, in all; None where it is not known, or more than 100.
    """

    verdict: str
    ours: str = ""
    seeds: int = 0
    why: str = ""
    value: float = math.nan
    low: float = math.nan
    high: float = math.nan
    detects: float = math.nan
    needed: int | None = None


def more(needed: int | None, seeds: int) -> int | None:
    """Returns a number of seeds that is more than there are: as many were not enough."""
    return None if needed is None else max(needed, seeds + 1)
