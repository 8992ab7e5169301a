"""What `zapbench new` writes works as it is, outside this repository, by its path and, installed, by its name."""

import os
import subprocess
import sys

import pytest

from zapbench import config
from zapbench.cli.main import main
from zapbench.cli.new_strategy import new_strategy
from zapbench.cli.new_suite import new_suite
from zapbench.suites.suite import load_suite

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
    assert "zapbench run glyphs my_idea/my_idea.gin" in capsys.readouterr().out
    folder = tmp_path / "my_idea"
    tests = run(["-m", "pytest", "-q", "-p", "no:cacheprovider"], folder)
    assert tests.returncode == 0, tests.stdout + tests.stderr
    assert "3 passed" in tests.stdout
    few = ["--rates", "0.01", "--trials", "1", "--select-trials", "1"]
    done = run(["-m", "zapbench", "run", "glyphs", "my_idea/my_idea.gin", *SHRUNK, *few], folder)
    assert done.returncode == 0, done.stderr
    assert "my_idea" in done.stdout
    assert (folder / "runs" / "glyphs" / "my_idea").is_dir()


def test_a_new_strategy_adds_its_plug_in_to_those_of_the_strategy_that_it_is_like(tmp_path):
    assert main(["new", "strategy", "my_idea", "--like", "asb_zap", "--in", str(tmp_path)]) == 0
    folder = tmp_path / "my_idea"
    bound = config.bindings_of("strategies", str(folder / "my_idea" / "my_idea.gin"))
    assert bound["ASB.plugins"] == "[@ZapEpisodeClass(), @MyIdea()]"
    assert bound["run.strategy"] == "@ASB"
    tests = run(["-m", "pytest", "-q", "-p", "no:cacheprovider"], folder)
    assert tests.returncode == 0, tests.stdout + tests.stderr


@pytest.mark.parametrize(
    ("like", "words"),
    [
        ("asb_zpa", "'asb_zpa' is not among the shipped strategies, did you mean asb_zap"),
        ("untrained", "'untrained' does not train"),
        ("pretrained", "'pretrained' does not train"),
    ],
)
def test_a_strategy_that_none_can_be_like_is_refused_and_nothing_is_written(like, words, tmp_path):
    with pytest.raises(ValueError, match=words):
        new_strategy("my_idea", tmp_path, like=like)
    assert not list(tmp_path.iterdir())


def test_only_a_strategy_can_be_like_another(tmp_path, capsys):
    assert main(["new", "suite", "my_grid", "--like", "asb", "--in", str(tmp_path)]) == 2
    assert "--like is for a strategy" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("My-Idea", "'My-Idea' cannot name a package; use lower case letters"),
        ("../escape", "cannot name a package"),
        ("torch", "'torch' is the name of an installed module"),
        ("json", "'json' is the name of an installed module"),
        ("class", "'class' is a word of Python"),
        ("asb_zap", "'asb_zap' is among the shipped strategies"),
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


FEW = ["--rates", "0.01", "--trials", "1", "--select-trials", "1"]


def test_a_new_transfer_passes_its_own_tests_and_runs(tmp_path, capsys):
    assert main(["new", "transfer", "my_pull", "--in", str(tmp_path)]) == 0
    assert "--transfer sequential my_pull/my_pull.gin" in capsys.readouterr().out
    folder = tmp_path / "my_pull"
    tests = run(["-m", "pytest", "-q", "-p", "no:cacheprovider"], folder)
    assert tests.returncode == 0, tests.stdout + tests.stderr
    words = ["run", "glyphs", "iid", "--transfer", "my_pull/my_pull.gin", *SHRUNK, *FEW]
    done = run(["-m", "zapbench", *words], folder)
    assert done.returncode == 0, done.stderr
    assert "iid + my_pull" in done.stdout


