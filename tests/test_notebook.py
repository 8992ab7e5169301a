"""The notebook runs from a strategy class to a table and a plot; its saved outputs show what it says."""

import json
import re

import pytest
from matplotlib.figure import Figure
from support import documents
from support.paths import ROOT

import zapbench

NOTEBOOK = json.loads((ROOT / "examples" / "strategy_to_table.ipynb").read_text(encoding="utf-8"))
CODE = ["".join(cell["source"]) for cell in NOTEBOOK["cells"] if cell["cell_type"] == "code"]


def executed(tmp_path):
    """Executes the cells in one name space; returns it and the value of the last line of each cell."""
    space, shown = {}, []
    for cell in CODE:
        if magic := re.match(r"%%writefile (\S+)\n", cell):
            (tmp_path / magic[1]).write_text(cell[magic.end() :], encoding="utf-8")
            continue
        *lines, last = [line for line in cell.rstrip().split("\n") if not line.startswith("%")]
        if last.startswith((" ", ")")):
            lines, last = [*lines, last], "None"
        exec("\n".join(lines), space)
        shown.append(eval(last, space))
    return space, shown


def test_the_notebook_runs_from_a_strategy_class_to_a_ranked_table_and_a_plot(tmp_path, monkeypatch, data_root):
    documents.shrink(tmp_path / "gin", monkeypatch)
    monkeypatch.chdir(tmp_path)
    try:
        space, shown = executed(tmp_path)
    finally:
        documents.forget()
    trials, comparison, frame, figure = shown
    assert trials == 3 * 3 * (3 + 1 * 2)  # strategies x seeds x (reported + selection trials at two rates)
    assert isinstance(comparison, zapbench.Comparison)
    assert set(frame["method"]) == {"iid", "iid_zap", "shrink"}
    assert isinstance(figure, Figure)
    assert space["logs"].problems == []


@pytest.mark.parametrize(("kind", "words"), [("text/markdown", "| shrink |"), ("image/png", "iVBOR")])
def test_the_saved_outputs_hold_the_table_and_the_plot(kind, words):
    saved = [output.get("data", {}) for cell in NOTEBOOK["cells"] for output in cell.get("outputs", [])]
    assert any(words in "".join(data.get(kind, "")) for data in saved)
    assert not any("/tmp/" in json.dumps(data) for data in saved)
