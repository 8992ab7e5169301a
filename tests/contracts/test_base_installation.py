"""What `pip install zapbench-cl` brings, without an extra: it ranks logs, is small, and says what else needs an extra.

Its environment holds links to those packages of this environment that the base requirements lead to, and nothing else.
"""

import re
import subprocess
import sys
import tomllib
import venv
from importlib import metadata

import pytest
from packaging.requirements import Requirement
from support.paths import ROOT

from zapbench.extras import EXTRAS

DEMO = ROOT / "tests" / "support" / "logs" / "demo"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
LARGEST = 400 << 20
"""Bytes of the base installation."""
HEAVY = {"torch", "avalanche", "torchvision", "timm", "numba", "statsmodels", "sklearn", "matplotlib", "grpc"}
"""Top-level modules that ranking logs does not import, whether they are installed or not."""


def closure(asked):
    """The distributions that requirements lead to, by name."""
    found = {}
    waiting = [(Requirement(text), "") for text in asked]
    while waiting:
        requirement, extra = waiting.pop()
        if requirement.marker and not requirement.marker.evaluate({"extra": extra}):
            continue
        if requirement.name not in found:
            found[requirement.name] = metadata.distribution(requirement.name)
            waiting += [(Requirement(text), "") for text in found[requirement.name].requires or []]
    return found


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """The `python` of an environment that has the base requirements and this tree."""
    folder = tmp_path_factory.mktemp("base")
    venv.create(folder / "env", with_pip=False)
    site = next((folder / "env" / "lib").glob("python*")) / "site-packages"
    (own, record), *_ = (
        (found, file.parts[0])
        for found in metadata.distributions(name=PROJECT["name"])
        for file in found.files or ()
        if file.parts[0].endswith(".dist-info")  # and not the .egg-info that building leaves in the tree
    )
    (site / record).symlink_to(own.locate_file(record))  # installed, from this tree
    for distribution in closure(PROJECT["dependencies"]).values():
        for top in {file.parts[0] for file in distribution.files or () if file.parts[0] not in ("..", "__pycache__")}:
            if not (site / top).exists():
                (site / top).symlink_to(distribution.locate_file(top))
    (site / "tree.pth").write_text(f"{ROOT}\n")
    return folder / "env" / "bin" / "python"


def zapbench(base, tmp_path, *words):
    environment = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin", "COLUMNS": "100"}
    return subprocess.run(
        [base, "-m", "zapbench", *words], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )


def test_it_takes_less_than_400_mib():
    sizes = {
        name: sum(path.stat().st_size for file in found.files or () if (path := found.locate_file(file)).is_file())
        for name, found in closure(PROJECT["dependencies"]).items()
    }
    assert sum(sizes.values()) < LARGEST, sizes
    assert sizes["scipy"] > 10_000_000  # sizes were read


def test_it_ranks_logs_and_imports_nothing_heavy(base, tmp_path):
    code = (
        "import sys; from zapbench.cli.main import main; code = main(sys.argv[1:]); print(*sys.modules); sys.exit(code)"
    )
    words = ["leaderboard", str(DEMO), "--no-cache", "--format", "md"]
    here = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=True, cwd=ROOT)
    there = zapbench(base, tmp_path, *words)
    assert there.returncode == 0, there.stderr
    table, modules = here.stdout.rstrip("\n").rsplit("\n", 1)
    assert there.stdout.rstrip("\n") == table
    assert "scipy.stats" in modules.split()
    assert not HEAVY & {name.partition(".")[0] for name in modules.split()}


@pytest.mark.parametrize(
    "words",
    [
        ["list"],
        ["suite", "demo", "--dry-run"],
        ["data", "list"],
        ["submit", str(DEMO), "--out", "mine.zip"],
        ["show", str(DEMO / "glyphs" / "asb" / "ASB.inner_lr=0.05" / "seed=0")],
        ["new", "strategy", "my_idea"],
        ["doctor"],
    ],
)
def test_commands_that_train_nothing_work(base, tmp_path, words):
    done = zapbench(base, tmp_path, *words)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("words", "extra"),
    [
        (["run", "glyphs", "asb_zap"], "train"),
        (["transfer", "mine.pt", "--scenario", "glyphs"], "train"),
        (["suite", "demo"], "train"),
        (["check", "asb_zap"], "train"),
        (["repeat", str(DEMO / "glyphs" / "asb" / "ASB.inner_lr=0.05" / "seed=0")], "train"),
        (["data", "show", "glyphs", "--out", "sheet.png"], "train"),
        (["leaderboard", str(DEMO), "--figures", "figures"], "figures"),
        (["leaderboard", str(DEMO), "--site", "page"], "figures"),
    ],
)
def test_what_needs_an_extra_says_which_in_one_line(base, tmp_path, words, extra):
    done = zapbench(base, tmp_path, *words)
    assert done.returncode == 2
    assert done.stdout == ""
    assert re.fullmatch(rf"zapbench: this needs .+python -m pip install 'zapbench-cl\[{extra}\]'\n", done.stderr)
    assert not (tmp_path / "runs").exists()


def test_every_extra_that_a_message_names_exists():
    extras = PROJECT["optional-dependencies"]
    assert set(EXTRAS) <= set(extras)
    names = {"avalanche": "avalanche-lib", "PIL": "pillow"}
    for extra, modules in EXTRAS.items():
        packages = {Requirement(text).name for text in extras[extra]}
        assert {names.get(module, module) for module in modules} <= packages


def test_no_document_says_to_install_the_project_that_has_the_name_on_pypi():
    """`pip install zapbench`, and a dependency of that name, bring Google's neuroscience benchmark."""
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True).stdout.split("\0")
    for name in tracked:
        if name.endswith((".md", ".py", ".toml", ".yml")) and (ROOT / name).is_file() and "test_base" not in name:
            text = (ROOT / name).read_text(encoding="utf-8")
            assert not re.search(r"pip install[^\n]*[ '\"]zapbench(?![-/\w])", text), name
            assert not re.search(r"dependencies = \[[^\]]*\"zapbench\"", text), name
