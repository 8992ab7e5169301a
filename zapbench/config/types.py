"""Whether bound values have the types that the parameters declare: before anything is made.

Only what a declaration says plainly is checked (numbers, texts, flags, literals, None, and unions of these); references
and everything else are left to the constructor.
"""

import ast
import contextlib
import inspect
import types
import typing
from collections.abc import Mapping
from typing import Any

import gin

PLAIN = {int: "a whole number", float: "a number", bool: "True or False", str: "a text in quotes"}


def check_types(configuration: Mapping[str, str]) -> None:
    """Checks the values of a configuration whose macros are put in.

    Args:
        configuration: binding -> value as text; what is not registered is skipped.

    Raises:
        ValueError: a value has another type than its parameter declares.
    """
    for key, text in configuration.items():
        selector, _, parameter = key.rsplit("/", 1)[-1].partition(".")
        if not parameter or "@" in text or "%" in text:
            continue
        try:
            value = ast.literal_eval(text)
        except (ValueError, SyntaxError):  # a macro that is not bound
            continue
        hint = hints_of(selector).get(parameter, Any)
        if not fits(value, hint):
            raise ValueError(f"{key} is {text}; allowed: {describe(hint)}")


def hints_of(name: str) -> dict[str, Any]:
    """Returns the declared types of a configurable's parameters, those of inherited constructors included."""
    found = gin.config._REGISTRY.get_match(name)
    if found is None:
        return {}
    wrapped = found.wrapped
    makers = (
        [vars(c)["__init__"] for c in reversed(wrapped.__mro__[:-1]) if "__init__" in vars(c)]
        if inspect.isclass(wrapped)
        else [wrapped]
    )
    hints: dict[str, Any] = {}
    for maker in makers:
        with contextlib.suppress(NameError, TypeError, AttributeError):  # declared in a way that cannot be read here
            hints |= typing.get_type_hints(maker)
        declared = inspect.signature(maker).parameters.values()
        hints |= {
            p.name: p.annotation for p in declared if p.annotation is not p.empty and not isinstance(p.annotation, str)
        }
    return hints


def fits(value: Any, hint: Any) -> bool:
    """Returns whether a value may have a declared type; True where the declaration is none of the plain ones."""
    if hint is None or hint is type(None):
        return value is None
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if hint in (bool, str):
        return isinstance(value, hint)
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        return any(fits(value, part) for part in typing.get_args(hint))
    if origin is typing.Literal:
        return any(value == allowed and type(value) is type(allowed) for allowed in typing.get_args(hint))
    return True


def describe(hint: Any) -> str:
    """Returns a declared type in words."""
    if hint in PLAIN:
        return PLAIN[hint]
    if hint is None or hint is type(None):
        return "None"
    origin, parts = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(describe(part) for part in parts)
    if origin is typing.Literal:
        return ", ".join(map(repr, parts))
    return getattr(hint, "__name__", str(hint))
