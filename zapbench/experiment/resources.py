"""Measures what a task takes: wall-clock seconds and peak memory in bytes."""

import contextlib
import resource
import time
from pathlib import Path

import torch

_STATUS = Path("/proc/self/status")
_CLEAR = Path("/proc/self/clear_refs")


class ResourceMeter:
    """Starts counting when made; `before` are seconds that an earlier process spent on the same task."""

    def __init__(self, device: torch.device | str = "cpu", *, before: float = 0.0) -> None:
        self._device = torch.device(device)
        self._start = time.perf_counter() - before
        if self._device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self._device)
        else:
            with contextlib.suppress(OSError):
                _CLEAR.write_text("5")  # Linux: the resident set's high-water mark starts again

    def seconds(self) -> float:
        """Returns wall-clock seconds since the start."""
        return time.perf_counter() - self._start

    def peak_memory(self) -> int:
        """Returns the peak memory in bytes: allocated on a CUDA device, else resident in this process."""
        if self._device.type == "cuda":
            return int(torch.cuda.max_memory_allocated(self._device))
        try:
            lines = _STATUS.read_text().splitlines()
            return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))
        except (OSError, StopIteration):
            return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
