"""Audits a submission: runs a random sample of its trials again from their recorded configuration, and judges.

Two machines do not compute the same last bits, and training amplifies them: 1,176 trials that zapbench's published
results hold twice, of two machines, are 1.5 points apart on average and 9.6 at most, the means of a method 2.8 points.
The tolerances are set by that; on one machine a repetition is the same to the bit.
"""

import datetime
import math
import platform
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from zapbench import __version__
from zapbench.checks.reproduce import copy_checkpoint, job_of, refuse_files
from zapbench.identity import identity_of
from zapbench.leaderboard import contract
from zapbench.leaderboard.contract import Description
from zapbench.leaderboard.read.parse import EventFile, read_file
from zapbench.leaderboard.read.tabulate import Logs
from zapbench.leaderboard.submissions.audits import (
    CONFIRMED,
    CONTRADICTED,
    GIVEN,
    OPEN,
    RETRAINED,
    Audit,
    digests,
    points,
)
from zapbench.suites.plan import Plan
from zapbench.suites.suite import Suite
from zapbench.tasks import CHECKPOINT, RunSpec, Task
from zapbench.text import one_line

TOLERANCE = 0.10
MEAN_TOLERANCE = 0.03
TRIAL_TAGS = (contract.HELD_OUT, contract.TRAINED_ON, contract.FORGETTING)
RUN_TAGS = (contract.VALIDATION_ACCURACY, contract.TRAIN_ACCURACY)
AGREES, DISAGREES, NOT_RUN = "agrees", "disagrees", "not run"


@dataclass(frozen=True)
class Drawn:
    """A task that is run again.

    Attributes:
        file: the record, as tables name it.
        path: where it is.
        about: its description.
        task: the task, with which this zapbench repeats it.
        obstacle: why it cannot be repeated; empty where it can.
    """

    file: str
    path: Path
    about: Description
    task: Task
    obstacle: str


@dataclass(frozen=True)
class Result:
    """What became of a task: agrees, disagrees or not run; why; final held-out accuracy recorded minus repeated."""

    file: str
    verdict: str
    detail: str
    difference: float = math.nan


def ended_trials(logs: Logs) -> list[str]:
    """Returns the files of the trials that finished or diverged, sorted."""
    return sorted(logs.trials[logs.trials["status"].isin(contract.ENDED)]["file"])


def draw(logs: Logs, share: float, seed: int) -> list[str]:
    """Returns the files of a random sample of the trials that ended, drawn without replacement.

    Args:
        logs: a submission's.
        share: of the trials, above 0 and at most 1; at least one is drawn.
        seed: the submitter must not know it beforehand.

    Raises:
        ValueError: no trial ended.
    """
    files = ended_trials(logs)
    if not files:
        raise ValueError("there is no finished trial to run again")
    places = np.random.default_rng(seed).choice(len(files), max(1, math.ceil(share * len(files))), replace=False)
    return [files[place] for place in sorted(places)]


def pretrainings_of(logs: Logs, drawn: Sequence[Drawn]) -> list[str]:
    """Returns the files of the pre-trainings that trials follow."""
    known = {(one.about.scenario, one.about.config_hash, one.about.pretrain_seed) for one in drawn}
    rows = logs.runs[logs.runs["status"].isin(contract.ENDED)].to_dict("records")
    return sorted(
        str(row["file"]) for row in rows if (row["scenario"], row["config_hash"], row["pretrain_seed"]) in known
    )


def prepare(logs: Logs, files: Sequence[str], *, allow_files: bool) -> list[Drawn]:
    """Returns tasks as this zapbench repeats them.

    Raises:
        ValueError: a record names a .gin file or a module, and these are not allowed.
    """
    return [_prepared(file, logs.path(file), allow_files) for file in files]


def _prepared(file: str, path: Path, allow_files: bool) -> Drawn:
    about = read_file(path).description
    assert about is not None  # it was loaded
    if not allow_files:
        refuse_files(Path(file), about)
    job = job_of(about)
    run = replace(job.run, settings_tried=1)
    task = Task(run, replace(job.trials[0], settings_tried=1) if job.trials else None)
    if run.weights or about.weights:
        return Drawn(file, path, about, task, "its model was pre-trained elsewhere")
    return Drawn(file, path, about, task, identity_of(task.run, task.trial).difference(about))


def plans(drawn: Sequence[Drawn], threads: int) -> Iterator[Plan]:
    """Yields plans that together run the tasks.

    Two runs of one folder, which differ in the bindings of their trials, are never in one plan: each would train the
    folder's model.
    """
    left = [one.task for one in drawn if not one.obstacle]
    while left:
        first: dict[Path, RunSpec] = {}
        for task in left:
            first.setdefault(task.run.folder, task.run)
        now = [task for task in left if task.run == first[task.run.folder]]
        left = [task for task in left if task not in now]
        runs = dict.fromkeys(task.run for task in now)
        tasks = [each for run in runs for each in (Task(run), *(t for t in now if t.run == run and t.trial))]
        suite = Suite(
            scenarios=sorted({run.scenario for run in runs}),
            strategies=sorted({run.strategy for run in runs}),
            full=True,
            cpus=threads,
        )
        yield Plan(suite, tuple(tasks))


def lend_checkpoints(drawn: Sequence[Drawn], out: Path) -> None:
    """Copies the models that lie beside the records to where the trials look for them, unless there is one already."""
    for one in drawn:
        target = out / one.task.run.folder
        if one.task.trial is not None and not one.obstacle and not target.exists():
            _mark(target).parent.mkdir(parents=True, exist_ok=True)
            _mark(target).touch()
            copy_checkpoint(one.path.parent, target, len(one.task.trial.folder.parts))
            if not target.exists():  # there is none beside the record
                _mark(target).unlink()


