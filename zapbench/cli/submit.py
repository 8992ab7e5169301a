"""`zapbench submit`: packs event files into a submission, and checks whether it can be ranked."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from zapbench.cli.arguments import add_command
from zapbench.launchers.cpus import cores

MOST_PROBLEMS = 50
"""How many problems of a submission are printed."""


def add_submit(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the command."""
    example = "zapbench submit runs --out mine.zip"
    command = add_command(
        commands,
        "submit",
        "pack the event files of a folder into a submission, and check that it can be ranked",
        example,
    )
    command.add_argument("logdir", type=Path, metavar="LOGDIR", help="folder of TensorBoard logs")
    command.add_argument("--out", type=Path, required=True, metavar="NAME.zip", help="the submission to write")
    command.set_defaults(command=_submit)


def _submit(options: argparse.Namespace) -> int:
    from zapbench.leaderboard.submissions.archives import pack

    packed = pack(options.logdir, options.out)
    print(f"{options.out}: {packed} event files, {options.out.stat().st_size:,} bytes")
    return check_submission(options.out, [])


def check_submission(path: Path, logdirs: Sequence[Path]) -> int:
    """Prints the problems of a submission, alone or together with folders of logs; returns 1 if there are any."""
    from zapbench.leaderboard.read.load import load
    from zapbench.leaderboard.submissions.check import check

    verdict = check(path, load(logdirs, workers=cores()) if logdirs else None)
    for problem in verdict.problems[:MOST_PROBLEMS]:
        print(f"  {problem}")
    if len(verdict.problems) > MOST_PROBLEMS:
        print(f"  and {len(verdict.problems) - MOST_PROBLEMS} more")
    print(f"{path} {verdict.sentence}")
    return 1 if verdict.problems else 0
