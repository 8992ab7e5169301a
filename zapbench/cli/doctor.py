"""`zapbench doctor`: what is installed, which data and devices are here, and the command that fixes what is not."""

import argparse
from pathlib import Path

from zapbench.cli.arguments import add_command
from zapbench.cli.environment import BROKEN, examine


def add_doctor(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the command."""
    what = "say what is installed, which data and devices are here, and what fixes what is not"
    command = add_command(commands, "doctor", what, "zapbench doctor")
    command.add_argument("--out", type=Path, default=Path("runs"), help="the output folder to try (default: runs)")
    command.set_defaults(command=_doctor)


def _doctor(options: argparse.Namespace) -> int:
    found = []
    for finding in examine(options.out):
        found.append(finding)
        print(f"  {finding.state:6}  {finding.subject:22} {' '.join(finding.words.split())}", flush=True)
        if finding.remedy:
            print(f"{'':34}{finding.remedy}")
    broken = sum(finding.state == BROKEN for finding in found)
    print(
        "zapbench can run here"
        if not broken
        else f"{broken} of {len(found)} are broken: fix them, then run `zapbench doctor` again"
    )
    return 1 if broken else 0
