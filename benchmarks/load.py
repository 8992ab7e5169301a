"""How fast is a large folder of logs read: without cache, with cache, and compared with TensorBoard's reader?

    python benchmarks/load.py                     # 10,000 trial files of 600 steps x 3 tags
    python benchmarks/load.py --files 300 --quick # fewer files

Times are those of complete processes, with imports and tables. For 200 files, some of them truncated, every row and
every point is compared with TensorBoard's `EventAccumulator`.
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

import numpy as np

from zapbench.leaderboard import contract
from zapbench.leaderboard.contract import Closing, Description

COMPARED = 200
TORN_EVERY = 20


def generate(folder: Path, *, files: int, steps: int, distinct: int = 50) -> None:
    """Writes trial records with one of `distinct` curves each; every 20th file is truncated."""
    from zapbench.experiment.record import EventWriter

    facts = dict.fromkeys(contract.FINGERPRINT_FIELDS, 1)
    bodies = [body(steps, seed) for seed in range(distinct)]
    for number in range(files):
        method, rest = number % 8, number // 8
        seed, trial = rest % 5, rest // 5
        about = Description(
            scenario="generated", strategy=f"m{method}", method=f"m{method}", pretrain_seed=seed, transfer="sequential",
            protocol="sequential, frozen", rate=0.001, role="report", transfer_seed=trial, outputs=1000,
            config_hash=f"m{method}", fingerprint=contract.fingerprint(facts), fingerprint_fields=facts,
        )  # fmt: skip
        buffer = io.BytesIO()
        writer = EventWriter(buffer)
        writer.start(about, "generated")
        buffer.write(bodies[number % distinct])
        writer.close_with(Closing(contract.FINISHED), step=steps)
        place = folder / f"m{method}" / f"seed={seed}" / f"report={trial}"
        place.mkdir(parents=True)
        content = buffer.getvalue()
        (place / contract.EVENT_FILE).write_bytes(content[:-9] if number % TORN_EVERY == 0 else content)


def body(steps: int, seed: int) -> bytes:
    from zapbench.experiment.record import EventWriter

    generator = np.random.default_rng(seed)
    buffer = io.BytesIO()
    writer = EventWriter(buffer)
    tags = (contract.HELD_OUT, contract.TRAINED_ON, contract.FORGETTING)
    for step in range(1, steps + 1):
        writer.scalars(dict(zip(tags, generator.random(3))), step=step)
    return buffer.getvalue()


LOAD = """
import os, sys
from pathlib import Path
from zapbench.leaderboard.read.load import load
if __name__ == "__main__":
    logs = load(Path(sys.argv[1]), cache=Path(sys.argv[2]), workers=len(os.sched_getaffinity(0)))
    print(len(logs.trials), len(logs.problems))
"""


def timed(folder: Path, cache: Path) -> tuple[float, str]:
    start = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", LOAD, folder, cache], capture_output=True, text=True, check=True)
    return time.perf_counter() - start, done.stdout.strip()


def compare(folder: Path) -> dict[str, float]:
    """Compares rows and points with `EventAccumulator`; returns seconds per file of both readers."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    from zapbench.leaderboard.read.parse import points, read_file, summarise

    paths = sorted(folder.rglob("*tfevents*"))
    chosen = paths[:: max(1, len(paths) // COMPARED)][:COMPARED]
    ours, theirs = [], []
    for path in chosen:
        start = time.perf_counter()
        found = read_file(path)
        row, flat = summarise(found), np.asarray(points(found)).reshape(-1, 4)
        ours.append(time.perf_counter() - start)
        start = time.perf_counter()
        accumulator = EventAccumulator(str(path), size_guidance={"scalars": 0}).Reload()
        curves = {
            tag: accumulator.Scalars(tag) for tag in (contract.HELD_OUT, contract.TRAINED_ON, contract.FORGETTING)
        }
        theirs.append(time.perf_counter() - start)
        held_out = curves[contract.HELD_OUT]
        assert [p.step for p in held_out] == list(flat[:, 0].astype(int)), path
        for column, tag in enumerate((contract.HELD_OUT, contract.TRAINED_ON, contract.FORGETTING), start=1):
            assert [p.value for p in curves[tag]] == list(flat[:, column]), path
        assert row["held_out"] == held_out[-1].value, path
    return {"files": len(chosen), "ours_s": statistics.median(ours), "event_accumulator_s": statistics.median(theirs)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--quick", action="store_true", help="one run of each, results are not saved")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="zapbench-load-") as temporary:
        logs, cache = Path(temporary) / "logs", Path(temporary) / "cache"
        generate(logs, files=options.files, steps=options.steps)
        cold, rows = timed(logs, cache)
        warm = [timed(logs, cache) for _ in range(1 if options.quick else 5)]
        assert {found for _, found in warm} == {rows}, "a warm load gives other rows"
        result = {
            "what": f"{options.files} trial files of {options.steps} steps x 3 tags",
            "cores": len(os.sched_getaffinity(0)),
            "python": platform.python_version(),
            "rows_and_problems": rows,
            "cold_s": cold,
            "warm_s": statistics.median(seconds for seconds, _ in warm),
            "compared": compare(logs),
        }
    text = json.dumps(result, indent=1)
    print(text)
    if not options.quick:
        (Path(__file__).parent / "results" / "load.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
