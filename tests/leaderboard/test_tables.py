"""Rows, ranks and what stands below a table, from made logs, beside values computed by hand."""

import dataclasses
import itertools
import json
import math

import numpy as np
import pytest
from scipy import stats
from support.made_logs import FACTS, SCORES, describe, write, write_run

from zapbench.experiment.record import write_trial
from zapbench.leaderboard import contract
from zapbench.leaderboard.contract import Closing
from zapbench.leaderboard.decide.select import choose
from zapbench.leaderboard.decide.sentence import findings, sentence
from zapbench.leaderboard.decide.tables import tables
from zapbench.leaderboard.read.load import load
from zapbench.leaderboard.show.columns import columns_of
from zapbench.leaderboard.show.data import to_csv, to_json
from zapbench.leaderboard.show.lines import selection_heading, selection_lines
from zapbench.leaderboard.show.markdown import to_markdown
from zapbench.transfer.reference import Trajectory


def test_the_table_equals_values_computed_by_hand(logs):
    (table,) = tables(load(logs))
    assert [row.method for row in table.rows] == ["best", "good", "bad"]
    means = {method: [float(np.mean(trials)) for trials in seeds] for method, seeds in SCORES.items()}
    for row in table.rows:
        assert row.rate == 0.01
        assert row.trials == 6
        assert row.held_out.mean == pytest.approx(np.mean(means[row.method]))
        half = 4.302653 * np.std(means[row.method], ddof=1) / math.sqrt(3)  # t(0.975, 2)
        assert row.held_out.low == pytest.approx(row.held_out.mean - half, abs=1e-6)
        assert row.held_out.high == pytest.approx(row.held_out.mean + half, abs=1e-6)
    raw = {
        (a, b): stats.ttest_ind(means[a], means[b], equal_var=False).pvalue
        for a, b in itertools.combinations(["best", "good", "bad"], 2)
    }
    ordered = sorted(raw.values())
    holm = np.maximum.accumulate([min(1, p * factor) for p, factor in zip(ordered, (3, 2, 1))])
    for pair in table.pairs:
        assert pair.p == pytest.approx(raw[pair.first, pair.second], rel=1e-5)
        assert pair.adjusted == pytest.approx(holm[ordered.index(raw[pair.first, pair.second])], rel=1e-5)
    assert [row.rank for row in table.rows] == [1, 1, 3]
    assert [row.letters for row in table.rows] == ["a", "a", "b"]
    test = "at the 5% level (Welch's t-test on seed means, Holm-adjusted over 3 pairs)."
    assert sentence(table) == f"2 of 3 pairs are significantly different {test}"
    assert findings(table) == [
        "best: above bad; not different: good",
        "good: above bad; not different: best",
        "bad: below all others",
    ]


def test_rates_are_chosen_on_selection_trials_and_never_on_reported_ones(logs):
    (table,) = tables(load(logs))
    assert {row.rate for row in table.rows} == {0.01}
    (paper,) = tables(load(logs), by="paper")
    assert {row.rate for row in paper.rows} == {0.1}


def test_ties_go_to_the_smaller_rate(tmp_path):
    for rate in (0.1, 0.001, 0.01):
        write(tmp_path, [0.5], role="select", rate=rate)
    assert choose(load(tmp_path).trials)["m"].rate == 0.001


def test_a_setting_is_chosen_together_with_its_rate(tmp_path):
    for value, rate, score in (("1", 0.1, 0.3), ("1", 0.01, 0.4), ("2", 0.1, 0.5), ("2", 0.01, 0.2)):
        write(tmp_path, [score], role="select", rate=rate, setting={"A.b": value})
    chosen = choose(load(tmp_path).trials)["m"]
    assert (chosen.setting, chosen.rate) == ("A.b=2", 0.1)
    assert len(chosen.grid) == 4


def test_a_candidate_that_lacks_a_seed_is_not_chosen(tmp_path):
    for seed in (0, 1):
        write(tmp_path, [0.3], role="select", rate=0.01, seed=seed)
    write(tmp_path, [0.9], role="select", rate=0.1, seed=0)
    assert choose(load(tmp_path).trials)["m"].rate == 0.01


