"""Forecasts of suites, compared with counts by hand."""

import json
import subprocess
import sys
from dataclasses import replace

import pytest
from support.made_logs import describe

from zapbench.cli.main import main
from zapbench.config import parse_bindings
from zapbench.experiment.record import PretrainRecord, write_trial
from zapbench.leaderboard import contract
from zapbench.leaderboard.contract import Closing
from zapbench.leaderboard.read.events import last_events, read_events
from zapbench.leaderboard.read.parse import ending_of
from zapbench.suites import costs
from zapbench.suites.costs import kind
from zapbench.suites.forecast import forecast
from zapbench.suites.plan import plan, runs
from zapbench.suites.suite import Suite, load_suite
from zapbench.tasks import RunSpec, Task, TrialSpec
from zapbench.transfer.metrics import Trajectory

SHIPPED = costs.SHIPPED
SUITE = Suite(
    scenarios=("glyphs",), strategies=("iid", "asb"), seeds=2, trials=4, select_trials=3, rates=(0.01, 0.1),
    tune={"asb": [{"ASB.inner_lr": 0.03}, {"ASB.inner_lr": 0.2}]},
)  # fmt: skip


@pytest.fixture(autouse=True)
def _nothing_is_shipped(monkeypatch, tmp_path):
    (tmp_path / "costs.json").write_text(json.dumps({"machine": "nowhere", "costs": []}))
    monkeypatch.setattr(costs, "SHIPPED", tmp_path / "costs.json")


def finish(out, task, seconds, status=contract.FINISHED):
    """Writes the event file of a task that took so many seconds."""
    folder = out / task.folder
    if task.trial is None:
        with PretrainRecord(folder, describe(), "gin") as record:
            record.finish(Closing(status), {contract.SECONDS: seconds}, step=1)
    else:
        trajectory = Trajectory([1, 2], [0.5, 0.5], [0.5, 0.5], [0.0, 0.0], class_accuracy=[0.5])
        write_trial(folder, describe(), "gin", trajectory, {contract.SECONDS: seconds}, Closing(status))


def parts(found):
    return {(part.strategy, part.what): part for part in found.parts}


def test_a_forecast_counts_the_reported_trials_of_one_setting_and_rate_before_selection(tmp_path):
    found = parts(forecast(plan(SUITE), tmp_path / "out", 1))
    assert {key: part.tasks for key, part in found.items()} == {
        ("iid", "pre-training"): 2,
        ("iid", "sequential, select"): 2 * 2 * 3,
        ("iid", "sequential, report"): 2 * 4,
        ("asb", "pre-training"): 2 * 2,
        ("asb", "sequential, select"): 2 * 2 * 2 * 3,
        ("asb", "sequential, report"): 2 * 4,
    }
    assert found["asb", "sequential, select"].grid == "2 settings x 2 seeds x 2 rates x 3 trials"
    assert found["asb", "sequential, report"].grid == "2 seeds x 4 trials, as selected"


def test_the_cost_of_tasks_that_were_never_measured_is_unknown(tmp_path, capsys):
    found = forecast(plan(SUITE), tmp_path / "out", 1)
    assert found.unknown == found.parts
    assert found.seconds == 0
    assert main(["suite", "demo", "--dry-run", "--out", str(tmp_path / "out")]) == 0
    shown = capsys.readouterr().out
    assert "time left: unknown" in shown
    assert "unknown: glyphs_small 4 strategies, pre-training (no such task has been measured)" in shown
    assert not (tmp_path / "out").exists()


def test_finished_tasks_are_counted_and_their_costs_predict_the_other_tasks(tmp_path):
    tasks = plan(SUITE).known_tasks()
    for task in tasks:
        if task.run.strategy == "asb" and task.run.seed == 0:
            finish(tmp_path, task, 100 if task.trial is None else 2)
    finish(tmp_path, next(t for t in tasks if t.run.strategy == "iid" and t.trial is None), 40)
    found = parts(forecast(plan(SUITE), tmp_path, 1))
    asb = found["asb", "pre-training"]
    assert (asb.tasks, asb.done, asb.seconds) == (4, 2, 200)
    assert asb.sources == [f"finished tasks in {tmp_path}"]
    assert (found["iid", "pre-training"].done, found["iid", "pre-training"].seconds) == (1, 40)
    select = found["asb", "sequential, select"]
    assert (select.tasks, select.done, select.seconds) == (24, 12, 24)
    assert found["iid", "sequential, select"].seconds == 24  # trials cost the same however their model was pre-trained
    assert [part.what for part in forecast(plan(SUITE), tmp_path, 1).unknown] == ["sequential, report"] * 2
    assert forecast(plan(SUITE), tmp_path, 1).seconds == 200 + 24 + 40 + 24
    assert forecast(plan(SUITE), tmp_path, 2).seconds == 100 + 12 + 52  # asb, asb | the two of iid after the first


