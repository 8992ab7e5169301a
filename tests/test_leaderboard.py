"""From event files to a table: hand-computed numbers, and what must not be believed."""

import dataclasses
import io
import itertools
import json
import math
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from made_logs import FACTS, SCORES, describe, write, write_table
from rich.console import Console
from scipy import stats

from zapbench.cli import main
from zapbench.leaderboard import compare, contract
from zapbench.leaderboard.compare import Pair
from zapbench.leaderboard.contract import Closing, Description
from zapbench.leaderboard.diagram import groups
from zapbench.leaderboard.load import load
from zapbench.leaderboard.overview import Overview, critical_difference, overviews
from zapbench.leaderboard.parse import read_file
from zapbench.leaderboard.render import to_csv, to_json, to_latex, to_markdown, to_terminal
from zapbench.leaderboard.select import choose
from zapbench.leaderboard.tables import sentence, tables
from zapbench.record import write_trial
from zapbench.transfer import Trajectory


@pytest.fixture
def logs(tmp_path):
    write_table(tmp_path)
    return tmp_path


def test_what_is_written_is_read_again(tmp_path):
    write(tmp_path, [0.5, 0.25], method="m", setting={"ASB.inner_lr": "0.1"})
    found = read_file(next(tmp_path.rglob("*tfevents*")))
    assert found.description == describe("m", setting={"ASB.inner_lr": "0.1"})
    assert found.closing == Closing(contract.FINISHED)
    assert found.curves[contract.HELD_OUT] == ([1, 2], [0.5, 0.25])
    assert found.class_accuracy == [0.5, 0.25]
    assert not found.problem


def test_a_trial_has_at_most_eight_tags(tmp_path):
    write(tmp_path, [0.5, 0.25])
    from zapbench.leaderboard.events import read_events

    events = read_events(next(tmp_path.rglob("*tfevents*")))
    tags = {value.tag for event in events for value in event.summary.value}
    assert len({tag for tag in tags if not tag.startswith("_hparams_")}) <= 8


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
    assert sentence(table).endswith("best is above bad; good is above bad. Not told apart: best and good.")


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


def test_one_changed_point_moves_the_table(logs):
    before = to_json(tables(load(logs)))
    write(logs, [0.9, 0.55], method="best", seed=0, trial=0, rate=0.01)
    assert to_json(tables(load(logs))) != before


def test_the_same_logs_give_the_same_bytes(logs):
    for render in (to_json, to_csv, to_markdown):
        assert render(tables(load(logs))) == render(tables(load(logs)))


def test_a_diverged_trial_counts_as_chance_and_is_shown(logs):
    write(logs, [], method="best", seed=0, trial=0, status=contract.DIVERGED, reason="the loss is not finite")
    (table,) = tables(load(logs))
    row = next(row for row in table.rows if row.method == "best")
    expected = np.mean([np.mean([0.1, 0.62]), 0.62, 0.62])
    assert row.held_out.mean == pytest.approx(expected)
    assert row.diverged == 1
    assert "best: 1 report trial(s) diverged: the loss is not finite" in table.notes


def test_a_method_with_a_failed_task_is_not_ranked(logs):
    write(logs, [], method="best", seed=0, trial=0, status=contract.FAILED, reason="RuntimeError: no")
    (table,) = tables(load(logs))
    row = next(row for row in table.rows if row.method == "best")
    assert row.rank is None
    assert any("not ranked until" in note for note in table.notes)
    assert not any("best" in (pair.first, pair.second) for pair in table.pairs)


def test_fewer_than_three_seeds_have_no_interval_and_no_rank(tmp_path):
    for method, seed in itertools.product("ab", range(2)):
        write(tmp_path, [0.5 + 0.1 * seed], method=method, seed=seed)
    (table,) = tables(load(tmp_path))
    assert all(row.rank is None and math.isnan(row.held_out.low) for row in table.rows)
    assert "a: 2 pre-training seed(s), so no interval and no rank; 1 more needed" in table.notes
    assert sentence(table).startswith("Nothing is ranked")


