"""Logs from elsewhere: a mapping says which tag is the score, and how a path gives method, scenario and seeds.

# mine.gin
LogMapping.pattern = "{scenario}/{method}/seed{pretrain_seed}"
LogMapping.score = "Top1_Acc_Stream/eval_phase/test_stream/Task000"

zapbench leaderboard LOGDIR --mapping mine.gin
"""

import hashlib
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import gin

from zapbench.leaderboard import contract
from zapbench.leaderboard.read.files import find, runs_of
from zapbench.leaderboard.read.foreign import read_merged
from zapbench.leaderboard.read.parse import EventFile, points, summarise
from zapbench.text import nearest, one_line

NAMES = ("scenario", "method", "pretrain_seed", "transfer_seed", "rate", "role")


@gin.register
@dataclass(frozen=True, kw_only=True)
class LogMapping:
    """How logs that zapbench did not write are to be read.

    Attributes:
        pattern: the folder of a run below the logs, with names in braces for what it gives: scenario, method,
            pretrain_seed, transfer_seed, rate, role (`report` or `select`). A name, or `*`, stands for anything but a
            slash.
        score: the tag whose value is the score, in [0, 1]; higher is better.
        trained_on: the tag of accuracy on the images trained on, where there is one.
        forgetting: the tag of forgetting, where there is one.
        percent: whether the values of these tags are percentages.
        step: the step to take the score at; None for the last.
        scenario: the scenario where the pattern gives none.
        protocol: what the tables are headed with.
        outputs: outputs of the head, for the chance line; 0 where it is not known.
    """

    pattern: str
    score: str
    trained_on: str = ""
    forgetting: str = ""
    percent: bool = False
    step: int | None = None
    scenario: str = "logs"
    protocol: str = "mapped"
    outputs: int = 0

    def __post_init__(self) -> None:
        """Checks the pattern before any file is read."""
        named = re.findall(r"\{(\w*)\}", self.pattern)
        if unknown := [name for name in named if name not in NAMES]:
            raise ValueError(f"mapping: {{{unknown[0]}}} in the pattern; allowed: {', '.join(NAMES)}")
        if len(set(named)) < len(named):
            raise ValueError("mapping: a name stands twice in the pattern")
        for needed in ("method", "pretrain_seed"):
            if needed not in named:
                raise ValueError(f"mapping: the pattern must have {{{needed}}}, got {self.pattern!r}")

    @property
    def tags(self) -> tuple[str, ...]:
        """The tags that are read."""
        return tuple(tag for tag in (self.score, self.trained_on, self.forgetting) if tag)

    @property
    def key(self) -> str:
        """A hash of the mapping: another one reads other things."""
        return hashlib.sha256(contract.canonical_json(asdict(self)).encode()).hexdigest()[:12]

    def match(self, folder: str) -> dict[str, str] | None:
        """Returns what a folder's path gives, or None where it is not of the pattern.

        >>> LogMapping(pattern="{method}/s{pretrain_seed}/*", score="x").match("er/s3/version_0")
        {'method': 'er', 'pretrain_seed': '3'}
        """
        parts = re.split(r"\{(\w+)\}", self.pattern)
        fixed = [re.escape(part).replace(r"\*", "[^/]+") for part in parts]
        pattern = "".join(f"(?P<{part}>[^/]+)" if place % 2 else fixed[place] for place, part in enumerate(parts))
        found = re.fullmatch(pattern, folder)
        return found.groupdict() if found else None


def read_mapping(path: Path) -> LogMapping:
    """Reads a person's own mapping. A .gin file is code (it imports): never one that came with the logs.

    Raises:
        ValueError: no such file, or it binds no usable `LogMapping`.
    """
    if not path.is_file():
        raise ValueError(f"no file {path}")
    with gin.unlock_config():
        gin.clear_config()
        try:
            gin.parse_config(path.read_text(encoding="utf-8"))
            mapping: LogMapping = gin.get_configurable("LogMapping")()
        except (ValueError, TypeError, SyntaxError, ImportError) as error:
            raise ValueError(f"{path}: {str(error).strip().splitlines()[0]}") from None
        finally:
            gin.clear_config()
    return mapping


