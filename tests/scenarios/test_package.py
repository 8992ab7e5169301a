"""The package's table of contents, what importing it costs, and that the catalog is complete."""

import ast
import importlib
import inspect
import subprocess
import sys
from pathlib import Path

import pytest
from support.paths import ROOT

from zapbench import scenarios
from zapbench.scenarios.catalog import CATALOG
from zapbench.scenarios.images import Images

LIGHT = ("catalog", "roots", "images", "cache", "class_lists", "pickles", "decode", "image_files", "trial")


def test_the_package_its_catalog_and_its_decoding_import_neither_torch_nor_avalanche():
    names = ", ".join(f"zapbench.scenarios.{name}" for name in LIGHT)
    code = f"import sys, {names}\nassert not {{'torch', 'avalanche'}} & set(sys.modules), 'heavy import'"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_every_name_of_the_table_of_contents_can_be_imported():
    assert sorted(scenarios.__all__) == sorted(scenarios._MODULE_OF)
    for name in scenarios.__all__:
        assert getattr(scenarios, name) is not None
    with pytest.raises(AttributeError, match="has no attribute 'Scenarios'"):
        scenarios.Scenarios  # noqa: B018


@pytest.mark.parametrize("name", CATALOG)
def test_every_data_set_of_the_catalog_has_a_loader(name):
    module, function = CATALOG[name].loader.split(":")
    loader = getattr(importlib.import_module(module), function)
    inspect.signature(loader).bind()
    assert inspect.signature(loader).return_annotation is Images


def test_every_module_that_reads_a_data_set_is_in_the_catalog():
    readers = {
        path.stem
        for path in (ROOT / "scenarios").glob("*.py")
        if any(isinstance(node, ast.FunctionDef) and node.name == "load" for node in ast.parse(path.read_text()).body)
    }
    assert {about.loader.split(":")[0].rsplit(".", 1)[1] for about in CATALOG.values()} == readers


def test_no_module_of_the_package_imports_itself_through_others():
    arrows = {path.stem: _imports(path) for path in (ROOT / "scenarios").glob("[a-z]*.py")}
    left = dict(arrows)
    while done := [name for name, targets in left.items() if not targets & set(left)]:
        for name in done:
            del left[name]
    assert not left, "these modules import each other in a circle, or import one that does"


def _imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("zapbench.scenarios"):
            inside = node.module.removeprefix("zapbench.scenarios").lstrip(".")
            found |= {inside} if inside else {alias.name for alias in node.names}
    return found
