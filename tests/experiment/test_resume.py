"""Runs that were interrupted: checkpoints, resuming, incomplete files, two processes, full disks."""

import os
import shutil
import signal
import subprocess
import sys
import time

import pytest
import torch
from support.paths import ROOT

from zapbench import config
from zapbench.atomic import PARTIAL, write_atomically
from zapbench.experiment import checkpoints, monitor, pretraining
from zapbench.experiment.checkpoints import Checkpoint
from zapbench.experiment.context import LOCK_FILE, Job, Options
from zapbench.experiment.root import execute
from zapbench.launchers.interrupts import clean_end
from zapbench.leaderboard import contract
from zapbench.leaderboard.read.events import Tail, read_events
from zapbench.leaderboard.read.load import load
from zapbench.leaderboard.read.parse import read_file, status_of
from zapbench.tasks import RunSpec, Stopped, TrialSpec


def test_a_file_that_a_crash_left_partially_written_is_ignored_and_removed(tmp_path):
    run, trial = spec("asb_zap"), TrialSpec("sequential", 0.01, "report", 0)
    execute(Job(run, (trial,)), Options(tmp_path))
    folder = tmp_path / run.folder / trial.folder
    left = folder / f"{PARTIAL}12345"
    shutil.copy(folder / contract.EVENT_FILE, left)
    assert len(load(tmp_path).trials) == 1
    execute(Job(run, (trial,)), Options(tmp_path))
    assert not left.exists()


SHRUNK = [
    "convnet.filters = 4",
    "glyphs.classes_per_trial = 5",
    "glyphs.classes_per_selection_trial = 5",
    "run.checkpoint_seconds = 0.0",
]
SMALL = {
    "asb_zap": [*SHRUNK, "ASB.episodes = 23", "ASB.inner_images = 3", "ASB.random_images = 16"],
    "iid_zap": [*SHRUNK, "IID.epochs = 2", "IID.batch_size = 400", "ZapEvery.every = 5"],
}


def spec(strategy, *more):
    return RunSpec("glyphs", strategy, 0, (), config.parse_bindings([*SMALL[strategy], *more]))


def weights(out, run):
    return checkpoints.load(out / run.folder / checkpoints.FILE).model


def record(out, run):
    file = read_file(out / run.folder / contract.EVENT_FILE)
    curves = {tag: curve for tag, curve in file.curves.items() if not tag.startswith("cost/")}
    return curves, file.closing, file.description.stable()


def stop_after(calls):
    """Returns a progress callback that stops the run at its `calls`-th call."""
    seen = []

    def progress(phase, done, total):
        seen.append(phase)
        if len(seen) == calls:
            raise Stopped

    return progress


@pytest.mark.parametrize("strategy", ["asb_zap", "iid_zap"])
def test_a_stopped_pretraining_resumes_to_the_same_bits(strategy, tmp_path):
    run = spec(strategy)
    execute(Job(run), Options(tmp_path / "undisturbed"))
    for calls in (4, 7, 9):
        with pytest.raises(Stopped):
            execute(Job(run), Options(tmp_path / "cut", progress=stop_after(calls), progress_seconds=0.0))
        assert status_of(tmp_path / "cut" / run.folder / contract.EVENT_FILE) == contract.UNFINISHED
        assert not checkpoints.load(tmp_path / "cut" / run.folder / checkpoints.FILE).finished
    execute(Job(run), Options(tmp_path / "cut"))
    assert record(tmp_path / "cut", run) == record(tmp_path / "undisturbed", run)
    first, second = weights(tmp_path / "undisturbed", run), weights(tmp_path / "cut", run)
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_run_stopped_before_its_first_point_resumes_from_its_checkpoint(tmp_path, monkeypatch):
    for module in (pretraining, monitor):
        monkeypatch.setattr(module, "every", lambda total: 20)
    run, seen = spec("asb_zap"), []
    with pytest.raises(Stopped):
        execute(Job(run), Options(tmp_path, progress=stop_after(15), progress_seconds=0.0))
    reached = checkpoints.load(tmp_path / run.folder / checkpoints.FILE).updates
    assert 0 < reached < 20
    progress = lambda phase, done, total: seen.append(done) if phase == "pre-training" else None  # noqa: E731
    execute(Job(run), Options(tmp_path, progress=progress, progress_seconds=0.0))
    assert min(done for done in seen if done) >= reached


def test_an_incomplete_last_event_is_removed_and_no_point_is_written_twice(tmp_path, monkeypatch):
    run = spec("asb_zap")
    execute(Job(run), Options(tmp_path / "undisturbed"))
    with pytest.raises(Stopped):
        execute(Job(run), Options(tmp_path / "cut", progress=stop_after(15), progress_seconds=0.0))
    path = tmp_path / "cut" / run.folder / contract.EVENT_FILE
    complete = path.read_bytes()
    path.write_bytes(complete[:-7])
    tail = Tail()
    list(read_events(path, tail))
    assert tail.damage
    kept = complete[: tail.whole]
    execute(Job(run), Options(tmp_path / "cut"))
    list(read_events(path, tail := Tail()))
    assert not tail.damage
    assert path.read_bytes().startswith(kept)
    assert record(tmp_path / "cut", run) == record(tmp_path / "undisturbed", run)


