"""Repeats a recorded task in a temporary folder and compares the two records field by field."""

import math
import shlex
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from zapbench import config
from zapbench.launchers.job import prepare_process, run_job
from zapbench.leaderboard import contract
from zapbench.leaderboard.contract import Description
from zapbench.leaderboard.read.parse import EventFile, class_losses, correct_per_class, read_file
from zapbench.tasks import CHECKPOINT, Job, Progress, RunSpec, TrialSpec, silent
from zapbench.text import one_line, rate_text

BLOCKS = "▁▂▃▄▅▆▇█"
WIDTH = 40
"""Characters of a curve on one line, at most."""


@dataclass(frozen=True)
class Comparison:
    """One field of two records: its name, whether the records agree in it, and its text before and after."""

    name: str
    same: bool
    before: str
    after: str


def read_task(folder: Path) -> tuple[EventFile, Description]:
    """Returns a task's record and its description.

    Raises:
        ValueError: the folder holds no readable record.
    """
    path = folder / contract.EVENT_FILE
    if not path.is_file():
        raise ValueError(f"{folder} holds no run: it has no file {contract.EVENT_FILE}")
    found = read_file(path)
    if found.problem or found.description is None:
        raise ValueError(f"{path}: {found.problem}")
    return found, found.description


def job_of(about: Description) -> Job:
    """Returns the job that repeats a task."""
    sources = _sources(about)
    setting = config.parse_bindings([f"{key} = {value}" for key, value in about.setting.items()])
    bindings = config.parse_bindings(about.bindings)
    run = RunSpec(
        sources["scenario"],
        sources["strategy"],
        about.pretrain_seed,
        setting,
        bindings,
        about.settings_tried,
        weights=sources.get("weights", ""),
    )
    if run.method != about.method:
        run = replace(run, name=about.method)
    if about.transfer is None or about.rate is None or about.transfer_seed is None:
        return Job(run)
    own = tuple(b for b in bindings if not config.reaches_pretraining(b))
    tuned = config.parse_bindings([f"{key} = {value}" for key, value in about.transfer_setting.items()])
    role: Literal["report", "select"] = "select" if about.role == contract.SELECT else "report"
    return Job(run, (TrialSpec(sources["transfer"], about.rate, role, about.transfer_seed, own, tuned),))


def _sources(about: Description) -> dict[str, str]:
    """Returns kind -> the name or file that a record names of it."""
    named = {"scenario": about.scenario, "strategy": about.strategy}
    if about.transfer is not None:
        named["transfer"] = about.transfer
    return named | {kind: str(name) for kind, name in about.sources.items()}


def command_of(about: Description) -> str:
    """Returns the command that repeats a task; the output folder is missing from it."""
    job = job_of(about)
    run, trials = job.run, job.trials
    what = ["transfer", run.weights, "--scenario", run.scenario] if run.weights else ["run", run.scenario, run.strategy]
    words = ["zapbench", *what, "--seed", str(run.seed), "--threads", str(about.threads)]
    words += ["--name", run.name] if run.name else []
    for binding in (*run.bindings, *run.setting, *(trials[0].setting if trials else ())):
        words += ["-p", str(binding)]
    for trial in trials:
        words += ["--transfer", trial.transfer, "--rates", rate_text(trial.rate)]
        kind = "--select-trials" if trial.role == "select" else "--trials"
        words += [kind, str(trial.seed + 1)]
    return shlex.join(words)


def repeat(folder: Path, threads: int, *, allow_files: bool = False, progress: Progress = silent) -> list[Comparison]:
    """Repeats a task and compares the records; a trial is repeated from its run's checkpoint if that still exists.

    Args:
        folder: the task's folder.
        threads: number of threads; 0 for as many as the record states.
        allow_files: whether .gin files that the record names may be run: they import code.
        progress: called as work advances.

    Raises:
        ValueError: the folder holds no record, or its task cannot be repeated here.
    """
    before, about = read_task(folder)
    if not allow_files:
        refuse_files(folder, about)
    progress("importing PyTorch and Avalanche", 0, 1)
    prepare_process(threads or about.threads)
    job = job_of(about)
    run, trials = job.run, job.trials
    if run.config_hash != about.config_hash:
        raise ValueError(
            f"{folder} cannot be repeated: its configuration was {about.config_hash}, "
            f"the files here give {run.config_hash}"
        )
    with tempfile.TemporaryDirectory(prefix="zapbench-repeat-") as temporary:
        out = Path(temporary)
        if trials:
            copy_checkpoint(folder, out / run.folder, len(trials[0].folder.parts))
        outcome = run_job(job, out, "zapbench repeat", progress)
        if outcome.failed or outcome.fatal:
            raise ValueError(next(iter(outcome.failed.values()), outcome.fatal))
        repeated = out / run.folder / trials[0].folder if trials else out / run.folder
        after, _ = read_task(repeated)
        return [*compare(before, after), *compare_tables(folder, repeated)]


