"""How a process of a launcher prepares itself, checks jobs and runs them."""

import os
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from zapbench import config
from zapbench.extras import TRAIN, require
from zapbench.launchers.allocator import keep_freed_memory
from zapbench.launchers.home import import_with_writable_home
from zapbench.tasks import Job, Outcome, Progress, Stopped, silent

AVALANCHE_WARNINGS = ("Call to deprecated ",)
"""First words of the warnings that Avalanche causes itself: its plug-ins call functions that it deprecates."""

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")

CHECKING = "checking every configuration"
"""The phase before anything is trained."""

_showwarning = warnings.showwarning


def limit_library_threads(threads: int) -> None:
    """Limits the threads of numerical libraries; must be called before they are imported."""
    os.environ |= dict.fromkeys(THREAD_VARIABLES, str(threads))


def prepare_process(threads: int) -> None:
    """Prepares this process for training: sets threads, keeps freed memory, hides warnings that Avalanche causes.

    Raises:
        ValueError: what training needs is not installed.
    """
    require(TRAIN)
    warnings.showwarning = _show_unless_avalanche
    import torch

    import_with_writable_home()
    keep_freed_memory()
    torch.set_num_threads(threads)


def _show_unless_avalanche(message: Warning | str, *rest: Any, **more: Any) -> None:
    """Shows a warning unless Avalanche causes it; a filter would not work, as Avalanche puts its own filters first."""
    if not str(message).startswith(AVALANCHE_WARNINGS):
        _showwarning(message, *rest, **more)


def check_jobs(jobs: list[Job], out: Path, progress: Progress = silent) -> None:
    """See `Launcher.check`; jobs that differ in their seed alone are rehearsed once.

    Raises:
        ValueError: something does not fit, or a binding has no effect in any of the jobs.
    """
    from zapbench.experiment.context import Options
    from zapbench.experiment.root import configured

    rehearsed: set[object] = set()
    effects = config.Effects()
    parts = [part for job in jobs for part in job.by_transfer()]
    for number, part in enumerate(parts):
        progress(CHECKING, number, len(parts))
        configuration = (replace(part.run, seed=0), part.transfer, part.setting)
        try:
            experiment = configured(part, Options(out))
            if configuration in rehearsed:
                continue
            experiment.rehearse()
        except (ValueError, OSError):
            raise
        except Exception as error:  # a value of the wrong type, or an error in a person's own code
            raise ValueError(f"{part.run.strategy} cannot be used: {config.explain(error)}") from error
        rehearsed.add(configuration)
        _observe(effects, part)
    effects.refuse_idle()


def _observe(effects: config.Effects, part: Job) -> None:
    """Notes which bindings of `-p`, of a suite, and of a person's own strategy and transfer the rehearsal used.

    Not looked at: a scenario's file, which may bind what only some strategies read; what a strategy binds for transfer,
    which some transfers may not read; and what `-p` or the suite binds otherwise.
    """
    given = [*part.run.bindings, *part.run.setting, *part.setting]
    effects.observe([b for b in given if b.key not in config.OPERATIONAL])
    if part.transfer is None:
        return
    replaced = {b.key.rpartition("/")[2] for b in given}
    of_strategy = filter(config.reaches_pretraining, config.written_in(part.run.strategy))
    for file, written in ((part.run.strategy, of_strategy), (part.transfer, config.written_in(part.transfer))):
        own = [b for b in written if b.key.rpartition("/")[2] not in replaced and b.key not in config.OPERATIONAL]
        effects.observe(own, file)


def reason_to_refuse(jobs: list[Job], out: Path, progress: Progress = silent) -> str:
    """Returns the message of `check_jobs`'s error, for another process to raise; empty if there is none."""
    try:
        check_jobs(jobs, out, progress)
    except ValueError as error:
        return config.explain(error)
    return ""


def run_job(
    job: Job, out: Path, command: str, progress: Progress, on_failure: Callable[[], None] = lambda: None
) -> Outcome:
    """Runs a job and returns its outcome; an error makes it a failed one.

    Args:
        job: a run with its trials.
        out: output folder.
        command: the command line, which descriptions record.
        progress: called as work advances.
        on_failure: called while the error is being handled, so that it can print the traceback.
    """
    from zapbench.experiment.context import Options
    from zapbench.experiment.root import execute

    try:
        return execute(job, Options(out, command, progress))
    except Stopped:
        return Outcome(stopped=True)
    except Exception as error:
        on_failure()
        return Outcome(failed={str(out / job.run.folder): reason_of(error)})


def reason_of(error: BaseException) -> str:
    """Returns an error in one line, beginning with its type."""
    return f"{type(error).__name__.removesuffix('ExceptionProxy')}: {config.explain(error)}"
