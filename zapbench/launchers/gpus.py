"""Which GPUs each process of a suite may see."""

import math
import os
import subprocess
from collections.abc import Sequence

VISIBLE = "CUDA_VISIBLE_DEVICES"


def visible_devices() -> list[str]:
    """Returns the GPUs that this process may use, as `CUDA_VISIBLE_DEVICES` names them."""
    if (named := os.environ.get(VISIBLE)) is not None:
        return [name.strip() for name in named.split(",") if name.strip()]
    try:
        listed = subprocess.run(["nvidia-smi", "--list-gpus"], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return []
    return [str(number) for number, line in enumerate(listed.splitlines()) if line.startswith("GPU ")]


def assign(devices: Sequence[str], share: float, processes: int) -> list[str]:
    """Returns what each process may see, at most `processes` of them and only as many as there is room for.

    Args:
        devices: the GPUs there are.
        share: GPUs a process takes: a fraction of one, or a whole number.
        processes: how many are wanted.

    Raises:
        ValueError: not even one process fits, or a share above 1 is not whole.

    >>> assign(["0", "1"], 0.5, 3)
    ['0', '1', '0']
    >>> assign(["0", "1", "2"], 2, 3)
    ['0,1']
    """
    check_share(share)
    whole = max(1, int(share))
    groups = [",".join(devices[i : i + whole]) for i in range(0, len(devices) - whole + 1, whole)]
    a_group = 1 if share >= 1 else math.floor(1 / share + 1e-9)
    if not groups:
        raise ValueError(f"suite: gpus is {share:g}, and there are {len(devices)} GPUs here")
    return [groups[i % len(groups)] for i in range(min(processes, a_group * len(groups)))]


def check_share(share: float) -> None:
    """Refuses a share of GPUs that nobody can give.

    Raises:
        ValueError: it is above 1 and not whole.
    """
    if share > 1 and share != int(share):
        raise ValueError(f"suite: gpus is {share:g}; allowed: a fraction of one, or a whole number")
