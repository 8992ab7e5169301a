"""Assigns GPUs to the processes of a suite."""

import math
import os
import subprocess
from collections.abc import Sequence

VISIBLE = "CUDA_VISIBLE_DEVICES"


def visible_devices() -> list[str]:
    """Returns the GPUs that this process may use, named as in `CUDA_VISIBLE_DEVICES`."""
    if (named := os.environ.get(VISIBLE)) is not None:
        return [name.strip() for name in named.split(",") if name.strip()]
    try:
        listed = subprocess.run(["nvidia-smi", "--list-gpus"], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return []
    return [str(number) for number, line in enumerate(listed.splitlines()) if line.startswith("GPU ")]


def assign(devices: Sequence[str], share: float, processes: int) -> list[str]:
    """Returns the GPUs of each process: at most `processes` entries, and no more than the GPUs have room for.

    Args:
        devices: names of the available GPUs.
        share: GPUs per process: a fraction of one, or a whole number.
        processes: the requested number of processes.

    Raises:
        ValueError: not even one process fits, or a share above 1 is not a whole number.

    >>> assign(["0", "1"], 0.5, 3)
    ['0', '1', '0']
    >>> assign(["0", "1", "2"], 2, 3)
    ['0,1']
    """
    check_share(share)
    group_size = max(1, int(share))
    groups = [",".join(devices[i : i + group_size]) for i in range(0, len(devices) - group_size + 1, group_size)]
    processes_per_group = 1 if share >= 1 else math.floor(1 / share + 1e-9)
    if not groups:
        raise ValueError(f"suite: gpus is {share:g}, but this machine has {len(devices)} GPUs")
    return [groups[i % len(groups)] for i in range(min(processes, processes_per_group * len(groups)))]


def check_share(share: float) -> None:
    """Refuses a share of GPUs that cannot be assigned.

    Raises:
        ValueError: the share is above 1 and not a whole number.
    """
    if share > 1 and share != int(share):
        raise ValueError(f"suite: gpus is {share:g}; allowed: a fraction of one GPU, or a whole number of GPUs")
