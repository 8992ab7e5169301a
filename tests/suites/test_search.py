"""The settings that a suite tries: listed, or drawn from ranges; of strategies and of transfers."""

import math

import pytest

from zapbench.suites.plan import plan
from zapbench.suites.search import settings_of
from zapbench.suites.suite import Suite

GRID = {"scenarios": ("glyphs",), "strategies": ("iid",), "seeds": 1, "trials": 1, "select_trials": 1, "rates": (0.01,)}
LAMBDA = "transfer/EWCPlugin.ewc_lambda"


def test_draws_are_log_uniform_in_their_range_and_the_same_for_a_seed():
    search = {"draws": 400, "ranges": {LAMBDA: (0.01, 100.0)}}
    drawn = [setting[LAMBDA] for setting in settings_of(search, "tune")]
    assert drawn == [setting[LAMBDA] for setting in settings_of(search, "tune")]
    assert drawn != [setting[LAMBDA] for setting in settings_of(search | {"seed": 1}, "tune")]
    assert all(0.01 <= value <= 100.0 for value in drawn)
    logs = sorted(math.log10(value) for value in drawn)
    assert logs[200] == pytest.approx(0.0, abs=0.35), "half of the draws lie below the geometric mean"
    assert sum(value < -1 for value in logs) == pytest.approx(100, abs=40), "a quarter in the lowest decade"


def test_no_draw_repeats_a_setting():
    settings = settings_of({"draws": 50, "ranges": {LAMBDA: (0.001, 0.3)}}, "tune")
    assert len({setting[LAMBDA] for setting in settings}) == 50
    assert settings[:5] == settings_of({"draws": 5, "ranges": {LAMBDA: (0.001, 0.3)}}, "tune")


@pytest.mark.parametrize(
    ("search", "words"),
    [
        ([], "is empty"),
        ("abc", "allowed: a list of settings"),
        ([1], "holds 1"),
        ([{LAMBDA: 1.0}, {LAMBDA: 1.0}], "holds a setting twice"),
        ({"draws": 0, "ranges": {LAMBDA: (1, 2)}}, "draws is 0"),
        ({"draws": 1.5, "ranges": {LAMBDA: (1, 2)}}, "draws is 1.5"),
        ({"draws": 2, "ranges": {}}, "ranges is"),
        ({"draws": 2, "ranges": {LAMBDA: (2, 1)}}, "two numbers above 0, the lower one first"),
        ({"draws": 2, "ranges": {LAMBDA: (0, 1)}}, "two numbers above 0"),
        ({"draws": 2, "range": {LAMBDA: (1, 2)}}, "has the keys draws, range"),
        ({"draws": 9, "ranges": {LAMBDA: (1.0, 1.03)}}, "9 draws are more than the ranges have numbers"),
    ],
)
def test_an_impossible_search_is_refused_in_words(search, words):
    with pytest.raises(ValueError, match=words):
        Suite(**GRID, transfers=("ewc",), tune={"ewc": search})


def test_settings_of_a_transfer_make_trials_of_one_run_each_in_a_folder_of_its_own():
    suite = Suite(**GRID, transfers=("ewc", "sequential"), tune={"ewc": [{LAMBDA: 0.1}, {LAMBDA: 10.0}]})
    planned = plan(suite)
    assert len(planned.runs) == 1
    tuned = [task for task in planned.tasks if task.trial and task.trial.transfer == "ewc"]
    assert {str(task.trial.setting[0]) for task in tuned} == {f"{LAMBDA} = 0.1", f"{LAMBDA} = 10.0"}
    assert len({task.folder for task in planned.tasks}) == len(planned.tasks)
    assert {task.trial.settings_tried for task in tuned} == {2}
    plain = [task for task in planned.tasks if task.trial and task.trial.transfer == "sequential"]
    assert {task.trial.settings_tried for task in plain} == {1}


def test_settings_of_a_strategy_and_of_a_transfer_are_tried_together():
    tune = {"asb": [{"ASB.inner_lr": 0.03}, {"ASB.inner_lr": 0.1}], "ewc": {"draws": 3, "ranges": {LAMBDA: (0.1, 10)}}}
    suite = Suite(**GRID | {"strategies": ("asb",)}, transfers=("ewc",), tune=tune, tried_before={"ewc": 2})
    planned = plan(suite)
    select = [task for task in planned.known_tasks() if task.trial]
    assert len({(task.run.setting, task.trial.setting) for task in select}) == 6
    assert {task.trial.settings_tried for task in select} == {2 * 3 * 2}
    key = ("glyphs", "asb", "ewc")
    chosen = (select[0].run.setting, select[0].trial.setting, 0.01)
    assert [task.trial.role for task in planned.reported_tasks({key: chosen})] == ["report"]


def test_a_name_that_a_strategy_and_a_transfer_have_is_the_strategys():
    """Settings of the strategy made trials of the transfer, too: as many as there were settings, of every strategy."""
    grid = GRID | {"strategies": ("iid", "asb")}
    tune = {"iid": [{"outer/Adam.lr": 0.01}, {"outer/Adam.lr": 0.001}]}
    planned = plan(Suite(**grid, transfers=("iid",), tune=tune, tried_before={"iid": 5}))
    assert {task.trial.setting for task in planned.tasks if task.trial} == {()}
    tried = {(task.run.strategy, task.trial.settings_tried) for task in planned.tasks if task.trial}
    assert tried == {("iid", 2 * 5), ("asb", 1)}

    alone = "transfer/iid_transfer.epochs"
    tune = {"transfer/iid": [{alone: 1}, {alone: 2}]}
    planned = plan(Suite(**grid, transfers=("iid",), tune=tune, tried_before={"transfer/iid": 5}))
    assert {str(task.trial.setting[0]) for task in planned.tasks if task.trial} == {f"{alone} = 1", f"{alone} = 2"}
    assert {run.setting for run in planned.runs} == {()}
    assert {task.trial.settings_tried for task in planned.tasks if task.trial} == {2 * 5}


def test_a_macro_may_be_a_setting_of_a_transfer():
    grid = GRID | {"strategies": ("asb",)}
    suite = Suite(**grid, transfers=("iid",), tune={"iid": [{"IID_TRANSFER_BATCH": 4}, {"IID_TRANSFER_BATCH": 8}]})
    assert len({task.trial.setting for task in plan(suite).tasks if task.trial}) == 2


@pytest.mark.parametrize(
    ("transfers", "name", "key", "words"),
    [
        (("ewc",), "ewc", "outer/Adam.lr", "outer/Adam.lr reaches pre-training alone, and 'ewc' is a transfer"),
        (("iid",), "transfer/iid", "outer/Adam.lr", "reaches pre-training alone, and 'transfer/iid' is a transfer"),
        (("iid",), "iid", "transfer/iid_transfer.epochs", "'iid' is the strategy; use 'transfer/iid'"),
    ],
)
def test_a_setting_that_has_no_effect_where_it_is_given_is_refused(transfers, name, key, words):
    with pytest.raises(ValueError, match=words):
        Suite(**GRID | {"strategies": ("iid",)}, transfers=transfers, tune={name: [{key: 1}]})
