"""The benchmarks run, and what they compare agrees; no time is asserted."""

import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent.parent / "benchmarks"


def test_the_episodes_benchmark_runs_and_its_loops_agree():
    pytest.importorskip("higher")
    command = [sys.executable, FOLDER / "episodes.py", "--small", "--threads", "1"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.count("differ by") == 2
    assert done.stdout.count('"ratio"') == 2
