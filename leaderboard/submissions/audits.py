"""Verdicts of audits: a random sample of a submission's trials was run again; how far are the results from the record?

A verdict is a JSON file that the maintainer of a leaderboard keeps in the folder `audits` of the leaderboard's logs. A
submission cannot bring one: it holds event files alone. It names what was audited by the content of the event files,
so a row loses its badge when one of them changes.
"""

import bisect
import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from zapbench.leaderboard import bounds, contract
from zapbench.leaderboard.read.tabulate import Logs
from zapbench.text import one_line

SCHEMA = 1
FOLDER = "audits"
"""Below the first folder of a leaderboard."""
CONFIRMED, CONTRADICTED, OPEN = "confirmed", "contradicted", "not decided"
VERDICTS = (CONFIRMED, CONTRADICTED, OPEN)
RETRAINED, GIVEN = "pre-trained again", "taken from the submission"
LARGEST_FILE = 16 << 20


@dataclass(frozen=True, kw_only=True)
class Audit:
    """A verdict.

    Attributes:
        verdict: one of `VERDICTS`; not decided where nothing disagrees and something could not be run.
        seed: the sample was drawn with it.
        share: of the trials, that was asked for.
        trials: trials of the submission that ended.
        sampled: trials that were drawn.
        not_run: those of them that could not be run here.
        disagree: those of them whose record disagrees with the repetition.
        models: how the trials got their pre-trained models.
        tolerance: largest difference at which a curve agrees, in [0, 1].
        mean_tolerance: largest difference of the mean final accuracy over the sample at which it agrees, in [0, 1].
        farthest: largest absolute difference of final held-out accuracy found; 0 where nothing was run.
        mean: mean of recorded minus repeated final held-out accuracy; 0 where nothing was run.
        methods: digest of the ended trials of a method -> the method, in words.
        results: of each task that was run: file, verdict and detail.
        version: of zapbench.
        time: when the audit ended.
        device: where it was run.
    """

    verdict: str
    seed: int
    share: float
    trials: int
    sampled: int
    not_run: int
    disagree: int
    models: str
    tolerance: float
    mean_tolerance: float
    farthest: float
    mean: float
    methods: Mapping[str, str] = field(default_factory=dict)
    results: Sequence[Mapping[str, Any]] = ()
    version: str = ""
    time: str = ""
    device: str = ""
    schema: int = SCHEMA

    def to_json(self) -> str:
        """Returns the content of a verdict's file."""
        return json.dumps(asdict(self) | {"power": power_sentence(self.trials, self.sampled)}, indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "Audit":
        """Reads `to_json`'s text.

        Raises:
            ValueError: it is no verdict, or one of another schema.
        """
        try:
            raw = json.loads(text)
        except (ValueError, RecursionError):
            raise ValueError("not JSON") from None
        if not isinstance(raw, dict) or raw.get("schema") != SCHEMA:
            raise ValueError("not a verdict of an audit of this schema")
        for name, rule in RULES.items():
            rule(name, raw.get(name))
        return cls(**{one.name: raw[one.name] for one in fields(cls) if one.name in RULES})

    @property
    def sentence(self) -> str:
        """What was found, in a line."""
        said = f"{self.sampled - self.not_run} of {self.trials} trials run again"
        if self.disagree:
            said += f", {self.disagree} disagree{'s' if self.disagree == 1 else ''} with the record"
        elif self.verdict == CONTRADICTED:
            said += f", each within {points(self.tolerance)}, but too far from the record on average"
        else:
            said += f", all within {points(self.tolerance)} of the record"
        if self.not_run:
            said += f", {self.not_run} could not be run"
        return f"{self.verdict}: {said} (models {self.models}; mean difference {100 * self.mean:+.2f} points)"

    @property
    def badge(self) -> str:
        """What the page says of a row that was confirmed."""
        return f"audited {self.time[:10]}: {self.sentence.removeprefix(f'{CONFIRMED}: ')}".strip()


RULES: dict[str, bounds.Rule] = {
    "verdict": bounds.one_of(VERDICTS),
    "seed": bounds.integer(),
    "share": bounds.number(1.0),
    "trials": bounds.integer(bounds.MOST),
    "sampled": bounds.integer(bounds.MOST),
    "not_run": bounds.integer(bounds.MOST),
    "disagree": bounds.integer(bounds.MOST),
    "models": bounds.one_of((RETRAINED, GIVEN)),
    "tolerance": bounds.number(1.0),
    "mean_tolerance": bounds.number(1.0),
    "farthest": bounds.number(1.0),
    "mean": lambda name, value: bounds.number(1.0)(name, abs(value) if isinstance(value, int | float) else value),
    "methods": bounds.values(bounds.label),
    "version": bounds.label,
    "time": bounds.label,
}
"""What is read of a verdict; its results are for people."""


def points(share: float) -> str:
    """Returns a share in [0, 1] as percentage points.

    >>> points(0.1)
    '10 points'
    """
    return f"{100 * share:g} points"


def power(trials: int, sampled: int, forged: int) -> float:
    """Returns the probability that a sample without replacement holds at least one of the forged trials.

    >>> round(power(120, 12, 12), 3)
    0.735
    """
    return 1 - math.comb(trials - forged, sampled) / math.comb(trials, sampled)


def smallest_forgery(trials: int, sampled: int, probability: float = 0.95) -> int:
    """Returns how many forged trials a sample holds one of with this probability, at least.

    >>> smallest_forgery(120, 12), smallest_forgery(10, 10)
    (26, 1)
    """
    counts = range(1, trials + 1)
    return counts[bisect.bisect_left(counts, probability, key=lambda forged: power(trials, sampled, forged))]


def power_sentence(trials: int, sampled: int) -> str:
    """Says what a sample of this size finds."""
    forged = math.ceil(trials / 10)
    least = smallest_forgery(trials, sampled)
    return (
        f"If 10% of the {trials} trials ({forged}) were forged, a sample of {sampled} would hold one with a "
        f"probability of {100 * power(trials, sampled, forged):.0f}%; with 95% if {100 * least / trials:.0f}% were "
        f"({least})."
    )


def digests(logs: Logs) -> dict[tuple[str, str], str]:
    """Returns (fingerprint, method) -> a digest of the content of the event files of its ended trials."""
    ended = logs.trials[logs.trials["status"].isin(contract.ENDED)]
    found = {}
    for (fingerprint, method), own in ended.groupby(["fingerprint", "method"], sort=True):
        parts = sorted(hashlib.sha256(logs.path(file).read_bytes()).hexdigest() for file in own["file"])
        found[str(fingerprint), str(method)] = hashlib.sha256("\n".join(parts).encode()).hexdigest()
    return found


def digest_of(logs: Logs) -> str:
    """Returns a digest of the content of the event files of all ended trials."""
    return hashlib.sha256("\n".join(sorted(digests(logs).values())).encode()).hexdigest()


def read_audits(folder: Path) -> tuple[list[Audit], list[str]]:
    """Returns the verdicts that a folder of logs holds, and a line for each file that is none."""
    found, problems = [], []
    for path in sorted((folder / FOLDER).glob("*.json")):
        try:
            if path.stat().st_size > LARGEST_FILE:
                raise ValueError(f"more than {LARGEST_FILE:,} bytes")
            found.append(Audit.from_json(path.read_text(encoding="utf-8")))
        except (OSError, ValueError) as error:
            problems.append(one_line(f"{FOLDER}/{path.name}: no verdict of an audit ({error})"))
    return found, problems


def badges(logs: Logs, audits: Sequence[Audit]) -> dict[tuple[str, str], str]:
    """Returns (fingerprint, method) -> its badge: a verdict confirms it, none contradicts it, and it did not change."""
    known = {digest: audit.badge for audit in audits if audit.verdict == CONFIRMED for digest in audit.methods}
    for audit in audits:
        if audit.verdict == CONTRADICTED:
            for digest in audit.methods:
                known.pop(digest, None)
    if not known:
        return {}
    return {method: known[digest] for method, digest in digests(logs).items() if digest in known}
