"""Packages import downwards only, and no modules import each other in a circle, in function bodies included."""

import ast
import sys
from collections import defaultdict
from subprocess import run

import pytest
from support.paths import ROOT

ORDER = (
    "text", "moved", "atomic", "extras", "seeding", "config", "leaderboard", "tasks", "identity", "scenarios",
    "plugins", "networks", "strategies", "transfer", "experiment", "launchers", "suites", "api", "checks", "cli",
)  # fmt: skip
"""From the bottom up: a package may import those before it."""

STRANGERS = {
    "leaderboard": {"config", "seeding"},
    "strategies": {"scenarios", "tasks", "config", "leaderboard"},
    "networks": {"scenarios", "tasks", "config", "leaderboard"},
    "suites": {"experiment", "transfer", "strategies", "networks", "scenarios"},
}
"""Packages below that a package still may not import."""


def modules():
    """Every module of the project: name -> path."""
    found = {}
    for folder, package in (
        ("zapbench", "zapbench"),
        ("scenarios", "zapbench.scenarios"),
        ("strategies", "zapbench.strategies"),
        ("leaderboard", "zapbench.leaderboard"),
    ):
        links = {path for path in (ROOT / folder).iterdir() if path.is_symlink()}
        for path in sorted((ROOT / folder).rglob("*.py")):
            if not links.intersection(path.parents):
                parts = path.relative_to(ROOT / folder).with_suffix("").parts
                found[".".join((package, *parts)).removesuffix(".__init__")] = path
    return found


MODULES = modules()


def imported(name, path):
    """What a module imports, in its function bodies as well."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "zapbench":
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                yield full if full in MODULES else node.module
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in MODULES)


GRAPH = {name: {other for other in imported(name, path) if other != name} for name, path in MODULES.items()}


def package_of(module):
    return module.split(".")[1] if "." in module else ""


def test_every_package_has_its_place():
    assert {package_of(name) for name in MODULES} - {"", "__main__"} == set(ORDER)


def test_arrows_between_packages_point_downwards():
    upward = sorted(
        f"{name} imports {other}"
        for name, others in GRAPH.items()
        for other in others
        if package_of(name) in ORDER and package_of(other) in ORDER
        if ORDER.index(package_of(other)) > ORDER.index(package_of(name))
        or package_of(other) in STRANGERS.get(package_of(name), ())
    )
    assert not upward


def test_no_modules_import_each_other_in_a_circle():
    """A package's table of contents imports its modules, and its modules may import each other."""
    contents = {name for name, path in MODULES.items() if path.name == "__init__.py"}
    below = {name: {other for other in others if other not in contents} for name, others in GRAPH.items()}
    below = {name: others for name, others in below.items() if name not in contents}
    while ends := {name for name in below if not below[name] or not any(name in others for others in below.values())}:
        below = {name: others - ends for name, others in below.items() if name not in ends}
    assert not below


def test_imports_inside_of_functions_are_read():
    assert "zapbench.experiment.root" in GRAPH["zapbench.launchers.job"]


def test_every_package_begins_with_a_paragraph_of_contents():
    short = defaultdict(str)
    for name, path in MODULES.items():
        if path.name == "__init__.py" and name != "zapbench":
            text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
            if len(text.splitlines()) < 3:
                short[name] = text
    assert not short


@pytest.mark.parametrize("package", ["suites", "scenarios", "leaderboard", "launchers", "config"])
def test_a_package_is_imported_without_torch(package):
    code = f"import sys, zapbench.{package}; assert not {{'torch', 'avalanche'}} & set(sys.modules)"
    run([sys.executable, "-c", code], check=True, cwd=ROOT)
