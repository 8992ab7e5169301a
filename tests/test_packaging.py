"""The tree as people get it: a wheel from an archive without links, the documents, the banned imports."""

import os
import re
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TRACKED = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True).stdout.split("\0")[:-1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Builds a wheel from a zip of the tracked files, unpacked by `zipfile`: links become files with a path in them."""
    if not TRACKED:
        pytest.skip("not a git checkout")
    folder = tmp_path_factory.mktemp("wheel")
    with zipfile.ZipFile(folder / "source.zip", "w") as archive:
        for name in TRACKED:
            path = ROOT / name
            if path.is_symlink():
                archive.writestr(name, os.readlink(path))
            elif path.exists():
                archive.write(path, name)
    with zipfile.ZipFile(folder / "source.zip") as archive:
        archive.extractall(folder / "source")
    assert (folder / "source" / "zapbench" / "gin").is_file()
    build = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--quiet", "-w", str(folder)]
    subprocess.run([*build, str(folder / "source")], check=True)
    return next(folder.glob("*.whl"))


def test_the_wheel_has_every_module_configuration_and_list_and_nothing_else(wheel):
    with zipfile.ZipFile(wheel) as archive:
        inside = {name for name in archive.namelist() if ".dist-info/" not in name}
    expected = {"zapbench/py.typed"}
    for name in TRACKED:
        top = name.split("/")[0]
        kept = name.endswith((".py", ".gin", ".txt", ".json")) or name.startswith("leaderboard/site/")
        if kept and not (ROOT / name).is_symlink():
            if top in ("scenarios", "strategies", "leaderboard", "gin"):
                expected.add(f"zapbench/{name}")
            elif top == "zapbench":
                expected.add(name)
    assert inside == expected


def test_the_wheel_runs_from_a_clean_environment_in_another_folder(wheel, tmp_path):
    venv.create(tmp_path / "env", with_pip=False)
    python = tmp_path / "env" / "bin" / "python"
    install = [sys.executable, "-m", "pip", "--python", str(python), "install", "--no-deps", "--quiet", str(wheel)]
    subprocess.run(install, check=True)
    # The dependencies weigh gigabytes: they are lent from this environment; its own zapbench is not (a .pth in a
    # folder that a .pth names is not read).
    site = next((tmp_path / "env" / "lib").glob("python*")) / "site-packages"
    (site / "lent.pth").write_text(sysconfig.get_paths()["purelib"])
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    where = "import zapbench.gin, zapbench.scenarios, zapbench.strategies as s; print(s.__file__)"
    found = subprocess.run([python, "-c", where], cwd=elsewhere, capture_output=True, text=True, check=True).stdout
    assert str(site) in found
    shrunk = [
        "-p",
        "ASB.episodes = 3",
        "-p",
        "glyphs.classes_a_trial = 4",
        "-p",
        "glyphs.classes_a_selection_trial = 4",
    ]
    command = [tmp_path / "env" / "bin" / "zapbench", "run", "glyphs", "asb_zap", "--rates", "0.01", "--trials", "1"]
    done = subprocess.run([*command, *shrunk], cwd=elsewhere, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "asb_zap[" in done.stdout
    assert list((elsewhere / "runs").rglob("*tfevents*"))


def test_links_stand_where_peoples_tools_look():
    for name in ("scenarios", "strategies", "leaderboard", "gin"):
        link = ROOT / "zapbench" / name
        assert link.is_symlink()
        assert os.readlink(link) == f"../{name}"


@pytest.mark.parametrize("name", ["scenarios", "strategies", "leaderboard"])
def test_bare_imports_are_banned(name, tmp_path):
    (tmp_path / "bad.py").write_text(f"import {name}\n")
    ruff = [sys.executable, "-m", "ruff", "check", "--config", str(ROOT / "pyproject.toml"), str(tmp_path / "bad.py")]
    assert "TID251" in subprocess.run(ruff, capture_output=True, text=True).stdout


def test_every_link_between_documents_leads_somewhere():
    documents = [name for name in TRACKED if name.endswith(".md")]
    assert "README.md" in documents
    for name in documents:
        for target in re.findall(r"\]\(([^)#]+)", (ROOT / name).read_text(encoding="utf-8")):
            if "://" not in target and not target.startswith("mailto:"):
                assert (ROOT / name).parent.joinpath(target).exists(), f"{name} links to {target}"


def test_the_version_is_one():
    import zapbench

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] == zapbench.__version__
    assert f"version: {zapbench.__version__}" in (ROOT / "CITATION.cff").read_text()
    assert f"## {zapbench.__version__}" in (ROOT / "CHANGELOG.md").read_text()