def test_a_reported_trial_is_done_at_any_setting_and_rate(tmp_path):
    chosen = {("glyphs", "iid", "sequential"): ((), (), 0.1)}
    for task in (*plan(SUITE).known_tasks(), *plan(SUITE).reported_tasks(chosen)):
        finish(tmp_path, task, 1, contract.DIVERGED if task.run.strategy == "asb" else contract.FINISHED)
    found = parts(forecast(plan(SUITE), tmp_path, 1))
    assert (found["iid", "sequential, report"].tasks, found["iid", "sequential, report"].done) == (8, 8)
    assert (found["asb", "pre-training"].done, found["asb", "sequential, report"].done) == (4, 0)


def test_seeds_that_wait_for_a_setting_are_forecast_at_one_setting_and_after_the_others(tmp_path):
    suite = replace(SUITE, seeds=3, tune_seeds=1)
    first, second = (run for run in runs(suite) if run.strategy == "asb" and run.seed == 0)
    finish(tmp_path, Task(first), 100)
    found = parts(forecast(plan(suite), tmp_path, 1))
    assert found["asb", "pre-training"].grid == "2 settings x 1 seed + 2 seeds"
    assert found["asb", "sequential, select"].grid == "(2 settings x 1 seed + 2 seeds) x 2 rates x 3 trials"
    assert {key: (part.tasks, part.done) for key, part in found.items() if key[0] == "asb"} == {
        ("asb", "pre-training"): (4, 1),
        ("asb", "sequential, select"): (4 * 2 * 3, 0),
        ("asb", "sequential, report"): (3 * 4, 0),
    }
    assert found["iid", "pre-training"].tasks == 3
    assert forecast(plan(suite), tmp_path, 8).seconds == 100 + 100  # seed 0's second setting, then the other seeds

    for seed in (1, 2):
        finish(tmp_path, Task(replace(second, seed=seed)), 100)
    assert parts(forecast(plan(suite), tmp_path, 1))["asb", "pre-training"].done == 3


def test_failed_tasks_and_tasks_with_an_incomplete_file_are_not_done(tmp_path):
    first, second = plan(SUITE).known_tasks()[1:3]
    finish(tmp_path, first, 1, contract.FAILED)
    finish(tmp_path, second, 1)
    path = tmp_path / second.folder / contract.EVENT_FILE
    path.write_bytes(path.read_bytes()[:-5])
    assert forecast(plan(SUITE), tmp_path, 1).done == 0


def test_the_shipped_costs_are_used_until_a_task_is_measured(tmp_path, monkeypatch):
    pretraining = plan(SUITE).known_tasks()[0]
    row = {"what": "", "kind": kind(pretraining), "seconds": 7.0, "bytes": 1000, "measured": 1}
    costs.SHIPPED.write_text(json.dumps({"machine": "a clock", "costs": [row]}))
    part = parts(forecast(plan(SUITE), tmp_path / "out", 1))["iid", "pre-training"]
    assert (part.seconds, part.bytes, part.sources) == (14.0, 2000, ["zapbench's own runs (a clock)"])
    finish(tmp_path, pretraining, 9)
    assert parts(forecast(plan(SUITE), tmp_path, 1))["iid", "pre-training"].seconds == 9


