"""The settings that a suite tries: a list, or draws from ranges. Pure, and without torch.

A search is a list of settings, `[{"ASB.inner_lr": 0.03}, {"ASB.inner_lr": 0.1}]`, or a number of draws from ranges,
`{"draws": 8, "ranges": {"ASB.inner_lr": (0.001, 0.3)}}`, log-uniform, the same for every contender with that budget
(Bergstra and Bengio, *Random Search for Hyper-Parameter Optimization*, JMLR 2012).
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

Setting = Mapping[str, Any]
Search = Sequence[Setting] | Mapping[str, Any]

DRAW_KEYS = {"draws", "ranges", "seed"}
MOST_DRAWS = 1000
MOST_REPEATS = 10_000
"""Draws that are made again because they repeat a setting."""


def settings_of(search: Search, where: str) -> list[dict[str, Any]]:
    """Returns the settings of a search, in order.

    Args:
        search: a list of settings, or draws from ranges.
        where: what an error calls it.

    Raises:
        ValueError: it is neither, is empty, or holds a setting twice.
    """
    if isinstance(search, Mapping):
        return _draws(search, where)
    if isinstance(search, str) or not isinstance(search, Sequence):
        raise ValueError(f"{where} is {search!r}; allowed: a list of settings, or {{'draws': N, 'ranges': {{...}}}}")
    if not search:
        raise ValueError(f"{where} is empty; it must hold at least 1 setting")
    for setting in search:
        if not isinstance(setting, Mapping) or not all(isinstance(key, str) for key in setting):
            raise ValueError(f"{where} holds {setting!r}; allowed: settings such as {{'ASB.inner_lr': 0.03}}")
    found = [dict(setting) for setting in search]
    if len({repr(sorted(setting.items(), key=str)) for setting in found}) < len(found):
        raise ValueError(f"{where} holds a setting twice")
    return found


def is_draws(search: Any) -> bool:
    """Returns whether a mapping asks for draws from ranges."""
    return isinstance(search, Mapping) and "draws" in search


def _draws(search: Mapping[str, Any], where: str) -> list[dict[str, Any]]:
    unknown = sorted(set(search) - DRAW_KEYS)
    if unknown or not {"draws", "ranges"} <= set(search):
        raise ValueError(f"{where} has the keys {', '.join(search)}; allowed: draws, ranges and seed")
    draws, ranges, seed = search["draws"], search["ranges"], search.get("seed", 0)
    for name, value, least, most in (("draws", draws, 1, MOST_DRAWS), ("seed", seed, 0, 2**53 - 1)):
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise ValueError(f"{where}: {name} is {value!r}; allowed: a whole number from {least} to {most}")
    if not isinstance(ranges, Mapping) or not ranges:
        raise ValueError(f"{where}: ranges is {ranges!r}; allowed: binding -> (lowest, highest)")
    generator = np.random.default_rng(seed)
    limits = {name: _limits(value, f"{where}: {name}") for name, value in ranges.items()}
    found: dict[tuple[float, ...], None] = {}
    for _ in range(draws + MOST_REPEATS):
        found[tuple(_log_uniform(low, high, generator) for low, high in limits.values())] = None
        if len(found) == draws:
            return [dict(zip(limits, values)) for values in found]
    raise ValueError(f"{where}: {draws} draws are more than the ranges have numbers of three digits")


def _log_uniform(low: float, high: float, generator: np.random.Generator) -> float:
    """Draws a number, rounded to three digits as folders and tables show it."""
    return float(f"{math.exp(generator.uniform(math.log(low), math.log(high))):.3g}")


def _limits(value: Any, where: str) -> tuple[float, float]:
    pair = tuple(value) if isinstance(value, list | tuple) else ()
    numbers = len(pair) == 2 and all(isinstance(v, int | float) and not isinstance(v, bool) for v in pair)
    if not numbers or not 0 < pair[0] < pair[1] < math.inf:
        raise ValueError(f"{where} is {value!r}; allowed: two numbers above 0, the lower one first")
    return float(pair[0]), float(pair[1])
