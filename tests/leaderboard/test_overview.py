"""Data sets side by side, and significance groups."""

import itertools
import math

import numpy as np
import pytest
from support.made_logs import FACTS, write

from zapbench.cli.main import main
from zapbench.leaderboard.decide import compare
from zapbench.leaderboard.decide.compare import Pair
from zapbench.leaderboard.decide.groups import letters
from zapbench.leaderboard.decide.metrics import metric_named
from zapbench.leaderboard.decide.overview import Overview, critical_difference, overviews
from zapbench.leaderboard.decide.tables import tables
from zapbench.leaderboard.read.load import load
from zapbench.leaderboard.show.diagram import groups
from zapbench.leaderboard.show.markdown import to_markdown


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


def test_a_data_set_with_two_tables_is_left_out_by_name_and_the_others_stay(tmp_path):
    many_scenarios(tmp_path, 3)
    write(tmp_path / "other", [0.5], method="a", seed=0, scenario="s1", facts=FACTS | {"images_held_out": 7})
    found = tables(load(tmp_path))
    assert [table.scenario for table in found] == ["s0", "s1", "s1", "s2"]
    (overview,) = overviews(found)
    assert overview.scenarios == ["s0", "s2"]
    assert overview.average_ranks == {"a": 1.0, "b": 2.0, "c": 3.0}
    assert overview.note.endswith("Left out, as their tables are not comparable: s1 (2 tables).")


def test_average_ranks_of_fewer_than_five_data_sets_have_no_critical_difference_and_say_so(tmp_path):
    many_scenarios(tmp_path, 4, lacking={("c", 0)})
    (overview,) = overviews(tables(load(tmp_path)))
    assert overview.average_ranks == {"a": 1.0, "b": 2.0}
    assert math.isnan(overview.critical_difference)
    assert "over 4 data sets are a summary and no test: a critical difference needs 5" in overview.note
    assert "| a | 61.0 | 61.0 | 61.0 | 61.0 | 1.00 |" in to_markdown(tables(load(tmp_path)))


def test_upper_bounds_and_methods_with_a_failed_task_have_no_average_rank(tmp_path):
    many_scenarios(tmp_path, 2)
    for scenario in ("s0", "s1"):
        for seed in range(3):
            about = {"method": "a", "seed": seed, "scenario": scenario}
            write(tmp_path / scenario, [0.9], **about, transfer="joint", learner="joint")
    write(tmp_path / "s0", [], method="b", seed=0, trial=5, scenario="s0", status="failed", reason="no memory")
    (overview,) = overviews(tables(load(tmp_path)))
    assert overview.average_ranks == {"a": 1.0, "c": 2.0}
    assert overview.cells["a + joint"] == [pytest.approx(0.9), pytest.approx(0.9)]
    assert (
        "Without a rank: a + joint, b (an upper bound, a failed task, or a trial without this metric)." in overview.note
    )


def test_a_method_that_lacks_the_metric_has_no_average_rank_and_its_name_is_escaped(tmp_path):
    name = "<img src=x>"
    for scenario in ("s0", "s1"):
        for seed in range(3):
            about = {"seed": seed, "scenario": scenario}
            for method, low in (("a", 0.5), ("b", 0.4), (name, 0.6)):
                write(tmp_path / scenario, [0.9, low], **about, method=method)
            write(tmp_path / scenario, [0.9], **about, method=name, trial=1, status="diverged", reason="NaN")
    found = tables(load(tmp_path), metric=metric_named("forgetting"))
    (overview,) = overviews(found)
    assert set(overview.average_ranks) == {"a", "b"}
    assert "Without a rank: <img" in overview.note
    assert "Without a rank: \\<img" in to_markdown(found)


def test_average_ranks_need_two_methods_without_a_gap(tmp_path):
    many_scenarios(tmp_path, 2, lacking={("b", 0), ("c", 1)})
    (overview,) = overviews(tables(load(tmp_path)))
    assert overview.average_ranks == {}
    assert "fewer than two ranked methods have results on all 2 data sets" in overview.note


def test_the_diagram_is_drawn_from_five_data_sets_up_and_refused_in_words_below(tmp_path, capsys):
    many_scenarios(tmp_path / "five", 5)
    many_scenarios(tmp_path / "four", 4)
    assert main(["leaderboard", str(tmp_path / "five"), "--no-cache", "--diagram", str(tmp_path / "cd.svg")]) == 0
    text = (tmp_path / "cd.svg").read_text(encoding="utf-8")
    assert text.startswith("<?xml")
    assert main(["leaderboard", str(tmp_path / "four"), "--no-cache", "--diagram", str(tmp_path / "no.svg")]) == 2
    assert "a critical difference needs 5 data sets" in capsys.readouterr().err
    assert not (tmp_path / "no.svg").exists()


def test_bars_of_the_diagram_cover_what_differs_by_less_than_the_critical_difference():
    ranks = {"a": 1.0, "b": 1.8, "c": 2.6, "d": 4.0}
    assert groups(Overview("p", [], {}, ranks, 1.0, "")) == [(1.0, 1.8), (1.8, 2.6)]
    assert groups(Overview("p", [], {}, ranks, 2.0, "")) == [(1.0, 2.6), (2.6, 4.0)]


def test_the_critical_difference_is_demsars():
    # Demsar (2006), table 5a: q = 2.569 for 4 classifiers; section 3.2.2 gives 1.25 for 14 data sets.
    assert critical_difference(4, 14) == pytest.approx(2.569 * math.sqrt(4 * 5 / (6 * 14)), abs=1e-3)


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
        found = letters(names, pairs)
        for a, b in itertools.combinations(names, 2):
            assert bool(set(found[a]) & set(found[b])) == (frozenset((a, b)) not in apart)
        assert len(set("".join(found.values()))) == len(brute_force_letters(names, apart))


def test_welch_without_spread_does_not_fail():
    assert compare.welch([0.5, 0.5, 0.5], [0.5, 0.5, 0.5]) == 1.0
    assert compare.welch([0.5, 0.5, 0.5], [0.4, 0.4, 0.4]) == 0.0


def cocktail(count):
    """Pairs of 2n methods of which only the i-th of either half differ: 2^n groups."""
    names = [f"{half}{i}" for half in "ab" for i in range(count)]
    return names, [
        Pair(one, other, 0.1, p := 0.001 if one[1:] == other[1:] else 0.9, p)
        for one, other in itertools.combinations(names, 2)
    ]


def test_there_are_no_letters_where_nobody_could_read_them():
    names, pairs = cocktail(4)
    assert len(set("".join(letters(names, pairs).values()))) == 16  # as many as eight methods may have, nearly
    assert letters(*cocktail(5)) == {}
