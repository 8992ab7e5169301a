"""The table that people print: its columns, order, title and metric, with the best values in bold."""

import csv
import dataclasses
import io
import json
import re

import pandas as pd
import pytest
from rich.console import Console
from support.honest_logs import CLASSES, draw, record, write_honest
from support.made_logs import write, write_table

from zapbench.cli.main import main
from zapbench.leaderboard import contract
from zapbench.leaderboard.decide.metrics import METRICS, metric_named
from zapbench.leaderboard.decide.tables import tables
from zapbench.leaderboard.read.load import load
from zapbench.leaderboard.show.data import to_csv
from zapbench.leaderboard.show.latex import label, to_latex
from zapbench.leaderboard.show.markdown import to_markdown
from zapbench.leaderboard.show.terminal import to_terminal
from zapbench.leaderboard.show.view import View


@pytest.fixture
def logs(tmp_path):
    write_table(tmp_path / "logs")
    return tmp_path / "logs"


def made(folder, **more):
    return tables(load(folder), **more)


def cells(markdown):
    return [line.strip("| ").split(" | ") for line in markdown.splitlines() if line.startswith("| ")]


def test_columns_are_those_asked_for_in_that_order_and_the_method_is_always_there(logs):
    head, _, *rows = cells(to_markdown(made(logs), view=View(columns=("mean_std", "seeds"))))
    assert head == ["method", "mean ± std %", "seeds"]
    assert rows[0] == ["best", "61.7 ± 0.6", "3"]
    head = cells(to_markdown(made(logs), view=View(columns=("rank", "method"))))[0]
    assert head == ["rank", "method"]


def test_rows_are_sorted_by_a_column_numbers_from_the_best_and_texts_from_a(logs):
    def order(**view):
        return [row[0] for row in cells(to_markdown(made(logs), view=View(columns=("rank",), **view)))[2:]]

    assert order() == ["best", "good", "bad"]
    assert order(sort="method") == ["bad", "best", "good"]
    assert order(sort="rank") == ["best", "good", "bad"]
    assert order(sort="held_out") == ["best", "good", "bad"]


@pytest.mark.parametrize("arguments", [["--columns", "held_outt"], ["--sort", "held_outt"]])
def test_an_unknown_column_is_refused_with_the_known_ones(logs, arguments, capsys):
    assert main(["leaderboard", str(logs), "--no-cache", *arguments]) == 2
    error = capsys.readouterr().err
    assert "unknown column 'held_outt', did you mean held_out" in error
    assert "mean_std" in error


def test_the_best_value_of_a_column_is_bold_as_it_is_printed_and_a_bound_does_not_compete(tmp_path):
    for method, score, learner in (("a", 0.5, ""), ("b", 0.50004, ""), ("c", 0.4, ""), ("d", 0.9, "joint")):
        for seed in range(3):
            write(tmp_path, [0.9, score], method=method, seed=seed, learner=learner)
    markdown = to_markdown(made(tmp_path), view=View(columns=("held_out",), bold=True))
    assert {row[0]: row[1].startswith("**") for row in cells(markdown)[2:]} == {
        "a": True, "b": True, "c": False, "d + joint": False,
    }  # fmt: skip
    assert "**" not in to_markdown(made(tmp_path), view=View(columns=("held_out",)))
    assert to_latex(made(tmp_path)).count(r"\textbf{50.0 [50.0, 50.0]}") == 2


def test_less_forgetting_is_best(tmp_path):
    for method, forgotten in (("a", 0.2), ("b", 0.1)):
        for seed in range(3):
            trajectory = dataclasses.replace(draw(method, 0, seed, 0), forgetting=[forgotten] * CLASSES)
            record(tmp_path / method / str(seed), trajectory, method, seed)
    text = to_latex(made(tmp_path), View(columns=("forgetting",)))
    assert r"\textbf{10.0}" in text
    assert r"\textbf{20.0}" not in text


def test_latex_has_a_caption_with_the_title_a_label_and_mean_and_std_beside_the_interval(logs):
    (table,) = made(logs)
    text = to_latex([table], View(title="Ours & theirs"))
    head = next(line for line in text.splitlines() if line.startswith("rank"))
    assert r"held-out \% [95\% CI] & mean $\pm$ std \% & " in head
    assert r"\caption{Ours \& theirs: s: sequential, frozen transfer. Std: between pre-training seeds. " in text
    assert rf"\label{{{label(table)}}}" in text
    assert re.fullmatch(r"tab:[a-z0-9-]+", label(table))


def test_a_label_is_safe_whatever_the_scenario_is_called(tmp_path):
    for seed in range(3):
        write(tmp_path, [0.5], seed=seed, scenario=r"}\input{/etc/pass_wd}")
    (table,) = made(tmp_path)
    assert re.fullmatch(f"tab:input-etc-pass-wd-sequential-frozen-{table.fingerprint}-[0-9a-f]{{16}}", label(table))
    assert re.fullmatch(f"input-etc-pass_wd-sequential-frozen-{table.fingerprint}-[0-9a-f]{{16}}", table.file_name)
    assert r"\input" not in to_latex([table], View(title=r"\input{x}"))


@pytest.mark.parametrize("width", [80, 100])
@pytest.mark.parametrize("columns", [(), ("rank", "mean_std", "seeds", "rate")])
def test_a_table_fits_80_and_100_columns(logs, width, columns):
    console = Console(file=io.StringIO(), width=width)
    to_terminal(made(logs), console, View(columns=columns, title="A title"))
    lines = console.file.getvalue().splitlines()
    assert max(map(len, lines)) <= width
    assert "A title: s: sequential, frozen transfer" in " ".join(lines)


