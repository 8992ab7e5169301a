"""`zapbench audit`: a sample is drawn, run again and judged; what was forged is found."""

import dataclasses
import json
import shutil
from pathlib import Path

import pytest
from support.documents import forget, shrink
from support.made_logs import describe, write, write_submission

from zapbench.checks.audit import AGREES, DISAGREES, NOT_RUN, Drawn, Result, draw, judge, plans, verdict_of
from zapbench.cli.main import main
from zapbench.experiment.record import PretrainRecord, write_trial
from zapbench.leaderboard import contract
from zapbench.leaderboard.contract import Closing
from zapbench.leaderboard.read.load import load
from zapbench.leaderboard.read.parse import config_of, read_file
from zapbench.leaderboard.submissions.audits import CONFIRMED, CONTRADICTED, OPEN
from zapbench.tasks import RunSpec, Task, TrialSpec
from zapbench.transfer.reference import Trajectory

EVENTS = contract.EVENT_FILE


def test_a_sample_is_drawn_without_replacement_by_its_seed_from_the_trials_that_ended(tmp_path):
    write_submission(tmp_path, seeds=5, trials=4)
    write(tmp_path, [], status=contract.FAILED, reason="an error", method="failed")
    logs = load(tmp_path)
    ended = set(logs.trials.query("status == 'finished'")["file"])
    assert len(ended) == 40
    sample = draw(logs, 0.1, 3)
    assert sample == draw(logs, 0.1, 3)
    assert len(set(sample)) == 4
    assert set(sample) <= ended
    assert set(draw(logs, 1.0, 3)) == ended
    assert len(draw(logs, 0.001, 3)) == 1
    drawn = {file for seed in range(200) for file in draw(logs, 0.1, seed)}
    assert drawn == ended  # every trial can be drawn


def judged(tmp_path, before, after, *, tolerance=0.1, status=contract.FINISHED, **more):
    task = Task(RunSpec("glyphs", "iid", 0), TrialSpec("sequential", 0.01, "report", 0))
    for folder, curve, about in (("theirs", before, {}), ("here", after, more)):
        write(tmp_path / folder, curve, status=status if folder == "here" else contract.FINISHED, **about)
        (made,) = (tmp_path / folder).rglob(EVENTS)
        (tmp_path / folder / task.folder).mkdir(parents=True)
        shutil.move(made, tmp_path / folder / task.folder / EVENTS)
    path = tmp_path / "theirs" / task.folder / EVENTS
    return judge(Drawn("x", path, read_file(path).description, task, ""), tmp_path / "here", tolerance)


def test_a_record_agrees_within_the_tolerance(tmp_path):
    found = judged(tmp_path, [0.9, 0.6], [0.9, 0.51])
    assert found.verdict == AGREES
    assert found.difference == pytest.approx(0.09)


@pytest.mark.parametrize(
    ("before", "after", "more", "said"),
    [
        ([0.9, 0.6], [0.9, 0.45], {}, "held_out_accuracy ends at 60.0%, and at 45.0% here"),
        ([0.9, 0.9, 0.5], [0.1, 0.6, 0.5], {}, "ends at 50.0%, and at 50.0% here, 36.7 points apart on average"),
        ([0.9, 0.6], [0.9, 0.7, 0.6], {}, "has 2 points, and 3 or others here"),
        ([0.9, 0.6], [0.9, 0.6], {"outputs": 20}, "its outputs is 10, and 20 here"),
        ([0.9, 0.6], [0.9], {"status": contract.DIVERGED}, "it finished, and diverged here"),
    ],
)
def test_what_disagrees_is_said(tmp_path, before, after, more, said):
    found = judged(tmp_path, before, after, **more)
    assert found.verdict == DISAGREES
    assert said in found.detail


