"""Writes time and disk space of finished tasks: the default estimates of `zapbench suite --dry-run`.

    python benchmarks/costs.py LOGDIR ... --machine "two cores of ..., two processes" > zapbench/suites/costs.json

Each LOGDIR is an output folder of `zapbench suite --out`. Tasks that ran on a GPU are left out. With `--keep FILE`,
what the folders do not measure is as in an earlier table, each row with the machine that it was measured on.
"""

import argparse
import json
import sys
from collections import defaultdict
from pathlib import Path
from statistics import median

from zapbench.checks.reproduce import job_of
from zapbench.identity import identity_of
from zapbench.leaderboard import contract
from zapbench.leaderboard.read.parse import description_of, ending_of
from zapbench.suites.costs import kind, kind_but_length, what_of
from zapbench.tasks import CHECKPOINT, Task


def length(task: Task) -> dict[str, str | float]:
    """Returns the columns that a pre-training with a length has."""
    found = kind_but_length(task)
    return {"but_length": found[0], "length": found[1]} if found else {}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("logdir", type=Path, nargs="+", metavar="LOGDIR")
    parser.add_argument("--machine", required=True, help="where this was measured, in words")
    parser.add_argument("--keep", type=Path, metavar="FILE", help="an earlier table, for what is not measured anew")
    options = parser.parse_args()
    found: dict[str, list[tuple[float, int, Task]]] = defaultdict(list)
    others = 0
    for logdir in options.logdir:
        for path in sorted(logdir.rglob(contract.EVENT_FILE)):
            status, seconds = ending_of(path)
            about = description_of(path)
            if status != contract.FINISHED or about is None or not seconds > 0 or about.device not in ("", "cpu"):
                continue
            job = job_of(about)
            run, trials = job.run, job.trials
            task = Task(run, trials[0] if trials else None)
            if identity_of(run, task.trial).difference(about):  # another configuration or other code by now
                others += 1
                continue
            checkpoint = path.with_name(CHECKPOINT)
            weight = path.stat().st_size + (checkpoint.stat().st_size if checkpoint.exists() else 0)
            found[kind(task)].append((seconds, weight, task))
    rows = [
        {
            "what": what_of(measured[0][2]),
            "kind": name,
            **length(measured[0][2]),
            "seconds": round(median(seconds for seconds, _, _ in measured), 3),
            "bytes": round(median(weight for _, weight, _ in measured)),
            "measured": len(measured),
        }
        for name, measured in found.items()
    ]
    if others:
        print(f"{others} tasks are of another configuration or other code by now, and are not counted", file=sys.stderr)
    if not found:
        parser.error("no task was measured")
    if options.keep:
        kept = json.loads(options.keep.read_text())
        rows += [{"machine": kept["machine"], **row} for row in kept["costs"] if row["kind"] not in found]
    for row in rows:
        if row.get("machine") == options.machine:
            del row["machine"]
    table = {"machine": options.machine, "costs": sorted(rows, key=lambda row: (row["what"], row["kind"]))}
    json.dump(table, sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()
