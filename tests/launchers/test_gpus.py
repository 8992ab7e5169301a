"""The assignment of GPUs to processes; no GPU is needed, as it works on their names."""

import os
import stat
import subprocess

import pytest

from zapbench.launchers.gpus import VISIBLE, assign, visible_devices
from zapbench.launchers.local import ProcessPoolLauncher


@pytest.mark.parametrize(
    ("share", "processes", "expected"),
    [
        (1, 4, ["0", "1", "2"]),
        (0.5, 4, ["0", "1", "2", "0"]),
        (0.5, 9, ["0", "1", "2", "0", "1", "2"]),
        (0.1, 100, ["0", "1", "2"] * 10),
        (0.4, 9, ["0", "1", "2", "0", "1", "2"]),
        (2, 4, ["0,1"]),
        (3, 1, ["0,1,2"]),
    ],
)
def test_a_gpu_gets_no_more_processes_than_their_share_allows(share, processes, expected):
    assert assign(["0", "1", "2"], share, processes) == expected


@pytest.mark.parametrize(
    ("devices", "share", "words"),
    [([], 0.5, "gpus is 0.5, but this machine has 0 GPUs"), (["0"], 2, "gpus is 2, but this machine has 1 GPUs"),
     (["0", "1"], 1.5, "gpus is 1.5; allowed: a fraction of one GPU, or a whole number of GPUs")],
)  # fmt: skip
def test_a_share_that_cannot_be_assigned_is_refused(devices, share, words):
    with pytest.raises(ValueError, match=words):
        assign(devices, share, 1)


def test_the_gpus_are_read_from_the_environment_or_else_from_the_driver(monkeypatch, tmp_path):
    monkeypatch.setenv(VISIBLE, "GPU-a, 3")
    assert visible_devices() == ["GPU-a", "3"]
    monkeypatch.setenv(VISIBLE, "")
    assert visible_devices() == []
    monkeypatch.delenv(VISIBLE)
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho 'GPU 0: A card (UUID: GPU-a)'\necho 'GPU 1: A card (UUID: GPU-b)'\n")
    tool.chmod(tool.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert visible_devices() == ["0", "1"]
    tool.unlink()
    monkeypatch.setenv("PATH", str(tmp_path))
    assert visible_devices() == []


def test_every_worker_process_sees_its_own_gpus(tmp_path):
    pool = ProcessPoolLauncher(tmp_path, "", 1, 2, ["7", "8"])
    try:
        meet = f"touch {tmp_path}/${VISIBLE}; until [ -e {tmp_path}/7 ] && [ -e {tmp_path}/8 ]; do sleep 0.01; done"
        words = ["sh", "-c", f"{meet}; echo ${VISIBLE} $OMP_NUM_THREADS"]
        both = [pool._pool.submit(subprocess.check_output, words) for _ in range(2)]
        assert {future.result() for future in both} == {b"7 1\n", b"8 1\n"}
    finally:
        pool.close()
