"""A submission is packed the same twice, and a check says in words whether it can be ranked."""

import dataclasses
import os
import re
import zipfile

import numpy as np
import pytest
from support.hostile import rewrite
from support.made_logs import FACTS, SIX, describe, write, write_run, write_submission
from support.paths import DEMO

from zapbench.cli.main import main
from zapbench.experiment.record import write_trial
from zapbench.leaderboard import contract
from zapbench.leaderboard.contract import Closing
from zapbench.leaderboard.decide.tables import tables
from zapbench.leaderboard.read.load import load
from zapbench.leaderboard.show.data import to_json
from zapbench.leaderboard.submissions import archives
from zapbench.leaderboard.submissions.archives import pack
from zapbench.leaderboard.submissions.check import check
from zapbench.leaderboard.submissions.copies import on_copies
from zapbench.leaderboard.submissions.evidence import finished_trials
from zapbench.transfer.reference import Trajectory


def checked(folder, beside=None):
    zipped = folder.parent / "s.zip"
    pack(folder, zipped)
    return check(zipped, beside)


@pytest.fixture
def logs(tmp_path):
    write_submission(tmp_path / "logs")
    return tmp_path / "logs"


def test_the_demo_is_packed_without_anything_but_event_files_and_can_be_ranked(tmp_path, capsys):
    assert main(["submit", str(DEMO), "--out", str(tmp_path / "demo.zip")]) == 0
    assert "can be ranked: asb, asb_zap, iid, iid_zap (168 event files)" in capsys.readouterr().out
    with zipfile.ZipFile(tmp_path / "demo.zip") as archive:
        names = archive.namelist()
        archive.extractall(tmp_path / "there")
    assert len(names) == 168
    assert all(name.endswith(contract.EVENT_FILE) for name in names)
    assert to_json(tables(load(tmp_path / "there"))) == to_json(tables(load(DEMO)))


def test_the_same_logs_make_the_same_zip_whatever_their_dates(logs, tmp_path):
    (logs / "checkpoint.pt").write_bytes(b"weights")
    pack(logs, tmp_path / "a.zip")
    for path in logs.rglob("*tfevents*"):
        os.utime(path, (1, 1))
    pack(logs, tmp_path / "b.zip")
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()
    assert b"checkpoint" not in (tmp_path / "a.zip").read_bytes()


def test_a_whole_submission_can_be_ranked(logs):
    verdict = checked(logs)
    assert verdict.problems == []
    assert verdict.sentence == "can be ranked: x, y (18 event files)"


def refused(folder, words, beside=None):
    problems = checked(folder, beside).problems
    assert any(words in problem for problem in problems), problems
    assert all("\n" not in problem for problem in problems)


def test_too_few_seeds_are_said(tmp_path):
    write_submission(tmp_path / "logs", ("x",), seeds=2)
    refused(tmp_path / "logs", "x: 2 pre-training seed(s) on s: sequential, frozen transfer; a rank takes 3")


def test_a_seed_that_another_method_has_is_missing(logs):
    write_submission(logs, ("x",), seeds=4)
    refused(logs, "y: lacks pre-training seed 3, which another method has")


def test_a_trial_that_was_omitted_is_missing(logs):
    next(path for path in logs.rglob("*tfevents*") if "report=0" in str(path)).unlink()
    refused(logs, "has 1 trials, and lacks trial 0")


def test_a_trial_that_every_method_omits_is_missing_too(logs):
    for path in list(logs.rglob("*tfevents*")):
        if "report=0" in str(path):
            path.unlink()
    refused(logs, "seed 0 has 1 trials, and lacks trial 0")


@pytest.mark.parametrize("steps", [5, 7])
def test_a_trial_that_ends_elsewhere_than_its_protocol_is_named(tmp_path, steps):
    write_submission(tmp_path / "logs", steps=steps)
    refused(tmp_path / "logs", f"ends at step {steps}; its protocol has 6")


