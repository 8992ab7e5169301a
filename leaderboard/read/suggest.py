"""A mapping to start from, for logs that zapbench did not write: a guess from their paths, tags and hyper-parameters."""

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from zapbench.leaderboard.read import hyperparameters
from zapbench.leaderboard.read.files import Run, find, runs_of
from zapbench.leaderboard.read.foreign import read_merged
from zapbench.leaderboard.read.mapping import LogMapping
from zapbench.leaderboard.read.parse import description_of

SAMPLE = 12
"""Runs whose tags are looked at."""

_TAGS = (r"(test|val|eval|held).*acc|acc.*(test|val|eval|held)", r"acc(?!.*train)", r"acc", r"(test|val|eval).*(loss|err)",
         r"loss|err")  # fmt: skip
"""What a score is called, best first."""

_LESS = r"(?i)(exp|task)\D?\d+$|mb|running|forget|epoch$"
"""What a tag of a part of the score is called."""

_KEYS = {
    "pretrain_seed": r"(?i)(?:.*[._])?(?:random_)?seed",
    "method": r"(?i)(?:.*[._])?(?:method|strategy|algorithm|algo|learner)(?:[._]name)?",
    "rate": r"(?i)(?:.*[._])?(?:lr|learning_rate)",
}
"""What hyper-parameters are called, in this order of names."""

_SEED_WORDS = r"(?:seed|s|run|rep|trial|fold)"
_COMBINED = rf"(?i)(.*?)([-_.=]?(?:seed)[-_.=]?)(\w+)|(.+?)([-_.]{_SEED_WORDS}?[-_.=]?)(\d+)"
_SEED = rf"(?i)({_SEED_WORDS}?[-_.=]?)\d+"
_RATE = r"(?i)((?:lr|rate|learning_rate)[-_.=]?)[\d.]+(?:e-?\d+)?"
_VERSION = r"version_\d+"


@dataclass
class _Logs:
    """What is looked at: the folders of runs, split, and of some runs their tags and hyper-parameters."""

    places: list[list[str]]
    tags: list[list[str]] = field(default_factory=list)
    given: list[dict[str, Any]] = field(default_factory=list)
    file: str = ""