def test_other_facts_make_another_table_which_says_what_differs(logs):
    write(logs, [0.5], method="best", facts=FACTS | {"classes_a_trial": 2}, rate=0.5)
    first, second = tables(load(logs))
    assert first.fingerprint != second.fingerprint
    assert f"not comparable with table {second.fingerprint}: they differ in classes_a_trial" in first.notes


def test_a_missing_seed_at_the_chosen_setting_is_said(tmp_path):
    for seed in range(3):
        write(tmp_path, [0.4], role="select", seed=seed)
        if seed < 2:
            write(tmp_path, [0.4], seed=seed)
    (table,) = tables(load(tmp_path))
    assert "m: no reported trial of pre-training seed 2 at its chosen setting" in table.notes


def test_a_best_rate_at_the_edge_of_the_grid_is_said(tmp_path):
    for rate, score in ((0.01, 0.2), (0.1, 0.3), (1.0, 0.4)):
        write(tmp_path, [score], role="select", rate=rate)
    write(tmp_path, [0.4], rate=1.0)
    (table,) = tables(load(tmp_path))
    assert "m: its rate 1 is at the edge of the grid 0.01 to 1: extend it" in table.notes


def test_a_best_setting_at_the_edge_of_its_grid_is_said(tmp_path):
    for value, score in (("0.03", 0.4), ("0.1", 0.2)):
        write(tmp_path, [score], role="select", setting={"ASB.inner_lr": value})
    write(tmp_path, [0.4], setting={"ASB.inner_lr": "0.03"})
    (table,) = tables(load(tmp_path))
    assert "m: its ASB.inner_lr 0.03 is at the edge of the grid 0.03 to 0.1: extend it" in table.notes


def test_broken_files_are_named_and_never_counted(logs):
    good = next(logs.rglob("*tfevents*"))
    (logs / "x").mkdir()
    (logs / "x" / "events.out.tfevents.1").write_bytes(b"\xff" * 400)
    (logs / "x" / "events.out.tfevents.2").write_bytes(b"")
    (logs / "x" / "events.out.tfevents.3").write_bytes(good.read_bytes()[:-5])
    found = load(logs)
    problems = "\n".join(found.problems)
    assert "events.out.tfevents.1: claims a record of" in problems
    assert "events.out.tfevents.2: holds no description" in problems
    assert "events.out.tfevents.3: an unfinished copy of" in problems
    (table,) = tables(found)
    assert sum(row.trials for row in table.rows) == 18


def test_a_torn_file_is_read_up_to_its_last_whole_record(tmp_path):
    write(tmp_path, [0.5, 0.25])
    path = next(tmp_path.rglob("*tfevents*"))
    path.write_bytes(path.read_bytes()[:-5])
    row = load(tmp_path).trials.iloc[0]
    assert (row["status"], row["reason"]) == (contract.UNFINISHED, "ends in the middle of a record")
    assert row["held_out"] == 0.25


def test_two_records_of_one_trial_are_a_copy_or_a_contradiction(tmp_path):
    write(tmp_path / "a", [0.5])
    write(tmp_path / "b", [0.5])
    write(tmp_path / "c", [0.75])
    found = load(tmp_path)
    assert list(found.trials["held_out"]) == [0.5]
    assert len(found.problems) == 2
    assert "b/" in found.problems[0]
    assert "a copy of a/" in found.problems[0]
    assert "the same task as a/" in found.problems[1]
    assert "with other scores" in found.problems[1]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([float("nan")], "a value that is not a number"),
        ([float("inf")], "a value that is not a number"),
        ([1.5], "holds 1.5; allowed: 0 to 1"),
        ([-0.25], "holds -0.25; allowed: 0 to 1"),
    ],
)
def test_scores_that_cannot_be_are_named_and_never_counted(tmp_path, values, words):
    write(tmp_path, values)
    found = load(tmp_path)
    assert found.trials.empty
    assert words in found.problems[0]


