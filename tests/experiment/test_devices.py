"""Where runs compute."""

import pytest
import torch

from zapbench import config
from zapbench.experiment.context import Options
from zapbench.experiment.root import configured
from zapbench.tasks import Job, RunSpec

BACKENDS = torch.backends.cudnn, torch.backends.cuda.matmul


@pytest.fixture
def a_gpu(monkeypatch):
    """One GPU, as far as torch says."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    before = [backend.allow_tf32 for backend in BACKENDS]
    for backend in BACKENDS:
        backend.allow_tf32 = True
    yield
    for backend, value in zip(BACKENDS, before, strict=True):
        backend.allow_tf32 = value


def configure(tmp_path, device):
    bindings = config.parse_bindings([f"run.device = '{device}'"])
    configured(Job(RunSpec("glyphs", "asb", 0, (), bindings), ()), Options(tmp_path, "test"))


def test_a_run_on_a_gpu_computes_in_float32_not_in_tf32(tmp_path, a_gpu):
    configure(tmp_path, "cpu")
    assert [backend.allow_tf32 for backend in BACKENDS] == [True, True]
    configure(tmp_path, "cuda")
    assert [backend.allow_tf32 for backend in BACKENDS] == [False, False]


def test_a_gpu_that_is_not_there_is_refused(tmp_path, a_gpu):
    with pytest.raises(ValueError, match="1 GPU here"):
        configure(tmp_path, "cuda:1")
