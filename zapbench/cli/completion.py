"""`zapbench completion`: prints a script with which a shell completes commands, options, names and paths."""

import argparse
from pathlib import Path

from zapbench.cli.arguments import add_command, folder

SHELLS = ("bash", "zsh")

KINDS = {"scenario": "scenarios", "strategy": "strategies", "transfer": "transfers", "suite": "suites"}
"""Argument -> the kind of configuration whose names it takes."""


def add_completion(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the command."""
    example = 'eval "$(zapbench completion bash)"'
    command = add_command(commands, "completion", "print a script for the completion of this shell", example)
    command.add_argument("shell", choices=SHELLS)
    command.set_defaults(command=_completion)


def _completion(options: argparse.Namespace) -> int:
    import shtab

    parser: argparse.ArgumentParser = options.parser
    for command in _parsers(parser):
        for action in command._actions:  # argparse has no public list of a parser's arguments
            if action.choices is None and action.dest in KINDS:
                action.complete = _names(KINDS[action.dest])  # type: ignore[attr-defined]
            elif action.type in (Path, folder) or action.dest == "weights":
                action.complete = shtab.FILE  # type: ignore[attr-defined]
    print(shtab.complete(parser, options.shell))
    return 0


def _parsers(parser: argparse.ArgumentParser) -> list[argparse.ArgumentParser]:
    """Returns a parser and those of its commands."""
    below = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
    return [parser, *(p for action in below for part in action.choices.values() for p in _parsers(part))]


def _names(kind: str) -> dict[str, object]:
    """Returns how shtab completes the names of a kind; in bash also paths, as of a person's own .gin files."""
    from zapbench import config

    names, function = " ".join(config.names(kind)), f"_zapbench_{kind}"
    bash = [f"compgen -W '{names}' -- \"$1\"", "compgen -f -X '!*.gin' -- \"$1\"", 'compgen -d -- "$1"']
    zsh = [f"compadd -- {names}", "_files -g '*.gin'"]
    preamble = {
        shell: "\n  ".join([f"{function}() {{", *lines]) + "\n}" for shell, lines in (("bash", bash), ("zsh", zsh))
    }
    return {"bash": function, "zsh": function, "preamble": preamble}