def test_similar_tasks_give_an_estimate_where_none_of_the_kind_was_measured(tmp_path):
    wider = replace(SUITE, bindings=("convnet.filters = 7",))
    other = next(t for t in plan(wider).known_tasks() if t.trial is None and t.run.strategy == "iid")
    row = {"what": costs.what_of(other), "kind": kind(other), "seconds": 7.0, "bytes": 1000, "measured": 1}
    costs.SHIPPED.write_text(json.dumps({"machine": "a clock", "costs": [row]}))
    part = parts(forecast(plan(SUITE), tmp_path, 1))["iid", "pre-training"]
    assert (part.seconds, part.sources) == (14.0, ["similar tasks of zapbench's own runs (a clock)"])
    assert parts(forecast(plan(wider), tmp_path, 1))["iid", "pre-training"].sources == ["zapbench's own runs (a clock)"]


def test_a_pretraining_of_another_length_gives_an_estimate_in_proportion(tmp_path):
    def pretraining(episodes, *others):
        suite = replace(SUITE, strategies=("asb",), tune={}, bindings=(f"ASB.episodes = {episodes}", *others))
        return suite, plan(suite).known_tasks()[0]

    short, task = pretraining(30)
    digest, length = costs.kind_but_length(task)
    assert length == 30
    row = {"what": costs.what_of(task), "kind": kind(task), "seconds": 6.0, "bytes": 500, "measured": 1}
    table = {"machine": "a clock", "costs": [row | {"but_length": digest, "length": length}]}
    costs.SHIPPED.write_text(json.dumps(table))
    long, _ = pretraining(300)
    part = parts(forecast(plan(long), tmp_path, 1))["asb", "pre-training"]
    assert (part.seconds, part.bytes) == (2 * 60.0, 2 * 500)
    assert part.sources == ["tasks of another length of zapbench's own runs (a clock)"]
    assert parts(forecast(plan(short), tmp_path, 1))["asb", "pre-training"].seconds == 2 * 6.0
    wider, _ = pretraining(300, "convnet.filters = 7")
    assert parts(forecast(plan(wider), tmp_path, 1))["asb", "pre-training"].sources[0].startswith("similar tasks")

    measured = costs.Costs("here")
    finish(tmp_path, task, 9)
    measured.measure(task, tmp_path / task.folder / contract.EVENT_FILE)
    cost = measured.of(pretraining(300)[1])
    assert (cost.seconds, cost.source) == (90.0, "finished tasks of another length in here")


def test_what_has_no_one_length_is_not_estimated_in_proportion():
    untrained = Task(RunSpec("glyphs", "untrained", 0))
    trial = Task(RunSpec("glyphs", "asb", 0), TrialSpec("iid", 0.1, "report", 0))
    assert costs.kind_but_length(untrained) is costs.kind_but_length(trial) is None


def test_shipped_times_are_multiplied_by_how_many_times_as_long_tasks_take_here(tmp_path):
    tasks = plan(SUITE).known_tasks()
    iid = next(t for t in tasks if t.trial is None and t.run.strategy == "iid")
    asb = next(t for t in tasks if t.trial is None and t.run.strategy == "asb")
    select = next(t for t in tasks if t.trial is not None)
    others = {"bytes": 1000, "measured": 1, "what": ""}
    rows = [
        {"kind": kind(iid), "seconds": 20.0, **others},
        {"kind": kind(asb), "seconds": 100.0, **others},
        {"kind": kind(select), "seconds": 0.1, "machine": "an hourglass", **others},
    ]
    costs.SHIPPED.write_text(json.dumps({"machine": "a clock", "costs": rows}))
    finish(tmp_path, iid, 30)
    finish(tmp_path, select, 0.3)
    found = parts(forecast(plan(SUITE), tmp_path, 1))
    assert found["iid", "pre-training"].seconds == 30
    assert found["asb", "pre-training"].seconds == pytest.approx(4 * 150)
    assert found["asb", "pre-training"].sources == [f"zapbench's own runs (a clock), times 1.50 as in {tmp_path}"]

    faster = costs.Costs("here", costs.shipped())  # a tenth of a second is too short to compare machines by
    faster.measure(select, tmp_path / select.folder / contract.EVENT_FILE)
    assert faster.of(asb).seconds == 100


