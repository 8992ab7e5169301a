"""Forest plot, matrix of differences, cost and class x time matrix show the numbers of the table."""

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.patches import Rectangle
from scipy import stats
from support.made_logs import FACTS, write, write_run

from zapbench.cli.main import main
from zapbench.leaderboard.decide.class_tables import class_matrices
from zapbench.leaderboard.decide.relations import relations
from zapbench.leaderboard.decide.tables import tables
from zapbench.leaderboard.read.load import load
from zapbench.leaderboard.show import classes, cost, forest, matrix
from zapbench.leaderboard.show.page_data import table_data
from zapbench.leaderboard.show.paper_bars import paper_bars

SEQUENCE = FACTS | {"classes_per_trial": 3, "protocol": "sequential", "images_held_out": 4}
COUNTS = [[4, 0, 0], [3, 4, 0], [1, 4, 2]]


@pytest.fixture
def logs(tmp_path):
    for method, mean, spread in (("high", 0.7, 0.01), ("wide", 0.5, 0.1), ("low", 0.3, 0.01), ("untrained", 0.2, 0.01)):
        for seed in range(3):
            write(tmp_path, [0.9, mean + spread * (seed - 1)], method=method, seed=seed)
    for seed in range(3):
        write(tmp_path, [0.95, 0.9], method="low", learner="joint", seed=seed)
    return load(tmp_path)


def test_a_forest_plot_has_each_mean_and_interval_and_lines_at_floors_and_ceiling(logs):
    (table,) = tables(logs)
    axes = forest.draw(table).axes[0]
    dots = [line for line in axes.lines if line.get_marker() == "s"]
    assert [(line.get_xdata()[0], line.get_ydata()[0]) for line in dots] == [
        (pytest.approx(100 * row.held_out.mean), place) for place, row in enumerate(table.rows)
    ]
    bars = {line.get_ydata()[0]: list(line.get_xdata()) for line in axes.lines if line.get_marker() == "None"}
    wide = next(row for row in table.rows if row.method == "wide")
    assert bars[2] == pytest.approx([100 * wide.held_out.low, 100 * wide.held_out.high])
    levels = sorted(line.get_xdata()[0] for line in axes.lines if list(line.get_ydata()) == [0, 1])
    assert levels == pytest.approx([10, 20, 90], rel=1e-5)
    (legend,) = axes.figure.legends
    assert [text.get_text() for text in legend.get_texts()] == [
        "floor: chance (10.0)", "floor: untrained (20.0)", "ceiling: low + joint (90.0)",
    ]  # fmt: skip


def test_the_matrix_says_who_is_above_whom_and_by_how_much(logs):
    (table,) = tables(logs)
    axes = matrix.draw(table).axes[0]
    texts = {tuple(map(float, text.get_position())): text.get_text() for text in axes.texts}
    assert texts[2, 0] == "+40"  # high minus low
    assert texts[0, 2] == "-40"
    cells = {
        (patch.get_x() + 0.5, patch.get_y() + 0.5): to_hex(patch.get_facecolor()).upper()
        for patch in axes.patches
        if isinstance(patch, Rectangle)
    }
    assert len(cells) == 4 * 3
    assert (cells[2, 0], cells[0, 2], cells[1, 0]) == (matrix.ABOVE, matrix.BELOW, matrix.ALIKE)
    page = table_data(table, [], {row.method: "x.html" for row in table.rows}, {}, (), {})["matrix"]
    assert [row["name"] for row in page] == ["high", "wide", "low", "untrained"]
    assert page[0]["cells"][2] == {"text": "+40.0", "class": "above"}
    assert page[2]["cells"][0] == {"text": "-40.0", "class": "below"}
    assert page[0]["cells"][1]["class"] == "alike"
    assert page[0]["cells"][0] is None


def test_relations_are_the_pairs_seen_from_each_method(logs):
    (table,) = tables(logs)
    found = {one.method: one for one in relations(table)}
    assert found["high"].above == ["low", "untrained"]
    assert found["high"].alike == ["wide"]
    assert found["low"].below == ["high"]
    assert found["untrained"].below == ["high", "low"]


def test_the_figure_of_costs_has_each_method_at_its_cost(tmp_path):
    for method, steps, score in (("cheap", 0, 0.2), ("dear", 5000, 0.6), ("worse", 9000, 0.5)):
        for seed in range(3):
            write_run(tmp_path, method=method, seed=seed, costs={"cost/gradient_steps": steps})
            write(tmp_path, [score], method=method, seed=seed)
    (table,) = tables(load(tmp_path))
    figure = cost.draw(table)
    panel = next(axes for axes in figure.axes if axes.get_xlabel() == "gradient steps of pre-training")
    dots = {(line.get_xdata()[0], round(line.get_ydata()[0], 3)) for line in panel.lines if line.get_marker() != "None"}
    assert dots == {(0, 20.0), (5000, 60.0), (9000, 50.0)}
    (front,) = [line for line in panel.lines if len(line.get_xdata()) == 2 and line.get_drawstyle() == "steps-post"]
    assert list(front.get_xdata()) == [0, 5000]  # the third costs more and is worse


