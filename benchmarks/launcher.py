"""What is the overhead of a suite: of the local launcher per run, and of listing a plan?

    python benchmarks/launcher.py           # 20 runs, five times; 10,000 planned tasks
    python benchmarks/launcher.py --small   # fewer, once, results are not saved

Overhead per run = (processes x wall-clock time - sum of the tasks' `cost/seconds`) / runs. It includes composing and
locking the configuration, the run's lock file, descriptions, disk writes, messages between processes, and processes
that wait for the last run. Processes are warm: each has finished runs of the same kind before the measurement, so
imports, compilation and image decoding are excluded. A run has three tasks: pre-training, and one trial at each of
two rates.

Listing is measured for `zapbench suite --dry-run` as a process (with imports and printing), and for the forecast alone.
"""

import argparse
import io
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console

from zapbench.launchers.local import ProcessPoolLauncher
from zapbench.launchers.progress import display
from zapbench.leaderboard.read.load import load
from zapbench.suites.forecast import forecast
from zapbench.suites.plan import plan
from zapbench.suites.suite import Suite, load_suite
from zapbench.tasks import Job, Outcome

RUNS = Suite(
    scenarios=("glyphs",),
    strategies=("asb",),
    trials=0,
    select_trials=1,
    rates=(0.001, 0.01),
    bindings=("convnet.filters = 4", "ASB.episodes = 10", "glyphs.classes_per_selection_trial = 10"),
)
LISTED = ("Suite.full = True", "Suite.trials = 20", "Suite.select_trials = 11")


def jobs_of(suite: Suite) -> list[Job]:
    grouped = plan(suite).runs
    return [Job(run, tuple(task.trial for task in tasks if task.trial)) for run, tasks in grouped.items()]


def timed_runs(pool: ProcessPoolLauncher, suite: Suite) -> float:
    """Returns the wall-clock seconds of all runs of a suite."""
    jobs = jobs_of(suite)
    began = time.perf_counter()
    with display(Console(file=io.StringIO()), "", len(jobs)) as show:
        for outcome in pool.run(jobs, show):
            assert outcome == Outcome()
    return time.perf_counter() - began


def overhead(runs: int, processes: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory(prefix="zapbench-launcher-") as out:
        pool = ProcessPoolLauncher(Path(out), "", 1, processes)
        try:
            timed_runs(pool, Suite(**vars(RUNS) | {"seeds": tuple(range(1000, 1000 + 2 * processes))}))
            wall = timed_runs(pool, Suite(**vars(RUNS) | {"seeds": runs}))
        finally:
            pool.close()
        logs = load(Path(out))
    tasks = [frame[frame["pretrain_seed"] < runs]["seconds"] for frame in (logs.runs, logs.trials)]
    assert [len(seconds) for seconds in tasks] == [runs, 2 * runs]
    learning = float(sum(seconds.sum() for seconds in tasks))
    return {"wall_s": wall, "tasks_s": learning, "overhead_s_a_run": (processes * wall - learning) / runs}


def listing(seeds: int) -> dict[str, float]:
    bindings = [*LISTED, f"Suite.seeds = {seeds}"]
    with tempfile.TemporaryDirectory(prefix="zapbench-launcher-") as out:
        began = time.perf_counter()
        found = forecast(plan(load_suite("demo", bindings)), Path(out), 1)
        inside = time.perf_counter() - began
        words = [sys.executable, "-m", "zapbench", "suite", "demo", "--dry-run", "--out", out]
        began = time.perf_counter()
        subprocess.run(words + [w for b in bindings for w in ("-p", b)], check=True, stdout=subprocess.DEVNULL)
        return {"tasks": found.tasks, "process_s": time.perf_counter() - began, "forecast_s": inside}


def median(measured: list[dict[str, float]]) -> dict[str, object]:
    """Returns the median of each number, and all of them."""
    return {
        name: {"median": statistics.median(values), "all": [round(value, 4) for value in values]}
        for name in measured[0]
        for values in [[one[name] for one in measured]]
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--times", type=int, default=5)
    parser.add_argument("--small", action="store_true", help="fewer, once, results are not saved")
    options = parser.parse_args()
    runs, times, seeds = (2, 1, 1) if options.small else (options.runs, options.times, 20)
    result = {
        "what": f"{runs} runs of three tasks on {options.processes} processes; {seeds * 500:,} planned tasks",
        "cores": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
        "load_before": os.getloadavg()[0],
        "runs": median([overhead(runs, options.processes) for _ in range(times)]),
        "listing": median([listing(seeds) for _ in range(times)]),
    }
    text = json.dumps(result, indent=1)
    print(text)
    if not options.small:
        (Path(__file__).parent / "results" / "launcher.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
