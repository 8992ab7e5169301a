"""Curves end where the table stands, and figures are whole, the same twice, and take any name."""

import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from PIL import Image
from support.made_logs import write, write_table
from support.paths import DEMO

from zapbench.cli.main import main
from zapbench.leaderboard import contract
from zapbench.leaderboard.decide.curves import curves
from zapbench.leaderboard.decide.tables import tables
from zapbench.leaderboard.read.load import load
from zapbench.leaderboard.show.drawing import COLOURS, STYLES, places
from zapbench.leaderboard.show.figures import write_figures
from zapbench.leaderboard.show.trajectories import MOST_CURVES, bars, trajectories


@pytest.fixture(scope="module")
def demo():
    logs = load(DEMO)
    return logs, tables(logs)


def texts(figure):
    (axes,) = figure.axes
    return [text.get_text() for text in axes.get_legend().get_texts()]


def test_every_curve_ends_where_its_row_stands(demo):
    logs, (table,) = demo
    found = curves(logs, table)
    assert [curve.method for curve in found] == [row.method for row in table.rows]
    for curve, row in zip(found, table.rows):
        assert len(curve.steps) == 60
        assert curve.mean[-1] == pytest.approx(row.held_out.mean, rel=1e-6)
        assert (curve.low[-1], curve.high[-1]) == pytest.approx((row.held_out.low, row.held_out.high), rel=1e-5)
        assert [len(values) for values in curve.seeds.values()] == [60, 60, 60]


def test_bindings_that_all_methods_share_stand_once_above_the_curves(tmp_path):
    for seed in range(3):
        for method in ("iid", "asb"):
            write(tmp_path, [0.9, 0.5], method=f"{method}[convnet.filters=8]", seed=seed)
    logs = load(tmp_path)
    (table,) = tables(logs)
    for figure in (trajectories(table, curves(logs, table)), bars(table)):
        assert figure.axes[0].get_title().endswith("\nconvnet.filters=8")
    assert {*texts(trajectories(table, curves(logs, table)))} == {"iid", "asb", "chance"}
    assert {label.get_text() for label in figure.axes[0].get_xticklabels()} == {"iid", "asb"}
    write(tmp_path, [0.9, 0.5], method="iid", seed=0)
    logs = load(tmp_path)
    (table,) = tables(logs)
    assert {*texts(trajectories(table, curves(logs, table)))} == {*(row.method for row in table.rows), "chance"}


def test_a_diverged_trial_is_chance_all_along_its_curve(tmp_path):
    for seed in range(3):
        write(tmp_path, [0.9, 0.5], seed=seed, trial=0)
    write(tmp_path, [0.8], seed=0, trial=1, status=contract.DIVERGED)
    logs = load(tmp_path)
    (curve,) = curves(logs, tables(logs)[0])
    assert curve.steps == [1, 2]
    assert curve.seeds[0] == pytest.approx([0.5, 0.3], abs=1e-6)  # the mean with a chance of one in ten


def test_points_that_not_all_trials_share_are_not_drawn(tmp_path):
    write(tmp_path, [0.9, 0.5], seed=0)
    write(tmp_path, [0.9, 0.5, 0.4], seed=1)
    logs = load(tmp_path)
    (curve,) = curves(logs, tables(logs)[0])
    assert curve.steps == [1, 2]
    assert (curve.low, curve.high) == ([], [])  # two seeds have no interval


def test_a_table_of_diverged_trials_alone_is_drawn_without_curves(tmp_path):
    write(tmp_path, [], status=contract.DIVERGED)
    logs = load(tmp_path)
    assert texts(trajectories(tables(logs)[0], curves(logs, tables(logs)[0]))) == ["chance"]


def test_trajectories_have_a_line_and_a_band_a_method_and_say_what_is_chance(demo):
    logs, (table,) = demo
    figure = trajectories(table, curves(logs, table))
    (axes,) = figure.axes
    assert texts(figure) == [*(row.method for row in table.rows), "chance"]
    assert len(axes.collections) == 4
    assert axes.lines[-1].get_ydata()[0] == pytest.approx(100 / 300)
    assert axes.get_xlabel() == "classes seen"
    axes.set_xlim(1, 20)
    assert all(tick == int(tick) for tick in axes.get_xticks())


def test_upper_bounds_are_black_lines_without_a_band_each_with_dashes_of_its_own(tmp_path):
    write_table(tmp_path)
    for seed in range(3):
        for method in ("best", "second"):
            write(tmp_path, [0.99, 0.98], method=method, learner="cumulative", seed=seed)
    logs = load(tmp_path)
    (table,) = tables(logs)
    (axes,) = trajectories(table, curves(logs, table)).axes
    assert [line.get_color() for line in axes.lines[:2]] == ["black", "black"]
    assert axes.lines[0]._dash_pattern != axes.lines[1]._dash_pattern
    assert len(axes.collections) == 3


