"""What a value in a description may be: types, ranges and characters, in one place.

Logs are untrusted, and every writer checks by the same rules, so that what was written can be read. A rule is called
with a field's name and value, and raises a ValueError of one line.
"""

import math
import re
from collections.abc import Callable, Collection, Mapping
from typing import Any

from zapbench.text import UNPRINTABLE, one_line

LONGEST_NAME = 2000
LARGEST_INTEGER = 2**53 - 1
"""What every reader of JSON agrees on."""
MOST = 10**9
"""Of what is counted: settings tried, outputs, threads."""
LARGEST_RATE = 1e100
"""Beyond any real rate, and finite in products of two: a float ends at 1.8e308."""
_BREAK = re.compile("[\t\n\v\f\r\x1c-\x1f\x85\u2028\u2029]")

Rule = Callable[[str, Any], None]


def text(name: str, value: Any) -> None:
    """Refuses what is not a text, or holds a character that cannot be shown."""
    if not isinstance(value, str):
        raise ValueError(f"{name} is not a text")
    if UNPRINTABLE.search(value):
        raise ValueError(f"{name} holds a character that cannot be shown: {one_line(value)[:LONGEST_NAME]}")


def label(name: str, value: Any) -> None:
    """Refuses what is not a text of one line; it stands in tables, notes and file names."""
    text(name, value)
    if len(value) > LONGEST_NAME:
        raise ValueError(f"{name} is longer than {LONGEST_NAME} characters")
    if _BREAK.search(value):
        raise ValueError(f"{name} holds a line break or a tab: {one_line(value)}")


def labels(name: str, value: Any) -> None:
    """Refuses what is not a sequence of texts."""
    if not isinstance(value, tuple | list) or not all(isinstance(part, str) for part in value):
        raise ValueError(f"{name} are not texts")
    for part in value:
        text(name, part)


def integer(largest: int = LARGEST_INTEGER) -> Rule:
    """Returns a rule for integers from 0 to `largest`."""

    def rule(name: str, value: Any) -> None:
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= largest:
            raise ValueError(f"{name} is not an integer from 0 to {largest}")

    return rule


def number(largest: float) -> Rule:
    """Returns a rule for numbers from 0 to `largest`."""

    def rule(name: str, value: Any) -> None:
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= largest:
            raise ValueError(f"{name} is not a number from 0 to {largest:g}")

    return rule


def one_of(known: Collection[str]) -> Rule:
    """Returns a rule for some words."""

    def rule(name: str, value: Any) -> None:
        if not isinstance(value, str) or value not in known:
            raise ValueError(f"{name} is {one_line(repr(value))[:LONGEST_NAME]}; allowed: {', '.join(known)}")

    return rule


def optional(rule: Rule) -> Rule:
    """Returns a rule that admits None, too."""
    return lambda name, value: None if value is None else rule(name, value)


def values(of: Rule) -> Rule:
    """Returns a rule for an object of texts (by the rule `of`), finite numbers, booleans and None."""

    def rule(name: str, value: Any) -> None:
        if not isinstance(value, Mapping):
            raise ValueError(f"{name} is not an object")
        for key, part in value.items():
            of(name, key)
            if isinstance(part, str):
                of(name, part)
            elif isinstance(part, int) and abs(part) > LARGEST_INTEGER:
                raise ValueError(f"{name} holds {one_line(key)!r}, an integer beyond {LARGEST_INTEGER}")
            elif isinstance(part, float) and not math.isfinite(part):
                raise ValueError(f"{name} holds {one_line(key)!r}, which is not a finite number")
            elif not isinstance(part, int | float | None):
                raise ValueError(f"{name} holds {one_line(key)!r}, which is neither a text nor a number")

    return rule
