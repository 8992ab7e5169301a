"""Guesses from the folders of runs which part of a path is the method, the seed, the scenario and the rate."""

import itertools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from zapbench.leaderboard.read import hyperparameters

_KEYS = {
    "pretrain_seed": r"(?i)(?:.*[._])?(?:random_)?seed",
    "method": r"(?i)(?:.*[._])?(?:method|strategy|algorithm|algo|learner)(?:[._]name)?",
    "rate": r"(?i)(?:.*[._])?(?:lr|learning_rate)",
}
"""What hyper-parameters are called, in this order of names."""

MOST_KEYS = 1000
"""Of a run's hyper-parameters that are looked at: aliases in a short YAML file can stand for billions."""

_SEED_WORDS = r"(?:seed|s|run|rep|trial|fold)"
_COMBINED = rf"(?i)(.*?)([-_.=]?(?:seed)[-_.=]?)(\w+)|(.+?)([-_.]{_SEED_WORDS}?[-_.=]?)(\d+)"
_SEED = rf"(?i)({_SEED_WORDS}?[-_.=]?)\d+"
_RATE = r"(?i)((?:lr|rate|learning_rate)[-_.=]?)[\d.]+(?:e-?\d+)?"
_VERSION = r"version_\d+"


def names_of(places: Sequence[Sequence[str]], given: Sequence[Mapping[str, Any]]) -> tuple[str, dict[str, str]]:
    """Returns a mapping's pattern, and the keys of what paths do not give.

    Args:
        places: the folders of runs, split, all of one depth.
        given: the hyper-parameters of some of the runs.

    Raises:
        ValueError: nothing tells methods, or seeds, apart.
    """
    levels = [list(level) for level in zip(*places)]
    pattern = [_fixed(level) for level in levels]
    keys: dict[str, str] = {}
    _take(levels, pattern, _rate_level)
    if not _take(levels, pattern, _seed_level):
        keys |= _key(given, "pretrain_seed")
    words = [place for place, level in enumerate(levels) if pattern[place] == "*" and _are_names(level)]
    if len(words) > 1 and not _has_seed(pattern, keys):
        pattern[words.pop()] = "{pretrain_seed}"
    if "{method}" not in "/".join(pattern):
        every = words and len(set(levels[words[-1]])) == len(places)  # a name for each run says too much
        keys |= _key(given, "method") if every or not words else {}
        if len(words) > 1:
            pattern[words[0]] = "{scenario}"
        if words and "method" not in keys:
            pattern[words[-1] if len(words) < 3 else words[1]] = "{method}"
    if "{rate}" not in "/".join(pattern):
        keys |= _key(given, "rate")
    return _completed(pattern, levels, keys), keys


def _has_seed(pattern: Sequence[str], keys: Mapping[str, str]) -> bool:
    return "pretrain_seed" in keys or "{pretrain_seed}" in "/".join(pattern)


def _completed(pattern: list[str], levels: Sequence[Sequence[str]], keys: Mapping[str, str]) -> str:
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
            first = "/".join(level[0] for level in levels)
            raise ValueError(f"nothing in the path or the hyper-parameters of {first} is a {_SAID[name]}")
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


def _take(levels: Sequence[Sequence[str]], pattern: list[str], of_level: Callable[[Sequence[str]], str]) -> bool:
    """Puts a name into the pattern where a level gives it, the last such level; returns whether one does."""
    for place in range(len(levels) - 1, -1, -1):
        if "{" not in pattern[place] and (found := of_level(levels[place])):
            pattern[place] = found
            return True
    return False


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


def _key(given: Sequence[Mapping[str, Any]], name: str) -> dict[str, str]:
    """Returns the key of a hyper-parameter that all runs looked at have, and that is called like a name."""
    if not given:
        return {}
    for key in itertools.islice(_flat(given[0]), MOST_KEYS):
        if re.fullmatch(_KEYS[name], key) and all(_has(own, key) for own in given):
            return {name: key}
    return {}


def _has(given: Mapping[str, Any], key: str) -> bool:
    try:
        return bool(hyperparameters.look_up(given, key, ""))
    except ValueError:
        return False


def _flat(given: Mapping[str, Any], depth: int = 3) -> Iterator[str]:
    """Yields the keys of hyper-parameters, those within others joined by dots; the shallow ones first."""
    own = [key for key in given if isinstance(key, str)]
    yield from own
    for key in own:
        if depth > 1 and isinstance(given[key], dict):
            yield from (f"{key}.{rest}" for rest in _flat(given[key], depth - 1))
