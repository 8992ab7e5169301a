"""Kills a suite with SIGKILL at random times, resumes it, and compares its results with an uninterrupted suite's.

    python benchmarks/torture.py --kills 20 --pre-training 5 --transfer 5 --writing 3

Each kill ends the process group. After the requested number of kills the suite runs to its end. Its logs (folder, tag,
step, value), its descriptions (except volatile fields) and its table must equal those of an uninterrupted suite. Kills
are repeated, in new folders if necessary, until each phase was killed as often as requested.
"""

import argparse
import io
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PHASES = ("pre-training", "transfer", "writing")
LOG = os.environ.get("ZAPBENCH_TORTURE_LOG", "")
SHRUNK = [
    "Suite.seeds = 2", "Suite.trials = 2", "Suite.select_trials = 1", "Suite.rates = [0.001, 0.01]",
    "Suite.strategies = ['iid_zap', 'asb_zap']", "Suite.tune = {}", "Suite.tried_before = {}",
    "glyphs.classes_per_trial = 20", "glyphs.classes_per_selection_trial = 10",
    "ASB.episodes = 60", "IID.epochs = 2", "convnet.filters = 4",
]  # fmt: skip


@contextmanager
def phase(name: str) -> Iterator[None]:
    """Logs that this process is in a phase."""
    log(name, "begins")
    try:
        yield
    finally:
        log(name, "ends")


def log(name: str, word: str) -> None:
    with open(LOG, "a", encoding="utf-8") as file:
        file.write(f"{os.getpid()} {name} {word}\n")


