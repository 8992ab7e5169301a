"""Writes a person's own package: checks its name, and fills in the templates of its files."""

import importlib.util
import keyword
import re
from collections.abc import Mapping
from pathlib import Path

from zapbench import config

PROJECT = """[build-system]
requires = ["setuptools>=77"]
build-backend = "setuptools.build_meta"

[project]
name = "{package}"
version = "0.1.0"
description = "{title}, for zapbench"
requires-python = ">=3.11"
dependencies = ["zapbench-cl[train]"]

[project.entry-points."zapbench.{kind}"]
{package} = "{package}"

[tool.setuptools]
packages = ["{package}"]
package-data = {{{package} = ["*.gin"]}}

[tool.pytest.ini_options]
testpaths = ["tests"]
pythonpath = ["."]
"""

INSTALLED = """
After `pip install -e .`, `zapbench list`, `run`, `suite` and `check` know it by its name, `{package}`.
"""


def class_name(name: str) -> str:
    """Returns the name of the class of a package: `MyIdea` of `my_idea`."""
    return "".join(part.capitalize() for part in name.split("_"))


def write_package(
    kind: str, name: str, folder: Path, templates: Mapping[str, str], fields: Mapping[str, str] | None = None
) -> list[Path]:
    """Writes a small working package into `folder / name`.

    Args:
        kind: of configuration that it offers, say `strategies`.
        name: the package's name, a Python identifier in lower case.
        folder: its folder is written into this one.
        templates: path below the package's folder -> text; both may name `{package}`, the text `{cls}` and `{title}`.
        fields: what else the text may name -> its value.

    Returns:
        The files, in the order of the templates.

    Raises:
        ValueError: the name is not one for a package or is taken, or the folder exists.
    """
    check_name(kind, name)
    if keyword.iskeyword(name) or keyword.issoftkeyword(name):
        raise ValueError(f"{name!r} is a word of Python; choose another name")
    if importlib.util.find_spec(name) is not None:
        raise ValueError(f"{name!r} is the name of an installed module, which it would hide; choose another name")
    root = folder / name
    if root.exists():
        raise ValueError(f"{root} already exists")
    named = {
        "kind": kind,
        "package": name,
        "cls": class_name(name),
        "title": name.replace("_", " ").capitalize(),
        **(fields or {}),
    }
    files = {path.format(**named): text.format(**named) for path, text in templates.items()}
    files |= {f"{name}/__init__.py": "", "pyproject.toml": PROJECT.format(**named)}
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, encoding="utf-8")
    return [root / path for path in files]


def check_name(kind: str, name: str) -> None:
    """Refuses a name that is none for a package, or that a configuration of the kind has.

    Raises:
        ValueError: says why.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or name in ("zapbench", "tests", "test"):
        raise ValueError(f"{name!r} cannot name a package; use lower case letters, digits and _, for example my_idea")
    if name in config.shipped_names(kind):
        raise ValueError(f"{name!r} is among the shipped {kind}; choose another name")
    if package := config.origin(kind, name):
        raise ValueError(f"{name!r} is among the {kind} of {package}; choose another name")
