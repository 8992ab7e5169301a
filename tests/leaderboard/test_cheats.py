"""What a dishonest submitter may try, one test a cheat: each has a finding of its own, and honest logs have none."""

import dataclasses
import shutil

import numpy as np
import pytest
from support.honest_logs import CLASSES, IMAGES, SETS, draw, record, write_honest
from support.made_logs import describe

from zapbench.cli.main import main
from zapbench.experiment.record import write_trial
from zapbench.leaderboard import contract
from zapbench.leaderboard.contract import Closing
from zapbench.leaderboard.read.load import load
from zapbench.leaderboard.submissions import copies, draws, evidence
from zapbench.leaderboard.submissions.archives import pack
from zapbench.leaderboard.submissions.check import check
from zapbench.transfer.reference import Trajectory


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """The logs that a submission would join: three methods on the same draws."""
    folder = tmp_path_factory.mktemp("published")
    for number, method in enumerate(("asb", "iid", "oml")):
        write_honest(folder, method, 0.5 * number, seeds=range(5))
    return load(folder)


@pytest.fixture
def mine(tmp_path):
    write_honest(tmp_path / "mine", "mine", 1.0, seeds=range(5))
    return tmp_path / "mine"


def checked(folder, beside=None):
    pack(folder, folder.parent / "s.zip")
    return check(folder.parent / "s.zip", beside)


def error(folder, words, beside=None):
    found = checked(folder, beside)
    assert any(words in problem for problem in found.problems), found


def doubt(folder, words, beside=None):
    found = checked(folder, beside)
    assert found.problems == []
    assert any(words in line for line in found.doubts), found
    assert "to be looked at" in found.sentence


def test_honest_logs_have_no_finding(mine, published):
    found = checked(mine, published)
    assert (found.problems, found.doubts) == ([], [])


