"""Temporary files of workers go away: with their launcher, or with the next one where it was killed."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

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
