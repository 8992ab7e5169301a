"""Packing logs as published results keeps what they say, and nothing of the machine."""

import sys
import tarfile

import archive
import pytest
from support.made_logs import write

from zapbench.leaderboard import contract
from zapbench.leaderboard.published import LOGS
from zapbench.leaderboard.read.load import load


def pack(monkeypatch, results, logdir, prefix=""):
    monkeypatch.setattr(archive, "RESULTS", results)
    monkeypatch.setattr(sys, "argv", ["archive.py", "mine", str(logdir), "--without", prefix])
    archive.main()
    return results / "mine" / LOGS


def unpacked(path, folder):
    with tarfile.open(path) as opened:
        opened.extractall(folder, filter="data")
    return folder


def test_packed_logs_say_what_the_logs_say_without_the_prefix(tmp_path, monkeypatch, capsys):
    logs = tmp_path / "logs"
    for seed in range(2):
        write(logs, [0.5, 0.25 + seed / 10], seed=seed, command=f"zapbench suite demo --out {tmp_path}/logs")
    packed = pack(monkeypatch, tmp_path / "results", logs, f"{tmp_path}/")
    found = unpacked(packed, tmp_path / "found")
    assert load(found).trials["held_out"].tolist() == load(logs).trials["held_out"].tolist()
    contents = [path.read_bytes() for path in found.rglob(contract.EVENT_FILE)]
    assert len(contents) == 2
    assert all(b"--out logs" in content and str(tmp_path).encode() not in content for content in contents)
    again = pack(monkeypatch, tmp_path / "again", logs, f"{tmp_path}/")
    assert again.read_bytes() == packed.read_bytes()


def test_an_archive_keeps_what_it_holds_and_unfinished_logs_are_named_and_not_packed(tmp_path, monkeypatch, capsys):
    write(tmp_path / "first", [0.5], method="a")
    write(tmp_path / "second", [0.5], method="b")
    write(tmp_path / "second", [0.5], method="c", seed=7)
    (torn,) = (path for path in (tmp_path / "second").rglob(contract.EVENT_FILE) if "seed=7" in path.parts)
    torn.write_bytes(torn.read_bytes()[:-5])
    pack(monkeypatch, tmp_path / "results", tmp_path / "first")
    packed = pack(monkeypatch, tmp_path / "results", tmp_path / "second")
    assert set(load(unpacked(packed, tmp_path / "found")).trials["method"]) == {"a", "b"}
    shown = capsys.readouterr()
    assert shown.err.startswith("not packed, as it is not finished: ")
    assert "/seed=7/" in shown.err
    assert "2 event files, 1 of them from" in shown.out
    assert "1 not packed" in shown.out


def test_logs_without_a_finished_task_are_not_packed(tmp_path, monkeypatch, capsys):
    (tmp_path / "logs").mkdir()
    with pytest.raises(SystemExit, match="2"):
        pack(monkeypatch, tmp_path / "results", tmp_path / "logs")
    assert "no log of a finished task" in capsys.readouterr().err
    assert not (tmp_path / "results").exists()


def test_a_damaged_log_is_not_packed_and_one_that_differs_from_the_archives_is_refused(tmp_path, monkeypatch, capsys):
    logs = tmp_path / "logs"
    for seed, length in ((0, 300), (1, 3)):
        write(logs, [0.5] * length, seed=seed)
    pack(monkeypatch, tmp_path / "results", logs)
    before = (tmp_path / "results" / "mine" / LOGS).read_bytes()
    (path,) = (path for path in logs.rglob(contract.EVENT_FILE) if "seed=0" in path.parts)
    whole = bytearray(path.read_bytes())
    whole[len(whole) // 2] ^= 1
    path.write_bytes(whole)
    pack(monkeypatch, tmp_path / "other", logs)
    assert "1 event files" in capsys.readouterr().out
    path.unlink()
    write(logs, [0.6] * 300, seed=0)
    with pytest.raises(SystemExit, match="2"):
        pack(monkeypatch, tmp_path / "results", logs)
    assert "holds another " in capsys.readouterr().err
    assert (tmp_path / "results" / "mine" / LOGS).read_bytes() == before
