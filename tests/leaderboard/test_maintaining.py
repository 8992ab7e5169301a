"""A leaderboard as its maintainer keeps it: a first submission, a second with the same baselines, and a forged one."""

import csv
import io

import pytest
from support.honest_logs import write_honest
from support.made_logs import write_submission

from zapbench.cli.main import main
from zapbench.leaderboard.submissions.archives import pack


def submission(folder, **forged):
    """A new method beside the baselines, which were run again: on another machine, results differ a little."""
    machine = folder.name
    for method, skill in (("asb", 0.5), ("iid", 0.0)):
        write_honest(folder, f"{method} on {machine}", skill, name=method, config_hash=method)
    write_honest(folder, f"new {machine}", 1.0, **forged)
    pack(folder, folder.with_suffix(".zip"))
    return str(folder.with_suffix(".zip"))


@pytest.fixture
def board(tmp_path):
    (tmp_path / "board").mkdir()
    return tmp_path / "board"


def test_an_empty_leaderboard_takes_its_first_submission_a_second_merges_and_a_forged_one_is_caught(
    board, tmp_path, capsys
):
    first, second = submission(tmp_path / "one"), submission(tmp_path / "two")
    assert main(["leaderboard", str(board), "--check", first, "--unpack", str(board / "one")]) == 0
    assert main(["leaderboard", str(board / "one"), "--check", second, "--unpack", str(board / "two")]) == 3
    shown = capsys.readouterr().out
    assert shown.count("are in the logs beside it already") == 2
    assert "error" not in shown
    folders = [str(board / "one"), str(board / "two")]
    assert main(["leaderboard", *folders, "--format", "csv", "--no-cache", "--columns", "seeds", "trials"]) == 0
    rows = csv.DictReader(io.StringIO(capsys.readouterr().out))
    found = sorted((row["method"], row["seeds"], row["trials"]) for row in rows)
    assert found == [(name, "3", "12") for name in ("asb", "iid", "new one", "new two")]
    copied = tmp_path / "copied"
    write_honest(copied, "new two", 1.0, name="mine")
    pack(copied, tmp_path / "copied.zip")
    command = ["leaderboard", *folders, "--check", str(tmp_path / "copied.zip"), "--unpack", str(board / "three")]
    assert main(command) == 1
    assert "mine: 12 of 12 reported trials have the curve of another trial" in capsys.readouterr().out
    assert not (board / "three").exists()
    forged = submission(tmp_path / "four", runs={(0, t): (1, t) for t in range(4)} | {(1, t): (0, t) for t in range(4)})
    assert main(["leaderboard", *folders, "--check", forged]) == 3
    assert "new four: 8 trials are of another draw than they say" in capsys.readouterr().out


def test_a_submission_is_unpacked_into_a_new_folder_alone(board, tmp_path, capsys):
    write_submission(tmp_path / "logs")
    pack(tmp_path / "logs", tmp_path / "s.zip")
    assert main(["leaderboard", "--check", str(tmp_path / "s.zip"), "--unpack", str(board)]) == 2
    assert "is there already" in capsys.readouterr().err
    assert main(["leaderboard", str(tmp_path / "logs"), "--unpack", str(board / "x")]) == 2
    assert "--unpack needs --check" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [["--site", "page"], ["--format", "json"], ["--metric", "nonsense"], ["--columns", "rank"], ["--figure", "bars"]],
)
def test_what_a_check_would_not_do_is_refused(words, tmp_path, capsys):
    assert main(["leaderboard", "--check", str(tmp_path / "s.zip"), *words]) == 2
    assert f"{words[0]}: not together with --check" in capsys.readouterr().err


def test_how_to_draw_needs_a_folder_to_draw_to(tmp_path, capsys):
    assert main(["leaderboard", str(tmp_path), "--figure-format", "pdf"]) == 2
    assert "--figure-format: it needs --figures DIR" in capsys.readouterr().err