def test_updates_of_iid_transfer_are_counted_in_batches(tmp_path):
    facts = FACTS | {
        "protocol": "iid",
        "classes_per_trial": 5,
        "images_trained_on": 3,
        "passes": 2,
        "images_per_step": 6,
        "images_held_out": 10_000,
    }
    write_submission(tmp_path / "logs", facts=facts)  # two passes over 15 images, 6 a step: six updates
    assert checked(tmp_path / "logs").problems == []


def test_a_pretraining_without_a_record_is_named(logs):
    for seed in (1, 2):
        for path in list(logs.rglob(f"run/seed={seed}/*tfevents*")):
            path.unlink()
    refused(logs, "x: no record of its pre-training with seed 1, 2")


def test_a_rate_that_is_reported_and_has_no_selection_trial_is_named(logs):
    write(logs, [0.9, 0.5], method="x", seed=0, role="select", rate=0.01, facts=SIX)
    assert checked(logs).problems == []
    write(logs, [0.9, 0.8, 0.7, 0.6, 0.5, 0.4321], method="x", seed=0, rate=0.1, facts=SIX)
    refused(logs, "x: reported trials at rate 0.1 of a setting without a selection trial at that rate")


def test_a_curve_that_is_anothers_is_named(logs):
    write(logs, [0.9 - 0.1 * step for step in range(6)], method="y", seed=0, trial=0, facts=SIX)
    refused(logs, ": 1 of 6 reported trials have the curve of another trial, or most of it, of ")


LONG = SIX | {"classes_per_trial": 60}


def falling(seed):
    noise = np.random.default_rng(seed).normal(0, 0.01, 60)
    return list((np.linspace(0.9, 0.3, 60) + noise).round(4))


def test_a_long_curve_with_some_values_changed_is_a_copy_and_one_that_is_merely_alike_is_none(tmp_path):
    copied = falling(0)
    copied[3], copied[-1] = copied[3] + 0.05, copied[-1] + 0.2
    write(tmp_path / "logs", falling(0), method="x", facts=LONG, outputs=60)
    write(tmp_path / "logs", falling(1), method="y", facts=LONG, outputs=60)
    assert list(on_copies(finished_trials(load(tmp_path / "logs")), [])) == []
    write(tmp_path / "logs", copied, method="z", facts=LONG, outputs=60)
    (found,) = on_copies(finished_trials(load(tmp_path / "logs")), [])
    assert "1 of 1 reported trials have the curve of another trial, or most of it, of" in found
    assert {"x", "z"} == set(re.findall(r"\b[xyz]\b", found))


def test_models_that_know_the_last_class_alone_are_no_copies(tmp_path):
    for method in "xy":
        write(tmp_path / "logs", [1 / (step + 1) for step in range(60)], method=method, facts=LONG, outputs=60)
    assert len(load(tmp_path / "logs").trials) == 2
    assert list(on_copies(finished_trials(load(tmp_path / "logs")), [])) == []


def test_a_curve_that_is_one_of_the_logs_beside_it_is_named_whatever_its_method_is_called(logs, tmp_path):
    assert checked(logs, load(DEMO)).problems == []
    write_submission(tmp_path / "theirs", ("a", "b"))
    problems = checked(logs, load(tmp_path / "theirs")).problems
    assert len(problems) == 2
    assert all("6 of 6 reported trials" in problem for problem in problems)
    assert "in the logs beside it" in problems[0]


def test_a_method_that_is_there_already_is_refused_with_the_seeds_that_it_would_add(logs, tmp_path):
    theirs = load(logs)
    write_submission(tmp_path / "mine", ("x",), seeds=6)
    refused(tmp_path / "mine", "x: is in the logs beside it already (s: sequential, frozen), and adds", theirs)
    refused(tmp_path / "mine", "and adds pre-training seeds 3, 4, 5; a submission changes no row", theirs)


def test_the_same_baselines_from_another_machine_are_compared_and_not_refused(tmp_path):
    write_submission(tmp_path / "theirs", ("x",))
    theirs = load(tmp_path / "theirs")
    write_submission(tmp_path / "mine", ("x", "new"))
    write(tmp_path / "mine", [0.9, 0.8, 0.7, 0.6, 0.5, 0.41], method="x", seed=0, trial=0, facts=SIX)
    found = checked(tmp_path / "mine", theirs)
    assert found.problems == []
    (line,) = found.doubts
    assert "x: 6 trials are in the logs beside it already" in line
    assert "0.17 points apart on average, 1.00 at most" in line