@pytest.mark.parametrize(
    ("steps", "words"), [([1, 1], "has step 1 twice"), ([2, 1], "go back"), ([-1, 2], "a step of -1")]
)
def test_steps_that_cannot_be_are_named_and_never_counted(tmp_path, steps, words):
    trajectory = Trajectory(steps=steps, held_out=[0.1, 0.2], trained_on=[0.1, 0.2], forgetting=[0.0, 0.0])
    write_trial(tmp_path, describe(), "", trajectory, {}, Closing(contract.FINISHED))
    found = load(tmp_path)
    assert found.trials.empty
    assert words in found.problems[0]


def test_text_that_is_no_text_is_named(tmp_path):
    write(tmp_path, [0.5], method="mmmmmmmm")
    path = next(tmp_path.rglob("*tfevents*"))
    path.write_bytes(path.read_bytes().replace(b"mmmmmmmm", b"mmm\xff\xfemmm"))
    found = load(tmp_path)
    assert found.trials.empty
    assert len(found.problems) == 1


def test_what_was_read_is_kept_and_a_changed_file_is_read_again(logs, tmp_path_factory, monkeypatch):
    from zapbench.leaderboard import load as module

    cache = tmp_path_factory.mktemp("cache")
    read = []
    original = module._read_chunk
    monkeypatch.setattr(module, "_read_chunk", lambda chunk: read.extend(chunk[1]) or original(chunk))
    first = load(logs, cache=cache)
    count = len(read)
    assert count == len(first.trials)
    again = load(logs, cache=cache)
    assert len(read) == count
    pd.testing.assert_frame_equal(first.trials, again.trials)
    pd.testing.assert_frame_equal(first.curves, again.curves)
    write(logs, [0.9, 0.55, 0.5], method="best", seed=0, trial=0, rate=0.01)
    assert 0.5 in set(load(logs, cache=cache).trials["held_out"])
    assert len(read) == count + 1
    assert not [path for path in logs.rglob("*") if path.is_file() and "tfevents" not in path.name]


@pytest.mark.parametrize("suffix", [".json", ".npy"])
def test_a_damaged_cache_is_no_cache(logs, tmp_path_factory, suffix):
    cache = tmp_path_factory.mktemp("cache")
    before = load(logs, cache=cache)
    (held,) = [path for path in cache.iterdir() if path.suffix == suffix]
    held.write_bytes(held.read_bytes()[:100])
    after = load(logs, cache=cache)
    pd.testing.assert_frame_equal(after.trials, before.trials)
    pd.testing.assert_frame_equal(after.curves, before.curves)
    assert sorted(path.suffix for path in cache.iterdir()) == [".json", ".npy"]


def test_reading_in_processes_gives_the_same(logs, monkeypatch):
    from zapbench.leaderboard import load as module

    before = load(logs, workers=1)
    monkeypatch.setattr(module, "PARALLEL_FROM", 1)
    seen = []
    after = load(logs, workers=2, progress=lambda done, total: seen.append((done, total)))
    pd.testing.assert_frame_equal(before.trials, after.trials)
    pd.testing.assert_frame_equal(before.curves, after.curves)
    assert seen[-1] == (len(after.trials), len(after.trials))


def test_rows_equal_tensorboards_own_reader(logs):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = load(logs)
    for number, row in found.trials.iterrows():
        theirs = EventAccumulator(str(logs / row["file"]), size_guidance={"scalars": 0}).Reload()
        points = theirs.Scalars(contract.HELD_OUT)
        curve = found.curves[found.curves["trial"] == number]
        assert [p.step for p in points] == list(curve["step"])
        assert [p.value for p in points] == list(curve["held_out"])
        assert points[-1].value == row["held_out"]


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


