"""Published results by name: shipped, unpacked once, ranked beside one's own logs."""

import os
import re
import shutil

import pytest
from support.made_logs import write
from support.paths import ROOT

from zapbench.cli.main import main
from zapbench.leaderboard import published
from zapbench.leaderboard.read.parse import description_of

NAMES = sorted(path.parent.name for path in (ROOT / "leaderboard" / "results").glob("*/logs.tar.xz"))


def test_every_folder_of_results_has_a_name_and_every_short_name_leads_to_one():
    assert published.names() == NAMES
    for short in (*published.SHORT.values(), *published.HEADS.values()):
        assert short in NAMES
    for name in published.SHORT:
        assert (ROOT / "gin" / "scenarios" / f"{name}.gin").is_file()


def test_an_unknown_name_lists_those_there_are():
    with pytest.raises(ValueError, match=re.escape("no published results '../x'")) as caught:
        published.unpacked("../x")
    assert all(name in str(caught.value) for name in NAMES)


def test_results_are_unpacked_once_and_as_a_whole(tmp_path, monkeypatch):
    first = published.unpacked("omniglot_small_contenders_frozen", tmp_path)
    assert first.name == "omniglot_small_contenders_frozen"
    assert description_of(next(first.rglob("*tfevents*"))).scenario == "omniglot_small"
    monkeypatch.setattr(published.tarfile, "open", lambda path: pytest.fail("unpacked again"))
    assert published.unpacked("omniglot_small_contenders_frozen", tmp_path) == first
    assert [path.name for path in first.parent.iterdir()] == [first.name]


def test_another_process_that_was_faster_is_not_disturbed(tmp_path, monkeypatch):
    replace = os.replace

    def slower(part, folder):
        shutil.copytree(part, folder)  # the other process's
        (folder / "theirs").touch()
        replace(part, folder)

    monkeypatch.setattr(published.os, "replace", slower)
    folder = published.unpacked("omniglot_small_contenders_frozen", tmp_path)
    assert (folder / "theirs").is_file()
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


def test_logs_are_ranked_beside_published_ones(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for seed in range(3):
        write(tmp_path / "mine", [0.9, 0.5], method="asb", seed=seed)  # another scenario of the same method's name
    assert main(["leaderboard", str(tmp_path / "mine"), "--with", "appendix_f_small", "--format", "csv"]) == 0
    rows = capsys.readouterr().out.splitlines()
    assert {line.split(",")[0] for line in rows[1:]} == {"s", "omniglot_small"}
    assert main(["leaderboard", "--with", "appendix_f_small", "--format", "csv"]) == 0
    alone = capsys.readouterr().out.splitlines()
    assert set(alone) < set(rows)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--with", "omniglot_smal"], "did you mean omniglot_small"),
        (["--with", "omniglot_small", "--mapping", "x.gin"], "not together with --with"),
        ([], "--with NAME"),
    ],
)
def test_wrong_names_end_in_one_line(words, said, capsys):
    assert main(["leaderboard", *words]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
