"""The tree as people get it: distributions from an archive without links, the documents, the banned imports."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest
import yaml
from support.paths import ROOT

from zapbench.cli import environment

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
    # As `python -m build` does: the source distribution from the tree, the wheel from the source distribution.
    sdist = [sys.executable, "-m", "build", "--sdist", "--no-isolation", "--outdir", str(folder)]
    subprocess.run([*sdist, str(folder / "source")], check=True, capture_output=True)
    build = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--quiet", "-w", str(folder)]
    subprocess.run([*build, str(next(folder.glob("*.tar.gz")))], check=True)
    return next(folder.glob("*.whl"))


def test_the_wheel_has_every_module_configuration_and_list_and_nothing_else(wheel):
    with zipfile.ZipFile(wheel) as archive:
        inside = {name for name in archive.namelist() if ".dist-info/" not in name}
    expected = {"zapbench/py.typed"}
    for name in TRACKED:
        top = name.split("/")[0]
        kept = name.endswith((".py", ".gin", ".txt", ".json")) or name.startswith("leaderboard/show/site/")
        kept |= name.endswith(("/logs.tar.xz", "/claims.toml"))
        if kept and not (ROOT / name).is_symlink():
            if top in ("scenarios", "strategies", "leaderboard", "gin"):
                expected.add(f"zapbench/{name}")
            elif top == "zapbench":
                expected.add(name)
    assert inside == expected


def test_the_source_distribution_holds_what_builds_and_of_logs_the_published_archives_alone(wheel):
    with tarfile.open(next(wheel.parent.glob("*.tar.gz"))) as archive:
        inside = {name.partition("/")[2] for name in archive.getnames()}
    for name in ("pyproject.toml", "README.md", "LICENSE", "gin/suites/demo.gin", "leaderboard/show/site/page.js"):
        assert name in inside
    results = {name for name in TRACKED if name.endswith("/logs.tar.xz")}
    assert {name for name in inside if "results/" in name and name.count("/") > 2} == results
    assert not [name for name in inside if "tfevents" in name or name.endswith(".pt")]
    assert sum((ROOT / name).stat().st_size for name in results) < 15_000_000  # of every installation


def test_the_licence_and_the_tested_python_are_in_the_metadata(wheel):
    with zipfile.ZipFile(wheel) as archive:
        inside = archive.namelist()
        metadata = archive.read(next(name for name in inside if name.endswith("/METADATA"))).decode()
    assert any(name.endswith("/licenses/LICENSE") for name in inside)
    assert "License-Expression: MIT" in metadata
    assert "Requires-Python: >=3.11" in metadata
    tested = re.findall(r"Classifier: Programming Language :: Python :: (3\.\d+)", metadata)
    assert tested == list(environment.TESTED)
    (job,) = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())["jobs"].values()
    assert job["strategy"]["matrix"]["python"] == list(environment.TESTED)


DISTUTILS = "distutils-precedence.pth"


def test_the_wheel_runs_from_a_clean_environment_in_another_folder(wheel, tmp_path, monkeypatch):
    monkeypatch.delenv("PYTHONPATH", raising=False)  # it would lend this tree's zapbench, too
    venv.create(tmp_path / "env", with_pip=False)
    python = tmp_path / "env" / "bin" / "python"
    install = [sys.executable, "-m", "pip", "--python", str(python), "install", "--no-deps", "--quiet", str(wheel)]
    subprocess.run(install, check=True)
    # The dependencies weigh gigabytes: they are lent from this environment; its own zapbench is not (a .pth in a
    # folder that a .pth names is not read).
    site = next((tmp_path / "env" / "lib").glob("python*")) / "site-packages"
    lent = Path(sysconfig.get_paths()["purelib"])
    (site / "lent.pth").write_text(str(lent))
    if (lent / DISTUTILS).is_file():  # setuptools' way to give distutils to Python 3.12 and later
        shutil.copy(lent / DISTUTILS, site)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    where = "import zapbench.gin, zapbench.scenarios, zapbench.strategies as s; print(s.__file__)"
    found = subprocess.run([python, "-c", where], cwd=elsewhere, capture_output=True, text=True, check=True).stdout
    assert str(site) in found
    shrunk = [
        "-p",
        "ASB.episodes = 3",
        "-p",
        "glyphs.classes_per_trial = 4",
        "-p",
        "glyphs.classes_per_selection_trial = 4",
    ]
    version = subprocess.run([tmp_path / "env" / "bin" / "zapbench", "--version"], capture_output=True, text=True)
    assert version.stdout == f"zapbench {wheel.name.split('-')[1]}\n"
    command = [tmp_path / "env" / "bin" / "zapbench", "run", "glyphs", "asb_zap", "--rates", "0.01", "--trials", "1"]
    done = subprocess.run([*command, *shrunk], cwd=elsewhere, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "All rows: ASB.episodes=3" in done.stdout
    assert "asb_zap" in done.stdout
    assert list((elsewhere / "runs").rglob("*tfevents*"))
    site_of = [tmp_path / "env" / "bin" / "zapbench", "leaderboard", "runs", "--site", "page"]
    subprocess.run(site_of, cwd=elsewhere, capture_output=True, check=True)
    assert (elsewhere / "page" / "assets" / "page.js").is_file()


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
        for link in re.findall(r"\]\(([^)\s]+)", (ROOT / name).read_text(encoding="utf-8")):
            if "://" in link or link.startswith("mailto:"):
                continue
            path, _, anchor = link.partition("#")
            target = (ROOT / name).parent.joinpath(path) if path else ROOT / name
            assert target.exists(), f"{name} links to {link}"
            assert not anchor or anchor in _anchors(target), f"{name} links to {link}"


def _anchors(document):
    """The anchors that GitHub, and Sphinx, give a document's headings."""
    headings = re.findall(r"^#+ (.+)$", document.read_text(encoding="utf-8"), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_changelog_and_the_citation_are_whole():
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(r"^## \d+\.\d+\.\d+ - (unreleased|\d{4}-\d\d-\d\d)$", changes, re.M)
    assert set(re.findall(r"^### (\w+)$", changes, re.M)) <= {
        "Added",
        "Changed",
        "Deprecated",
        "Removed",
        "Fixed",
        "Security",
    }
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert {"cff-version", "message", "title", "authors"} <= set(citation)  # what the format asks for
    assert citation["license"] == "MIT"
    assert citation["preferred-citation"]["type"] in ("article", "conference-paper")
    bibtex = (ROOT / "README.md").read_text(encoding="utf-8").partition("```bibtex")[2]
    assert citation["preferred-citation"]["title"] in bibtex
    for author in citation["preferred-citation"]["authors"]:
        assert f"{author['family-names']}, {author['given-names']}" in bibtex


def test_the_workflows_run_what_contributors_run():
    for path in sorted((ROOT / ".github" / "workflows").glob("*.yml")):
        workflow = yaml.safe_load(path.read_text(encoding="utf-8"))
        assert workflow[True]  # `on`, which YAML reads as true
        runs = [step["run"] for job in workflow["jobs"].values() for step in job["steps"] if "run" in step]
        targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M))
        made = {
            word for run in runs for line in run.splitlines() if line.startswith("make ") for word in line.split()[1:]
        }
        assert made
        assert made <= targets | {word for word in made if "=" in word or word.startswith('"')}
        assert path.name != "ci.yml" or {"check", "docs"} <= made


def test_the_version_is_one():
    import zapbench

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] == zapbench.__version__
    assert f"version: {zapbench.__version__}" in (ROOT / "CITATION.cff").read_text()
    assert f"## {zapbench.__version__}" in (ROOT / "CHANGELOG.md").read_text()
