"""What every parameter of a suite may be: type, range and uniqueness, in one place."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from zapbench import config
from zapbench.leaderboard.show.kinds import KINDS
from zapbench.suites.search import is_draws, settings_of
from zapbench.text import LARGEST_INTEGER, UNPRINTABLE, rate_text

MOST_SEEDS = 10_000
MOST_TRIALS = 100_000
MOST_TASKS = 1_000_000
LONGEST_NAME = 200
LOWEST_RATE, HIGHEST_RATE = 1e-10, 1e100


def check(suite: Any) -> None:
    """Checks every parameter of a `Suite`, then what several of them have to do with each other.

    Raises:
        ValueError: the first that is of the wrong type, out of range or there twice; says what is allowed.
    """
    for name, rule in RULES.items():
        try:
            rule(getattr(suite, name))
        except ValueError as error:
            raise ValueError(f"suite: {name} {error}") from None
    _check_names(suite)
    _check_tuning(suite)
    _check_size(suite)


def whole(value: Any, least: int, most: int) -> None:
    """Raises `ValueError` unless a value is a whole number in a range."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"is {value!r}; allowed: a whole number from {least:,} to {most:,}")
    if value < least:
        raise ValueError(f"must be at least {least}, got {value}")
    if value > most:
        raise ValueError(f"must be at most {most:,}, got {value:,}")


def rate(value: Any) -> None:
    """Raises `ValueError` unless a value is a learning rate that a folder can be named after."""
    number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if not number or not LOWEST_RATE <= value <= HIGHEST_RATE:
        raise ValueError(f"holds {value!r}; allowed: a learning rate from {LOWEST_RATE:g} to {HIGHEST_RATE:g}")


def text(value: Any, *, longest: int = 4096) -> None:
    """Raises `ValueError` unless a value is a printable text."""
    if not isinstance(value, str):
        raise ValueError(f"is {value!r}; allowed: a text")
    if len(value) > longest:
        raise ValueError(f"is longer than {longest} characters")
    if UNPRINTABLE.search(value) or "\n" in value or "\r" in value or "\t" in value:
        raise ValueError(f"holds a character that cannot be printed: {value!r}")


def _whole(least: int, most: int) -> Callable[[Any], None]:
    return lambda value: whole(value, least, most)


def _texts(value: Any, *, least: int = 1) -> None:
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise ValueError(f"is {value!r}; allowed: a list of texts")
    if len(value) < least:
        raise ValueError(f"is empty; it must hold at least {least}")
    for item in value:
        text(item)
    _unique(value)


def _unique(values: Iterable[Any], key: Callable[[Any], Any] = lambda value: value) -> None:
    seen: dict[Any, Any] = {}
    for value in values:
        if key(value) in seen:
            same = "" if seen[key(value)] == value else f", which is the same as {seen[key(value)]!r}"
            raise ValueError(f"holds {value!r} twice{same}")
        seen[key(value)] = value


def _strategies(value: Any) -> None:
    for names in value.values() if isinstance(value, Mapping) else [value]:
        _texts(names)
    if isinstance(value, Mapping) and not value:
        raise ValueError("is empty; it must hold at least 1")


def _seeds(value: Any) -> None:
    if isinstance(value, str) or not isinstance(value, int | Sequence):
        raise ValueError(f"is {value!r}; allowed: a whole number, or a list of them")
    if isinstance(value, int):
        return whole(value, 1, MOST_SEEDS)
    if not 1 <= len(value) <= MOST_SEEDS:
        raise ValueError(f"holds {len(value)} seeds; allowed: 1 to {MOST_SEEDS:,}")
    for seed in value:
        whole(seed, 0, LARGEST_INTEGER)
    _unique(value)


def _rates(value: Any) -> None:
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise ValueError(f"is {value!r}; allowed: a list of learning rates")
    if not value:
        raise ValueError("is empty; it must hold at least 1")
    for item in value:
        rate(item)
    _unique(value, key=rate_text)


def _mapping(value: Any) -> None:
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise ValueError(f"is {value!r}; allowed: a dictionary from names")


def _figures(value: Any) -> None:
    _texts(value, least=0)
    for figure in value:
        if figure not in KINDS:
            raise ValueError(f"holds {figure!r}; allowed: {', '.join(KINDS)}")


def _flag(value: Any) -> None:
    if not isinstance(value, bool):
        raise ValueError(f"is {value!r}; allowed: True or False")


def _gpus(value: Any) -> None:
    number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if not number or not 0 <= value <= 1024:
        raise ValueError(f"is {value!r}; allowed: a number from 0 to 1,024")


