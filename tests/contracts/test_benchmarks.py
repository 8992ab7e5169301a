"""The benchmarks run, and what they compare agrees; no time is asserted."""

import json
import subprocess
import sys

import pytest
from support.paths import ROOT

FOLDER = ROOT / "benchmarks"


def test_the_episodes_benchmark_runs_and_its_loops_agree():
    pytest.importorskip("higher")
    command = [sys.executable, FOLDER / "episodes.py", "--small", "--threads", "1"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.count("differ by") == 2
    assert done.stdout.count("ratio") == 4


def test_the_benchmark_of_unfrozen_transfer_runs_and_its_loops_learn_the_same():
    command = [sys.executable, FOLDER / "unfrozen.py", "--small"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    cases = json.loads(done.stdout)["cases"]
    assert len(cases) == 4
    for case in cases.values():
        assert case["ratio"]["pairs"] == 2
        assert len(set(case["final_accuracy_on_images_trained_on"])) == 1


def test_the_count_of_images_that_rounding_classifies_otherwise_runs_and_finds_none_on_a_short_trial():
    command = [sys.executable, FOLDER / "agreement.py", "--small"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    rates = json.loads(done.stdout)["rates"]
    assert len(rates) == 5
    assert max(found["right, plain loop in float64"] for found in rates.values()) > 0
    for found in rates.values():
        assert found["images"] == 25
        assert not [name for name, images in found.items() if "float" in name and "right" not in name and images]


def test_the_benchmark_of_the_allocator_runs_and_times_both_sides():
    command = [sys.executable, FOLDER / "allocator.py", "--small"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    (case,) = json.loads(done.stdout)["cases"].values()
    assert case["ratio"]["pairs"] == 2
    assert min(case["as_it_comes_ms_a_step"], case["kept_ms_a_step"]) > 0


def test_the_count_of_renumbered_trials_runs_and_names_no_honest_method_and_each_with_exchanged_seeds():
    command = [sys.executable, FOLDER / "draws.py", "--small"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    total = json.loads(done.stdout)["total"]
    assert total["none"] == 0
    assert total["two pre-training seeds exchanged"] == total["methods"] == 22


def test_the_simulation_of_power_agrees_with_the_product_and_prints_a_row_a_case_and_number_of_seeds():
    command = [sys.executable, FOLDER / "power.py", "--tables", "40"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    rows = [line.split("|") for line in done.stdout.splitlines() if line.startswith("| ")][2:]
    assert len(rows) == 8 * 3
    assert all(len(row) == 2 + 11 for row in rows)