@pytest.mark.parametrize(("here", "verdict"), [(0.85, AGREES), (0.5, DISAGREES)])
def test_the_validation_curve_of_a_pretraining_is_judged(tmp_path, here, verdict):
    task = Task(RunSpec("glyphs", "iid", 0), None)
    nothing = dict.fromkeys(("transfer", "rate", "role", "transfer_seed", "protocol"))
    about = dataclasses.replace(describe(), fingerprint="", **nothing)
    for folder, value in (("theirs", 0.9), ("here", here)):
        with PretrainRecord(tmp_path / folder / task.folder, about, "") as record:
            record.point({contract.VALIDATION_ACCURACY: value}, step=1)
            record.finish(Closing(contract.FINISHED), {}, step=1)
    path = tmp_path / "theirs" / task.folder / EVENTS
    found = judge(Drawn("x", path, read_file(path).description, task, ""), tmp_path / "here", 0.1)
    assert found.verdict == verdict
    assert ("validation_accuracy ends at 90.0%, and at 50.0% here" in found.detail) == (verdict == DISAGREES)


def test_what_was_not_run_to_its_end_is_not_judged(tmp_path):
    assert judged(tmp_path, [0.9, 0.6], [], status=contract.FAILED).verdict == NOT_RUN


def results(*differences, verdict=AGREES):
    return [Result("x", verdict, "", difference) for difference in differences]


def test_many_small_differences_in_one_direction_contradict_a_record():
    assert verdict_of(results(*[0.05, -0.05] * 10), 0.1) == CONFIRMED
    assert verdict_of(results(*[0.05] * 20), 0.1) == CONTRADICTED
    assert verdict_of(results(0.05), 0.1) == CONFIRMED  # of one trial the mean is as wide as the trial
    assert verdict_of([*results(0.0), *results(float("nan"), verdict=NOT_RUN)], 0.1) == OPEN
    assert verdict_of([*results(0.0), *results(0.5, verdict=DISAGREES)], 0.1) == CONTRADICTED


def test_tasks_that_share_a_folder_and_not_a_run_are_run_one_after_another():
    first, second = (RunSpec("glyphs", "iid", 0, settings_tried=tried) for tried in (1, 2))
    trial = TrialSpec("sequential", 0.01, "report", 0)
    drawn = [Drawn("x", Path(), None, Task(run, trial), "") for run in (first, second)]
    made = list(plans(drawn, 1))
    assert [{task.run for task in plan.tasks} for plan in made] == [{first}, {second}]
    assert [len(plan.tasks) for plan in made] == [2, 2]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Logs of two seeds of a small run, in `theirs`; the configurations are in `gin`."""
    folder = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ZAPBENCH_DATA", str(folder / "data"))
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        shrink(folder / "gin", patch)
        words = ["run", "glyphs", "iid", "--rates", "0.01", "--trials", "2", "--select-trials", "1"]
        for seed in ("0", "1"):
            assert main([*words, "--seed", seed, "--out", str(folder / "theirs")]) == 0
        yield folder
    forget()


@pytest.fixture
def submission(made, tmp_path, monkeypatch):
    """A copy of the logs, in the current folder."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(made / "theirs", tmp_path / "theirs")
    return Path("theirs")


def forge(path, by):
    """Raises the curve of a trial; everything else in its record stays."""
    found = read_file(path)
    steps, held_out = found.curves[contract.HELD_OUT]
    curves = {tag: found.curves[tag][1] for tag in (contract.TRAINED_ON, contract.FORGETTING)}
    made = Trajectory(steps=steps, held_out=[min(1.0, value + by) for value in held_out],
                      trained_on=curves[contract.TRAINED_ON], forgetting=curves[contract.FORGETTING])  # fmt: skip
    text = config_of(path)
    path.unlink()
    write_trial(path.parent, found.description, text, made, {contract.SECONDS: 1.0}, Closing(contract.FINISHED))