def test_columns_that_do_not_fit_are_dropped_from_the_last_and_named_and_the_method_stays(logs):
    console = Console(file=io.StringIO(), width=60)
    asked = ("rank", "mean_std", "held_out", "trained_on", "seeds")
    to_terminal(made(logs), console, View(columns=asked))
    text = console.file.getvalue()
    assert "best" in text
    assert max(map(len, text.splitlines())) <= 60
    assert "dropped to fit the width: seeds, trained-on %;" in " ".join(text.split())


def test_csv_has_the_columns_asked_for_with_numbers_unrounded_and_no_formula(tmp_path):
    for seed in range(3):
        write(tmp_path, [0.5 + seed / 1000], method="@x", seed=seed)
    text = to_csv(made(tmp_path), View(columns=("mean_std", "rate")))
    head, row = csv.reader(io.StringIO(text))
    assert head == ["scenario", "protocol", "fingerprint", "method", "scored", "scored_spread", "rate"]
    assert row[3] == "'@x"
    assert float(row[4]) == pytest.approx(0.501)
    assert float(row[5]) == pytest.approx(0.001, abs=1e-6)


@pytest.mark.parametrize("name", sorted(METRICS))
def test_a_table_is_ranked_by_any_recorded_metric(tmp_path, name):
    for method, skill in (("a", -1.0), ("b", 1.0)):
        write_honest(tmp_path / "logs", method, skill)
    for path in ("a", "b"):
        assert (tmp_path / "logs" / path).exists()
    metric = metric_named(name)
    (table,) = made(tmp_path / "logs", metric=metric)
    if name == "seen":
        assert [row.rank for row in table.rows] == [None, None]
        assert any("not ranked, for it was not recorded" in note and "a (12 trials)" in note for note in table.notes)
        return
    trials = load(tmp_path / "logs").trials.query("role == 'report' and rate == 0.01")
    if metric.column:
        expected = {m: own.groupby("pretrain_seed")[metric.column].mean().mean() for m, own in trials.groupby("method")}
        assert {row.method: row.scored.mean for row in table.rows} == pytest.approx(expected)
    assert {row.method for row in table.rows if row.rank} == {"a", "b"}
    if name != "final":
        assert any("Settings and rates are selected by final" in note for note in table.notes)
        assert f"{metric.label} [95% CI]" in to_markdown([table])


def test_learning_accuracy_and_backward_transfer_are_computed_from_the_table_of_predictions(tmp_path):
    """Two images of each class are right when it was learned, and one at the end."""
    rows = [[*[1] * seen, 2] for seen in range(CLASSES - 1)] + [[1] * (CLASSES - 1) + [2]]
    for seed in range(3):
        trajectory = dataclasses.replace(draw("a", 0, seed, 0), correct=rows)
        record(tmp_path / str(seed), trajectory, "a", seed)
    found = {name: made(tmp_path, metric=METRICS[name])[0].rows[0].scored.mean for name in METRICS}
    assert found["learning_accuracy"] == pytest.approx(0.2)
    assert found["backward_transfer"] == pytest.approx(-0.1)


def test_a_diverged_trial_scores_chance_by_an_accuracy_and_unranks_its_method_by_another_metric(tmp_path):
    for seed in range(3):
        for method in "abc":
            write(tmp_path, [0.9, 0.5], method=method, seed=seed)
    write(tmp_path, [], method="b", seed=3, status=contract.DIVERGED)
    (table,) = made(tmp_path, metric=METRICS["average_incremental"])
    assert {row.method: row.scored.mean for row in table.rows}["b"] == pytest.approx((3 * 0.7 + 0.1) / 4)
    (table,) = made(tmp_path, metric=METRICS["forgetting"])
    assert {row.method: row.rank is None for row in table.rows} == {"a": False, "b": True, "c": False}


def test_less_forgetting_ranks_first(tmp_path):
    for method, forgotten in (("a", 0.4), ("b", 0.1)):
        for seed in range(3):
            trajectory = dataclasses.replace(draw(method, 0, seed, 0), forgetting=[forgotten + seed / 100] * CLASSES)
            record(tmp_path / method / str(seed), trajectory, method, seed)
    (table,) = made(tmp_path, metric=METRICS["forgetting"])
    assert [(row.method, row.rank) for row in table.rows] == [("b", 1), ("a", 2)]
    assert any("less is better" in note for note in table.notes)


def test_the_command_takes_all_of_it(logs, capsys):
    shape = [
        "--columns",
        "rank",
        "scored",
        "seeds",
        "--sort",
        "seeds",
        "--title",
        "Mine",
        "--metric",
        "average_incremental",
    ]
    assert main(["leaderboard", str(logs), "--no-cache", "--format", "json", *shape]) == 0
    found = json.loads(capsys.readouterr().out)["tables"][0]
    assert (found["title"], found["metric"]) == ("Mine", "average_incremental")
    assert set(found["rows"][0]) == {"method", "rank", "scored", "scored_low", "scored_high", "seeds", "seed_spread"}
    assert main(["leaderboard", str(logs), "--no-cache", "--format", "csv"]) == 0
    assert "scored" not in pd.read_csv(io.StringIO(capsys.readouterr().out)).columns


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--metric", "finale"], "unknown metric 'finale', did you mean final"),
        (["--metric", "forgetting", "--site", "page"], "--metric is for printed tables"),
        (["--title", "a\x1b[2J"], "cannot be printed"),
    ],
)
def test_mistakes_are_one_line(logs, arguments, words, capsys):
    try:
        status = main(["leaderboard", str(logs), "--no-cache", *arguments])
    except SystemExit as stopped:
        status = stopped.code
    assert status == 2
    assert words in capsys.readouterr().err
