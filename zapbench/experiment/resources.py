"""Measures the wall-clock seconds and the peak memory of a task."""

import contextlib
import resource
import time
from pathlib import Path

import torch

_STATUS = Path("/proc/self/status")
_CLEAR = Path("/proc/self/clear_refs")


class ResourceMeter:
    """Measures from its construction on.

    Args:
        device: whose memory is measured.
        before: seconds that earlier processes spent on the same task.
    """

    def __init__(self, device: torch.device | str = "cpu", *, before: float = 0.0) -> None:
        self._device = torch.device(device)
        self._start = time.perf_counter() - before
        if self._device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self._device)
        else:
            with contextlib.suppress(OSError):
                _CLEAR.write_text("5")  # on Linux this resets the peak of the resident set

    def seconds(self) -> float:
        """Returns the wall-clock seconds so far, including those of earlier processes."""
        return time.perf_counter() - self._start

    def peak_memory(self) -> int:
        """Returns the peak memory in bytes: allocated on a CUDA device, or resident in this process."""
        if self._device.type == "cuda":
            return int(torch.cuda.max_memory_allocated(self._device))
        try:
            lines = _STATUS.read_text().splitlines()
            return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))
        except (OSError, StopIteration):
            return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
