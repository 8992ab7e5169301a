"""Tables as text, Markdown, LaTeX and CSV, whatever names stand in them."""

import dataclasses
import io
import re

import pandas as pd
import pytest
from rich.console import Console
from support.made_logs import write

from zapbench.leaderboard.decide.rows import Row
from zapbench.leaderboard.decide.tables import tables
from zapbench.leaderboard.read.load import load
from zapbench.leaderboard.show.columns import COLUMNS, columns_of
from zapbench.leaderboard.show.data import to_csv
from zapbench.leaderboard.show.latex import to_latex
from zapbench.leaderboard.show.markdown import to_markdown
from zapbench.leaderboard.show.terminal import fitting, to_terminal


def test_a_very_long_name_is_shown_whole_and_breaks_nothing(tmp_path):
    name = "m" * 200
    for seed in range(3):
        write(tmp_path, [0.5], method=name, seed=seed)
    made = tables(load(tmp_path))
    assert name in to_markdown(made)
    console = Console(file=io.StringIO(), width=80)
    to_terminal(made, console)
    lines = console.file.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    assert sum(line.count("m" * 10) > 0 for line in lines) > 2


def test_latex_is_whole_and_escapes_names(tmp_path):
    for seed in range(3):
        write(tmp_path, [0.5], method="a_b & 50% {x}^2", seed=seed)
    text = to_latex(tables(load(tmp_path)))
    assert r"a\_b \& 50\% \{x\}\textasciicircum{}2" in text
    assert text.count(r"\begin{") == text.count(r"\end{") == 2
    widths = {line.count(" & ") for line in text.splitlines() if line.endswith(r"\\")}
    assert len(widths) == 1


def test_names_are_escaped_in_markdown_and_csv(tmp_path):
    for seed in range(3):
        write(tmp_path, [0.5], method="=a|b `c`", seed=seed)
    made = tables(load(tmp_path))
    line = next(line for line in to_markdown(made).splitlines() if "50.0" in line)
    assert r"=a\|b \`c\`" in line
    frame = pd.read_csv(io.StringIO(to_csv(made)))
    assert frame["method"][0] == "'=a|b `c`"


def test_every_field_of_a_row_is_in_exactly_one_column():
    fields = [field for column in COLUMNS for field in column.fields if column.key != "mean_std"]  # it shares `scored`
    assert len(set(fields)) == len(fields)
    assert set(fields) == {field.name for field in dataclasses.fields(Row)} | {
        "low", "high", "seeds", "seed_spread", "scored_low", "scored_high",
    }  # fmt: skip


def test_a_narrow_terminal_drops_costs_first_and_names_what_it_dropped(tmp_path):
    for seed in range(3):
        write(tmp_path, [0.9, 0.5], seed=seed)
    (table,) = tables(load(tmp_path))
    for width in (60, 100, 140):
        shown, dropped = fitting(table, width)
        assert {column.label for column in (*shown, *dropped)} == {column.label for column in columns_of(table)}
        assert min(column.priority for column in dropped) >= max(column.priority for column in shown)
    console = Console(file=io.StringIO(), width=100)
    to_terminal([table], console)
    text = " ".join(console.file.getvalue().split())
    assert "Columns dropped to fit the width: transfer (s), average incremental %," in text


def test_no_link_image_or_definition_comes_from_a_name(tmp_path):
    for place, name in enumerate(("[a]: http://elsewhere.example", "![b][a]", "[c](http://elsewhere.example)")):
        for seed in range(2):
            write(tmp_path, [0.5], method=name, seed=seed + place)
    text = to_markdown(tables(load(tmp_path)), ["[d]: http://elsewhere.example 'x'"])
    assert not re.search(r"(?<!\\)\](?=[(\[:])", text)
    assert r"- [d]\: http" in text


@pytest.mark.parametrize("name", ["=1+1", "＝1", "＋1", "－1", "＠SUM(1)", "-1", "@x", " =1"])
def test_no_cell_is_a_formula_to_a_spreadsheet(tmp_path, name):
    write(tmp_path, [0.5], method=name)
    frame = pd.read_csv(io.StringIO(to_csv(tables(load(tmp_path)))))
    assert frame["method"][0] == f"'{name}"


def test_a_terminal_gets_no_escape_sequence_and_one_line_a_note(tmp_path):
    write(tmp_path, [0.5], status="failed", reason="x\x1b[2J\nm: 5 reported trials failed")
    console = Console(file=io.StringIO(), width=200)
    to_terminal(tables(load(tmp_path)), console)
    assert "\x1b" not in console.file.getvalue()
    assert not any(line.startswith("m: 5") for line in console.file.getvalue().splitlines())