def test_another_configuration_under_a_name_that_is_there_is_refused(logs, tmp_path):
    write_submission(tmp_path / "mine", ("x",), config_hash="another")
    refused(tmp_path / "mine", "x: is in the logs beside it already (s: sequential, frozen), with another", load(logs))


def test_a_pretraining_that_is_there_already_is_refused_unless_it_is_a_copy(logs, tmp_path):
    write_run(logs, method="z")
    theirs = load(logs)
    write_submission(tmp_path / "mine", ("new",))
    write_run(tmp_path / "mine", method="z")
    assert not any("z: pre-training" in problem for problem in checked(tmp_path / "mine", theirs).problems)
    write_run(tmp_path / "mine", method="z", seed=1)
    refused(tmp_path / "mine", "z: pre-training of seed 1 is added to a method in the logs beside it", theirs)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("x\u200b", "characters that cannot be seen (U+200B)"), ("x\u2800", "cannot be seen (U+2800)"),
        ("x\u3164\ufe0f", "cannot be seen (U+3164, U+FE0F)"), ("аsb_zap", "mixes letters of Cyrillic and Latin"),
        ("ѕаѕ", "is of Cyrillic letters"), ("ａｓｂ", "compatibility characters; its plain form is asb"),
        ("ASB-zap", "reads like asb_zap"), ("äsb_zap", "reads like asb_zap"), ("a5b_zap", "reads like asb_zap"),
    ],
)  # fmt: skip
def test_a_name_that_reads_like_another_is_refused(tmp_path, name, words):
    write_submission(tmp_path / "logs", (name,))
    write_submission(tmp_path / "theirs", ("asb_zap",))
    refused(tmp_path / "logs", words, load(tmp_path / "theirs"))


def test_other_outputs_than_those_beside_are_named(logs, tmp_path):
    write_submission(tmp_path / "theirs", ("a",), outputs=20)
    refused(logs, "x: outputs of the head 10; the logs beside it have 20", load(tmp_path / "theirs"))


def test_a_table_of_its_own_for_a_known_fingerprint_is_named(logs, tmp_path):
    """Else diverged or worse competitors would stand in another table."""
    write_submission(tmp_path / "theirs", ("a",), scenario="the real one")
    refused(logs, "x: scenario s; the logs beside it have the real one", load(tmp_path / "theirs"))


def test_a_trial_without_a_protocol_is_named_and_breaks_nothing(logs, tmp_path):
    about = dataclasses.replace(describe("x", seed=0, trial=9, facts=SIX), protocol=None)
    trajectory = Trajectory(steps=[1], held_out=[0.5], trained_on=[0.5], forgetting=[0.0])
    write_trial(logs / "none", about, "", trajectory, {}, Closing(contract.FINISHED))
    write_submission(tmp_path / "theirs", ("a",))
    refused(logs, "none/events.out.tfevents.zapbench: states no protocol", load(tmp_path / "theirs"))


def test_a_last_trial_that_is_dropped_is_missed_beside_others(logs, tmp_path):
    write_submission(tmp_path / "theirs", ("a",), trials=3)
    refused(logs, "x: seed 0 has 2 trials, and lacks trial 2", load(tmp_path / "theirs"))


def test_a_trial_that_one_seed_alone_of_a_method_beside_has_is_not_missed(logs, tmp_path):
    write_submission(tmp_path / "theirs", ("a", "b"))
    for method, seed in (("a", 1), ("b", 0)):
        curve = [0.9, 0.8, 0.7, 0.6, 0.5, 0.1234]
        write(tmp_path / "theirs", curve, method=method, seed=seed, trial=2, facts=SIX)
    assert not any("lacks trial" in problem for problem in checked(logs, load(tmp_path / "theirs")).problems)


def test_seeds_that_do_not_begin_with_0_are_named(logs):
    for path in list(logs.rglob("*tfevents*")):
        if "seed=0" in str(path):
            path.unlink()
    refused(logs, "x: lacks pre-training seed 0: seeds are numbered from 0")