def tried_on_one_seed(folder, other):
    """Setting 1 on three seeds, and setting 2, which scores `other` on the selection trial of seed 0, on that alone."""
    for seed, score in enumerate((0.5, 0.3, 0.4)):
        write(folder, [score], role="select", seed=seed, setting={"A.b": "1"}, settings_tried=2)
        write(folder, [0.6], seed=seed, setting={"A.b": "1"}, settings_tried=2)
    write(folder, [other], role="select", seed=0, setting={"A.b": "2"}, settings_tried=2)
    (table,) = tables(load(folder))
    return table


def test_settings_that_were_tried_on_one_seed_are_shown_and_counted_and_the_seed_is_named(tmp_path):
    table = tried_on_one_seed(tmp_path, 0.45)
    (row,) = table.rows
    assert (row.setting, row.settings_tried) == ("A.b=1", 2)
    selected = "settings selected on pre-training seed 0 alone: m (2 settings: the best 50.0, the next 45.0)"
    assert selected in table.notes
    assert "A.b at the boundary of the tuning grid 1 to 2 (extend it): m (1)" in table.notes
    assert selection_lines(table) == ["m A.b=1: 0.01: 40.0*", "m A.b=2 (1 seed, excluded): 0.01: 45.0"]
    records = json.loads(to_json([table]))["tables"][0]["selection"]["m"]
    assert [(r["setting"], r["complete"], r["seeds"]) for r in records] == [("A.b=1", True, 3), ("A.b=2", False, 1)]
    assert [r["on_shared_seeds"] for r in records] == pytest.approx([0.5, 0.45])


def test_a_setting_that_is_better_on_the_seeds_that_all_have_is_named(tmp_path):
    table = tried_on_one_seed(tmp_path, 0.55)
    (note,) = (note for note in table.notes if "selected on pre-training" in note)
    assert "alone, and the row is not at the best one: m (2 settings: A.b=2 55.0, the row's 50.0)" in note


def test_one_changed_point_moves_the_table(logs):
    before = to_json(tables(load(logs)))
    write(logs, [0.9, 0.55], method="best", seed=0, trial=0, rate=0.01)
    assert to_json(tables(load(logs))) != before


def test_the_same_logs_give_the_same_bytes(logs):
    for render in (to_json, to_csv, to_markdown):
        assert render(tables(load(logs))) == render(tables(load(logs)))


def test_columns_of_a_row_with_a_diverged_trial_are_empty_as_its_curves_end_early(tmp_path):
    rows = [[2, 0], [1, 2]]
    for seed in range(3):
        write(tmp_path, [0.9, 0.2], seed=seed, correct=rows)
        write(tmp_path, [0.9], seed=seed, trial=1, correct=rows[:1], status=contract.DIVERGED, reason="NaN")
    (table,) = tables(load(tmp_path))
    (row,) = table.rows
    assert row.held_out.mean == pytest.approx((0.2 + 0.1) / 2)  # chance is 1 of 10
    for value in (row.trained_on, row.forgetting, row.average_incremental, row.learning_accuracy, row.held_out_seen):
        assert math.isnan(value)


def test_tables_whose_names_differ_in_case_or_marks_alone_have_files_of_their_own(tmp_path):
    for scenario in ("s", "S", "s!"):
        write(tmp_path / str(ord(scenario[-1])), [0.5], scenario=scenario)
    names = [table.file_name for table in tables(load(tmp_path))]
    assert len(set(names)) == 3
    assert [name for name in names if name.count("-") == 3] == [f"s-sequential-frozen-{contract.fingerprint(FACTS)}"]


def test_a_trial_without_a_protocol_is_named(tmp_path):
    write_trial(
        tmp_path / "x", dataclasses.replace(describe(), protocol=None), "gin",
        Trajectory([1], [0.5], [0.5], [0.0], class_accuracy=[0.5]), {}, Closing(contract.FINISHED),
    )  # fmt: skip
    write(tmp_path, [0.5], method="whole")
    logs = load(tmp_path)
    assert [problem.endswith("states no protocol") for problem in logs.problems] == [True]