RULES: dict[str, Callable[[Any], None]] = {
    "scenarios": _texts,
    "strategies": _strategies,
    "transfers": _texts,
    "seeds": _seeds,
    "trials": _whole(0, MOST_TRIALS),
    "select_trials": _whole(0, MOST_TRIALS),
    "rates": _rates,
    "tune": _mapping,
    "tried_before": _mapping,
    "tune_seeds": _whole(0, MOST_SEEDS),
    "bindings": lambda value: _texts(value, least=0),
    "full": _flag,
    "name": lambda value: text(value, longest=LONGEST_NAME),
    "weights": lambda value: _texts(value, least=0),
    "figures": _figures,
    "cpus": _whole(1, 4096),
    "gpus": _gpus,
}
"""Parameter -> what raises `ValueError` where a value is not allowed; the message follows the parameter's name."""


def _check_names(suite: Any) -> None:
    for scenario in suite.scenarios:
        if not suite.strategies_of(scenario):
            raise ValueError(f"suite: strategies are given per scenario, and {scenario!r} has none")
    for kind, names in (
        ("scenarios", suite.scenarios),
        ("strategies", suite.strategy_names),
        ("transfers", suite.transfers),
    ):
        by_name: dict[str, str] = {}
        for name in names:
            other = by_name.setdefault(config.name_of(name), name)
            if other != name:
                raise ValueError(
                    f"suite: {kind} {other!r} and {name!r} have one name in tables and folders; rename a file, or run "
                    "each alone with --name"
                )
    strategies = suite.strategy_names
    if suite.name and len(strategies) != 1:
        raise ValueError(
            f"suite: name={suite.name!r} needs exactly one strategy, got {len(strategies)}: {', '.join(strategies)}"
        )
    if suite.weights and (len(strategies) != 1 or len(suite.seed_list) != len(suite.weights)):
        raise ValueError(
            f"suite: {len(suite.weights)} files of weights need exactly one strategy and a seed for each file, got "
            f"{len(strategies)} and {len(suite.seed_list)}"
        )


def _check_tuning(suite: Any) -> None:
    if suite.tune_seeds > len(suite.seed_list):
        raise ValueError(f"suite: tune_seeds is {suite.tune_seeds}, and there are {len(suite.seed_list)} seeds")
    for name, where, search in _by_name(suite, "tune", suite.tune):
        for setting in settings_of(search, where):
            try:
                bindings = config.parse_bindings([f"{key} = {item!r}" for key, item in setting.items()])
                _check_reach(suite, name, bindings)
            except ValueError as error:
                raise ValueError(f"{where}: {error}") from None
    for _, where, tried in _by_name(suite, "tried_before", suite.tried_before):
        try:
            whole(tried, 1, MOST_TASKS)
        except ValueError as error:
            raise ValueError(f"{where} {error}") from None


def _check_reach(suite: Any, name: str, bindings: Iterable[config.Binding]) -> None:
    """Refuses a setting where it has no effect but would be recorded; macros and names without a scope may have one."""
    is_strategy = name in suite.strategy_names
    for binding in bindings:
        if not is_strategy and "/" in binding.key and config.reaches_pretraining(binding):
            raise ValueError(f"{binding.key} reaches pre-training alone, and {name!r} is a transfer")
        if is_strategy and name in suite.transfers and not config.reaches_pretraining(binding):
            key = suite.key_of(name)
            raise ValueError(f"{binding.key} reaches transfer alone, and {name!r} is the strategy; use {key!r}")


def _by_name(suite: Any, field: str, given: Mapping[str, Any]) -> Iterator[tuple[str, str, Any]]:
    """Yields the name of each entry, what an error calls it, and its value."""
    for key, own in given.items():
        nested = isinstance(own, Mapping) and not is_draws(own)
        if nested and key not in suite.scenarios:
            raise ValueError(f"suite: {field} holds {key!r} -> a dictionary, and it is no scenario of the suite")
        known = (*(suite.strategies_of(key) if nested else suite.strategy_names), *map(suite.key_of, suite.transfers))
        for name, value in own.items() if nested else [(key, own)]:
            if name not in known:
                on = f" of {key!r}" if nested else ""
                raise ValueError(f"suite: {field}{on} holds {name!r}, which is none of {', '.join(known)}")
            yield name, f"suite: {field} of {name!r}", value


def _check_size(suite: Any) -> None:
    trials = len(suite.rates) * (suite.trials + suite.select_trials)
    tasks = 0
    for scenario, strategy in suite.pairs:
        own = sum(len(suite.transfer_settings_of(scenario, transfer)) for transfer in suite.transfers)
        tasks += len(suite.settings_of(scenario, strategy)) * len(suite.seed_list) * (1 + own * trials)
    if tasks > MOST_TASKS:
        raise ValueError(f"suite: the grid has {tasks:,} tasks; allowed: at most {MOST_TASKS:,}")
