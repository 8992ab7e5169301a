"""Bindings of .gin files and of the command line as text: parsed without importing anything."""

import math
import re
import tokenize
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gin import config_parser

from zapbench.config.sources import with_new_names


@dataclass(frozen=True)
class Binding:
    """One parsed binding: `key` (say `outer/Adam.lr`) and `value` as text."""

    key: str
    value: str

    @property
    def selector(self) -> str:
        """The configurable or macro that is bound: `Adam` of `outer/Adam.lr`."""
        return selector_of(self.key)

    def __str__(self) -> str:
        return f"{self.key} = {self.value}"


def selector_of(key: str) -> str:
    """Returns the configurable or macro that a key binds."""
    return key.rsplit("/", 1)[-1].split(".", 1)[0]


class _Text(config_parser.ParserDelegate):
    """Keeps references and macros as text, so that parsing imports nothing."""

    def configurable_reference(self, scoped_configurable_name: str, evaluate: bool) -> Any:
        return _Reference(f"@{scoped_configurable_name}{'()' if evaluate else ''}")

    def macro(self, macro_name: str) -> Any:
        return _Reference(f"%{macro_name}")


class _Reference(str):
    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def parse_bindings(lines: Sequence[str]) -> tuple[Binding, ...]:
    """Parses `-p` bindings without importing anything; the last one of a key wins.

    Raises:
        ValueError: one is not of the form `Name.parameter = value`.
    """
    parsed: dict[str, Binding] = {}
    for line in lines:
        try:
            statements = list(statements_of(with_new_names(line)))
        except (SyntaxError, ValueError, tokenize.TokenError) as error:
            raise ValueError(f"cannot read the binding {line!r} ({_reason(line, error)})") from None
        for statement in statements:
            if not isinstance(statement, config_parser.BindingStatement):
                raise ValueError(f"{line!r} is not a binding; write 'Name.parameter = value'")
            if not _is_finite(statement.value):
                raise ValueError(f"{line!r}: the value must be finite")
            binding = _binding(statement)
            if binding.key == "PRETRAIN_SEED":
                raise ValueError(f"{line!r} would not count: the pre-training seed is that of --seed or of Suite.seeds")
            parsed.pop(binding.key, None)
            parsed[binding.key] = binding
    return tuple(parsed.values())


def _reason(line: str, error: BaseException) -> str:
    value = line.partition("=")[2].strip()
    if value.lstrip("+-") in ("inf", "nan", "Infinity", "NaN"):
        return "the value must be finite"
    if re.fullmatch(r"[A-Za-z_][\w./-]*", value):
        return f"a text is written in quotes, {value!r}, and a reference with @ or %"
    if "<ast." in str(error):
        return "a value is a number, a text in quotes, a list, a dictionary or a reference; nothing is called"
    return "write 'Name.parameter = value'"


def statements_of(text: str) -> "config_parser.ConfigParser":
    """Returns the statements of a configuration; references and macros stay text, so nothing is imported."""
    return config_parser.ConfigParser(text, _Text())


def bindings_in(text: str) -> dict[str, str]:
    """Returns the bindings of a configuration, key -> value as text."""
    found = {}
    for statement in statements_of(text):
        if isinstance(statement, config_parser.BindingStatement):
            binding = _binding(statement)
            found[binding.key] = binding.value
    return found


def _binding(statement: Any) -> Binding:
    scope = f"{statement.scope}/" if statement.scope else ""
    argument = f".{statement.arg_name}" if statement.arg_name else ""
    selector = statement.selector.rsplit(".", 1)[-1]
    return Binding(f"{scope}{selector}{argument}", repr(statement.value))


def names_in(value: str) -> set[str]:
    """Returns the configurables and macros that a value refers to."""
    return {name.rsplit("/", 1)[-1].rsplit(".", 1)[-1] for name in re.findall(r"[@%]([\w./]+)", value)}


def _is_finite(value: Any) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, list | tuple):
        return all(map(_is_finite, value))
    return all(map(_is_finite, value.values())) if isinstance(value, dict) else True
