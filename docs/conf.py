"""Configuration of Sphinx, with Furo and MyST. Each build generates the reference from the code, without network."""

import os
import re
import sys
import warnings
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
os.environ["ZAPBENCH_OFFLINE"] = "1"
os.environ["COLUMNS"] = "100"  # argparse's help is as wide as the terminal
warnings.filterwarnings("ignore", message="no QP solver found")

import reference  # noqa: E402

from zapbench import __version__  # noqa: E402

project = "zapbench"
author = "The zapbench authors"
copyright = f"2026, {author}"
version = release = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "mathml"]
html_math_renderer = "mathml"
exclude_patterns = ["pictures/*"]
myst_enable_extensions = ["deflist", "dollarmath"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "description"
napoleon_google_docstring = True
napoleon_numpy_docstring = False

html_theme = "furo"
html_title = f"zapbench {version}"
html_show_sourcelink = False
html_copy_source = False
html_extra_path = ["../build/results/pages"] if (HERE.parent / "build" / "results" / "pages").is_dir() else []

reference.write(HERE / "reference" / "made")


def setup(app: Any) -> None:
    """Registers `_link`, which rewrites links before a page is parsed."""
    app.connect("source-read", _link)


def _link(app: Any, document: str, source: list[str]) -> None:
    """Shows links out of `docs/` as file names, and replaces `<!-- page: NAME -->` by a link to that results page."""
    folder = (HERE / document).parent

    def shown(link: re.Match[str]) -> str:
        path = (folder / link[2]).resolve()
        if path.is_relative_to(HERE) or not path.exists():
            return link[0]
        name = path.relative_to(HERE.parent).as_posix()
        return f"`{name}`" if link[1] == name else f"{link[1]} (`{name}`)"

    def page(name: re.Match[str]) -> str:
        path = f"leaderboard/{name[1]}/index.html"
        made = any((HERE / folder / path).is_file() for folder in html_extra_path)
        return f'<a href="{path}">The tables as a page</a>: sortable, with every curve.' if made else ""

    source[0] = re.sub(r"<!-- page: (\w+) -->", page, source[0])
    source[0] = re.sub(r"\[([^\]]+)\]\(((?:\.\./)+[^)#]*)\)", shown, source[0])
