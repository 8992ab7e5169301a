"""Configurations of installed packages: found by entry points, part of a run's identity, refused where names clash."""

import os
import subprocess
import sys

import pytest

from zapbench.cli.main import main
from zapbench.cli.new_strategy import new_strategy

SHRUNK = [
    "-p", "glyphs.classes_per_trial = 5", "-p", "glyphs.classes_per_selection_trial = 5", "-p", "IID.epochs = 1",
    "-p", "convnet.filters = 4", "--rates", "0.01", "--trials", "1", "--select-trials", "1",
]  # fmt: skip


def zapbench(site, *words, folder=None):
    """Runs a command with a folder of installed packages on the path."""
    path = os.pathsep.join(filter(None, [str(site), os.environ.get("PYTHONPATH")]))
    return subprocess.run(
        [sys.executable, "-m", "zapbench", *words],
        cwd=folder or site,
        env=os.environ | {"PYTHONPATH": path, "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A folder into which pip has installed what `zapbench new strategy` writes."""
    source, site = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("site")
    new_strategy("my_idea", source)
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--target", str(site)]
    subprocess.run([sys.executable, "-m", "pip", "install", *options, str(source / "my_idea")], check=True)
    return site


def offer(site, kind, package, files, value=None):
    """Installs a package by hand: .gin files, and an entry point."""
    (site / package).mkdir()
    (site / package / "__init__.py").write_text("raise RuntimeError('imported')\n")
    for name, text in files.items():
        (site / package / name).write_text(text)
    info = site / f"{package}-2.5.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 2.5\n")
    (info / "entry_points.txt").write_text(f"[zapbench.{kind}]\n{package} = {value or package}\n")


def test_an_installed_strategy_is_listed_checked_planned_and_run_by_its_name(installed, tmp_path):
    listed = zapbench(installed, "list")
    assert "my_idea" in listed.stdout
    assert "(my_idea 0.1.0)" in listed.stdout
    assert zapbench(installed, "list", "strategies", "own plug-in").stdout.split()[0] == "my_idea"
    assert "my_idea: the contract holds" in zapbench(installed, "check", "my_idea").stdout
    (tmp_path / "mine.gin").write_text('# mine\nSuite.scenarios = ["glyphs"]\nSuite.strategies = ["my_idea"]\n')
    assert "my_idea" in zapbench(installed, "suite", "mine.gin", "--dry-run", folder=tmp_path).stdout
    done = zapbench(installed, "run", "glyphs", "my_idea", *SHRUNK, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "my_idea" in done.stdout

    plugin = installed / "my_idea" / "plugin.py"
    before = plugin.read_text()
    plugin.write_text(before + "\n# another idea\n")
    try:
        again = zapbench(installed, "run", "glyphs", "my_idea", *SHRUNK, folder=tmp_path)
    finally:
        plugin.write_text(before)
    assert again.returncode == 2
    assert "holds another run: its code is another (my_idea)" in again.stderr


def test_a_name_that_is_shipped_is_refused_where_it_is_used_and_other_names_still_work(tmp_path):
    offer(tmp_path, "strategies", "theirs", {"asb.gin": "# another asb\n", "other.gin": "# their own\n"})
    done = zapbench(tmp_path, "run", "glyphs", "asb")
    assert done.returncode == 2
    assert done.stderr == (
        "zapbench: strategy 'asb' is offered by zapbench and by theirs 2.5; give the path of a .gin file instead\n"
    )
    listed = zapbench(tmp_path, "list", "strategies")
    assert listed.returncode == 0
    assert "their own (theirs 2.5)" in listed.stdout
    assert "cannot be used: strategy 'asb' is offered by zapbench and by theirs 2.5" in listed.stdout
    assert "asb_zap" in listed.stdout
    assert "rename the file in that package" in zapbench(tmp_path, "doctor").stdout


def test_a_name_of_two_packages_is_refused(tmp_path):
    for package in ("one", "two"):
        offer(tmp_path, "scenarios", package, {"same.gin": "# one of two\n"})
    done = zapbench(tmp_path, "run", "same", "asb")
    assert done.returncode == 2
    assert "scenario 'same' is offered by one 2.5 and by two 2.5" in done.stderr


@pytest.mark.parametrize(
    ("value", "files", "words"),
    [
        ("nowhere", {"a.gin": ""}, "the package broken 2.5 offers transfers in 'nowhere', which is not the name of a"),
        ("broken", {}, "the package broken 2.5 offers transfers in 'broken', but "),
        ("../..", {"a.gin": ""}, "which is not the name of a package"),
    ],
)
def test_an_entry_point_that_offers_nothing_is_said_and_nothing_is_imported(value, files, words, tmp_path):
    offer(tmp_path, "transfers", "broken", files, value)
    listed = zapbench(tmp_path, "list", "transfers")
    assert listed.returncode == 0
    assert "replay" in listed.stdout
    assert words in listed.stderr
    assert "Traceback" not in listed.stderr


def test_a_file_in_a_package_imports_from_that_package_without_being_installed(tmp_path, monkeypatch, capsys):
    new_strategy("my_other_idea", tmp_path)
    monkeypatch.chdir(tmp_path)
    assert main(["run", "glyphs", "my_other_idea/my_other_idea/my_other_idea.gin", *SHRUNK]) == 0
    plugin = tmp_path / "my_other_idea" / "my_other_idea" / "plugin.py"
    plugin.write_text(plugin.read_text() + "\n# changed\n")
    assert main(["run", "glyphs", "my_other_idea/my_other_idea/my_other_idea.gin", *SHRUNK]) == 2
    assert "its code is another (my_other_idea)" in capsys.readouterr().err
