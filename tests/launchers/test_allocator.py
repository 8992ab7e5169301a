"""Memory that a training step frees is kept for the next one."""

import os
import platform
import subprocess
import sys
from importlib.metadata import version

import pytest
from packaging.version import Version

from zapbench.launchers import allocator

STEPS = """
import ctypes
import resource
from zapbench.launchers.job import prepare_process
ctypes.CDLL(None).mallopt(-3, 131072)  # the default of a new process; glibc raises it as memory is freed
{prepare}
import torch

def step():
    return [torch.ones(2_000_000) for _ in range(8)]

for _ in range(5):
    step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def page_faults(prepare, **environment):
    command = [sys.executable, "-c", STEPS.format(prepare=prepare)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ | environment)
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has these settings")
@pytest.mark.skipif(
    Version(version("torch")) >= Version("2.15"), reason="torch 2.15 does not take the memory of tensors from glibc"
)
def test_a_prepared_process_reuses_freed_pages_unless_the_environment_configures_the_allocator():
    assert page_faults("") > 20 * 8
    assert page_faults("prepare_process(1)") < 20
    assert page_faults("prepare_process(1)", MALLOC_TRIM_THRESHOLD_="131072") > 20 * 8


def test_a_c_library_other_than_glibc_is_not_configured(monkeypatch):
    called = []
    monkeypatch.setattr(allocator.ctypes, "CDLL", called.append)
    for name in ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    allocator.keep_freed_memory()
    assert called == []
