"""`zapbench doctor`: reports the installation, the data and the devices, with a command for every problem."""

import argparse
import sys
from importlib.util import find_spec
from pathlib import Path

from zapbench.cli.arguments import add_command
from zapbench.cli.diagnosis import BROKEN
from zapbench.cli.environment import examine
from zapbench.extras import EXTRAS, TRAIN, command_for


def add_doctor(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the command."""
    what = "report the installation, the data and the devices, with a command for every problem"
    command = add_command(commands, "doctor", what, "zapbench doctor")
    command.add_argument("--out", type=Path, default=Path("runs"), help="the output folder to test (default: runs)")
    command.set_defaults(command=_doctor)


def _say(now: str) -> None:
    """Shows on a terminal what is waited for, until the next call; `rich` may be what is missing."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[K{now and f'  {now} ...'}")
        sys.stderr.flush()


def _doctor(options: argparse.Namespace) -> int:
    found = []
    for finding in examine(options.out, _say):
        found.append(finding)
        _say("")
        print(f"  {finding.state:6}  {finding.subject:22} {' '.join(finding.detail.split())}", flush=True)
        if finding.remedy:
            print(f"{'':34}{finding.remedy}")
    broken = sum(finding.state == BROKEN for finding in found)
    if broken:
        print(f"{broken} of {len(found)} checks failed: fix them, then run `zapbench doctor` again")
    elif all(find_spec(module) for module in EXTRAS[TRAIN]):
        print("zapbench can run on this machine")
    else:
        print(f"zapbench can rank logs on this machine; training needs {command_for(TRAIN)}")
    return 1 if broken else 0