def test_a_run_killed_between_any_two_events_of_its_end_is_recorded_once(tmp_path):
    run = spec("asb_zap")
    execute(Job(run), Options(tmp_path))
    path, model = tmp_path / run.folder / contract.EVENT_FILE, tmp_path / run.folder / checkpoints.FILE
    complete, tail, ends = path.read_bytes(), Tail(), []
    for _ in read_events(path, tail):
        ends.append(tail.whole)
    expected = record(tmp_path, run)
    for end in (*ends[-4:], *(place - 7 for place in ends[-3:])):
        path.write_bytes(complete[:end])
        model.unlink()
        execute(Job(run), Options(tmp_path))
        assert record(tmp_path, run) == expected, f"killed after {end} of {len(complete)} bytes"
        assert all(len(steps) == len(set(steps)) for steps, _ in read_file(path).curves.values())


def test_a_record_whose_first_event_is_incomplete_is_started_again(tmp_path):
    run = spec("asb_zap")
    path = tmp_path / run.folder / contract.EVENT_FILE
    path.parent.mkdir(parents=True)
    path.write_bytes(b"\x18\x00\x00")
    execute(Job(run), Options(tmp_path))
    assert record(tmp_path, run)[1].status == contract.FINISHED


def test_a_checkpoint_of_another_configuration_or_schema_is_refused(tmp_path):
    run = spec("asb_zap")
    execute(Job(run), Options(tmp_path))
    path = tmp_path / run.folder / checkpoints.FILE
    (tmp_path / run.folder / contract.EVENT_FILE).unlink()
    held = checkpoints.load(path)
    checkpoints.save(path, Checkpoint(**(vars(held) | {"config_hash": "other"})))
    with pytest.raises(ValueError, match=r"is of another configuration \(other, not"):
        execute(Job(run), Options(tmp_path))
    torch.save({"schema": 99, **vars(held)}, path)
    with pytest.raises(ValueError, match="is not a checkpoint of schema 1"):
        execute(Job(run), Options(tmp_path))


def test_a_damaged_checkpoint_is_named_and_training_starts_again(tmp_path, capsys):
    run = spec("asb_zap")
    execute(Job(run), Options(tmp_path))
    path = tmp_path / run.folder / checkpoints.FILE
    before = checkpoints.load(path).model
    path.write_bytes(path.read_bytes()[:1000])
    execute(Job(run), Options(tmp_path))
    assert "is not a readable checkpoint" in capsys.readouterr().err
    again = checkpoints.load(path).model
    assert all(torch.equal(again[name], value) for name, value in before.items())
    assert record(tmp_path, run)[1].status == contract.FINISHED


def test_nothing_in_a_checkpoint_is_executed(tmp_path):
    class Trap:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "trapped"),))

    torch.save({"schema": 1, "model": Trap()}, tmp_path / "trap.pt")
    with pytest.raises(ValueError, match="is not a readable checkpoint"):
        checkpoints.load(tmp_path / "trap.pt")
    assert not (tmp_path / "trapped").exists()


def test_a_failed_write_keeps_the_old_file_and_leaves_no_partial_one(tmp_path, monkeypatch):
    path = tmp_path / "file"
    write_atomically(path, b"old")

    def full(source, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space left"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


ARGUMENTS = ["run", "glyphs", "asb_zap", "--rates", "0.01", "--trials", "2", "--select-trials", "1"]


def start(out, *more, bindings=SMALL["asb_zap"]):
    words = [sys.executable, "-m", "zapbench", *ARGUMENTS, "--out", str(out)]
    for binding in (*bindings, *more):
        words += ["-p", binding]
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_two_processes_in_one_folder_write_every_task_once(tmp_path):
    first, second = start(tmp_path), start(tmp_path)
    assert first.communicate() is not None
    assert second.communicate() is not None
    assert (first.returncode, second.returncode) == (0, 0)
    for path in tmp_path.rglob("*tfevents*"):
        list(read_events(path, tail := Tail()))
        assert not tail.damage
        file = read_file(path)
        assert file.closing.status == contract.FINISHED
        for steps, _ in file.curves.values():
            assert steps == sorted(set(steps)), path


def wait_for(condition, process):
    """Waits for a condition, which must come before the process ends."""
    while not condition():
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)


def test_ctrl_c_saves_a_checkpoint_and_exits_130(tmp_path):
    long = [b for b in SMALL["asb_zap"] if "episodes" not in b]
    process = start(tmp_path, "ASB.episodes = 3000", bindings=long)
    wait_for(lambda: list(tmp_path.rglob(checkpoints.FILE)), process)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate()
    assert process.returncode == 130
    assert "stopping at the next point" in error
    assert "Traceback" not in error
    saved = checkpoints.load(next(tmp_path.rglob(checkpoints.FILE)))
    assert 0 < saved.updates < 3000
    assert not list(tmp_path.rglob(".part-*"))


