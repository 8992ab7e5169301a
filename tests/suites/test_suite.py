"""Suites and their plans."""

import subprocess
import sys

import pytest

from zapbench import config
from zapbench.suites import run as suite_run
from zapbench.suites.forecast import forecast
from zapbench.suites.plan import plan, runs
from zapbench.suites.suite import Suite, load_suite

GRID = {
    "scenarios": ("glyphs",),
    "strategies": ("iid", "asb"),
    "seeds": 2,
    "trials": 4,
    "select_trials": 3,
    "rates": (0.01, 0.1),
}


def test_before_selection_a_plan_has_every_pretraining_and_selection_trial_and_no_reported_trial():
    tasks = plan(Suite(**GRID)).known_tasks()
    assert sum(task.trial is None for task in tasks) == 4
    assert sum(task.trial is not None for task in tasks) == 4 * 2 * 3
    assert {task.trial.role for task in tasks if task.trial} == {"select"}


def test_selection_adds_the_reported_trials_of_one_setting_and_rate():
    suite = Suite(**GRID, tune={"asb": [{"ASB.inner_lr": 0.03}, {"ASB.inner_lr": 0.2}]})
    chosen = runs(suite)[-1].setting
    tasks = plan(suite).reported_tasks({("glyphs", "asb", "sequential"): (chosen, (), 0.1)})
    report = [task for task in tasks if task.trial and task.trial.role == "report"]
    assert len(report) == 2 * 4
    assert {(task.run.strategy, task.trial.rate) for task in report} == {("asb", 0.1)}
    assert {str(task.run.setting[0]) for task in report} == {"ASB.inner_lr = 0.2"}


def test_a_head_in_closed_form_has_no_rate_and_is_learned_once():
    tasks = plan(Suite(**GRID, transfers=("slda", "sequential"))).known_tasks()
    rates = {(task.trial.transfer, task.trial.rate) for task in tasks if task.trial}
    assert rates == {("slda", 0.01), ("sequential", 0.01), ("sequential", 0.1)}


def test_a_full_plan_has_the_reported_trials_of_every_setting_and_rate():
    report = [t for t in plan(Suite(**GRID, full=True)).known_tasks() if t.trial and t.trial.role == "report"]
    assert len(report) == 4 * 2 * 4


def test_settings_are_tried_on_the_tuning_seeds_and_the_other_seeds_run_at_the_selected_one():
    tuned = {"asb": [{"ASB.inner_lr": 0.03}, {"ASB.inner_lr": 0.2}]}
    suite = Suite(**GRID | {"seeds": [4, 7, 2]}, tune=tuned, tune_seeds=2)
    first = [(t.run.strategy, t.run.seed, str(*t.run.setting)) for t in plan(suite).known_tasks() if t.trial is None]
    every = ["ASB.inner_lr = 0.03", "ASB.inner_lr = 0.2"]
    assert first == [("iid", seed, "") for seed in (4, 7, 2)] + [("asb", s, text) for text in every for s in (4, 7)]
    selected = runs(suite)[-1].setting
    others = plan(suite).other_seeds({("glyphs", "asb", "sequential"): (selected, (), 0.1)})
    assert {(t.run.strategy, t.run.seed, str(*t.run.setting)) for t in others} == {("asb", 2, every[1])}
    assert [t.trial is None for t in others].count(True) == 1
    assert {(t.trial.role, t.trial.rate) for t in others if t.trial} == {("select", 0.01), ("select", 0.1)}
    everything = Suite(**GRID | {"seeds": [4, 7, 2]}, tune=tuned)
    assert {t.folder for t in plan(suite).tasks} == {t.folder for t in plan(everything).tasks}


def test_other_seeds_wait_for_a_setting_that_failed_as_it_might_be_selected_when_repeated(monkeypatch, tmp_path):
    tuned = {"asb": [{"ASB.inner_lr": 0.03}, {"ASB.inner_lr": 0.2}]}
    planned = plan(Suite(**GRID | {"strategies": ("asb",), "seeds": 2}, tune=tuned, tune_seeds=1))
    selected, failed = dict.fromkeys(run.setting for run in planned.runs)
    monkeypatch.setattr(suite_run, "choices", lambda *given: {("glyphs", "asb", "sequential"): (selected, (), 0.1)})
    for settled, seeds in ((lambda task, out: True, {1}), (lambda task, out: task.run.setting != failed, set())):
        monkeypatch.setattr(suite_run, "_is_settled", settled)
        stages = dict(suite_run._stages(planned, tmp_path))
        assert {task.run.seed for task in stages["other seeds"]} == seeds


