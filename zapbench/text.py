"""Texts that people read: suggestions, one-line errors, numbers, folder names. Standard library only."""

import difflib
import hashlib
import math
import re
import unicodedata
from collections.abc import Iterable, Sequence


def nearest(word: str, known: Iterable[str]) -> str:
    """Returns `, did you mean ...?` for the nearest known words, or nothing."""
    close = difflib.get_close_matches(word, list(known), n=3, cutoff=0.5)
    return f", did you mean {' or '.join(close)}?" if close else ""


def one_line(text: str) -> str:
    r"""Returns a text in one line, as anything may show it: no control, no half of a pair, no turn of direction.

    >>> one_line("a\nb\x1b[2J")
    'a b�[2J'
    """
    return " ".join(shown(text).split())


def count(number: int, noun: str) -> str:
    """Returns a number and its noun.

    >>> count(1, "trial"), count(3, "trial")
    ('1 trial', '3 trials')
    """
    return f"{number} {noun}{'' if number == 1 else 's'}"


def in_words(names: Sequence[str]) -> str:
    """Returns names as a sentence has them.

    >>> in_words(["a"]), in_words(["a", "b", "c"])
    ('a', 'a, b and c')
    """
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def some_of(words: Iterable[str], most: int = 10) -> str:
    """Returns some words in a row, and how many more there are.

    >>> some_of(["a", "b"]), some_of("abcd", 2)
    ('a, b', 'a, b and 2 more')
    """
    every = list(words)
    more = len(every) - most
    return ", ".join(every[:most]) + (f" and {more} more" if more > 0 else "")


def shown(text: str) -> str:
    """Returns a text as anything may show it; its lines stay."""
    return UNPRINTABLE.sub("\ufffd", text)


LARGEST_INTEGER = 2**53 - 1
"""The largest whole number that every reader of JSON holds exactly."""

_SELECTORS = (*range(0x180B, 0x1810), *range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0))
_BLANK = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0") | set(map(chr, _SELECTORS))
"""Letters, marks and symbols that are drawn as nothing: Unicode's ignorable ones that are not controls, and blanks."""


def is_invisible(letter: str) -> bool:
    """Returns whether a character other than a space is drawn as nothing, or is none.

    >>> is_invisible("\u200b"), is_invisible("\u2800"), is_invisible("a")
    (True, True, False)
    """
    return letter in _BLANK or unicodedata.category(letter) in ("Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp")


UNPRINTABLE = re.compile("[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\ud800-\udfff\u202a-\u202e\u2066-\u2069\ufffe\uffff]")


def rate_text(rate: float) -> str:
    """Returns a learning rate as folders show it.

    >>> rate_text(0.0001), rate_text(0.03), rate_text(1.0)
    ('0.0001', '0.03', '1')
    """
    return f"{rate:.10f}".rstrip("0").rstrip(".") if rate >= 1e-6 else f"{rate:g}"


def folder_text(parts: tuple[str, ...], *, longest: int = 80) -> str:
    """Returns a folder's name for some bindings: `default` for none, cut and hashed where long.

    >>> folder_text(("ASB.inner_lr = 0.1",))
    'ASB.inner_lr=0.1'
    >>> folder_text(())
    'default'
    """
    if not parts:
        return "default"
    whole = ",".join(re.sub(r"\s*=\s*", "=", part, count=1) for part in parts)
    safe = re.sub(r"[^A-Za-z0-9_.,=+-]", "_", whole).strip(".")
    if safe == whole and len(safe) <= longest:
        return safe
    return f"{safe[: longest - 9]}-{hashlib.sha256(whole.encode()).hexdigest()[:8]}"


def duration_text(seconds: float) -> str:
    """Returns seconds in at most two units.

    >>> duration_text(42.4), duration_text(150), duration_text(3 * 3600 + 130), duration_text(float("nan"))
    ('42 s', '2 min 30 s', '3 h 2 min', 'unknown')
    """
    if math.isnan(seconds):
        return "unknown"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    hours, minutes = divmod(round(whole / 60), 60)
    return f"{hours} h {minutes} min" if hours < 48 else f"{hours // 24} days {hours % 24} h"


def size_text(weight: float) -> str:
    """Returns bytes in megabytes or gigabytes; `unknown` for NaN."""
    if math.isnan(weight):
        return "unknown"
    return f"{weight / 1e9:,.1f} GB" if weight >= 1e9 else f"{weight / 1e6:,.1f} MB"