def test_what_was_left_out_is_part_of_the_page(logs):
    (logs / "events.out.tfevents.x").write_bytes(b"nonsense nonsense")
    found = load(logs)
    assert "- events.out.tfevents.x: claims a record of" in to_markdown(tables(found), found.problems)
    assert json.loads(to_json(tables(found), found.problems))["left_out"] == found.problems


def test_pretraining_that_did_not_finish_is_named(logs):
    about = dataclasses.replace(
        describe("best"), transfer=None, rate=None, role=None, transfer_seed=None, protocol=None, fingerprint=""
    )
    write_trial(logs / "run", about, "", Trajectory(), {}, Closing(contract.DIVERGED, "the loss is not finite"))
    (table,) = tables(load(logs))
    assert "best: pre-training of seed 0 diverged: the loss is not finite" in table.notes


def many_scenarios(folder, count, lacking=()):
    for number, (method, base) in itertools.product(range(count), [("a", 0.6), ("b", 0.5), ("c", 0.4)]):
        for seed in range(3):
            if (method, number) not in lacking:
                write(folder / f"s{number}", [base + 0.01 * seed], method=method, seed=seed, scenario=f"s{number}")


def test_a_method_that_lacks_a_scenario_shows_a_gap_and_has_no_average_rank(tmp_path):
    many_scenarios(tmp_path, 5, lacking={("b", 3)})
    (overview,) = overviews(tables(load(tmp_path)))
    assert overview.cells["b"][3] is None
    assert overview.average_ranks == {"a": 1.0, "c": 2.0}
    assert "| b | 51.0 | 51.0 | 51.0 | – | 51.0 | – |" in to_markdown(tables(load(tmp_path)))


def test_average_ranks_take_five_data_sets(tmp_path):
    many_scenarios(tmp_path, 4)
    (overview,) = overviews(tables(load(tmp_path)))
    assert overview.average_ranks == {}
    assert "take 5 data sets" in overview.note


def test_the_diagram_is_drawn_from_five_data_sets_up_and_refused_in_words_below(tmp_path, capsys):
    many_scenarios(tmp_path / "five", 5)
    many_scenarios(tmp_path / "four", 4)
    assert main(["leaderboard", str(tmp_path / "five"), "--no-cache", "--diagram", str(tmp_path / "cd.svg")]) == 0
    text = (tmp_path / "cd.svg").read_text(encoding="utf-8")
    assert text.startswith("<?xml")
    assert main(["leaderboard", str(tmp_path / "four"), "--no-cache", "--diagram", str(tmp_path / "no.svg")]) == 2
    assert "Average ranks take 5 data sets" in capsys.readouterr().err
    assert not (tmp_path / "no.svg").exists()


def test_bars_of_the_diagram_cover_what_differs_by_less_than_the_critical_difference():
    ranks = {"a": 1.0, "b": 1.8, "c": 2.6, "d": 4.0}
    assert groups(Overview("p", [], {}, ranks, 1.0, "")) == [(1.0, 1.8), (1.8, 2.6)]
    assert groups(Overview("p", [], {}, ranks, 2.0, "")) == [(1.0, 2.6), (2.6, 4.0)]


def test_the_critical_difference_is_demsars():
    # Demsar (2006), table 5a: q = 2.569 for 4 classifiers; section 3.2.2 gives 1.25 for 14 data sets.
    assert critical_difference(4, 14) == pytest.approx(2.569 * math.sqrt(4 * 5 / (6 * 14)), abs=1e-3)


def test_an_upper_bound_is_shown_and_not_ranked(logs):
    for seed in range(3):
        write(logs, [0.99], method="best", learner="cumulative", seed=seed)
    (table,) = tables(load(logs))
    assert table.rows[0].method == "best + cumulative"
    assert table.rows[0].rank is None
    assert "best + cumulative: an upper bound, not ranked" in table.notes
    assert [row.rank for row in table.rows[1:]] == [1, 1, 3]


