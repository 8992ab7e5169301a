"""Temporary files of workers go away: with their launcher, or with the next one where it was killed."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from zapbench.launchers.local import ProcessPoolLauncher
from zapbench.launchers.scratch import new_scratch


def test_what_workers_leave_is_removed_with_the_launcher(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    launcher = ProcessPoolLauncher(tmp_path / "out", "", 1, 1)
    try:
        (folder,) = tmp_path.glob("zapbench-workers-*")
        made = Path(launcher._pool.submit(tempfile.mkdtemp).result())
        assert made.parent == folder
    finally:
        launcher.close()
    assert not folder.exists()


def test_what_a_killed_launcher_left_is_removed_by_the_next_and_a_running_ones_stays(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    gone = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True)
    left = tmp_path / f"zapbench-workers-{gone.stdout.strip()}-x"
    (left / "wandb").mkdir(parents=True)
    running = tmp_path / f"zapbench-workers-{os.getppid()}-x"
    running.mkdir()
    assert new_scratch().exists()
    assert not left.exists()
    assert running.exists()


KILLED = """
import os, signal
from pathlib import Path
from zapbench.launchers.local import ProcessPoolLauncher
if __name__ == "__main__":
    launcher = ProcessPoolLauncher(Path("out"), "", 1, 1)
    print(os.getpid(), flush=True)
    os.killpg(0, signal.SIGKILL)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="semaphores are files on Linux alone")
def test_semaphores_of_a_group_that_was_killed_are_removed_by_the_next_launcher(tmp_path):
    (tmp_path / "killed.py").write_text(KILLED)
    command = [sys.executable, str(tmp_path / "killed.py")]
    gone = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, start_new_session=True)
    pattern = f"sem.zapbench-{gone.stdout.strip()}-*"
    assert list(Path("/dev/shm").glob(pattern))
    launcher = ProcessPoolLauncher(tmp_path / "out", "", 1, 1)
    try:
        assert not list(Path("/dev/shm").glob(pattern))
    finally:
        launcher.close()
