"""Writes the pages of reference that come from the code itself: commands, configurables, configurations, modules."""

import argparse
import importlib
import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gin

from zapbench import config
from zapbench.cli.main import _parser

MODULES = {
    "The record": ("zapbench.leaderboard.contract",),
    "Scenarios and streams": (
        "zapbench.scenarios.scenario",
        "zapbench.scenarios.trial",
        "zapbench.scenarios.images",
        "zapbench.scenarios.image_tensor",
        "zapbench.scenarios.streams",
        "zapbench.scenarios.sizes",
    ),
    "Pre-training": ("zapbench.strategies.zapping", "zapbench.strategies.episodic", "zapbench.strategies.cadence"),
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
"""What a person's own code calls; everything else is for those who read the source."""


def write(folder: Path) -> None:
    """Writes the pages; those that stay the same are not touched, so that a second build is quick."""
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
    """Returns every command's help."""
    parts = ["# Commands\n\nAs `zapbench COMMAND --help` prints it.\n"]
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
    """Returns everything that a .gin file or `-p` can bind, with parameters and defaults, from gin's registry."""
    config.register_everything()
    for module in ("experiment", "contenders", "protocol", "suite", "leaderboard.mapping"):
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
        "What a .gin file or `-p` can bind, as gin's registry has it. `REQUIRED` has no default: a shipped file binds\n"
        "it, or the run hands it over itself (the model, the optimiser).\n",
    ]
    for module in sorted(own):
        parts.append(f"## {module}\n")
        parts += [_configurable(name, own[module][name]) for name in sorted(own[module])]
    parts.append(
        "## From elsewhere\n\nAvalanche's and torch's, under these names; their parameters are in their own "
        "documentation.\n"
    )
    for module in sorted(others):
        parts.append(f"- `{module}`: " + ", ".join(f"`{name}`" for name in sorted(others[module])))
    return "\n".join(parts) + "\n"


def _configurable(name: str, wrapped: Any) -> str:
    first = (inspect.getdoc(wrapped) or "").partition("\n\n")[0].replace("\n", " ")
    rows = [f"| `{name}.{p}` | {_shown(default)} |" for p, default in parameters(wrapped).items()]
    table = "\n".join(["| parameter | default |", "| --- | --- |", *rows, ""]) if rows else ""
    return f"### {name}\n\n{first.replace('*', chr(92) + '*')}\n\n{table}"


def parameters(wrapped: Any) -> dict[str, Any]:
    """Returns the parameters of a function, or of every constructor that a class inherits, with their defaults."""
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
    """Returns every shipped configuration, with its file."""
    parts = ["# Configurations\n\nThe folder `gin/` is the registry: a file is known by its name.\n"]
    for kind in config.KINDS:
        parts.append(f"## {kind.capitalize()}\n")
        for name in config.names(kind):
            text = config.find(kind, name).read_text(encoding="utf-8").rstrip()
            parts.append(f"### {name}\n\n{config.summary(kind, name)}\n\n```text\n{text}\n```\n")
    return "\n".join(parts)


def modules() -> str:
    """Returns the page of modules, whose docstrings Sphinx reads."""
    parts = ["# Modules\n\nWhat code of your own may call.\n"]
    for heading, names in MODULES.items():
        parts.append(f"## {heading}\n")
        for name in names:
            parts.append(f"### {name}\n\n```{{eval-rst}}\n.. automodule:: {name}\n   :members:\n```\n")
    return "\n".join(parts)