def test_a_new_scenario_passes_its_own_tests_is_shown_and_run(tmp_path, capsys):
    assert main(["new", "scenario", "my_images", "--in", str(tmp_path)]) == 0
    assert "zapbench run my_images/my_images.gin asb_zap" in capsys.readouterr().out
    folder = tmp_path / "my_images"
    tests = run(["-m", "pytest", "-q", "-p", "no:cacheprovider"], folder)
    assert tests.returncode == 0, tests.stdout + tests.stderr
    gin = "my_images/my_images.gin"
    assert run(["-m", "zapbench", "data", "show", gin, "--out", "sheet.png"], folder).returncode == 0
    done = run(["-m", "zapbench", "run", gin, "iid", "-p", "IID.epochs = 1", *FEW], folder)
    assert done.returncode == 0, done.stderr
    assert "my_images: sequential, frozen transfer" in done.stdout


def test_a_new_suite_has_a_plan_and_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["new", "suite", "my_grid"]) == 0
    assert main(["suite", "my_grid.gin", "--dry-run"]) == 0
    small = ["Suite.seeds = 1", "Suite.trials = 1", "Suite.select_trials = 1", "Suite.rates = [0.01]", "IID.epochs = 2"]
    words = [word for binding in (*small, *SHRUNK[1:4:2]) for word in ("-p", binding)]
    assert main(["suite", "my_grid.gin", "--jobs", "1", *words]) == 0
    assert "runs/results/my_grid/table.md" in capsys.readouterr().out
    with pytest.raises(ValueError, match=r"my_grid.gin already exists"):
        new_suite("my_grid", tmp_path)
    with pytest.raises(ValueError, match="'demo' is among the shipped suites"):
        new_suite("demo", tmp_path)


def test_a_new_suite_compares_the_strategies_that_it_is_given_on_equal_budgets(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["new", "strategy", "my_idea"]) == 0
    own = "my_idea/my_idea/my_idea.gin"
    assert main(["new", "suite", "my_grid", "--of", "untrained", "asb_zap", own]) == 0
    suite = load_suite("my_grid.gin")
    assert list(suite.strategies) == ["untrained", "asb_zap", own]
    assert [len(suite.settings_of("glyphs", name)) for name in suite.strategies] == [1, 3, 3]
    inner = [setting["ASB.inner_lr"] for setting in suite.settings_of("glyphs", "asb_zap")]
    assert str(inner[1]) == config.reachable("glyphs", "asb_zap", [])["ASB.inner_lr"]
    assert inner == sorted(set(inner))
    assert main(["suite", "my_grid.gin", "--dry-run"]) == 0


def test_the_rate_of_a_strategy_is_among_those_of_a_new_suite_as_it_is_and_what_is_no_number_is_not_varied(tmp_path):
    own = tmp_path / "own.gin"
    own.write_text('include "strategies/asb.gin"\nASB.inner_lr = 0.0125\n', encoding="utf-8")
    new_suite("exact", tmp_path, [str(own)])
    rates = [
        setting["ASB.inner_lr"] for setting in load_suite(str(tmp_path / "exact.gin")).settings_of("glyphs", str(own))
    ]
    assert rates == [0.004, 0.0125, 0.04]
    other = tmp_path / "other.gin"
    other.write_text('include "strategies/iid.gin"\nouter/Adam.lr = @rate()\n', encoding="utf-8")
    new_suite("without", tmp_path, [str(other)])
    assert load_suite(str(tmp_path / "without.gin")).settings_of("glyphs", str(other)) == [{}]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["suite", "mine", "--of", "asb_zapp"], "asb_zapp"),
        (["suite", "mine", "--of", "asb", "asb"], "named twice"),
        (["transfer", "mine", "--of", "asb"], "--of is for a suite"),
    ],
)
def test_what_a_new_suite_cannot_compare_is_refused(tmp_path, monkeypatch, capsys, words, said):
    monkeypatch.chdir(tmp_path)
    assert main(["new", *words]) == 2
    assert said in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