def test_a_setting_that_is_selected_for_one_transfer_is_run_for_that_transfer_alone():
    tuned = {"asb": [{"ASB.inner_lr": 0.03}, {"ASB.inner_lr": 0.2}]}
    suite = Suite(**GRID, transfers=("sequential", "iid"), tune=tuned, tune_seeds=1)
    low, high = (run.setting for run in runs(suite) if run.strategy == "asb" and run.seed == 0)
    choice = {("glyphs", "asb", "sequential"): (low, (), 0.1), ("glyphs", "asb", "iid"): (high, (), 0.1)}
    others = plan(suite).other_seeds(choice)
    assert {(t.run.setting, t.trial and t.trial.transfer) for t in others} == {
        (low, None), (low, "sequential"), (high, None), (high, "iid"),
    }  # fmt: skip


def test_every_task_has_its_own_folder_named_after_it():
    suite = Suite(**GRID, tune={"asb": [{"ASB.inner_lr": 0.03}, {"ASB.inner_lr": 0.2}]}, full=True)
    folders = [task.folder.as_posix() for task in plan(suite).known_tasks()]
    assert len(set(folders)) == len(folders)
    assert "glyphs/iid/default/seed=1" in folders
    assert "glyphs/asb/ASB.inner_lr=0.03/seed=0/sequential/lr=0.1/select=2" in folders


def test_tuned_settings_are_one_method_and_an_undeclared_binding_makes_another():
    suite = Suite(**GRID, tune={"asb": [{"ASB.inner_lr": 0.03}]}, bindings=("ASB.episodes = 5",))
    assert {run.method for run in runs(suite)} == {"iid", "asb[ASB.episodes=5]"}


def test_the_settings_tried_include_those_before_the_suite():
    suite = Suite(**GRID, tune={"asb": [{"ASB.inner_lr": 0.03}, {"ASB.inner_lr": 0.1}]}, tried_before={"asb": 3})
    assert {run.strategy: run.settings_tried for run in runs(suite)} == {"iid": 1, "asb": 6}


def test_bindings_of_a_transfer_change_the_folders_of_trials_but_not_of_runs():
    suite = Suite(**GRID, bindings=("transfer/sequential_transfer.every = 2",))
    tasks = plan(suite).known_tasks()
    assert {run.folder for run in runs(suite)} == {run.folder for run in runs(Suite(**GRID))}
    assert {t.folder for t in tasks if t.trial}.isdisjoint(
        t.folder for t in plan(Suite(**GRID)).known_tasks() if t.trial
    )


def test_a_binding_of_one_transfer_does_not_reach_the_trials_of_another():
    suite = Suite(**GRID, transfers=("sequential", "iid"), bindings=("transfer/iid_transfer.every = 12",))
    bound = {task.trial.transfer: task.trial.bindings for task in plan(suite).known_tasks() if task.trial}
    assert [str(b) for b in bound["iid"]] == ["transfer/iid_transfer.every = 12"]
    assert bound["sequential"] == ()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"strategies": ("asp",)}, "no strategy 'asp', did you mean asb"),
        ({"transfers": ("sequentiel",)}, "no transfer 'sequentiel', did you mean sequential"),
        ({"rates": (0.0,)}, "rates holds 0.0; allowed: a learning rate from 1e-10 to 1e\\+100"),
        ({"rates": ()}, "rates is empty"),
        ({"seeds": 0}, "seeds must be at least 1, got 0"),
        ({"trials": -1}, "trials must be at least 0, got -1"),
        ({"tune": {"meta": [{}]}}, "tune holds 'meta', which is none of iid, asb, sequential"),
        ({"tune": {"glyphs": {"meta": [{}]}}}, "tune of 'glyphs' holds 'meta', which is none of iid, asb, sequential"),
        (
            {"strategies": {"glyphs": ("iid",)}, "tune": {"asb": [{}]}},
            "tune holds 'asb', which is none of iid, sequential",
        ),
        ({"strategies": {"omniglot": ("iid",)}}, "strategies are given per scenario, and 'glyphs' has none"),
        (
            {"figures": ("pie",)},
            "figures holds 'pie'; allowed: trajectories, bars, paper, forest, matrix, cost, classes, dynamics",
        ),
        ({"cpus": 0}, "cpus must be at least 1, got 0"),
        ({"bindings": ("OML.x = 1",)}, "OML.x = 1 reaches nothing in these runs"),
        ({"bindings": ("ABS.episodes = 1",)}, "reaches nothing in these runs, did you mean ASB"),
    ],
)
def test_an_invalid_suite_is_refused(change, words):
    with pytest.raises(ValueError, match=words):
        plan(Suite(**(GRID | change)))


