"""Writes the reference pages that are generated from the code: commands, configurables, configurations, modules."""

import argparse
import importlib
import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gin

from zapbench import config
from zapbench.cli.main import _parser
from zapbench.experiment.root import register_everything

MODULES = {
    "From Python": ("zapbench.api",),
    "Log format": ("zapbench.leaderboard.contract",),
    "Scenarios and streams": (
        "zapbench.scenarios.scenario",
        "zapbench.scenarios.trial",
        "zapbench.scenarios.images",
        "zapbench.scenarios.image_tensor",
        "zapbench.scenarios.streams",
        "zapbench.scenarios.sizes",
    ),
    "Pre-training": (
        "zapbench.strategies.base",
        "zapbench.strategies.episodic",
        "zapbench.strategies.zapping",
        "zapbench.strategies.cadence",
    ),
    "Networks": ("zapbench.networks.classifier",),
    "Checking a strategy": ("zapbench.checks.strategy", "zapbench.seeding"),
    "From logs to tables": (
        "zapbench.leaderboard.read.load",
        "zapbench.leaderboard.decide.tables",
        "zapbench.leaderboard.decide.compare",
        "zapbench.leaderboard.decide.select",
        "zapbench.leaderboard.decide.curves",
        "zapbench.leaderboard.read.mapping",
    ),
}
"""Modules that people's own code may use, by heading."""


def write(folder: Path) -> None:
    """Writes the pages; unchanged pages keep their time stamp, so a second build is fast."""
    folder.mkdir(parents=True, exist_ok=True)
    pages = {
        "commands.md": commands(),
        "configurables.md": configurables(),
        "configurations.md": configurations(),
        "modules.md": modules(),
    }
    for name, text in pages.items():
        path = folder / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def commands() -> str:
    """Returns the page with the help of every command."""
    parts = ["# Commands\n\nThe output of `zapbench COMMAND --help`.\n"]
    for name, parser in _commands(_parser(), "zapbench"):
        parts.append(f"## {name}\n\n```text\n{parser.format_help().rstrip()}\n```\n")
    return "\n".join(parts)


def _commands(parser: argparse.ArgumentParser, name: str) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    yield name, parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for word, inner in action.choices.items():
                yield from _commands(inner, f"{name} {word}")


def configurables() -> str:
    """Returns the page of everything that a .gin file or `-p` can bind, with parameters and defaults."""
    register_everything()
    for module in ("transfer.avalanche", "transfer.protocol", "suites.suite", "leaderboard.read.mapping"):
        importlib.import_module(f"zapbench.{module}")
    own: dict[str, dict[str, Any]] = {}
    others: dict[str, dict[str, Any]] = {}
    for selector, found in gin.config._REGISTRY.items():  # gin has no public list of its configurables
        module = found.wrapped.__module__
        if module.split(".")[0] == "gin":
            continue
        kept = own if module.split(".")[0] == "zapbench" else others
        kept.setdefault(module, {})[selector.rsplit(".", 1)[-1]] = found.wrapped
    parts = [
        "# Configurables\n",
        "Everything that a .gin file or `-p` can bind. A parameter marked `REQUIRED` has no default: a shipped file\n"
        "binds it, or the run passes it (the model, the optimiser).\n",
    ]
    for module in sorted(own):
        parts.append(f"## {module}\n")
        parts += [_configurable(name, own[module][name]) for name in sorted(own[module])]
    parts.append("## From Avalanche and PyTorch\n\nTheir parameters are documented by Avalanche and PyTorch.\n")
    for module in sorted(others):
        parts.append(f"- `{module}`: " + ", ".join(f"`{name}`" for name in sorted(others[module])))
    return "\n".join(parts) + "\n"


def _configurable(name: str, wrapped: Any) -> str:
    first = (inspect.getdoc(wrapped) or "").partition("\n\n")[0].replace("\n", " ")
    rows = [f"| `{name}.{p}` | {_shown(default)} |" for p, default in parameters(wrapped).items()]
    table = "\n".join(["| parameter | default |", "| --- | --- |", *rows, ""]) if rows else ""
    return f"### {name}\n\n{first.replace('*', chr(92) + '*')}\n\n{table}"


def parameters(wrapped: Any) -> dict[str, Any]:
    """Returns parameters and defaults of a function, or of all constructors in the inheritance chain of a class."""
    makers = [wrapped]
    if inspect.isclass(wrapped):
        makers = [vars(c)["__init__"] for c in wrapped.__mro__[:-1] if "__init__" in vars(c)]
    found: dict[str, Any] = {}
    for maker in makers:
        for parameter in inspect.signature(maker).parameters.values():
            if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY) and parameter.name != "self":
                found.setdefault(parameter.name, parameter.default)
    return found


def _shown(default: Any) -> str:
    if default is inspect.Parameter.empty or default is gin.REQUIRED:
        return "REQUIRED"
    if callable(default):
        return f"`{getattr(default, '__name__', type(default).__name__)}`"
    text = repr(default)
    if " at 0x" in text or "<" in text or len(text) > 80:
        text = type(default).__name__
    return f"`{text}`".replace("|", "\\|")


def configurations() -> str:
    """Returns the page with the text of every shipped configuration."""
    parts = ["# Configurations\n\nThe shipped files in `gin/`. A configuration has the name of its file.\n"]
    for kind in config.KINDS:
        parts.append(f"## {kind.capitalize()}\n")
        for name in config.shipped_names(kind):
            text = config.find(kind, name).read_text(encoding="utf-8").rstrip()
            parts.append(f"### {name}\n\n{config.summary(kind, name)}\n\n```text\n{text}\n```\n")
    return "\n".join(parts)


def modules() -> str:
    """Returns the page of modules; Sphinx inserts their docstrings."""
    parts = ["# Modules\n\nFunctions and classes that your own code may use.\n"]
    for heading, names in MODULES.items():
        parts.append(f"## {heading}\n")
        for name in names:
            parts.append(f"### {name}\n\n```{{eval-rst}}\n.. automodule:: {name}\n   :members:\n```\n")
    return "\n".join(parts)
