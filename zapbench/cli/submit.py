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
    command.add_argument(
        "--identity",
        type=Path,
        metavar="FILE.toml",
        help="says who made it (default: LOGDIR/submission.toml); a file to fill in is written where there is none",
    )
    command.set_defaults(command=_submit)


def _submit(options: argparse.Namespace) -> int:
    from zapbench.leaderboard.read.identity import write_template
    from zapbench.leaderboard.submissions.archives import pack

    if options.identity is not None and not options.identity.exists():
        write_template(options.identity)
        raise ValueError(f"there was no {options.identity}; it is written now: fill it in, and run the command again")
    packed = pack(options.logdir, options.out, options.identity)
    print(f"{options.out}: {packed} event files, {options.out.stat().st_size:,} bytes")
    return check_submission(options.out, [])


def check_submission(path: Path, logdirs: Sequence[Path], target: Path | None = None) -> int:
    """Prints what is wrong with a submission, alone or together with folders of logs.

    Args:
        path: the zip.
        logdirs: the logs that it would join; folders without event files count as none.
        target: a new folder to unpack it into, if it can be ranked; None for none.

    Returns:
        0 where it can be ranked, 1 where it cannot, 3 where a person should look at something first.
    """
    from zapbench.leaderboard.read.files import find
    from zapbench.leaderboard.read.identity import FILE
    from zapbench.leaderboard.read.load import load
    from zapbench.leaderboard.submissions.archives import unpack
    from zapbench.leaderboard.submissions.check import check

    if target is not None and target.exists():
        raise ValueError(f"{target} is there already; a submission is unpacked into a folder of its own")
    beside = [folder for folder in logdirs if find(folder).files]
    verdict = check(path, load(beside, workers=cores()) if beside else None)
    for kind, lines in (("error", verdict.problems), ("to be looked at", verdict.doubts)):
        for line in lines[:MOST_PROBLEMS]:
            print(f"  {kind}: {line}")
        if len(lines) > MOST_PROBLEMS:
            print(f"  and {len(lines) - MOST_PROBLEMS} more")
    if verdict.identity is not None:
        print(f"  by {verdict.identity.line}")
    else:
        print(f"  without a valid {FILE}: a page will say that its authors are not known")
    print(f"{path} {verdict.sentence}")
    if target is not None and not verdict.problems:
        unpack(path, target)
        print(f"unpacked into {target}")
    return 1 if verdict.problems else 3 if verdict.doubts else 0