def test_draws_that_are_not_looked_at_are_counted(mine, published, monkeypatch):
    assert len(load(mine).trials) > 7
    for name, most, line in (
        ("MOST_DRAWS", 7, "draws of mine were not looked at; 7 are"),
        ("MOST_CLASSES", 21, "classes of mine's draws were not looked at; 21 are"),
        ("MOST_WITNESSES", 2, "methods beside mine's draws were not looked at; 2 are"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(draws, name, most)
            doubt(mine, line, published)


def test_the_best_seeds_alone(mine):
    for seed in (0, 2):
        shutil.rmtree(mine / "mine" / str(seed))
    error(mine, "mine: lacks pre-training seed 0, 2: seeds are numbered from 0")


def test_the_best_seeds_renumbered(tmp_path, published):
    """Seeds 0, 1 and 2 are those that were run as 7, 1 and 4."""
    runs = {(seed, trial): (ran, trial) for seed, ran in ((0, 7), (1, 1), (2, 4)) for trial in range(4)}
    write_honest(tmp_path / "mine", "mine", 1.0, runs=runs)
    found = checked(tmp_path / "mine", published)
    assert "pre-training seed 2, trial 0 has the classes of seed 4, trial 0" in " ".join(found.doubts)
    assert "its trials of pre-training seed 0 are of no draw of that seed" in " ".join(found.doubts)
    assert found.problems == []


def test_two_transfers_of_the_same_renumbered_models_are_no_witnesses_of_each_other(tmp_path):
    runs = {(seed, trial): (ran, trial) for seed, ran in ((0, 7), (1, 1), (2, 4)) for trial in range(4)}
    write_honest(tmp_path / "theirs", "asb", 0.0, seeds=range(5))
    write_honest(tmp_path / "mine" / "a", "mine", 1.0, runs=runs, config_hash="one")
    about = {"config_hash": "one", "learner": "head", "transfer": "head"}
    write_honest(tmp_path / "mine" / "b", "other", 1.0, runs=runs, name="mine", **about)
    doubts = " ".join(checked(tmp_path / "mine", load(tmp_path / "theirs")).doubts)
    for method in ("mine", "mine + head"):
        assert f"{method}: its trials of pre-training seed 0 are of no draw of that seed" in doubts


def test_diverged_runs_dropped_and_the_rest_renumbered(tmp_path, published):
    """The run of seed 1 diverged, and so did a trial of seed 0: what followed moved up."""
    runs = {(1, trial): (2, trial) for trial in range(4)} | {(2, trial): (3, trial) for trial in range(4)}
    runs |= {(0, 2): (0, 3), (0, 3): (0, 4)}
    write_honest(tmp_path / "mine", "mine", 1.0, runs=runs)
    doubt(tmp_path / "mine", "9 trials are of another draw than they say", published)


def test_trials_chosen_from_many_are_found_without_logs_beside_if_another_method_is_honest(tmp_path):
    for method in ("baseline", "other"):
        write_honest(tmp_path / "mine", method, 0.0)
    write_honest(tmp_path / "mine", "mine", 1.0, runs={(0, 0): (0, 3), (0, 3): (0, 0)})
    doubt(tmp_path / "mine", "mine: 2 trials are of another draw than they say")


def test_another_methods_logs_under_ones_own_name(tmp_path, published):
    write_honest(tmp_path / "mine", "iid", 0.5, seeds=range(5), name="mine")
    words = (
        "mine: 20 of 20 reported trials have the curve of another trial, or most of it, of iid in the logs beside it"
    )
    error(tmp_path / "mine", words, published)


@pytest.mark.parametrize("points", [1, 4])
def test_copies_of_short_curves_are_found_by_the_accuracies_of_their_classes(tmp_path, points):
    for method in ("asb", "mine"):
        for seed in range(3):
            made = draw("asb", 0.0, seed, 0)
            cut = {name: getattr(made, name)[-points:] for name in ("steps", "held_out", "trained_on", "forgetting")}
            record(tmp_path / "mine" / method / f"{seed}", dataclasses.replace(made, correct=[], **cut), method, seed)
    error(tmp_path / "mine", "mine: 3 of 3 reported trials have the curve of another trial, or most of it, of asb")


def test_another_methods_curves_with_small_changes(tmp_path, published, monkeypatch):
    """One image more or less at every tenth point: no part of the curve is equal."""
    for seed in range(5):
        record(tmp_path / "mine" / f"{seed}", draw("x", 0, seed, 0, role="select"), "mine", seed, 0, "select")
        record(tmp_path / "mine" / f"{seed}/run", Trajectory(), "mine", seed, run=True)
        for trial in range(4):
            made = draw("iid", 0.5, seed, trial)
            for place in range(9, CLASSES, 10):
                made.held_out[place] -= 1 / ((place + 1) * IMAGES)
            made = dataclasses.replace(made, correct=[], class_accuracy=[])
            record(tmp_path / "mine" / f"{seed}/{trial}", made, "mine", seed, trial)
    doubt(tmp_path / "mine", "mine: 20 reported curves are within 0.5 points", published)
    monkeypatch.setattr(copies, "MOST_NEAR", 20)  # of 40 curves that they are compared with, none is its own
    doubt(tmp_path / "mine", "mine: 20 reported curves are within 0.5 points", published)


def test_tried_lowered_beside_the_logs_of_a_sweep(tmp_path):
    for value in ("1", "2", "3"):
        write_honest(tmp_path / "mine" / value, "mine", 1.0, setting={"A.b": value}, method_hash="h")
    error(tmp_path / "mine", "mine: says 1 settings tried, and holds 3")


def test_tried_lowered_where_the_sweep_is_in_the_logs_beside_it(tmp_path):
    for value in ("1", "2", "3"):
        write_honest(tmp_path / "theirs" / value, "asb", 1.0, setting={"A.b": value}, settings_tried=3, method_hash="h")
    write_honest(tmp_path / "mine", "mine", 1.0, config_hash="asb{'A.b': '2'}")
    doubt(tmp_path / "mine", "mine: says 1 settings tried; in the logs beside it", load(tmp_path / "theirs"))


def test_a_sweep_by_bindings_that_each_say_one_setting(tmp_path):
    for value in range(4):
        name = f"asb[A.b={value}]"
        about = {"strategy": "asb", "bindings": (f"A.b = {value}",)}
        write_honest(tmp_path / "mine", name, 1.0, **about)
    doubt(tmp_path / "mine", "asb: 4 methods differ in bindings alone")


def constant(value):
    return {"held_out": [value] * CLASSES, "class_accuracy": [value] * CLASSES, "correct": []}


def test_invented_curves_that_never_move(mine):
    made = dataclasses.replace(draw("mine", 1.0, 0, 0), **constant(0.9))
    record(mine / "mine" / "0/r0", made, "mine", 0)
    error(mine, "its curve never moves, above chance")


def test_invented_curves_that_all_end_alike(tmp_path):
    for seed in range(3):
        record(tmp_path / "mine" / f"{seed}/run", Trajectory(), "mine", seed, run=True)
        for trial in range(4):
            made = draw("mine", 1.0, seed, trial)
            ended = {"held_out": [*made.held_out[:-1], 0.9], "class_accuracy": [0.9] * CLASSES, "correct": []}
            made = dataclasses.replace(made, **ended)
            record(tmp_path / "mine" / f"{seed}/{trial}", made, "mine", seed, trial)
    doubt(tmp_path / "mine", "mine: its 12 reported trials all end at 90.0%")


def test_invented_curves_beside_the_table_of_predictions(mine):
    made = draw("mine", 1.0, 0, 0)
    made.held_out[20] += 1 / (21 * IMAGES)
    record(mine / "mine" / "0/r0", made, "mine", 0)
    error(mine, "at step 21 its accuracy is")
    error(mine, "and its table of correct predictions gives")


def test_a_last_trial_dropped(mine, published):
    for seed in range(5):
        shutil.rmtree(mine / "mine" / f"{seed}/r3")
    assert checked(mine).problems == [], "alone, nothing says how many there were"
    error(mine, "mine: seed 0 has 3 trials, and lacks trial 3", published)


def test_selection_trials_that_are_the_reported_ones(mine):
    for seed in range(5):
        for trial in range(2):
            made = draw("mine", 1.0, seed, trial)
            record(mine / "mine" / f"{seed}/0.01/s{trial}", made, "mine", seed, trial, "select")
    error(mine, "mine: 10 of 20 selection trials are reported trials")


def test_a_learner_that_changes_nothing(mine):
    for seed in range(5):
        for trial in range(4):
            about = describe("mine", seed=seed, trial=trial, facts=SETS, outputs=CLASSES, learner="new")
            about = dataclasses.replace(about, transfer="new")
            made = draw("mine", 1.0, seed, trial)
            write_trial(mine / "new" / f"{seed}/{trial}", about, "", made, {}, Closing(contract.FINISHED))
    doubt(mine, "from the same models: its transfer changes nothing")


def test_a_learner_that_changes_nothing_of_a_method_beside_it(tmp_path, published):
    for seed in range(5):
        for trial in range(4):
            about = describe("mine", seed=seed, trial=trial, facts=SETS, outputs=CLASSES, config_hash="asbNone")
            about = dataclasses.replace(about, transfer="new", learner="new")
            made = draw("asb", 0.0, seed, trial)
            write_trial(tmp_path / "mine" / f"{seed}/{trial}", about, "", made, {}, Closing(contract.FINISHED))
        record(tmp_path / "mine" / f"{seed}/run", Trajectory(), "mine", seed, run=True, config_hash="asbNone")
    found = " ".join(checked(tmp_path / "mine", published).doubts)
    assert "are those of asb in the logs beside it, from the same models: its transfer changes nothing" in found


def test_what_a_check_did_not_look_at_is_said(mine, published, monkeypatch):
    monkeypatch.setattr(copies, "MOST_NEAR", 15)
    monkeypatch.setattr(evidence, "MOST_TRIALS", 100)
    monkeypatch.setattr(evidence, "MOST_CLASSES", CLASSES - 1)
    monkeypatch.setattr(copies, "LEAST_KNOWN", 1)
    doubts = checked(mine, published).doubts
    assert any(line == "5 of 20 reported curves of 60 points were not looked at; 15 are" for line in doubts), doubts
    assert any(line.startswith("38 of 68 curves of 60 points that they may be near to were not") for line in doubts)
    assert any("finished trials in the logs beside it were not looked at; 100 are" in line for line in doubts)
    assert any("40 trials state the accuracies of more than 59 classes" in line for line in doubts)


def test_the_command_says_what_is_an_error_and_what_is_to_be_looked_at(tmp_path, capsys):
    for method in ("baseline", "other"):
        write_honest(tmp_path / "mine", method, 0.0)
    write_honest(tmp_path / "mine", "mine", 1.0, runs={(0, 0): (0, 3), (0, 3): (0, 0)})
    pack(tmp_path / "mine", tmp_path / "s.zip")
    assert main(["leaderboard", "--check", str(tmp_path / "s.zip")]) == 3
    shown = capsys.readouterr().out.splitlines()
    assert shown[0].startswith("  to be looked at: mine: 2 trials")
    assert shown[-1].endswith("; 1 finding to be looked at")


def test_the_draws_of_honest_trials_are_recognised():
    """The test of the draws rests on this: the same draw correlates between methods, another does not."""

    def residual(method, seed):
        rows = np.array([draw(method, 0.5, seed, trial).class_accuracy for trial in range(4)])
        return rows - rows.mean(axis=0)

    same = np.corrcoef(residual("a", 0).ravel(), residual("b", 0).ravel())[0, 1]
    other = np.corrcoef(residual("a", 0).ravel(), residual("b", 1).ravel())[0, 1]
    assert same > 0.5 > abs(other)