def suggest(folder: Path) -> LogMapping:
    """Returns a mapping to start from.

    Raises:
        ValueError: there is no event file below the folder, or none that holds a scalar and is not zapbench's.
    """
    runs = [run for run in runs_of(find(folder).files, by_folder=True) if not _is_own(folder, run)]
    sample = runs[:: max(1, len(runs) // SAMPLE)][:SAMPLE]
    read = [(run, read_merged([folder / name for name in run.files], ())) for run in sample]
    score = _score([found.other_tags for _, found in read])
    if not score:
        raise ValueError(f"no logs of another program with a scalar below {folder}")
    scored = [(run, found) for run, found in read if score in found.other_tags]
    depth = Counter(run.name.count("/") for run, _ in scored).most_common(1)[0][0]
    scored = [(run, found) for run, found in scored if run.name.count("/") == depth]
    logs = _Logs([run.name.rstrip("/").split("/") for run in runs if run.name.count("/") == depth])
    logs.given = [_hyperparameters(folder, run, runs) | found.hyperparameters for run, found in scored]
    if not any(logs.given):
        logs.file, logs.given = _beside(folder, [run for run, _ in scored])
    pattern, keys = _names(logs)
    values = [
        value
        for run, _ in scored
        for value in read_merged([folder / name for name in run.files], (score,)).curves[score][1]
    ]
    return LogMapping(
        pattern=pattern,
        score=score,
        keys=keys,
        file=logs.file if keys else "",
        **_scale(score, [value for value in values if math.isfinite(value)]),
    )


def as_gin(mapping: LogMapping) -> str:
    """Returns the text of a .gin file that binds a mapping; what it leaves at its default is not in it."""
    bound = {"pattern": mapping.pattern, "score": mapping.score}
    bound |= {name: value for name, value in vars(mapping).items() if value != _DEFAULTS[name]}
    return "".join(f"LogMapping.{name} = {value!r}\n" for name, value in bound.items())


_DEFAULTS = vars(LogMapping(pattern="{method}{pretrain_seed}", score=""))


def _is_own(folder: Path, run: Run) -> bool:
    return description_of(folder / run.files[0]) is not None


def _score(tags: Sequence[Sequence[str]]) -> str:
    """Returns the tag that is most like a score: by its name, then by how many runs have it."""
    counts = Counter(tag for own in tags for tag in own)

    def order(tag: str) -> tuple[Any, ...]:
        kind = next((place for place, name in enumerate(_TAGS) if re.search(name, tag.lower())), len(_TAGS))
        return bool(re.search(_LESS, tag)), kind, -counts[tag], len(tag), tag

    return min(counts, key=order, default="")


def _scale(score: str, values: Sequence[float]) -> dict[str, Any]:
    """Returns the settings of direction and scale that values of a tag ask for."""
    largest = max(values, default=0.0)
    loss = not re.search("acc", score.lower()) and re.search("loss|err", score.lower()) is not None
    if largest <= 1:
        return {"lower_is_better": True} if loss else {}
    if not loss and largest <= 100:
        return {"percent": True}
    magnitude = 10.0 ** math.floor(math.log10(largest))
    return {"lower_is_better": loss, "scale": math.ceil(largest / magnitude) * magnitude}


def _hyperparameters(folder: Path, run: Run, runs: Sequence[Run]) -> dict[str, Any]:
    """Returns the hyper-parameters in the folders below a run's, where `SummaryWriter.add_hparams` writes them."""
    below = [other for other in runs if other.name.rstrip("/").rpartition("/")[0] + "/" == run.name]
    found: dict[str, Any] = {}
    for other in below[:1]:
        found |= read_merged([folder / name for name in other.files], ()).hyperparameters
    return found


def _beside(folder: Path, runs: Sequence[Run]) -> tuple[str, list[dict[str, Any]]]:
    """Returns the name of a JSON or YAML file beside the runs that tells them apart, and what it holds for each."""
    for name in _file_names(folder, runs):
        found = [hyperparameters.nearest_file(folder, run.name, name) for run in runs]
        if all(found) and (len(runs) == 1 or len({own[0] for own in found if own}) > 1):
            try:
                return name, [hyperparameters.of_file(folder / own[0]) for own in found if own]
            except ValueError:
                continue
    return "", []


def _file_names(folder: Path, runs: Sequence[Run]) -> Iterable[str]:
    place = folder / runs[0].name
    while place != folder.parent and place.is_relative_to(folder):
        yield from sorted(path.name for path in place.iterdir() if path.suffix in (".yaml", ".yml", ".json"))
        place = place.parent


def _names(logs: _Logs) -> tuple[str, dict[str, str]]:
    """Returns the pattern, and the keys of what paths do not give."""
    levels = [list(level) for level in zip(*logs.places)]
    pattern = [_fixed(level) for level in levels]
    keys: dict[str, str] = {}
    _take(levels, pattern, "rate", _rate_level)
    if not _take(levels, pattern, "pretrain_seed", _seed_level):
        keys |= _key(logs, "pretrain_seed")
    words = [place for place, level in enumerate(levels) if pattern[place] == "*" and _are_names(level)]
    if len(words) > 1 and not _has_seed(pattern, keys):
        pattern[words.pop()] = "{pretrain_seed}"
    if "{method}" not in "/".join(pattern):
        every = words and len(set(levels[words[-1]])) == len(logs.places)  # a name for each run says too much
        keys |= _key(logs, "method") if every or not words else {}
        if len(words) > 1:
            pattern[words[0]] = "{scenario}"
        if words and "method" not in keys:
            pattern[words[-1] if len(words) < 3 else words[1]] = "{method}"
    if "rate" not in "/".join(pattern):
        keys |= _key(logs, "rate")
    return _completed(pattern, levels, keys, logs), keys


def _has_seed(pattern: Sequence[str], keys: Mapping[str, str]) -> bool:
    return "pretrain_seed" in keys or "{pretrain_seed}" in "/".join(pattern)


def _completed(pattern: list[str], levels: Sequence[Sequence[str]], keys: Mapping[str, str], logs: _Logs) -> str:
    """Returns the pattern with method and seed, which a mapping needs, also where nothing says where they are.

    Raises:
        ValueError: there is no folder left for one of them.
    """
    for name in ("pretrain_seed", "method"):
        if name in keys or f"{{{name}}}" in "/".join(pattern):
            continue
        free = [place for place, part in enumerate(pattern) if "{" not in part]
        varying = [place for place in free if len(set(levels[place])) > 1]
        if not free:
            raise ValueError(f"nothing in the path or the hyper-parameters of {'/'.join(logs.places[0])} is a {_SAID[name]}")
        place = (varying or free)[-1]
        versions = all(re.fullmatch(_VERSION, folder) for folder in levels[place])
        pattern[place] = f"{'version_' if versions else ''}{{{name}}}"
    return "/".join(pattern)


_SAID = {"pretrain_seed": "seed", "method": "method's name"}


def _fixed(level: Sequence[str]) -> str:
    """Returns what stands for a level of folders: its name where all have one, else `*`."""
    fixed = len(set(level)) == 1 and not re.search(r"[*{}]", level[0]) and not re.fullmatch(_VERSION, level[0])
    return level[0] if fixed else "*"


def _are_names(level: Sequence[str]) -> bool:
    """Says whether a level's folders are called by a word, not by a number, a version or a time."""
    return not any(re.fullmatch(rf"{_VERSION}|[\d._:-]+|[A-Z][a-z]{{2}}\d\d_\d\d-\d\d-\d\d_.*", name) for name in level)


def _take(
    levels: Sequence[Sequence[str]], pattern: list[str], name: str, of_level: Callable[[Sequence[str]], str]
) -> bool:
    """Puts a name into the pattern where a level gives it; the last such level."""
    for place in range(len(levels) - 1, -1, -1):
        if "{" not in pattern[place] and (found := of_level(levels[place])):
            pattern[place] = found
            return True
    return name in "/".join(pattern)


def _rate_level(level: Sequence[str]) -> str:
    found = [re.fullmatch(_RATE, name) for name in level]
    prefixes = {one[1] for one in found if one}
    return f"{prefixes.pop()}{{rate}}" if all(found) and len(prefixes) == 1 else ""


def _seed_level(level: Sequence[str]) -> str:
    if any(re.fullmatch(_VERSION, name) for name in level):
        return ""
    named = any("seed" in name.lower() for name in level)
    found = [re.fullmatch(_SEED, name) for name in level]
    prefixes = {one[1] for one in found if one}
    if all(found) and len(prefixes) == 1 and (named or len(set(level)) > 1):
        return f"{prefixes.pop()}{{pretrain_seed}}"
    combined = [re.fullmatch(_COMBINED, name) for name in level]
    parts = [next((one.groups()[at : at + 3] for at in (0, 3) if one[at + 3]), None) for one in combined if one]
    joints = {part[1] for part in parts if part}
    if not level or len(parts) < len(level) or len(joints) != 1 or not (named or len(set(level)) > 1):
        return ""
    methods = {part[0] for part in parts if part}
    return f"{joints.pop()}{{pretrain_seed}}" if methods == {""} else f"{{method}}{joints.pop()}{{pretrain_seed}}"


def _key(logs: _Logs, name: str) -> dict[str, str]:
    """Returns the key of a hyper-parameter that all runs looked at have, and that is called like a name."""
    if not logs.given:
        return {}
    for key in _flat(logs.given[0]):
        if re.fullmatch(_KEYS[name], key) and all(_has(given, key) for given in logs.given):
            return {name: key}
    return {}


def _has(given: Mapping[str, Any], key: str) -> bool:
    try:
        return bool(hyperparameters.look_up(given, key, ""))
    except ValueError:
        return False


def _flat(given: Mapping[str, Any], depth: int = 3) -> list[str]:
    """Returns the keys of hyper-parameters, those within others joined by dots; the shallow ones first."""
    own = [key for key in given if isinstance(key, str)][:1000]
    inner = [
        f"{key}.{rest}" for key in own if depth > 1 and isinstance(given[key], dict) for rest in _flat(given[key], depth - 1)
    ]
    return [*own, *inner]
