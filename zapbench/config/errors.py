"""Errors of gin in one line, with the nearest names where a name is unknown."""

import inspect
import re
import tokenize
from collections.abc import Iterable

import gin

from zapbench.config.bindings import Binding
from zapbench.text import nearest

GIN_ERRORS = (ValueError, TypeError, SyntaxError, ImportError, AttributeError, tokenize.TokenError, RuntimeError)
"""What parsing or calling a configuration raises where the configuration is wrong."""


def explain(error: BaseException) -> str:
    """Returns an error of gin's in one line, with the nearest names where a name is unknown."""
    lines = [line.strip() for line in str(error).strip().split("\n") if line.strip()]
    message = lines[0] if lines else type(error).__name__
    if match := re.search(r"No configurable matching '([^']+)'", str(error)):
        name = match.group(1).rsplit("/", 1)[-1]
        return f"no configurable {name!r}{nearest(name, configurables())}"
    if match := re.search(r"No bindings specified for '(?:.*/)?(\w+)/(?:gin\.)?macro'", str(error)):
        name = match.group(1)
        return f"{name} is not bound: add a line `{name} = VALUE` to the scenario's .gin file, or -p '{name} = VALUE'"
    if match := re.search(r"Configurable '([^']+)' doesn't have a parameter named '([^']+)'", str(error)):
        name, parameter = match.groups()
        return _no_parameter(name, parameter, parameters(name))
    if isinstance(error, TypeError) and (match := re.search(r"In call to configurable '([^']+)'", str(error))):
        return f"{match.group(1)}: a value has the wrong type ({message})"
    return message


def configurables() -> list[str]:
    """Returns the names of everything registered with gin so far."""
    registry = gin.config._REGISTRY  # gin has no public list of its configurables
    return sorted({str(selector).rsplit(".", 1)[-1] for selector, _ in registry.items()})


def parameters(name: str) -> list[str]:
    """Returns the parameters of a configurable; for a class those of every constructor that it inherits."""
    wrapped = gin.config._REGISTRY.get_match(name).wrapped  # not gin's wrapper, which takes anything
    makers = (
        [vars(c)["__init__"] for c in wrapped.__mro__[:-1] if "__init__" in vars(c)]
        if inspect.isclass(wrapped)
        else [wrapped]
    )
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    found = [p.name for maker in makers for p in inspect.signature(maker).parameters.values() if p.kind in named]
    return [name for name in dict.fromkeys(found) if name != "self"]


def check_parameters(bindings: Iterable[Binding]) -> None:
    """Refuses unknown parameters of classes that pass keywords on (Avalanche's do): gin lets them through."""
    for binding in bindings:
        _, _, argument = binding.key.rsplit("/", 1)[-1].partition(".")
        if argument and binding.selector in configurables() and argument not in (known := parameters(binding.selector)):
            raise ValueError(_no_parameter(binding.selector, argument, known))


def _no_parameter(name: str, parameter: str, known: list[str]) -> str:
    return f"{name} has no parameter {parameter!r}{nearest(parameter, known)}; it has: {', '.join(known)}"
