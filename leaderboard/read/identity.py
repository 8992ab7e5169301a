"""Who made a submission: `submission.toml` beside its logs, untrusted input like everything else in it."""

import datetime
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from zapbench.leaderboard import bounds
from zapbench.leaderboard.read.tabulate import Logs
from zapbench.text import is_invisible, nearest, one_line, some_of

FILE = "submission.toml"
LARGEST = 1 << 14
"""Bytes of the file."""
LONGEST = 300
LONGEST_LINK = 500
MOST_AUTHORS = 50
YEARS = (2000, 2100)

TEMPLATE = """\
# Who made these logs. The leaderboard's page shows it. All lines but paper and code are needed.
authors = []              # ["Ada Lovelace", "Charles Babbage"]
contact = ""              # an e-mail address, or a link that begins with https://
sentence = ""             # what is new, in one sentence
licence = ""              # of the logs, for example CC-BY-4.0
date = {date}         # of the submission
# paper = "https://..."
# code = "https://..."
"""

_EMAIL = re.compile(r"[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+")
_LICENCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+ ()-]*")
_LINK = re.compile(r"[!#-&(-;=?-\[\]_a-z~]+")
"""Letters of a link; none of quotes, angle brackets, backslashes and what is not ASCII."""


@dataclass(frozen=True)
class Identity:
    """Who made a submission, and where to read about it.

    Attributes:
        authors: their names.
        contact: an e-mail address or an https link.
        sentence: what is new.
        licence: of the logs.
        date: of the submission, as YYYY-MM-DD.
        paper: an https link, or nothing.
        code: an https link, or nothing.
    """

    authors: tuple[str, ...]
    contact: str
    sentence: str
    licence: str
    date: str
    paper: str = ""
    code: str = ""

    @property
    def line(self) -> str:
        """Who, when, under which licence and what, in a line."""
        return f"{some_of(self.authors, 5)}, {self.date}, {self.licence}: {self.sentence}"


def read_identity(path: Path) -> Identity:
    """Reads and checks a file.

    Raises:
        ValueError: it is not such a file; one line that begins with its name.
    """
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
    except OSError as error:
        raise ValueError(f"{path.name} cannot be read ({error.strerror})") from None
    if len(content) > LARGEST:
        raise ValueError(f"{path.name} has more than {LARGEST:,} bytes")
    try:
        values = tomllib.loads(content.decode("utf-8"))
    except RecursionError:
        raise ValueError(f"{path.name} is nested too deeply") from None
    except ValueError as error:  # not UTF-8, or not TOML
        raise ValueError(f"{path.name} is not TOML ({one_line(str(error))[:LONGEST]})") from None
    try:
        return _identity(values)
    except ValueError as error:
        raise ValueError(f"{path.name}: {one_line(str(error))}") from None


def _identity(values: Mapping[str, Any]) -> Identity:
    for name in values:
        if name not in RULES:
            raise ValueError(
                f"unknown key {one_line(name)[:LONGEST]!r}{nearest(name, RULES)}; known: {', '.join(RULES)}"
            )
    missing = [name for name in RULES if name not in values and name not in OPTIONAL]
    if missing:
        raise ValueError(f"lacks {', '.join(missing)}")
    for name, value in values.items():
        RULES[name](name, value)
    return Identity(**{name: _plain(value) for name, value in values.items()})


def _plain(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else str(value)


def _words(name: str, value: Any) -> None:
    bounds.label(name, value)
    if not value.strip():
        raise ValueError(f"{name} is empty")
    if len(value) > LONGEST:
        raise ValueError(f"{name} is longer than {LONGEST} characters")
    if any(map(is_invisible, value)):
        raise ValueError(f"{name} holds a character that cannot be seen")


def _authors(name: str, value: Any) -> None:
    if not isinstance(value, list) or not 1 <= len(value) <= MOST_AUTHORS:
        raise ValueError(f"{name} is not a list of 1 to {MOST_AUTHORS} names")
    for author in value:
        _words(name, author)


def _link(name: str, value: Any) -> None:
    if not isinstance(value, str) or not value.startswith("https://"):
        raise ValueError(f"{name} is not a link that begins with https://")
    if len(value) > LONGEST_LINK or not _LINK.fullmatch(value):
        raise ValueError(f"{name} is longer than {LONGEST_LINK} characters, or holds some that a link does not have")
    try:
        parts = urlsplit(value)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise ValueError(f"{name} is not a link") from None
    if not host or "." not in host or "@" in parts.netloc or port not in (None, 443):
        raise ValueError(f"{name} names no public host, or a user or port with it")


def _contact(name: str, value: Any) -> None:
    if isinstance(value, str) and len(value) <= LONGEST and _EMAIL.fullmatch(value):
        return
    if not isinstance(value, str) or not value.startswith("https://"):
        raise ValueError(f"{name} is neither an e-mail address nor a link that begins with https://")
    _link(name, value)


def _licence(name: str, value: Any) -> None:
    _words(name, value)
    if not _LICENCE.fullmatch(value):
        raise ValueError(f"{name} is not the name of a licence, as CC-BY-4.0 is")


def _date(name: str, value: Any) -> None:
    if isinstance(value, datetime.datetime) or not isinstance(value, datetime.date):
        raise ValueError(f"{name} is not a date without quotes, as 2026-01-31 is")
    if not YEARS[0] <= value.year <= YEARS[1]:
        raise ValueError(f"{name} is not in the years {YEARS[0]} to {YEARS[1]}")


OPTIONAL = ("paper", "code")
RULES: dict[str, Callable[[str, Any], None]] = {
    "authors": _authors,
    "contact": _contact,
    "sentence": _words,
    "licence": _licence,
    "date": _date,
    "paper": _link,
    "code": _link,
}
"""What each key may hold."""


def write_template(path: Path) -> None:
    """Writes a file to fill in; it is refused until it is.

    Raises:
        OSError: it is there already, or cannot be written.
    """
    with path.open("x", encoding="utf-8") as file:
        file.write(TEMPLATE.format(date=datetime.date.today().isoformat()))


def identities(logs: Logs) -> tuple[dict[str, Identity], list[str]]:
    """Returns who made the logs: event file, as the logs call it -> identity; and what is wrong with such files.

    A `submission.toml` speaks for the event files of its folder and of those below it that have none of their own.
    """
    found: dict[str, Identity] = {}
    problems: list[str] = []
    known: dict[str, Identity | None] = {}

    def of(folder: str) -> Identity | None:
        if not folder and "" not in logs.folders:
            return None
        if folder not in known:
            path = logs.path(f"{folder}/{FILE}" if folder else FILE)
            above = of(folder.rpartition("/")[0]) if folder else None
            known[folder] = above
            if path.is_file():
                try:
                    known[folder] = read_identity(path)
                except ValueError as error:
                    problems.append(one_line(f"{folder}/{error}" if folder else str(error)))
                    known[folder] = None
        return known[folder]

    for file in (*logs.trials["file"], *logs.runs["file"]):
        identity = of(file.rpartition("/")[0])
        if identity is not None:
            found[file] = identity
    return found, problems