def lent_models(drawn: Sequence[Drawn], out: Path) -> int:
    """Returns how many models below `out` are the submission's, and were not pre-trained there."""
    targets = {out / one.task.run.folder for one in drawn if not one.obstacle}
    return sum(_mark(target).exists() and (target / CHECKPOINT).is_file() for target in targets)


def _mark(run: Path) -> Path:
    """Returns the file that says that a run's model was taken from a submission."""
    return run.with_name(f"{run.name}.from_submission")


def judge(one: Drawn, out: Path, tolerance: float) -> Result:
    """Compares a record with its repetition below `out`."""
    if one.obstacle:
        return Result(one.file, NOT_RUN, one.obstacle)
    path = out / one.task.folder / contract.EVENT_FILE
    after = read_file(path) if path.is_file() else None
    if after is None or after.problem or after.closing.status not in contract.ENDED:
        reason = "" if after is None else after.problem or after.closing.reason or after.closing.status
        return Result(one.file, NOT_RUN, f"it failed here ({reason})" if reason else "it was not run to its end")
    before = read_file(one.path)
    if wrong := _different_facts(before, after):
        return Result(one.file, DISAGREES, wrong)
    tags = RUN_TAGS if one.task.trial is None else TRIAL_TAGS
    details = [d for tag in tags if (d := _different_curve(before, after, tag, tolerance))]
    first, second = (found.curves.get(tags[0], ([], []))[1] for found in (before, after))
    difference = first[-1] - second[-1] if one.task.trial and first and second else math.nan
    return Result(one.file, DISAGREES if details else AGREES, "; ".join(details), difference)


def _different_facts(before: EventFile, after: EventFile) -> str:
    assert before.description is not None
    assert after.description is not None
    if before.closing.status != after.closing.status:
        return f"it {before.closing.status}, and {after.closing.status} here"
    for name in ("fingerprint", "outputs", "protocol", "learner"):
        first, second = (getattr(found.description, name) for found in (before, after))
        if first != second:
            return f"its {name} is {first!r}, and {second!r} here"
    return ""


def _different_curve(before: EventFile, after: EventFile, tag: str, tolerance: float) -> str:
    """Says how a curve differs: by its points, its end, or its mean distance over the points; empty where it agrees."""
    first, second = before.curves.get(tag, ([], [])), after.curves.get(tag, ([], []))
    if not first[0] and tag != contract.HELD_OUT:
        return ""
    if first[0] != second[0]:
        return f"{tag} has {len(first[0])} points, and {len(second[0])} or others here"
    distances = np.abs(np.subtract(first[1], second[1]))
    if not np.isfinite(distances).all():
        return f"{tag} holds what is not a number"
    if distances.size and max(distances[-1], distances.mean()) > tolerance + 1e-6:  # logs hold float32
        return (
            f"{tag} ends at {100 * first[1][-1]:.1f}%, and at {100 * second[1][-1]:.1f}% here, "
            f"{points(round(float(distances.mean()), 3))} apart on average"
        )
    return ""


def mean_difference(results: Sequence[Result]) -> float:
    """Returns the mean of recorded minus repeated final held-out accuracy; 0 where nothing was run."""
    known = [one.difference for one in results if math.isfinite(one.difference)]
    return float(np.mean(known)) if known else 0.0


def verdict_of(results: Sequence[Result], tolerance: float) -> str:
    """Returns the verdict of a sample.

    The mean over trials is nearer to the record than each of them, so it has a tolerance of its own; that of few trials
    is wider.
    """
    known = sum(math.isfinite(one.difference) for one in results)
    limit = max(MEAN_TOLERANCE, tolerance / math.sqrt(known)) if known else 0.0
    if any(one.verdict == DISAGREES for one in results) or abs(mean_difference(results)) > limit + 1e-6:
        return CONTRADICTED
    return OPEN if any(one.verdict == NOT_RUN for one in results) else CONFIRMED


def audit_of(
    logs: Logs, drawn: Sequence[Drawn], results: Sequence[Result], terms: tuple[int, float, float], *, lent: bool
) -> Audit:
    """Returns the verdict of an audit.

    Args:
        logs: the submission's.
        drawn: what was to be run.
        results: what became of it, in the same order.
        terms: seed, share and tolerance.
        lent: whether models of the submission were taken.
    """
    seed, share, tolerance = terms
    trials = [result for one, result in zip(drawn, results) if one.task.trial is not None]
    return Audit(
        verdict=verdict_of(results, tolerance),
        seed=seed,
        share=share,
        trials=len(ended_trials(logs)),
        sampled=len(trials),
        not_run=sum(result.verdict == NOT_RUN for result in trials),
        disagree=sum(result.verdict == DISAGREES for result in results),
        models=GIVEN if lent else RETRAINED,
        tolerance=tolerance,
        mean_tolerance=MEAN_TOLERANCE,
        farthest=max((abs(one.difference) for one in results if math.isfinite(one.difference)), default=0.0),
        mean=mean_difference(results),
        methods={digest: one_line(f"{name} ({mark})") for (mark, name), digest in digests(logs).items()},
        results=[asdict(one) | {"difference": _finite(one.difference)} for one in results],
        version=__version__,
        time=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        device=platform.machine(),
    )


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