def test_curves_that_nobody_measured_are_named(logs):
    write(logs, [0.7] * 6, method="x", seed=0, trial=0, facts=SIX)
    refused(logs, "its curve never moves, above chance")
    write(logs, [1.0, 0.8, 0.6, 0.6, 0.6, 0.35], method="x", seed=0, trial=1, facts=SIX | {"images_held_out": 5})
    refused(logs, "at step 6 its accuracy is no share of 30 images")


def test_a_final_score_that_is_not_the_mean_of_its_classes_is_named(logs):
    trajectory = Trajectory(
        steps=[*range(1, 7)], held_out=[0.9, 0.8, 0.7, 0.6, 0.5, 0.96], trained_on=[1.0] * 6, forgetting=[0.0] * 6,
        class_accuracy=[0.1] * 6,
    )  # fmt: skip
    write_trial(logs / "forged", describe("z", facts=SIX), "", trajectory, {}, Closing(contract.FINISHED))
    refused(logs, "its final accuracy is 96.0%, and the mean of its classes 10.0%")


def test_fewer_settings_said_than_run_are_named(logs):
    for value in ("1", "2"):
        write(logs, [0.9, 0.1234], method="x", setting={"A.b": value}, role="select", facts=SIX)
    refused(logs, "x: says 1 settings tried, and holds 3")


def test_failed_and_unfinished_trials_and_copies_are_named(logs):
    write(logs, [0.5], status=contract.FAILED, reason="no\nmemory", method="x", facts=SIX, trial=7)
    write(logs / "copy", [0.3], method="x", seed=0, trial=0, facts=SIX)
    refused(logs, "failed: no memory")
    refused(logs, "with other scores")


def test_a_fingerprint_that_is_not_of_its_fields_is_refused_everywhere(logs):
    path = sorted(logs.rglob("*tfevents*"))[0]
    rewrite(path, b'"classes_a_trial": 6', b'"classes_a_trial": 5')
    assert "is not that of its fields" in load(logs).problems[0]
    refused(logs, "is not that of its fields")


def test_values_out_of_range_and_another_schema_are_refused(logs):
    write(logs, [1.5], method="x", facts=SIX, trial=8)
    path = sorted(logs.rglob("*tfevents*"))[0]
    rewrite(path, b'"schema": 1', b'"schema": 7')
    refused(logs, "holds 1.5; allowed: 0 to 1")
    refused(logs, "schema 7, and this zapbench reads schema 1")


def test_the_command_says_each_problem_in_a_line_and_exits_1(tmp_path, capsys):
    write_submission(tmp_path / "logs", ("x",), seeds=2)
    pack(tmp_path / "logs", tmp_path / "s.zip")
    assert main(["leaderboard", "--check", str(tmp_path / "s.zip")]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert lines[0].startswith("  error: x: 2 pre-training seed(s)")
    assert lines[-1].endswith("s.zip cannot be ranked: 1 problem")
    assert main(["leaderboard", str(tmp_path / "logs"), "--check", str(tmp_path / "s.zip")]) == 1
    assert "adds no method" in capsys.readouterr().out


def test_mistakes_are_one_line_and_exit_2(tmp_path, capsys):
    (tmp_path / "no.zip").write_bytes(b"no zip")
    (tmp_path / "empty").mkdir()
    for arguments, words in [
        (["leaderboard"], "leaderboard needs LOGDIR"),
        (["leaderboard", "--check", "nowhere.zip"], "no file nowhere.zip"),
        (["leaderboard", "--check", str(tmp_path / "no.zip")], "is not a zip"),
        (["submit", str(tmp_path / "empty"), "--out", str(tmp_path / "x.zip")], "no event files below"),
    ]:
        assert main(arguments) == 2
        error = capsys.readouterr().err.strip()
        assert words in error
        assert "\n" not in error
    assert not (tmp_path / "x.zip").exists()


def test_a_submission_has_bounds_and_a_refused_one_leaves_nothing(logs, tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "LARGEST_FILE", 100)
    with pytest.raises(ValueError, match="more than 100 bytes"):
        pack(logs, tmp_path / "x.zip")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["logs"]
