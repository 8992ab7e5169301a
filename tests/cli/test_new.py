"""`zapbench new strategy` writes a package that works outside this repository."""

import os
import subprocess
import sys

import pytest

from zapbench.cli.main import main
from zapbench.cli.new_strategy import new_strategy

SHRUNK = ["-p", "glyphs.classes_per_trial = 5", "-p", "glyphs.classes_per_selection_trial = 5", "-p", "IID.epochs = 1"]


def run(words, folder):
    return subprocess.run(
        [sys.executable, *words],
        cwd=folder,
        env={name: value for name, value in os.environ.items() if not name.startswith("COV")},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_new_strategy_passes_its_own_tests_and_runs_on_glyphs(tmp_path, capsys):
    assert main(["new", "strategy", "my_idea", "--in", str(tmp_path)]) == 0
    assert "zapbench run glyphs my_idea.gin" in capsys.readouterr().out
    folder = tmp_path / "my_idea"
    tests = run(["-m", "pytest", "-q", "-p", "no:cacheprovider"], folder)
    assert tests.returncode == 0, tests.stdout + tests.stderr
    assert "3 passed" in tests.stdout
    few = ["--rates", "0.01", "--trials", "1", "--select-trials", "1"]
    done = run(["-m", "zapbench", "run", "glyphs", "my_idea.gin", *SHRUNK, *few], folder)
    assert done.returncode == 0, done.stderr
    assert "my_idea" in done.stdout
    assert (folder / "runs" / "glyphs" / "my_idea").is_dir()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("My-Idea", "'My-Idea' cannot name a package; use lower case letters"),
        ("../escape", "cannot name a package"),
        ("asb_zap", "'asb_zap' is a shipped strategy"),
    ],
)
def test_an_invalid_name_is_refused_and_nothing_is_written(name, words, tmp_path):
    with pytest.raises(ValueError, match=words):
        new_strategy(name, tmp_path)
    assert not list(tmp_path.iterdir())


def test_an_existing_folder_is_never_overwritten(tmp_path):
    new_strategy("my_idea", tmp_path)
    (tmp_path / "my_idea" / "my_idea" / "plugin.py").write_text("mine")
    with pytest.raises(ValueError, match="already exists"):
        new_strategy("my_idea", tmp_path)
    assert (tmp_path / "my_idea" / "my_idea" / "plugin.py").read_text() == "mine"