def instrument() -> None:
    """Logs the phases of a worker, and slows writing down so that kills can hit it."""
    from tensorboard.summary.writer import record_writer

    from zapbench.experiment import pretraining, trials

    def logged(name, function):
        def wrapped(*args, **kwargs):
            with phase(name):
                return function(*args, **kwargs)

        return wrapped

    def slow_sync(descriptor, sync=os.fsync):
        with phase("writing"):
            time.sleep(0.05)
            sync(descriptor)

    def torn_write(self, data, write=record_writer.RecordWriter.write):
        file = self._writer
        if isinstance(file, io.BytesIO):
            return write(self, data)
        whole = io.BytesIO()
        write(record_writer.RecordWriter(whole), data)
        content = whole.getvalue()
        with phase("writing"):
            file.write(content[: len(content) // 2])
            file.flush()
            time.sleep(0.01)
            file.write(content[len(content) // 2 :])

    pretraining.Pretraining._train = logged("pre-training", pretraining.Pretraining._train)
    trials.Trials._trial = logged("transfer", trials.Trials._trial)
    trials.Trials._sweep = logged("transfer", trials.Trials._sweep)
    os.fsync = slow_sync
    record_writer.RecordWriter.write = torn_write


if LOG and __name__ == "__mp_main__":  # a worker spawned by the suite under test
    instrument()


def start(arguments: list[str], log_file: Path | None) -> subprocess.Popen[bytes]:
    environment = dict(os.environ, ZAPBENCH_TORTURE_LOG=str(log_file) if log_file else "")
    command = [sys.executable, __file__, "--child", *arguments]
    quiet = subprocess.DEVNULL
    return subprocess.Popen(command, env=environment, stdout=quiet, stderr=quiet, start_new_session=True)


def active(log_file: Path, skip: int) -> list[str]:
    """Returns the innermost phase of each worker that is in one, from the log's lines after `skip`."""
    stacks: dict[str, list[str]] = {}
    for line in log_file.read_text(encoding="utf-8").splitlines()[skip:]:
        pid, name, word = line.split(" ")
        stack = stacks.setdefault(pid, [])
        if word == "begins":
            stack.append(name)
        elif stack:
            stack.pop()
    return [stack[-1] for stack in stacks.values() if stack]


def kill_in(target: str, process: subprocess.Popen[bytes], log_file: Path, skip: int, dice: random.Random) -> str:
    """Kills the group while a worker is in `target`; returns the phase that was hit, or nothing if it had ended."""
    patience = dice.uniform(0, 4)  # seconds, so that kills hit different points of the phase
    seen = None
    while process.poll() is None:
        now = active(log_file, skip)
        if target in now:
            seen = seen or time.monotonic()
            if time.monotonic() - seen >= patience:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                return target if target in active(log_file, skip) else "between"
        time.sleep(0.002)
    return ""


def logs_of(folder: Path) -> list[tuple[object, ...]]:
    """Returns everything that must be equal: (folder, tag, step, value), statuses and stable descriptions."""
    from zapbench.leaderboard.read.parse import read_file

    found: list[tuple[object, ...]] = []
    for path in sorted(folder.rglob("*tfevents*")):
        file = read_file(path)
        place = path.parent.relative_to(folder).as_posix()
        found.append((place, file.problem, file.closing, file.class_accuracy))
        found.append((place, file.description.stable() if file.description else None))
        for tag, (steps, values) in sorted(file.curves.items()):
            if not tag.startswith("cost/"):
                found += [(place, tag, step, value) for step, value in zip(steps, values)]
    return found


def differences(expected: list[tuple[object, ...]], found: list[tuple[object, ...]], most: int = 10) -> list[str]:
    """Returns the first entries of logs that one list has more often than the other."""
    count = Counter(map(str, found))
    count.subtract(Counter(map(str, expected)))
    other = [f"{number:+d} {entry}"[:2000] for entry, number in count.items() if number]
    return [f"{len(other)} entries differ, here what the resumed suite has more (+) or less (-):", *other[:most]]


def table_of(folder: Path) -> dict[str, object]:
    """Returns the tables without their cost columns."""
    from zapbench.leaderboard.decide.tables import tables
    from zapbench.leaderboard.read.load import load
    from zapbench.leaderboard.show.data import to_json

    logs = load(folder)
    found = json.loads(to_json(tables(logs), logs.problems))
    for table in found["tables"]:
        for row in table["rows"]:
            for cost in ("seconds", "transfer_seconds", "memory"):
                del row[cost]
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--pre-training", type=int, default=5, help="minimum number of kills during pre-training")
    parser.add_argument("--transfer", type=int, default=5)
    parser.add_argument("--writing", type=int, default=3)
    parser.add_argument("--small", action="store_true", help="a smaller demo")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--whole", type=Path, help="existing logs of an uninterrupted demo")
    parser.add_argument("--keep", type=Path, help="folder to work in (default: a temporary one)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="zapbench-torture-") as temporary:
        return torture(options, options.keep or Path(temporary))


def torture(options: argparse.Namespace, folder: Path) -> int:
    dice = random.Random(options.seed)
    quota = {"pre-training": options.pre_training, "transfer": options.transfer, "writing": options.writing}
    arguments = ["suite", "demo", "--jobs", str(options.jobs)]
    for binding in SHRUNK if options.small else []:
        arguments += ["-p", binding]
    whole = options.whole or folder / "whole"
    if options.whole is None:
        print("an undisturbed suite first", flush=True)
        began = time.monotonic()
        if start([*arguments, "--out", str(whole)], None).wait():
            print("the undisturbed suite failed")
            return 1
        print(f"it took {time.monotonic() - began:.0f} s", flush=True)
    expected, table = logs_of(whole), table_of(whole)
    hit: Counter[str] = Counter()
    rounds = 0
    while sum(hit.values()) < options.kills or any(hit[name] < quota[name] for name in PHASES):
        rounds += 1
        cut, log_file = folder / f"cut{rounds}", folder / f"phases{rounds}.log"
        log_file.touch()
        finished = False
        while not finished:
            enough = sum(hit.values()) >= options.kills and all(hit[name] >= quota[name] for name in PHASES)
            skip = len(log_file.read_text(encoding="utf-8").splitlines())
            process = start([*arguments, "--out", str(cut)], log_file)
            if enough:
                finished = process.wait() == 0
                continue
            missing = [name for name in PHASES if hit[name] < quota[name]]
            found = kill_in(dice.choice(missing or PHASES), process, log_file, skip, dice)
            if not found:
                finished = process.returncode == 0
                continue
            hit[found] += 1
            print(f"kill {sum(hit.values())}, in {found}", flush=True)
        found_logs = logs_of(cut)
        same = found_logs == expected and table_of(cut) == table
        print(f"suite {rounds} ended: {'the same logs and table' if same else 'ANOTHER RESULT'}", flush=True)
        if not same:
            print(*differences(expected, found_logs), sep="\n", flush=True)
            return 1
        shutil.rmtree(cut)
    print(f"{sum(hit.values())} kills ({', '.join(f'{hit[name]} in {name}' for name in sorted(hit))}): all the same")
    return 0


if __name__ == "__main__":
    if "--child" in sys.argv[1:2]:
        from zapbench.cli.main import main as zapbench

        sys.exit(zapbench(sys.argv[2:]))
    sys.exit(main())