def test_bars_stand_in_pairs_with_the_tables_letters_above(demo):
    _, (table,) = demo
    (axes,) = bars(table).axes
    heights = [bar.get_height() for bar in axes.patches]
    expected = [part for row in table.rows for part in (100 * row.validation, 100 * row.held_out.mean)]
    assert heights == pytest.approx(expected)
    assert [text.get_text() for text in axes.texts] == [row.letters for row in table.rows]


def test_the_colour_blind_can_tell_the_colours_apart():
    """Distances after Machado, Oliveira and Fernandes (2009), severity 1, in linear RGB."""
    deficiencies = {
        "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
        "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
        "tritan": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
    }
    linear = np.array(
        [[c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(h)] for h in COLOURS]
    )
    for matrix in deficiencies.values():
        seen = np.clip(linear @ np.array(matrix).T, 0, 1) ** (1 / 2.4)
        for i in range(len(COLOURS)):
            for j in range(i):
                assert np.linalg.norm(seen[i] - seen[j]) > 0.1
    assert len({(i % len(COLOURS), i % len(STYLES)) for i in range(28)}) == 28


def test_figures_of_the_demo_are_whole_and_the_same_twice_in_every_format(demo, tmp_path):
    logs, made = demo
    first = write_figures(made, logs, tmp_path / "a", ["svg", "png", "pdf"])
    assert [path.suffix for path in first] == [".svg", ".png", ".pdf"] * 5  # the demo recorded no classes
    for path in first:
        if path.suffix == ".svg":
            assert ElementTree.parse(path).getroot().tag.endswith("svg")
        elif path.suffix == ".png":
            with Image.open(path) as image:
                assert min(image.size) > 500
                assert len(np.unique(image.convert("L"))) > 50
        else:
            assert path.read_bytes().startswith(b"%PDF")
    again = write_figures(made, logs, tmp_path / "b", ["svg", "png", "pdf"])
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in again]


def test_any_name_is_drawn_as_it_is(tmp_path):
    for place, name in enumerate(["_x", "$a", r"$\frac{1}$", "<b>&amp;", "a b", "名前", "-->", "x" * 300]):
        for seed in range(3):
            write(tmp_path, [0.9, 0.1 * place], method=name, seed=seed, scenario="../../s $")
    logs = load(tmp_path)
    made = tables(logs)
    names = texts(trajectories(made[0], curves(logs, made[0])))
    assert {"_x", "$a", r"$\frac{1}$", "<b>&amp;", "a b", "名前", "-->", "x" * 59 + "…", "chance"} == set(names)
    written = write_figures(made, logs, tmp_path / "out", ["svg", "pdf"])
    for path in written:
        assert path.parent == tmp_path / "out"
        if path.suffix == ".svg":
            ElementTree.parse(path)


def test_the_command_draws_what_is_asked(tmp_path, capsys):
    assert main(["leaderboard", str(DEMO), "--no-cache", "--figures", str(tmp_path), "--figure-format", "png"]) == 0
    names = sorted(path.name for path in tmp_path.iterdir())
    kinds = ("bars", "cost", "forest", "matrix", "trajectories")
    assert names == [f"glyphs-sequential-frozen-90412692112c-{kind}.png" for kind in kinds]
    assert "glyphs: sequential" in capsys.readouterr().out


def test_a_method_looks_the_same_in_all_tables_of_a_folder(tmp_path):
    for scenario, scores in (("s", {"a": 0.9, "b": 0.5}), ("t", {"b": 0.9, "a": 0.5})):
        for method, score in scores.items():
            write(tmp_path / scenario, [score, score], method=method, scenario=scenario)
    logs = load(tmp_path)
    made = tables(logs)
    assert [[row.method for row in table.rows] for table in made] == [["a", "b"], ["b", "a"]]
    looks = []
    for table in made:
        (axes,) = trajectories(table, curves(logs, table), places(made)).axes
        drawn = zip((curve.method for curve in curves(logs, table)), axes.lines)
        looks.append({name: (line.get_color(), line.get_linestyle()) for name, line in drawn})
    assert looks[0] == looks[1]
    assert looks[0]["a"] != looks[0]["b"]


def test_of_many_methods_as_many_are_drawn_as_differ_in_style_and_the_axis_says_how_many_are_not(tmp_path):
    for place in range(MOST_CURVES + 2):
        write(tmp_path, [0.9, 0.9 - place / 100], method=f"m{place:02}", seed=0)
    logs = load(tmp_path)
    (table,) = tables(logs)
    figure = trajectories(table, curves(logs, table))
    figure.draw_without_rendering()  # with room for every name: pytest turns warnings into errors
    assert texts(figure) == [*(row.method for row in table.rows[:MOST_CURVES]), "chance"]
    assert "2 more are not drawn" in figure.axes[0].get_xlabel()