@pytest.mark.parametrize("name", ["omniglot_small_claim", "demo"])
def test_the_shipped_table_knows_the_kinds_of_the_shipped_suites(name, monkeypatch):
    monkeypatch.setattr(costs, "SHIPPED", SHIPPED)
    known = costs.shipped()
    tasks = plan(load_suite(name)).tasks
    strategies = {task.run.strategy for task in tasks if task.trial is None and kind(task) in known}
    assert strategies == set(load_suite(name).strategies)


def test_tasks_are_of_one_kind_unless_their_cost_differs():
    def of(*bindings, setting=(), seed=0, strategy="asb", transfer="", own=(), role="report", rate=0.1):
        run = RunSpec("glyphs", strategy, seed, parse_bindings(setting), parse_bindings(bindings))
        return kind(Task(run, TrialSpec(transfer, rate, role, 0, parse_bindings(own)) if transfer else None))

    assert of() == of(seed=3) == of(setting=["ASB.inner_lr = 0.5"]) == of("outer/Adam.lr = 0.5")
    for other in (of("ASB.episodes = 5"), of("convnet.filters = 5"), of("run.device = 'cuda'"), of(strategy="iid")):
        assert other != of()
    trial = of(transfer="sequential")
    assert trial == of(transfer="sequential", strategy="iid", rate=0.5) == of("ASB.episodes = 5", transfer="sequential")
    assert trial != of()
    tuned = Task(
        RunSpec("glyphs", "asb", 0),
        TrialSpec("sequential", 0.1, "report", 0, (), parse_bindings(["transfer/sequential_transfer.every = 9"])),
    )
    assert kind(tuned) != trial
    for more in ({"role": "select"}, {"own": ["transfer/sequential_transfer.every = 9"]}):
        assert of(transfer="sequential", **more) != trial
    assert of("convnet.filters = 5", transfer="sequential") != trial != of(transfer="sequential_unfrozen")


def test_the_forecast_of_a_full_suite_counts_every_rate_on_the_reported_trials(tmp_path, capsys):
    assert main(["suite", "demo", "--dry-run", "--full", "--out", str(tmp_path), "-p", "Suite.seeds = 1"]) == 0
    shown = capsys.readouterr().out
    assert "1 seed x 5 rates x 5 trials" in " ".join(shown.split())
    assert f"{4 * (1 + 5 * 2 + 5 * 5)} tasks, 0 of them done" in shown


def test_the_last_events_equal_those_of_a_complete_reading_and_none_are_returned_from_an_incomplete_file(tmp_path):
    finish(tmp_path, plan(SUITE).known_tasks()[1], 5)
    path = tmp_path / plan(SUITE).known_tasks()[1].folder / contract.EVENT_FILE
    complete = path.read_bytes()
    for end in (len(complete), *range(0, len(complete), 97), len(complete) - 1):
        path.write_bytes(complete[:end])
        every = list(read_events(path))
        is_complete = sum(event.ByteSize() + 16 for event in every) == end
        assert last_events(path, 3) == (every[-3:][::-1] if is_complete else [])
    path.write_bytes(complete)
    assert ending_of(path) == (contract.FINISHED, 5.0)


def test_a_forecast_reads_only_the_ends_of_files_and_imports_no_heavy_package(tmp_path, monkeypatch):
    """This bounds the time for ten thousand finished tasks: 8 kB per file, however long the file is."""
    suite = Suite(scenarios=("glyphs",), strategies=("iid",), seeds=1, trials=0, select_trials=2, rates=(0.1,))
    first, *trials = plan(suite).known_tasks()
    finish(tmp_path, first, 1)
    path = tmp_path / first.folder / contract.EVENT_FILE
    with path.open("r+b") as file:
        content = file.read()
        file.seek(1 << 33)  # a hole of eight gigabytes before the last events
        file.write(content)
    for trial in trials:
        finish(tmp_path, trial, 1)
    code = (
        "import sys; from pathlib import Path\n"
        "from zapbench.suites.forecast import forecast; from zapbench.suites.plan import plan\n"
        "from zapbench.suites.suite import Suite\n"
        f"found = forecast(plan({suite!r}), Path({str(tmp_path)!r}), 1)\n"
        "assert (found.tasks, found.done) == (3, 3), found\n"
        "assert not {'torch', 'avalanche', 'pandas', 'matplotlib'} & set(sys.modules), 'heavy import'"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
