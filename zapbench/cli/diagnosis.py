"""The state of one part of the environment, as `zapbench doctor` reports it."""

from dataclasses import dataclass

OK, NOTE, BROKEN = "ok", "note", "BROKEN"


@dataclass(frozen=True)
class Diagnosis:
    """The state of one part of the environment.

    Attributes:
        subject: the part, in a word or two.
        state: `ok`, `note` (zapbench works without it) or `BROKEN` (it does not).
        detail: what was found.
        remedy: the command or action that fixes it; empty if there is nothing to fix.
    """

    subject: str
    state: str
    detail: str
    remedy: str = ""
