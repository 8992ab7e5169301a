"""`zapbench audit`: runs a random sample of a submission's trials again and writes a verdict."""

import argparse
import contextlib
import functools
import math
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from zapbench.cli import suite as suites
from zapbench.cli.arguments import MOST_JOBS, MOST_THREADS, add_command, folder, number
from zapbench.launchers.cpus import cores
from zapbench.text import LARGEST_INTEGER, duration_text, one_line

if TYPE_CHECKING:
    from zapbench.checks.audit import Drawn


def add_audit(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the command."""
    example = "zapbench audit theirs.zip --share 0.1 --seed 42"
    what = "run a random sample of a submission's trials again, and write whether its records are confirmed"
    command = add_command(commands, "audit", what, example)
    command.add_argument("submission", type=Path, metavar="SUBMISSION", help="a zip of `zapbench submit`, or a folder")
    command.add_argument("--share", type=share, default=0.1, help="of the trials that is run again (default: 0.1)")
    command.add_argument(
        "--seed",
        type=number(0, LARGEST_INTEGER),
        required=True,
        help="the sample is drawn with it; choose it after you have the submission",
    )
    command.add_argument(
        "--pretraining",
        action="store_true",
        help="also compare pre-trainings, and take no model from the submission's folder (a zip holds none)",
    )
    command.add_argument(
        "--tolerance", type=share, metavar="SHARE", help="largest difference of an accuracy that agrees (default: 0.1)"
    )
    command.add_argument("--dry-run", action="store_true", help="show what would be run, and run nothing")
    command.add_argument("--verdict", type=Path, metavar="FILE", help="default: SUBMISSION.audit.json")
    command.add_argument("--out", type=folder, help="where the trials are run (default: a folder in runs/audit)")
    command.add_argument("--jobs", type=number(1, MOST_JOBS), help="tasks that run at once (default: the cores)")
    command.add_argument(
        "--threads", type=number(1, MOST_THREADS), help="threads per process (default: as many as the records state)"
    )
    command.add_argument(
        "--allow-files", action="store_true", help="also run .gin files that records name; they may run any code"
    )
    command.set_defaults(command=_audit, launcher="local", address=None)


def share(text: str) -> float:
    """An argument type: a number above 0 and at most 1."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0 and at most 1")
    return value


def _audit(options: argparse.Namespace) -> int:
    from zapbench.atomic import write_atomically
    from zapbench.checks.audit import TOLERANCE, audit_of, draw, ended_trials, judge, prepare, pretrainings_of
    from zapbench.leaderboard.read.load import load
    from zapbench.leaderboard.submissions.audits import CONFIRMED, digest_of, power_sentence

    with _folder_of(options.submission) as unpacked:
        logs = load(unpacked, workers=cores())
        files = draw(logs, options.share, options.seed)
        drawn = prepare(logs, files, allow_files=options.allow_files)
        if options.pretraining:
            drawn += prepare(logs, pretrainings_of(logs, drawn), allow_files=options.allow_files)
        _show(drawn)
        print(power_sentence(len(ended_trials(logs)), len(files)))
        if options.dry_run:
            return 0
        out, lent = _run(options, drawn, digest_of(logs))
        tolerance = options.tolerance or TOLERANCE
        results = [judge(one, out, tolerance) for one in drawn]
        audit = audit_of(logs, drawn, results, (options.seed, options.share, tolerance), lent=lent)
    path = options.verdict or options.submission.with_name(f"{_title(options.submission)}.audit.json")
    write_atomically(path, audit.to_json().encode())
    for result in results:
        if result.detail:
            print(f"  {result.verdict}  {one_line(f'{result.file}: {result.detail}')}")
    print(f"{options.submission} {audit.sentence}")
    print(path)
    return 0 if audit.verdict == CONFIRMED else 1


@contextlib.contextmanager
def _folder_of(submission: Path) -> Iterator[Path]:
    """Yields a submission's folder; a zip is unpacked as untrusted input, and deleted at the end."""
    from zapbench.leaderboard.submissions.archives import unpack

    if submission.is_dir():
        yield submission
        return
    with tempfile.TemporaryDirectory(prefix="zapbench-audit-") as temporary:
        if problems := unpack(submission, Path(temporary)):
            raise ValueError(
                f"{submission}: {problems[0]}; zapbench leaderboard --check {submission} shows all problems"
            )
        yield Path(temporary)


def _show(drawn: "Sequence[Drawn]") -> None:
    """Prints what is run, before it is: the command of each task, or why there is none, and how long it takes."""
    from zapbench.checks.reproduce import command_of
    from zapbench.suites.costs import Costs, shipped
    from zapbench.tasks import Task

    runs = dict.fromkeys(one.task.run.folder for one in drawn if not one.obstacle)
    print(f"{len(drawn)} tasks of {len(runs)} pre-trained models:")
    for one in drawn:
        print(f"  {one_line(one.file)}: {f'not run: {one.obstacle}' if one.obstacle else command_of(one.about)}")
    costs = Costs("", shipped())
    tasks = dict.fromkeys(task for one in drawn if not one.obstacle for task in (Task(one.task.run), one.task))
    known = [cost.seconds for task in tasks if (cost := costs.of(task))]
    least = "at least " if len(known) < len(tasks) else ""
    if known:
        print(f"{least}{duration_text(sum(known))} of computation, as zapbench's own runs")


def _title(submission: Path) -> str:
    """Returns what a submission is called: a folder's name may hold a dot."""
    return submission.resolve().name.removesuffix(".zip")


def _run(options: argparse.Namespace, drawn: "Sequence[Drawn]", digest: str) -> tuple[Path, bool]:
    """Runs the tasks; returns where, and whether models of the submission were taken.

    Raises:
        ValueError: pre-trainings are to be compared, and models of the submission were taken there before.
    """
    from zapbench.checks.audit import lend_checkpoints, lent_models, plans

    kind = "-pretraining" if options.pretraining else ""
    name = f"{_title(options.submission)}-{digest[:8]}-seed={options.seed}{kind}"
    options.out = options.out or Path("runs") / "audit" / name
    threads = options.threads or max([1, *(one.about.threads for one in drawn)])
    if not options.pretraining:
        lend_checkpoints(drawn, options.out)
    lent = lent_models(drawn, options.out)
    if options.pretraining and lent:
        raise ValueError(f"{options.out} holds models taken from the submission; choose another --out")
    for planned in plans(drawn, threads):
        suites.launch(planned, options.out, functools.partial(suites.launcher_for, planned.suite, options))
    return options.out, lent > 0