def test_a_diverged_trial_counts_as_chance_and_is_shown(logs):
    write(logs, [], method="best", seed=0, trial=0, status=contract.DIVERGED, reason="the loss is not finite")
    (table,) = tables(load(logs))
    row = next(row for row in table.rows if row.method == "best")
    expected = np.mean([np.mean([0.1, 0.62]), 0.62, 0.62])
    assert row.held_out.mean == pytest.approx(expected)
    assert row.diverged == 1
    assert "reported trials diverged: best (1: the loss is not finite)" in table.notes


def test_a_failed_pretraining_unranks_every_row_of_its_model_and_no_row_of_another_scenario(tmp_path):
    for method, base in (("asb", 0.3), ("iid", 0.5)):
        for seed in range(3):
            about = {"method": method, "seed": seed, "scenario": "here"}
            write(tmp_path, [base + 0.01 * seed], **about)
            write(tmp_path, [base + 0.01 * seed], **about, transfer="replay", learner="replay")
    write_run(tmp_path / "other", method="iid", scenario="there", status=contract.FAILED)
    (table,) = tables(load(tmp_path))
    assert all(row.rank for row in table.rows)
    write_run(tmp_path / "same", method="asb", scenario="here", seed=3, status=contract.FAILED)
    (table,) = tables(load(tmp_path))
    assert {row.method for row in table.rows if not row.rank} == {"asb", "asb + replay"}


def test_a_method_with_a_failed_task_is_not_ranked(logs):
    write(logs, [], method="best", seed=0, trial=0, status=contract.FAILED, reason="RuntimeError: no")
    (table,) = tables(load(logs))
    row = next(row for row in table.rows if row.method == "best")
    assert row.rank is None
    assert "not ranked, for a task failed and has to be repeated: best" in table.notes
    assert not any("best" in (pair.first, pair.second) for pair in table.pairs)


def test_fewer_than_three_seeds_have_no_interval_and_no_rank(tmp_path):
    for method, seed in itertools.product("ab", range(2)):
        write(tmp_path, [0.5 + 0.1 * seed], method=method, seed=seed)
    (table,) = tables(load(tmp_path))
    assert all(row.rank is None and math.isnan(row.held_out.low) for row in table.rows)
    assert "fewer than 3 pre-training seeds, so no interval and no rank: a (2 seeds), b (2 seeds)" in table.notes
    assert sentence(table).startswith("Nothing is ranked")


def test_a_method_without_another_to_compare_with_has_an_interval_and_no_rank(tmp_path):
    for seed in range(3):
        write(tmp_path, [0.5 + 0.1 * seed], method="a", seed=seed)
    write(tmp_path, [0.5], method="b")
    (table,) = tables(load(tmp_path))
    assert [row.rank for row in table.rows] == [None, None]
    assert not math.isnan(next(row for row in table.rows if row.method == "a").held_out.low)
    assert sentence(table).startswith("Nothing is ranked")


def test_other_facts_make_another_table_which_says_what_differs(logs):
    write(logs, [0.5], method="best", facts=FACTS | {"classes_per_trial": 2}, rate=0.5)
    first, second = tables(load(logs))
    assert first.fingerprint != second.fingerprint
    assert f"not comparable with table {second.fingerprint}: they differ in classes_per_trial" in first.notes


def test_a_missing_seed_at_the_chosen_setting_is_said(tmp_path):
    for seed in range(3):
        write(tmp_path, [0.4], role="select", seed=seed)
        if seed < 2:
            write(tmp_path, [0.4], seed=seed)
    (table,) = tables(load(tmp_path))
    assert "pre-training seeds without a reported trial at the selected setting: m (2)" in table.notes


def test_a_best_rate_at_the_boundary_of_the_grid_is_said(tmp_path):
    for rate, score in ((0.01, 0.2), (0.1, 0.3), (1.0, 0.4)):
        write(tmp_path, [score], role="select", rate=rate)
    write(tmp_path, [0.4], rate=1.0)
    (table,) = tables(load(tmp_path))
    assert "rate at the boundary of the tuning grid 0.01 to 1 (extend it): m (1)" in table.notes


