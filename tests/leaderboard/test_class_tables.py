"""The dynamics of a table's methods: means over seeds, what is missing and why, the Markdown and the heat maps."""

import numpy as np
import pytest
from support.made_logs import FACTS, describe

from zapbench.experiment.record import write_trial
from zapbench.leaderboard import contract
from zapbench.leaderboard.contract import Closing
from zapbench.leaderboard.decide.class_tables import class_matrices, dynamics_of
from zapbench.leaderboard.decide.tables import tables
from zapbench.leaderboard.read.load import load
from zapbench.leaderboard.show import figures
from zapbench.leaderboard.show.dynamics import heat_maps, to_markdown
from zapbench.leaderboard.show.figures import write_figures
from zapbench.transfer.metrics import Trajectory

FACTS = {**FACTS, "images_held_out": 4}
FALLS = [[4], [2, 4], [2, 3, 4]]
"""Of four images: the first class falls by half, the second by a quarter; nothing recovers."""
RETURNS = [[4], [0, 4], [4, 4, 4]]
FALL, RETURN = (-0.5 + 0.0 - 0.25) / 3, (-1.0 + 1.0 + 0.0) / 3
"""Mean change of an earlier class."""


def write_counts(folder, counts, steps=(1, 2, 3), status=contract.FINISHED, losses=(), **about):
    curve = [sum(row) / (4 * len(row)) for row in counts]
    trajectory = Trajectory(list(steps), curve, curve, [0.0] * len(curve), curve, correct=counts, class_losses=losses)
    about = describe(facts=FACTS, **about)
    place = folder / f"{about.method}-{about.pretrain_seed}-{about.transfer_seed}"
    write_trial(place, about, "gin", trajectory, {"cost/seconds": 1.0}, Closing(status))


@pytest.fixture
def made(tmp_path):
    write_counts(tmp_path, FALLS, method="falls|all", seed=0, trial=0)
    write_counts(tmp_path, RETURNS, method="falls|all", seed=0, trial=1)
    write_counts(tmp_path, FALLS, method="falls|all", seed=1, trial=0)
    write_counts(tmp_path, [[4], [2, 3, 4]], (1, 3), method="coarse", seed=0)
    logs = load(tmp_path)
    (table,) = tables(logs)
    return logs, table


def test_numbers_are_means_over_seeds_of_means_over_trials(made):
    found = {one.method: one for one in dynamics_of(*made)}
    own = found["falls|all"]
    # Depths: (0.5 + 0.25) / 2 and (1 + 0) / 2 in seed 0, (0.5 + 0.25) / 2 in seed 1.
    assert own.mean.depth == pytest.approx(((0.375 + 0.5) / 2 + 0.375) / 2)
    assert own.mean.recovered == pytest.approx(((0 + 1) / 2 + 0) / 2)
    assert own.mean.recovery == 1.0, "of those that recover"
    assert own.mean.interference.earlier == pytest.approx(((FALL + RETURN) / 2 + FALL) / 2)
    assert own.trials == 3
    np.testing.assert_allclose(own.table[1, :2], [(0.5 + 0.0 + 0.5) / 3, 1.0])


def test_diverged_trials_do_not_count(made, tmp_path):
    logs, table = made
    (before,) = [one for one in dynamics_of(logs, table) if one.method == "falls|all"]
    first = {one.method: one for one in class_matrices(logs, table)}["falls|all"]
    assert (first.pretrain_seed, first.transfer_seed) == (0, 0)
    write_counts(tmp_path, FALLS, method="falls|all", seed=0, trial=2)
    write_counts(tmp_path, RETURNS, status=contract.DIVERGED, method="falls|all", seed=0, trial=0)
    logs = load(tmp_path)
    (table,) = tables(logs)
    (after,) = [one for one in dynamics_of(logs, table) if one.method == "falls|all"]
    assert (str(after.mean), after.trials) == (str(before.mean), 3), "another trial is like the one that diverged"
    first = {one.method: one for one in class_matrices(logs, table)}["falls|all"]
    assert (first.pretrain_seed, first.transfer_seed) == (0, 1)


def test_a_method_that_was_not_measured_after_every_class_is_missing_in_words(made):
    (coarse,) = [one for one in dynamics_of(*made) if one.method == "coarse"]
    assert coarse.mean is None
    assert coarse.missing.startswith("measured at 2 points of 3 classes")
    text = to_markdown("t", dynamics_of(*made))
    assert "coarse is missing: measured at 2 points" in text
    assert "| falls\\|all | 3 | 40.6 | 25.0 | 1.0 |" in text
    assert "nan" not in text


def test_maps_have_a_row_per_method_with_numbers_and_none_give_no_figure(made, tmp_path, monkeypatch):
    logs, table = made
    found = dynamics_of(logs, table)
    figure = heat_maps("a title", found)
    maps = [axes.images[0].get_array() for axes in figure.axes if axes.images]
    assert [np.shape(values) for values in maps[:2]] == [(3, 3), (3, 3)], "accuracy, and change"
    assert maps[0][1][1] == 100.0
    assert maps[1][0][1] == pytest.approx(100 * ((0.5 + 0.0 + 0.5) / 3 - 1.0))
    assert heat_maps("a title", [one for one in found if one.mean is None]) is None
    calls = []
    monkeypatch.setattr(figures, "dynamics_of", lambda *given: calls.append(given) or found)
    written = write_figures([table], logs, tmp_path / "figures", ("svg", "png"), ("dynamics",))
    assert len(calls) == 1, "the text and the figure are of the same numbers"
    assert [path.suffix for path in written] == [".md", ".svg", ".png"]
    assert all(path.is_file() for path in written)


LOSSES = [[0.25, 3.0, 4.0], [0.75, 0.25, 4.5], [1.75, 0.5, 0.25]]
"""Of earlier classes: +0.5, +1.0, +0.25; of the one class to come while another was learned: +0.5."""


def test_losses_show_what_learning_a_class_does_to_those_before_it_and_those_to_come(tmp_path):
    write_counts(tmp_path, FALLS, losses=LOSSES, method="measured", seed=0)
    write_counts(tmp_path, FALLS, losses=(2 * np.array(LOSSES)).tolist(), method="measured", seed=1)
    write_counts(tmp_path, FALLS, losses=LOSSES, method="in part", seed=0, trial=0)
    write_counts(tmp_path, FALLS, method="in part", seed=0, trial=1)
    logs = load(tmp_path)
    (table,) = tables(logs)
    found = {one.method: one for one in dynamics_of(logs, table)}
    effect = found["measured"].effect
    assert effect.earlier == pytest.approx((1 + 2) / 2 * (0.5 + 1.0 + 0.25) / 3)
    assert effect.to_come == pytest.approx((1 + 2) / 2 * 0.5)
    np.testing.assert_allclose(found["measured"].losses, 1.5 * np.array(LOSSES))
    assert found["in part"].effect is None, "not the mean of those that have one"
    text = to_markdown("t", list(found.values()))
    assert "| loss of earlier (nats) | loss of those to come (nats) |" in text
    assert "| +0.875 | +0.750 |" in text
    maps = [axes.images[0].get_array() for axes in heat_maps("t", [found["measured"]]).axes if axes.images]
    assert maps[2][2][1] == pytest.approx(0.75), "the third class, while the second was learned"


def test_losses_of_another_shape_are_named(tmp_path):
    write_counts(tmp_path, FALLS, losses=LOSSES[:2], method="short", seed=0)
    logs = load(tmp_path)
    (table,) = tables(logs)
    (found,) = dynamics_of(logs, table)
    assert found.missing == "losses of shape (2, 3) for 3 points of 3 classes"