def test_latex_is_whole_and_escapes_names(tmp_path):
    for seed in range(3):
        write(tmp_path, [0.5], method="a_b & 50% {x}^2", seed=seed)
    text = to_latex(tables(load(tmp_path)))
    assert r"a\_b \& 50\% \{x\}\textasciicircum{}2" in text
    assert text.count(r"\begin{") == text.count(r"\end{") == 2
    widths = {line.count(" & ") for line in text.splitlines() if line.endswith(r"\\")}
    assert len(widths) == 1


def test_loading_needs_neither_torch_nor_avalanche(logs):
    code = (
        "import sys; from pathlib import Path\n"
        "from zapbench.leaderboard import load, tables, render\n"
        f"print(len(render.to_json(tables.tables(load.load(Path({str(logs)!r}))))))\n"
        "assert not {'torch', 'avalanche', 'tensorflow'} & set(sys.modules), 'heavy import'"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_description_of_another_schema_is_refused():
    text = describe().to_json().replace('"schema": 1', '"schema": 99')
    with pytest.raises(ValueError, match="schema 99, and this zapbench reads schema 1"):
        Description.from_json(text)


@pytest.mark.parametrize(
    ("field", "value"), [("rate", '"x"'), ("pretrain_seed", "-1"), ("role", '"best"'), ("method", "3")]
)
def test_a_description_with_a_wrong_type_is_refused(field, value):
    raw = json.loads(describe().to_json()) | {field: json.loads(value)}
    with pytest.raises(ValueError, match=field):
        Description.from_json(json.dumps(raw))


def test_a_fingerprint_takes_exactly_its_fields():
    with pytest.raises(ValueError, match="off: learner"):
        contract.fingerprint(FACTS | {"learner": 1})
    changed = {contract.fingerprint(FACTS | {name: 2}) for name in contract.FINGERPRINT_FIELDS}
    assert len(changed) == len(contract.FINGERPRINT_FIELDS)


def test_volatile_fields_are_not_part_of_what_must_repeat():
    one, other = describe(time="a", command="b"), describe(time="c", command="d")
    assert one.stable() == other.stable()
    assert one.stable() != describe(seed=1).stable()


def brute_force_letters(names, apart):
    """Every maximal set of methods of which no two are apart."""
    sets = [
        set(group)
        for size in range(1, len(names) + 1)
        for group in itertools.combinations(names, size)
        if not any(frozenset(pair) in apart for pair in itertools.combinations(group, 2))
    ]
    return [group for group in sets if not any(group < other for other in sets)]


def test_two_methods_share_a_letter_exactly_where_they_cannot_be_told_apart():
    generator = np.random.default_rng(0)
    names = [f"m{i}" for i in range(6)]
    for _ in range(30):
        pairs = [
            Pair(a, b, 0.1, 0, 0.0 if generator.random() < 0.4 else 1.0) for a, b in itertools.combinations(names, 2)
        ]
        apart = {frozenset((p.first, p.second)) for p in pairs if p.significant}
        found = compare.letters(names, pairs)
        for a, b in itertools.combinations(names, 2):
            assert bool(set(found[a]) & set(found[b])) == (frozenset((a, b)) not in apart)
        assert len(set("".join(found.values()))) == len(brute_force_letters(names, apart))


def test_welch_without_spread_does_not_fail():
    assert compare.welch([0.5, 0.5, 0.5], [0.5, 0.5, 0.5]) == 1.0
    assert compare.welch([0.5, 0.5, 0.5], [0.4, 0.4, 0.4]) == 0.0


def test_names_are_escaped_in_markdown_and_csv(tmp_path):
    for seed in range(3):
        write(tmp_path, [0.5], method="=a|b\n`c`", seed=seed)
    made = tables(load(tmp_path))
    line = next(line for line in to_markdown(made).splitlines() if "50.0" in line)
    assert r"=a\|b \`c\`" in line
    frame = pd.read_csv(io.StringIO(to_csv(made)))
    assert frame["method"][0] == "'=a|b\n`c`"
