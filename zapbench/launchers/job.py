"""What a process does for a suite: it readies itself, checks jobs, and runs them one run at a time."""

import os
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from zapbench import config
from zapbench.launchers.allocator import keep_freed_memory
from zapbench.tasks import Outcome, Progress, RunSpec, Stopped, TrialSpec

Work = tuple[RunSpec, tuple[TrialSpec, ...]]
"""A run with its trials of one transfer; without trials: its pre-training alone."""

AVALANCHES_OWN = ("no QP solver found", "Call to deprecated ")
"""How warnings begin of what Avalanche does itself: GEM's solver is missing, its plug-ins call what it deprecates."""

_show = warnings.showwarning

LIBRARIES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


def limit_libraries(threads: int) -> None:
    """Lets libraries that start threads of their own start so many; for a process that has not imported them yet."""
    os.environ |= dict.fromkeys(LIBRARIES, str(threads))


def prepare_process(threads: int) -> None:
    """Readies this process for training: threads, freed memory kept, and no word of what nobody here can change."""
    warnings.showwarning = _show_others
    import torch

    keep_freed_memory()
    torch.set_num_threads(threads)


def _show_others(message: Warning | str, *rest: Any, **more: Any) -> None:
    """Shows a warning that is not Avalanche's own; a filter would not do, as it puts its own first at every call."""
    if not str(message).startswith(AVALANCHES_OWN):
        _show(message, *rest, **more)


def check_jobs(jobs: list[Work], out: Path) -> None:
    """See `Engine.check`; what differs in its seed alone is rehearsed once."""
    from zapbench.experiment.context import Job
    from zapbench.experiment.root import execute

    rehearsed = set()
    for run, trials in jobs:
        configuration = (replace(run, seed=0), trials[0].transfer if trials else "")
        try:
            execute(Job(run, trials, out, check=True, rehearse=configuration not in rehearsed))
            rehearsed.add(configuration)
        except TypeError as error:  # a value of the wrong type, or a parameter that is missing
            raise ValueError(config.explain(error)) from error


def what_does_not_fit(jobs: list[Work], out: Path) -> str:
    """Returns in words what `check_jobs` refuses, for another process to raise; nothing where all fits."""
    try:
        check_jobs(jobs, out)
    except ValueError as error:
        return config.explain(error)
    return ""


def run_jobs(
    jobs: list[Work],
    out: Path,
    command: str,
    progress: Progress,
    trace: Callable[[], None] = lambda: None,
) -> Outcome:
    """Runs the jobs of one run; never raises but for what ends this process. `trace` is called where one fails."""
    from zapbench.experiment.context import Job
    from zapbench.experiment.root import execute

    whole = Outcome()
    for run, trials in jobs:
        try:
            whole.add(execute(Job(run, trials, out, command, progress=progress)))
        except Stopped:
            whole.stopped = True
        except Exception as error:
            whole.failed[str(out / run.folder)] = reason_of(error)
            trace()
        if whole.stopped or whole.fatal or whole.failed:
            break
    return whole


def reason_of(error: BaseException) -> str:
    """Returns an error in one line, its kind first."""
    return f"{type(error).__name__.removesuffix('ExceptionProxy')}: {config.explain(error)}"


def name_of(jobs: list[Work]) -> str:
    """Returns what the jobs of one run are called: the run's folder."""
    return jobs[0][0].folder.as_posix()


def word_of(outcome: Outcome) -> str:
    """Returns in words how jobs ended."""
    if outcome.stopped:
        return "stopped"
    if outcome.fatal:
        return f"stopped ({outcome.fatal})"
    if outcome.failed:
        return f"failed ({next(iter(outcome.failed.values()))})"
    return f"done, {len(outcome.diverged)} task(s) diverged" if outcome.diverged else "done"