def test_an_honest_submission_is_confirmed_and_a_forged_trial_is_found(submission, capsys):
    assert main(["submit", str(submission), "--out", "theirs.zip"]) != 2
    capsys.readouterr()
    assert main(["audit", "theirs.zip", "--share", "0.5", "--seed", "1", "--dry-run"]) == 0
    shown = capsys.readouterr().out
    assert shown.count("zapbench run glyphs iid --seed") == 3
    assert "a sample of 3 would hold one with a probability of 50%" in shown
    assert not Path("runs").exists()
    assert main(["audit", "theirs.zip", "--share", "1", "--seed", "1", "--pretraining"]) == 0
    said = capsys.readouterr().out
    assert "confirmed: 6 of 6 trials run again, all within 10 points of the record (models pre-trained again" in said
    verdict = json.loads(Path("theirs.audit.json").read_text())
    assert verdict["farthest"] == 0  # on one machine, to the bit
    assert len(verdict["results"]) == 8
    forged = next(submission.rglob("report=1/*tfevents*"))
    forge(forged, 0.4)
    assert main(["audit", str(submission), "--share", "1", "--seed", "2"]) == 1
    said = capsys.readouterr().out
    assert (
        "contradicted: 6 of 6 trials run again, 1 disagrees with the record (models taken from the submission" in said
    )
    assert f"disagrees  {forged.relative_to(submission).as_posix()}: transfer/held_out_accuracy" in said


def test_models_taken_from_a_submission_never_count_as_pretrained_again(submission, capsys):
    words = ["audit", str(submission), "--share", "0.2", "--seed", "1"]
    assert main(words) == 0
    assert "(models taken from the submission" in capsys.readouterr().out
    assert main(words) == 0  # again, from the same folder
    assert "(models taken from the submission" in capsys.readouterr().out
    assert main([*words, "--pretraining"]) == 0  # in a folder of its own
    assert "(models pre-trained again" in capsys.readouterr().out
    assert main([*words, "--out", "mine"]) == 0
    assert main([*words, "--out", "mine", "--pretraining"]) == 2
    assert "mine holds models taken from the submission; choose another --out" in capsys.readouterr().err


def test_two_submissions_have_two_folders_and_two_verdicts(submission):
    for name in ("theirs.v1", "theirs.v2"):
        shutil.copytree(submission, name)
        assert main(["audit", name, "--share", "0.2", "--seed", "1", "--dry-run"]) == 0
    forge(next(Path("theirs.v2").rglob("report=1/*tfevents*")), 0.4)
    for name, status in (("theirs.v1", 0), ("theirs.v2", 1)):
        assert main(["audit", name, "--share", "1", "--seed", "1"]) == status
        assert Path(f"{name}.audit.json").exists()
    assert len(list(Path("runs", "audit").iterdir())) == 2


def test_only_shipped_code_is_run_and_a_wrong_seed_or_share_is_refused(made, submission, capsys):
    Path("mine.gin").write_text((made / "gin" / "strategies" / "iid.gin").read_text())
    assert main(["run", "glyphs", "mine.gin", "--rates", "0.01", "--trials", "1", "--out", "other"]) == 0
    capsys.readouterr()
    assert main(["audit", "other", "--seed", "0"]) == 2
    error = capsys.readouterr().err
    assert "'mine.gin', which is not a shipped strategy" in error
    assert not Path("other.audit.json").exists()
    assert not Path("runs").exists()
    for words in (["--seed", "0", "--share", "0"], ["--seed", "0", "--share", "nan"], ["--seed", "-1"], []):
        with pytest.raises(SystemExit):
            main(["audit", "theirs", *words])


def test_a_configuration_that_is_another_here_is_not_decided(made, submission, capsys):
    path = made / "gin" / "scenarios" / "glyphs.gin"
    text = path.read_text()
    path.write_text(f"{text}\nIID_EPOCHS = 3\n")  # the last binding counts
    forget()
    assert main(["audit", str(submission), "--seed", "0"]) == 1
    path.write_text(text)
    forget()
    said = capsys.readouterr().out
    assert "not run: its configuration is another (" in said
    assert "not decided: 0 of 6 trials run again" in said