def test_ctrl_c_twice_stops_at_once():
    asked, before = [], signal.getsignal(signal.SIGINT)
    with clean_end(lambda: asked.append(1)):
        os.kill(os.getpid(), signal.SIGINT)
        assert asked == [1]
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


def test_the_lock_of_a_killed_process_is_released(tmp_path):
    process = start(tmp_path)
    wait_for(lambda: list(tmp_path.rglob(LOCK_FILE)), process)
    process.kill()
    process.communicate()
    again = start(tmp_path)
    again.communicate()
    assert again.returncode == 0


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 300 kB; mounting one needs root."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", str(disk)], capture_output=True)
    if mounted.returncode:
        pytest.skip("a small disk cannot be mounted here (that needs root)")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_full_disk_is_reported_in_one_line_and_finished_files_stay_readable(small_disk):
    small = [b for b in SMALL["asb_zap"] if "filters" not in b]
    # A checkpoint takes about 200 kB (48,000 parameters), so there is no space for a second one.
    process = start(small_disk, "convnet.filters = 16", bindings=small)
    _, error = process.communicate()
    lines = [line for line in error.splitlines() if line.startswith("zapbench:")]
    assert process.returncode == 1, error
    assert len(lines) == 1
    assert "No space left on device" in lines[0]
    assert "all finished tasks are kept" in lines[0]
    assert "Traceback" not in error
    for path in small_disk.rglob(checkpoints.FILE):
        checkpoints.load(path)
    assert not list(small_disk.rglob(".part-*"))


def test_a_read_only_disk_is_reported_in_one_line_before_training(small_disk):
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    process = start(small_disk)
    _, error = process.communicate()
    assert process.returncode == 1
    lines = [line for line in error.splitlines() if line.startswith("zapbench:")]
    assert len(lines) == 1
    assert "Read-only file system" in lines[0]
    assert "Traceback" not in error


def test_a_folder_that_cannot_be_written_is_reported_in_one_line_before_training(tmp_path):
    (tmp_path / "file").write_text("")
    process = start(tmp_path / "file" / "below")
    _, error = process.communicate()
    assert process.returncode == 1
    assert [line for line in error.splitlines() if line.startswith("zapbench:")] == [error.strip().splitlines()[-1]]
    assert "Traceback" not in error


def test_a_failed_run_is_tried_once_more_and_then_reported(tmp_path, monkeypatch, capsys):
    from zapbench.cli.main import main
    from zapbench.strategies.asb import ASB

    calls = []

    def explode(self, original=ASB._outer_update, **kwargs):
        if not self.clock.train_iterations:  # the one update of the rehearsal succeeds
            return original(self, **kwargs)
        calls.append(1)
        raise RuntimeError("broken")

    monkeypatch.setattr(ASB, "_outer_update", explode)
    words = [*ARGUMENTS, "--out", str(tmp_path)]
    for binding in SMALL["asb_zap"]:
        words += ["-p", binding]
    assert main(words) == 1
    assert len(calls) == 2
    error = capsys.readouterr().err
    assert "trying once more" in error
    assert "failed: RuntimeError: broken" in error
    monkeypatch.undo()
    assert main(words) == 0


def test_a_repeated_task_gives_the_same_record_and_a_changed_record_is_noticed(tmp_path, capsys):
    from zapbench.cli.main import main
    from zapbench.experiment.record import write_trial
    from zapbench.transfer.metrics import Trajectory

    run = spec("asb_zap")
    trial = TrialSpec("sequential", 0.01, "report", 0)
    execute(Job(run, (trial,)), Options(tmp_path))
    folder = tmp_path / run.folder / trial.folder
    for place in (folder, tmp_path / run.folder):
        assert main(["repeat", str(place)]) == 0
        assert "the same" in capsys.readouterr().out
        assert main(["show", str(place)]) == 0
        shown = capsys.readouterr().out
        assert "zapbench run glyphs asb_zap --seed 0" in shown
        assert "█" in shown
    found = read_file(folder / contract.EVENT_FILE)
    steps, held_out = found.curves[contract.HELD_OUT]
    held_out[2] += 0.25
    changed = Trajectory(steps, held_out, *(found.curves[t][1] for t in (contract.TRAINED_ON, contract.FORGETTING)))
    changed.class_accuracy = found.class_accuracy
    write_trial(folder, found.description, "", changed, {}, found.closing)
    assert main(["repeat", str(folder)]) == 1
    assert "differs  transfer/held_out_accuracy" in capsys.readouterr().out


def test_a_folder_without_a_run_cannot_be_shown(tmp_path, capsys):
    from zapbench.cli.main import main

    assert main(["show", str(tmp_path)]) == 2
    assert "holds no run" in capsys.readouterr().err


def test_a_suite_that_is_killed_and_started_again_ends_with_the_same_logs():
    """The small form of `make torture`: one kill in each phase."""
    script = ROOT / "benchmarks" / "torture.py"
    words = ["--small", "--kills", "3", "--pre-training", "1", "--transfer", "1", "--writing", "1"]
    done = subprocess.run([sys.executable, script, *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    for phase in ("pre-training", "transfer", "writing"):
        assert f"in {phase}" in done.stdout
    assert "all the same" in done.stdout