def test_a_scenario_may_have_strategies_and_settings_of_its_own():
    rates = [{"ASB.inner_lr": 0.03}, {"ASB.inner_lr": 0.2}]
    suite = Suite(
        scenarios=("glyphs", "omniglot"),
        strategies={"glyphs": ("iid", "asb"), "omniglot": ("asb",)},
        seeds=1,
        tune={"glyphs": {"asb": rates}},
        tried_before={"glyphs": {"asb": 3}},
    )
    found = [(run.scenario, run.strategy, len(run.setting), run.settings_tried) for run in runs(suite)]
    assert found == [
        ("glyphs", "iid", 0, 1),
        ("glyphs", "asb", 1, 6),
        ("glyphs", "asb", 1, 6),
        ("omniglot", "asb", 0, 1),
    ]


@pytest.mark.parametrize("name", config.names("suites"))
def test_every_shipped_suite_has_a_plan(name):
    assert plan(load_suite(name)).tasks


def test_a_suite_with_gpus_uses_them_unless_it_binds_a_device():
    def devices(**more):
        return {str(b) for run in runs(Suite(**GRID, **more)) for b in run.bindings}

    assert devices() == set()
    assert devices(gpus=0.5) == {"run.device = 'cuda'"}
    assert devices(gpus=0.5, bindings=("run.device = 'cuda:1'",)) == {"run.device = 'cuda:1'"}
    assert {run.folder for run in runs(Suite(**GRID, gpus=1))} == {run.folder for run in runs(Suite(**GRID))}


FIGURES = ("figure2", "figure3", "figure4", "figure5", "figure6", "table1", "appendix_f", "appendix_h")


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_of_the_paper_is_a_suite_and_its_small_form_has_the_same_transfers_figures_and_strategies(name):
    full, small = load_suite(name), load_suite(f"{name}_small")
    assert (len(full.seed_list), full.trials) == (3, 10)  # 30 trials a configuration
    assert small.transfers == full.transfers
    assert small.figures == full.figures
    narrowed = {strategy.replace("anml_small", "anml") for _, strategy in small.pairs}
    missing = {strategy for _, strategy in full.pairs} - narrowed
    anml = {"anml", "anml_zap"}
    allowed = {"figure3": anml, "table1": anml, "appendix_h": anml, "appendix_f": {"iid_zap_ten", "asb", "asb_zap"}}
    assert missing == allowed.get(name, set())
    assert not narrowed - {strategy for _, strategy in full.pairs}


@pytest.mark.parametrize("name", FIGURES)
def test_the_measured_tasks_of_a_small_form_take_less_than_twenty_minutes(name, tmp_path):
    found = forecast(plan(load_suite(f"{name}_small")), tmp_path, 2)
    assert found.seconds < 20 * 60


def test_figures_of_the_same_runs_share_their_folders():
    def folders(name):
        return {run.folder for run in runs(load_suite(name))}

    assert folders("figure3") == folders("figure2")
    assert folders("figure2") | folders("figure4") == folders("appendix_h") < folders("table1")
    assert folders("figure5") < folders("table1")
    for seed in range(3):
        one = load_suite("figure3_small", [f"Suite.seeds = [{seed}]"])
        assert {run.folder for run in runs(one)} < folders("figure3_small")
    shared = {folder for folder in folders("figure2_small") if "anml" not in str(folder)}
    assert shared < folders("figure3_small")


def test_bindings_that_begin_with_suite_change_the_suite_and_others_its_runs():
    suite = load_suite("demo", ["Suite.seeds = 1", "ASB.episodes = 7"])
    assert suite.seeds == 1
    assert suite.bindings == ("ASB.episodes = 7",)
    with pytest.raises(ValueError, match="has no parameter 'seedz', did you mean seeds"):
        load_suite("demo", ["Suite.seedz = 1"])


def test_a_plan_needs_neither_torch_nor_avalanche():
    code = (
        "import sys; from zapbench.suites.plan import plan; from zapbench.suites.suite import load_suite\n"
        "plan(load_suite('demo'))\n"
        "assert not {'torch', 'avalanche'} & set(sys.modules), 'heavy import'"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