def test_a_best_setting_at_the_boundary_of_its_grid_is_said(tmp_path):
    for value, score in (("0.03", 0.4), ("0.1", 0.2)):
        write(tmp_path, [score], role="select", setting={"ASB.inner_lr": value})
    write(tmp_path, [0.4], setting={"ASB.inner_lr": "0.03"})
    (table,) = tables(load(tmp_path))
    assert "ASB.inner_lr at the boundary of the tuning grid 0.03 to 0.1 (extend it): m (0.03)" in table.notes


def test_what_was_excluded_is_part_of_the_page(logs):
    (logs / "events.out.tfevents.x").write_bytes(b"nonsense nonsense")
    found = load(logs)
    assert "- events.out.tfevents.x: holds a damaged record at byte 0" in to_markdown(tables(found), found.problems)
    assert json.loads(to_json(tables(found), found.problems))["excluded"] == found.problems


def test_pretraining_that_did_not_finish_is_named(logs):
    about = dataclasses.replace(
        describe("best"), transfer=None, rate=None, role=None, transfer_seed=None, protocol=None, fingerprint=""
    )
    write_trial(logs / "run", about, "", Trajectory(), {}, Closing(contract.DIVERGED, "the loss is not finite"))
    (table,) = tables(load(logs))
    assert "pre-training diverged: best (seed 0: the loss is not finite)" in table.notes


def test_an_upper_bound_is_shown_and_not_ranked(logs):
    for seed in range(3):
        write(logs, [0.99], method="best", learner="cumulative", seed=seed)
    (table,) = tables(load(logs))
    assert table.rows[0].method == "best + cumulative"
    assert table.rows[0].rank is None
    assert "upper bounds, not ranked: best + cumulative" in table.notes
    assert [row.rank for row in table.rows[1:]] == [1, 1, 3]


def test_a_finished_trial_without_a_point_is_excluded_by_name_and_no_mean_is_nan(logs):
    for seed in range(3):
        write(logs, [], method="empty", seed=seed, rate=0.01)
        write(logs, [0.5], method="empty", seed=seed, trial=1, rate=0.01)
    found = load(logs)
    assert len(found.problems) == 3
    assert all("is finished, but holds no transfer/held_out_accuracy" in problem for problem in found.problems)
    (table,) = tables(found)
    assert [row.method for row in table.rows] == ["best", "good", "empty", "bad"]
    assert not any(math.isnan(row.held_out.mean) for row in table.rows)


def test_a_method_cannot_raise_the_chance_that_its_diverged_trials_score(logs):
    for seed in range(3):
        write(logs, [], status=contract.DIVERGED, method="evil", seed=seed, outputs=1)
    (table,) = tables(load(logs))
    assert table.chance == 0.1
    assert next(row for row in table.rows if row.method == "evil").held_out.mean == pytest.approx(0.1)
    facts = FACTS | {"classes_per_trial": 6}
    write(logs, [], status=contract.DIVERGED, method="evil", facts=facts, outputs=1)
    assert "has 1 outputs for 6 classes" in load(logs).problems[0]


def test_the_cores_of_pretraining_are_a_column_and_absent_where_they_were_not_recorded(logs):
    (table,) = tables(load(logs))
    assert [column.label for column in columns_of(table)].count("cores") == 0
    for seed, threads in enumerate((2, 4, 2)):
        write_run(logs, method="best", seed=seed, threads=threads)
    (table,) = tables(load(logs))
    (column,) = (column for column in columns_of(table) if column.label == "cores")
    assert {row.method: column.cell(row) for row in table.rows} == {"best": "4", "good": "–", "bad": "–"}


def test_what_was_selected_on_is_said(logs):
    (table,) = tables(load(logs))
    assert selection_heading(table).startswith("Selected (*) on selection trials")
    (paper,) = tables(load(logs), by="paper")
    assert selection_heading(paper).startswith("Selected (*) on the reported trials")
    assert any(note.startswith("Settings and rates are selected on the reported trials") for note in paper.notes)
    assert not any("Selection trials" in note for note in paper.notes)


