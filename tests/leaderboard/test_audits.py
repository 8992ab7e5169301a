"""Verdicts of audits: their power, their files, and the badge that only a leaderboard's own folder gives."""

import json
import math
import zipfile

import pytest
from scipy import stats
from support.made_logs import write_submission

from zapbench.cli.main import main
from zapbench.leaderboard.read.load import load
from zapbench.leaderboard.submissions.archives import pack, unpack
from zapbench.leaderboard.submissions.audits import (
    CONFIRMED,
    CONTRADICTED,
    OPEN,
    RETRAINED,
    Audit,
    badges,
    digests,
    power,
    power_sentence,
    read_audits,
    smallest_forgery,
)


def audit(methods=(), verdict=CONFIRMED, **more):
    about = {
        "verdict": verdict, "seed": 7, "share": 0.1, "trials": 120, "sampled": 12, "not_run": 0, "disagree": 0,
        "models": RETRAINED, "tolerance": 0.1, "mean_tolerance": 0.03, "farthest": 0.02, "mean": -0.001,
        "time": "2026-11-26T02:00:00+00:00", "version": "0.1.0",
    }  # fmt: skip
    return Audit(methods=dict.fromkeys(methods, "x"), **about | more)


@pytest.mark.parametrize(("trials", "sampled"), [(10, 1), (120, 12), (120, 120), (999, 50)])
def test_the_power_is_hypergeometric(trials, sampled):
    for forged in (1, math.ceil(trials / 10), trials):
        known = 1 - stats.hypergeom(trials, forged, sampled).pmf(0)
        assert power(trials, sampled, forged) == pytest.approx(known, abs=1e-9)
    least = smallest_forgery(trials, sampled)
    assert power(trials, sampled, least) >= 0.95
    assert least == 1 or power(trials, sampled, least - 1) < 0.95


def test_the_sentence_states_both_ways():
    assert power_sentence(120, 12) == (
        "If 10% of the 120 trials (12) were forged, a sample of 12 would hold one with a probability of 74%; with 95% "
        "if 22% were (26)."
    )


def test_a_verdict_is_read_as_it_was_written():
    one = audit(["a" * 64])
    again = Audit.from_json(one.to_json())
    assert again.methods == one.methods
    assert again.sentence == one.sentence
    assert "74%" in json.loads(one.to_json())["power"]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"verdict": "confirmed!"}, "verdict is"),
        ({"sampled": -1}, "sampled is not an integer"),
        ({"mean": "0"}, "mean is not a number"),
        ({"methods": ["x"]}, "methods is not an object"),
        ({"time": "2026\n<script>"}, "time holds a line break"),
        ({"schema": 2}, "not a verdict"),
    ],
)
def test_a_wrong_verdict_is_refused_in_one_line(changed, said, tmp_path):
    raw = json.loads(audit().to_json()) | changed
    with pytest.raises(ValueError, match=said):
        Audit.from_json(json.dumps(raw))
    (tmp_path / "audits").mkdir()
    (tmp_path / "audits" / "x.json").write_text(json.dumps(raw))
    (tmp_path / "audits" / "y.json").write_text("[" * 100_000)
    (tmp_path / "audits" / "z.json").write_bytes(b"\xff")
    found, problems = read_audits(tmp_path)
    assert found == []
    assert len(problems) == 3
    assert all("\n" not in problem for problem in problems)


def test_sentences_say_what_was_not_run_and_what_disagrees():
    assert "12 of 120 trials run again, all within 10 points of the record" in audit().sentence
    assert "1 disagrees with the record" in audit(verdict=CONTRADICTED, disagree=1).sentence
    assert "too far from the record on average" in audit(verdict=CONTRADICTED, mean=0.05).sentence
    assert "3 could not be run" in audit(verdict=OPEN, not_run=3).sentence
    assert audit().badge.startswith("audited 2026-11-26: 12 of 120")


def test_a_badge_belongs_to_the_content_of_the_trials_and_to_confirmed_verdicts(tmp_path):
    write_submission(tmp_path, methods=("x", "y"))
    logs = load(tmp_path)
    known = digests(logs)
    mine = next(key for key in known if key[1] == "x")
    assert set(badges(logs, [audit([known[mine]])])) == {mine}
    for verdict in (CONTRADICTED, OPEN):
        assert badges(logs, [audit([known[mine]], verdict)]) == {}
    for order in (1, -1):
        assert badges(logs, [audit([known[mine]]), audit([known[mine]], CONTRADICTED)][::order]) == {}
    trial = logs.trials.query("method == 'x'").iloc[0]["file"]
    path = logs.path(trial)
    path.write_bytes(path.read_bytes()[:-1])  # any change at all
    assert badges(load(tmp_path), [audit([known[mine]])]) == {}


def test_the_page_shows_the_badge_of_the_first_folder_and_none_that_a_submission_brings(tmp_path, capsys):
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    write_submission(ours, methods=("x",))
    write_submission(theirs, methods=("y",))
    for folder in (ours, theirs):
        content = audit(digests(load(folder)).values()).to_json()
        (folder / "audits").mkdir()
        (folder / "audits" / "mine.json").write_text(content)
    (ours / "audits" / "broken.json").write_text("{")
    assert main(["leaderboard", str(ours), str(theirs), "--site", str(tmp_path / "page"), "--no-cache"]) == 0
    assert "ignored: audits/broken.json: no verdict" in capsys.readouterr().err
    index = (tmp_path / "page" / "index.html").read_text()
    assert index.count('class="badge"') == 1
    assert "12 of 120 trials run again" in (tmp_path / "page" / "methods" / "x.html").read_text()
    assert "audited" not in (tmp_path / "page" / "methods" / "y.html").read_text()
    pack(theirs, tmp_path / "theirs.zip")
    with zipfile.ZipFile(tmp_path / "theirs.zip", "a") as archive:
        assert not any(name.endswith(".json") for name in archive.namelist()), "packed without it"
        archive.write(theirs / "audits" / "mine.json", "audits/mine.json")
    (tmp_path / "unpacked").mkdir()
    problems = unpack(tmp_path / "theirs.zip", tmp_path / "unpacked")
    assert problems == ["audits/mine.json: not an event file; it was not read"]
    assert not list((tmp_path / "unpacked").rglob("*.json"))