def suggest(folder: Path) -> str:
    """Returns the text of a mapping to start from, for logs that zapbench did not write: a guess from the first run."""
    runs = runs_of(find(folder).files, by_folder=True)
    place, tags = runs[0].name.rstrip("/"), read_merged([folder / name for name in runs[0].files], ()).other_tags
    parts = place.split("/")
    numbered = [number for number, part in enumerate(parts) if re.search(r"\d", part)] or [len(parts) - 1]
    seed = next((number for number in numbered if "seed" in parts[number].lower()), numbered[-1])
    guess = ["*"] * len(parts)
    guess[seed] = re.sub(r"\d+(?!.*\d)", "{pretrain_seed}", parts[seed])
    if "{" not in guess[seed]:
        guess[seed] = "{pretrain_seed}"
    guess[max(seed - 1, 0)] = "{method}" if seed else f"{{method}}-{guess[seed]}"
    score = next((tag for tag in tags if "acc" in tag.lower()), tags[0] if tags else "TAG")
    return f"LogMapping.pattern = {'/'.join(guess)!r}\nLogMapping.score = {score!r}\n"


def apply(mapping: LogMapping, name: str, found: EventFile) -> tuple[dict[str, Any], Any]:
    """Returns a foreign run's summary and curves, as `load` has them of ours.

    Args:
        mapping: how to read it.
        name: the folder's path below the logs, with a slash at its end.
        found: what its files hold.
    """
    given = mapping.match(name.rpartition("/")[0])
    problem = found.problem or _problem(mapping, given, found)
    if not problem and given is not None:
        curves = {
            contract.HELD_OUT: found.curves[mapping.score],
            contract.TRAINED_ON: found.curves.get(mapping.trained_on, ([], [])),
            contract.FORGETTING: found.curves.get(mapping.forgetting, ([], [])),
        }
        found.curves = {tag: _scaled(mapping, *curve) for tag, curve in curves.items()}
        bad = [value for value in found.curves[contract.HELD_OUT][1] if not 0 <= value <= 1]
        hint = "" if mapping.percent or not bad or not 1 < bad[0] <= 100 else "; in percent? LogMapping.percent = True"
        problem = f"{mapping.score} holds {bad[0]:g}; allowed: 0 to 1{hint}" if bad else ""
    summary = summarise(found) | {"problem": problem, "about": None if problem else _about(mapping, given or {})}
    return summary, points(found)


def _scaled(mapping: LogMapping, steps: list[int], values: list[float]) -> tuple[list[int], list[float]]:
    kept = [
        (s, v / 100 if mapping.percent else v)
        for s, v in zip(steps, values)
        if mapping.step in (None, s) or s < (mapping.step or 0)
    ]
    return [s for s, _ in kept], [v for _, v in kept]


def _problem(mapping: LogMapping, given: dict[str, str] | None, found: EventFile) -> str:
    if given is None:
        return f"its folder is not of the pattern {mapping.pattern}"
    for name in ("pretrain_seed", "transfer_seed"):
        if not re.fullmatch(r"\d{1,9}", given.get(name, "0")):
            return f"{name} is {given[name]!r}, and should be an integer"
    try:
        float(given.get("rate", "0"))
    except ValueError:
        return f"rate is {given['rate']!r}, and should be a number"
    if given.get("role", contract.REPORT) not in contract.ROLES:
        return f"role is {given['role']!r}; allowed: {', '.join(contract.ROLES)}"
    if mapping.score not in found.curves:
        near = nearest(mapping.score, found.other_tags)
        return f"there is no tag {mapping.score!r}{near}{f' ({reason})' if (reason := found.closing.reason) else ''}"
    if mapping.step is not None and mapping.step not in found.curves[mapping.score][0]:
        return f"{mapping.score} has no step {mapping.step}"
    return ""


def _about(mapping: LogMapping, given: dict[str, str]) -> dict[str, Any]:
    given = {name: one_line(value) for name, value in given.items()}
    scenario = given.get("scenario", mapping.scenario)
    facts = {"mapped_by": mapping.key, "protocol": mapping.protocol, "scenario": scenario}
    return contract.Description(
        scenario=scenario,
        strategy=given["method"],
        method=given["method"],
        pretrain_seed=int(given["pretrain_seed"]),
        transfer="mapped",
        protocol=mapping.protocol,
        rate=float(given.get("rate", "0")),
        role=given.get("role", contract.REPORT),
        transfer_seed=int(given.get("transfer_seed", "0")),
        outputs=mapping.outputs,
        config_hash=given["method"],
        fingerprint=hashlib.sha256(contract.canonical_json(facts).encode()).hexdigest()[:12],
        fingerprint_fields=facts,
    ).stable()