def test_selection_trials_of_another_length_than_reported_ones_are_named(tmp_path):
    for seed in range(3):
        write(tmp_path, [0.9, 0.8, 0.7], seed=seed)
        write(tmp_path, [0.9, 0.8, 0.7], seed=seed, role="select")
        write(tmp_path, [0.9], seed=seed, trial=1, status=contract.DIVERGED, reason="at 1")
    (table,) = tables(load(tmp_path))
    assert not any("Selection trials end" in note for note in table.notes)
    write(tmp_path, [0.9] * 1200, role="select", trial=1)
    (table,) = tables(load(tmp_path))
    assert any("Selection trials end at step 1,200, reported ones at step 3: the rate" in note for note in table.notes)


def test_an_upper_bound_that_something_of_its_pretraining_is_above_is_said_to_bound_nothing(logs):
    for seed in range(3):
        write(logs, [0.1], method="best", learner="joint", seed=seed)
    (table,) = tables(load(logs))
    assert "meant as upper bounds, not ranked, but below: best + joint (best)" in table.notes


def test_notes_of_one_kind_are_one_line_and_a_method_is_told_its_own_part(tmp_path):
    for method in "ab":
        for rate, score in ((0.01, 0.2), (0.1, 0.3), (1.0, 0.4)):
            write(tmp_path, [score], method=method, role="select", rate=rate)
        for trial in range(2):
            write(tmp_path, [], method=method, trial=trial, rate=1.0, status=contract.DIVERGED, reason=f"at {trial}")
    (table,) = tables(load(tmp_path))
    assert "rate at the boundary of the tuning grid 0.01 to 1 (extend it): a (1), b (1)" in table.notes
    assert "reported trials diverged: a (2: at 0; at 1), b (2: at 0; at 1)" in table.notes
    told = [said for note in table.remarks if (said := note.of("a"))]
    assert "reported trials diverged: 2: at 0; at 1" in told
    assert not any("b (" in said for said in told)


def test_a_better_rank_below_a_higher_mean_is_explained_once(tmp_path):
    scores = {
        "high": [0.52, 0.53, 0.54],
        "wide": [0.40, 0.50, 0.60],
        "low": [0.10, 0.11, 0.12],
        "top": [0.70, 0.71, 0.72],
    }
    for method, means in scores.items():
        for seed, score in enumerate(means):
            write(tmp_path, [score], method=method, seed=seed)
    (table,) = tables(load(tmp_path))
    assert [(row.method, row.rank) for row in table.rows] == [("top", 1), ("high", 2), ("wide", 1), ("low", 3)]
    (said,) = [note for note in table.notes if note.startswith("A rank counts")]
    # The half interval is t(0.975, 2) s / sqrt(3) = 2.484 s, s = 10 and 1 points.
    assert said.endswith("wide (rank 1, 50.0 ± 24.8 over 3 seeds) above high (rank 2, 53.0 ± 2.5 over 3 seeds).")


def test_rows_that_follow_each_other_are_named_by_the_first_and_the_last(tmp_path):
    for place, method in enumerate("abcdefghi"):
        for seed in range(3):
            write(tmp_path, [0.9 - 0.1 * place * (place != 1) + 0.001 * seed], method=method, seed=seed)
    (table,) = tables(load(tmp_path))
    assert findings(table)[:3] == [
        "a: above c to i (7); not different: b",
        "b: above c to i (7); not different: a",
        "c: above d to i (6)",
    ]
    assert {row.letters for row in table.rows} == {""}


def test_a_row_of_models_from_several_devices_says_which_seeds_are_whose(tmp_path):
    for method, devices in {"a": ("cpu", "cpu", "cpu"), "b": ("a GPU", "cpu", "cpu"), "old": ("", "", "cpu")}.items():
        for seed, device in enumerate(devices):
            write_run(tmp_path, method=method, seed=seed, device=device)
            write(tmp_path, [0.5], role="select", method=method, seed=seed)
            write(tmp_path, [0.5], method=method, seed=seed)
    write_run(tmp_path, method="a", seed=3, device="a GPU")  # without a trial: not in the row
    (table,) = tables(load(tmp_path))
    told = [note for note in table.notes if "devices" in note]
    assert told == ["pre-trained on different devices: b (a GPU seed 0; cpu seeds 1, 2)"]