def refuse_files(folder: Path, about: Description) -> None:
    """Refuses files that a log names, which may be another person's: shipped names alone are run unasked.

    Raises:
        ValueError: the log names one.
    """
    for kind, name in _sources(about).items():
        shipped = {"scenario": "scenarios", "strategy": "strategies", "transfer": "transfers"}.get(kind)
        if shipped and name not in config.shipped_names(shipped):
            raise ValueError(
                f"{folder} names {one_line(name)!r}, which is not a shipped {kind}; a .gin file runs code: read "
                "it, then add --allow-files"
            )


def copy_checkpoint(trial: Path, run: Path, depth: int) -> None:
    """Copies the checkpoint and the record of a trial's run, `depth` folders above it, if they exist."""
    own = trial.resolve().parents[depth - 1]
    if (own / CHECKPOINT).is_file() and (own / contract.EVENT_FILE).is_file():
        run.mkdir(parents=True)
        for name in (CHECKPOINT, contract.EVENT_FILE):
            shutil.copy(own / name, run / name)


def compare(before: EventFile, after: EventFile) -> Iterator[Comparison]:
    """Yields every field of two records of one task: of the description, the status, each curve."""
    assert before.description is not None
    assert after.description is not None
    first, second = before.description.stable(), after.description.stable()
    for name in sorted({*first, *second}):
        yield Comparison(name, first.get(name) == second.get(name), str(first.get(name)), str(second.get(name)))
    yield Comparison("status", before.closing == after.closing, before.closing.status, after.closing.status)
    unknown = set(contract.ADDED) - set(before.curves)  # to the version that made the first record
    for tag in sorted({*before.curves, *after.curves} - unknown):
        if not tag.startswith("cost/"):
            one, other = before.curves.get(tag, ([], [])), after.curves.get(tag, ([], []))
            yield Comparison(tag, _same(one, other), _last(one), _last(other))
    one_class, other_class = before.class_accuracy, after.class_accuracy
    if one_class or other_class:
        texts = [f"{len(values)} classes" for values in (one_class, other_class)]
        yield Comparison(contract.CLASS_ACCURACY, one_class == other_class, *texts)


def compare_tables(before: Path, after: Path) -> Iterator[Comparison]:
    """Yields the tables of points and classes that the record of the first folder holds, beside those of the second."""
    for tag, table in ((contract.CORRECT, correct_per_class), (contract.CLASS_LOSSES, class_losses)):
        one, other = (table(folder / contract.EVENT_FILE) for folder in (before, after))
        if one is not None:
            same = other is not None and np.array_equal(one, other, equal_nan=True)
            yield Comparison(tag, same, *("nothing" if t is None else _size(*t.shape) for t in (one, other)))


def _size(points: int, classes: int) -> str:
    return f"{points} points of {classes} classes"


def _same(one: tuple[list[int], list[float]], other: tuple[list[int], list[float]]) -> bool:
    both = zip(one[1], other[1])
    return one[0] == other[0] and all(a == b or (math.isnan(a) and math.isnan(b)) for a, b in both)


def _last(curve: tuple[list[int], list[float]]) -> str:
    return f"{len(curve[0])} points, the last {curve[1][-1]:.6g}" if curve[0] else "nothing"


def sparkline(values: list[float], width: int = WIDTH) -> str:
    """Returns a curve as a line of at most `width` blocks, scaled from its lowest to its highest value.

    Values that are not finite are blank.

    >>> sparkline([0.0, 0.5, 1.0])
    '▁▄█'
    """
    if len(values) > width:
        values = [values[round(i * (len(values) - 1) / (width - 1))] for i in range(width)]
    finite = [value for value in values if math.isfinite(value)]
    if not finite:
        return " " * len(values)
    low, high = min(finite), max(finite)
    scale = (len(BLOCKS) - 1) / (high - low) if high > low else 0.0
    return "".join(BLOCKS[int((v - low) * scale)] if math.isfinite(v) else " " for v in values)