def test_the_matrix_of_classes_is_drawn_from_the_counts_of_the_first_trial(tmp_path):
    write(tmp_path, [1.0, 0.875, 7 / 12], facts=SEQUENCE, trial=1)
    write(tmp_path, [1.0, 0.875, 7 / 12], facts=SEQUENCE, trial=2, correct=COUNTS)
    write(tmp_path, [1.0, 0.5, 0.25], facts=SEQUENCE, method="none")
    logs = load(tmp_path)
    (table,) = tables(logs)
    (found,) = class_matrices(logs, table)
    assert (found.method, found.transfer_seed, found.steps) == ("m", 2, [1, 2, 3])
    np.testing.assert_array_equal(found.table, [[1, np.nan, np.nan], [0.75, 1, np.nan], [0.25, 1, 0.5]])
    panel = classes.draw(table, [found]).axes[0]
    drawn = panel.collections[0].get_array()
    np.testing.assert_array_equal(np.ma.filled(drawn, -1), [[100, 75, 25], [-1, 100, 100], [-1, -1, 50]])
    assert panel.get_ylim() == (3, 0)
    assert classes.draw(table, []) is None


def test_counts_that_do_not_fit_their_trial_are_not_drawn(tmp_path):
    write(tmp_path, [1.0, 0.9], facts=SEQUENCE, correct=COUNTS)
    write(tmp_path, [1.0, 0.9, 0.8], facts=SEQUENCE, method="large", correct=[[9, 0, 0], [9, 9, 0], [9, 9, 9]])
    logs = load(tmp_path)
    (table,) = tables(logs)
    assert class_matrices(logs, table) == []
    assert all(np.isnan(row.learning_accuracy) for row in table.rows)


def test_the_command_draws_the_kinds_that_are_asked_for(logs, tmp_path):
    out = tmp_path / "figures"
    assert main(["leaderboard", str(logs.folders[""]), "--no-cache", "--figures", str(out), "--figure", "matrix"]) == 0
    assert [path.name.rpartition("-")[2] for path in out.iterdir()] == ["matrix.svg"]


def test_bars_as_in_the_paper_are_means_and_deviations_over_trials_and_its_p_of_each_pair(tmp_path):
    scores = {"asb": [0.2, 0.3, 0.4], "other": [0.9, 0.9, 0.9], "asb_zap": [0.5, 0.6, 0.71]}
    for method, finals in scores.items():
        for seed, final in enumerate(finals):
            for trial in range(2):
                write(tmp_path, [0.9, final + 0.02 * trial], method=method, seed=seed, trial=trial)
    logs = load(tmp_path)
    (table,) = tables(logs)
    axes = paper_bars(table, logs).axes[0]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["other", "asb", "asb_zap"]
    drawn = {round(patch.get_x() + patch.get_width()): patch.get_height() for patch in axes.patches}
    assert drawn[1] == pytest.approx(100 * np.mean([0.2, 0.22, 0.3, 0.32, 0.4, 0.42]))
    (segments,) = [line.get_segments() for line in axes.collections][1:2]
    half = 100 * np.std([0.2, 0.22, 0.3, 0.32, 0.4, 0.42], ddof=1)
    assert segments[0][:, 1] == pytest.approx([drawn[1] - half, drawn[1] + half])
    known = stats.mannwhitneyu(
        [0.2, 0.22, 0.3, 0.32, 0.4, 0.42], [0.5, 0.52, 0.6, 0.62, 0.71, 0.73], method="asymptotic"
    ).pvalue
    assert [text.get_text() for text in axes.texts] == [f"p = {known:.3f}"]


def test_pairs_of_the_papers_bars_differ_in_zapping_alone(tmp_path):
    methods = ("asb", "asb[K=3]", "asb_zap[K=3]", "asb_zap + replay", "asb + replay")
    for place, method in enumerate(methods):
        for seed in range(3):
            write(tmp_path, [0.9, 0.5 + 0.05 * place + 0.01 * seed], method=method, seed=seed)
    logs = load(tmp_path)
    logs.trials["strategy"] = logs.trials["method"].str.extract(r"^(\w+)")[0]
    (table,) = tables(logs)
    axes = paper_bars(table, logs).axes[0]
    order = [label.get_text() for label in axes.get_xticklabels()]
    beside = [{*order[place : place + 2]} for place in range(len(order) - 1)]
    assert {"asb[K=3]", "asb_zap[K=3]"} in beside
    assert {"asb + replay", "asb_zap + replay"} in beside
    assert len(axes.texts) == 2
