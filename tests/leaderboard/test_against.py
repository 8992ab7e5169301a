"""One method against the references: verdicts, Holm over these comparisons alone, and seeds that would decide."""

import numpy as np
import pytest
from rich.console import Console
from scipy import stats
from statsmodels.stats.power import TTestIndPower
from support.made_logs import write

from zapbench.leaderboard.decide import compare
from zapbench.leaderboard.decide.against import ALIKE, BETTER, UNKNOWN, WORSE, against, seeds_to_decide
from zapbench.leaderboard.decide.power import MOST_SEEDS
from zapbench.leaderboard.decide.tables import tables
from zapbench.leaderboard.read.load import load
from zapbench.leaderboard.show import against as show

THEIRS = {"asb": [0.50, 0.51, 0.52], "iid": [0.30, 0.31, 0.32], "near": [0.601, 0.625, 0.62], "zap": [0.80, 0.81, 0.82]}
MINE = [0.60, 0.61, 0.63]


def asked(tmp_path, mine=MINE, theirs=THEIRS, **more):
    for method, scores in theirs.items():
        for seed, score in enumerate(scores):
            write(tmp_path / "theirs", [0.9, score], method=method, seed=seed)
    for seed, score in enumerate(mine):
        write(tmp_path / "mine", [0.9, score], method="mine", seed=seed, **more)
    logs = load([tmp_path / "theirs", tmp_path / "mine"])
    (table,) = tables(logs)
    return table, against(table, logs, "mine", share="transfer")


def test_mine_is_compared_with_every_reference_and_references_not_with_each_other(tmp_path):
    _, found = asked(tmp_path)
    assert [(one.reference, one.verdict) for one in found] == [
        ("zap", WORSE), ("near", ALIKE), ("asb", BETTER), ("iid", BETTER),
    ]  # fmt: skip
    raw = {name: stats.ttest_ind(MINE, scores, equal_var=False) for name, scores in THEIRS.items()}
    order = sorted(raw, key=lambda name: raw[name].pvalue)
    factors = dict(zip(order, (4, 3, 2, 1)))  # Holm's, over four comparisons, not over the ten pairs of the table
    for one in found:
        assert one.p == pytest.approx(raw[one.reference].pvalue, rel=1e-3)  # logs hold float32
        interval = raw[one.reference].confidence_interval()
        assert (one.low, one.high) == pytest.approx(tuple(interval), abs=1e-6)
        assert one.adjusted >= min(1.0, factors[one.reference] * one.p) - 1e-9
    assert max(found, key=lambda one: one.adjusted).adjusted == pytest.approx(raw["near"].pvalue, rel=1e-3)


def test_holm_is_over_the_comparisons_of_all_my_methods(tmp_path):
    other = [0.40, 0.41, 0.42]
    for seed, score in enumerate(other):
        write(tmp_path / "mine", [0.9, score], method="other", seed=seed)
    _, found = asked(tmp_path, theirs={name: THEIRS[name] for name in ("asb", "near")})
    raw = {
        (name, reference): stats.ttest_ind(scores, THEIRS[reference], equal_var=False).pvalue
        for name, scores in (("mine", MINE), ("other", other))
        for reference in ("asb", "near")
    }
    least = min(raw, key=raw.get)
    assert {(one.mine, one.reference): one.adjusted for one in found}[least] == pytest.approx(4 * raw[least], rel=1e-3)


def test_the_sentence_says_all_verdicts_and_how_many_seeds_decide(tmp_path):
    table, found = asked(tmp_path)
    (said,) = show.answer(table, found)
    assert said.startswith("mine (s: sequential, frozen transfer): 61.3 [57.5, 65.1]% held out; ")
    assert "better than asb and iid; worse than zap; not significantly different from near" in said
    assert "Holm-adjusted over 4 comparisons" in said
    needed = next(one.seeds for one in found if one.reference == "near")
    assert said.endswith(f"With as many seeds it would be decided: near {needed or f'more than {MOST_SEEDS}'}.")


def test_two_seeds_decide_nothing_and_say_so(tmp_path):
    table, found = asked(tmp_path, mine=MINE[:2])
    assert {one.verdict for one in found} == {UNKNOWN}
    (said,) = show.answer(table, found)
    assert said.endswith("Nothing can be said: a comparison takes 3 pre-training seeds of both.")


def test_a_transfer_is_compared_after_the_same_pre_training_alone(tmp_path):
    for method in ("asb", "iid"):
        for seed in range(3):
            write(tmp_path / "theirs", [0.9, 0.5 + seed / 100], method=method, seed=seed)
            write(tmp_path / "mine", [0.9, 0.7 + seed / 100], method=method, learner="head", seed=seed)
    logs = load([tmp_path / "theirs", tmp_path / "mine"])
    (table,) = tables(logs)
    found = against(table, logs, "mine", share="config_hash")
    assert {(one.mine, one.reference) for one in found} == {("asb + head", "asb"), ("iid + head", "iid")}
    assert {one.verdict for one in found} == {BETTER}


def test_a_method_that_failed_is_not_compared(tmp_path):
    write(tmp_path / "theirs", [], method="broken", status="failed", reason="an error")
    for seed in range(3):
        write(tmp_path / "theirs", [0.9, 0.1 + seed / 100], method="broken", seed=seed, trial=1)
    _, found = asked(tmp_path)
    assert "broken" not in {one.reference for one in found}


def test_seeds_that_decide_are_those_of_statsmodels_where_they_are_many():
    generator = np.random.default_rng(0)
    first = generator.normal(0.5, 0.02, 40)
    second = first + 0.01 + generator.normal(0, 1e-9, 40)
    effect = 0.01 / np.sqrt((first.var(ddof=1) + second.var(ddof=1)) / 2)
    for comparisons in (1, 2):
        known = TTestIndPower().solve_power(effect_size=effect, alpha=0.05 / comparisons, power=0.8)
        assert seeds_to_decide(first, second, comparisons=comparisons) == pytest.approx(known, rel=0.02, abs=1)


def test_equal_means_are_never_decided_and_equal_seeds_at_once():
    assert seeds_to_decide([0.5, 0.6, 0.7], [0.7, 0.6, 0.5], comparisons=1) is None
    assert seeds_to_decide([0.50, 0.60, 0.70], [0.501, 0.601, 0.701], comparisons=1) is None
    assert seeds_to_decide([0.5, 0.5, 0.5], [0.6, 0.6, 0.6], comparisons=1) == 3
    assert compare.half_width([[0.5, 0.5, 0.5], [0.6, 0.6, 0.6]]) == 0.0


def test_the_table_and_the_picture_show_every_comparison(tmp_path):
    table, found = asked(tmp_path)
    for width in (80, 100):
        console = Console(width=width, record=True)
        show.print_against(table, found, console)
        printed = console.export_text()
        assert max(map(len, printed.splitlines())) <= width
        for one in found:
            assert one.reference in printed
        assert "+10.3" in printed
    (axes,) = show.picture(table, found).axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["zap", "near", "asb", "iid"]
    marks = [line.get_marker() for line in axes.lines if line.get_marker() in "^vo"]
    assert marks == ["v", "o", "^", "^"]


def test_names_are_shown_as_text(tmp_path):
    theirs = {"[bold]x[/bold]$a_b$": [0.1, 0.2, 0.3]}
    table, found = asked(tmp_path, theirs=theirs)
    console = Console(width=200, record=True)
    show.print_against(table, found, console)
    assert "[bold]x[/bold]" in console.export_text()
    assert "[bold]x[/bold]$a_b$" in show.answer(table, found)[0]
    show.picture(table, found).canvas.draw()
