"""Submissions made to break their reader: one line each, nothing written, nothing executed, no memory to speak of."""

import os
import pickle
import stat
import struct
import subprocess
import sys
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from support.hostile import good_bytes, in_a_process_of_its_own, one_line
from support.made_logs import SIX, describe, write, write_run, write_submission

from zapbench.experiment.record import EventWriter
from zapbench.leaderboard.read.load import load
from zapbench.leaderboard.submissions import archives
from zapbench.leaderboard.submissions.archives import LARGEST_FILE, unpack
from zapbench.leaderboard.submissions.check import check

NAME = "run/events.out.tfevents.zapbench"


def zipped(path, members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return path


def everything_below(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@pytest.mark.parametrize(
    "name",
    ["../tfevents", "a/../../tfevents", "/tmp/tfevents", "..\\tfevents", "C:/tfevents", "a//tfevents", "./tfevents"],
)
def test_a_path_that_leaves_its_folder_is_refused_and_nothing_is_written(tmp_path, name):
    inside = tmp_path / "a" / "inside"
    inside.mkdir(parents=True)
    path = zipped(tmp_path / "s.zip", [(zipfile.ZipInfo(name), good_bytes(tmp_path))])
    before = everything_below(tmp_path)
    one_line(unpack(path, inside), "a path that leaves its folder")
    assert everything_below(tmp_path) == before


def test_a_symlink_in_a_zip_is_refused(tmp_path):
    link = zipfile.ZipInfo("run/tfevents")
    link.create_system, link.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    path = zipped(tmp_path / "s.zip", [(link, b"/etc/passwd"), ("run/tfevents/x.tfevents", b"x")])
    (tmp_path / "in").mkdir()
    assert "a link, or another thing that is not a file" in unpack(path, tmp_path / "in")[0]
    assert not any(found.is_symlink() for found in (tmp_path / "in").rglob("*"))


def test_members_are_counted_and_not_what_the_zip_claims(tmp_path, monkeypatch):
    path = zipped(tmp_path / "s.zip", [(f"{number}/{NAME}", b"") for number in range(20)])
    content = path.read_bytes()
    end = content.rfind(b"PK\x05\x06")
    path.write_bytes(content[: end + 8] + struct.pack("<2H", 1, 1) + content[end + 12 :])  # it claims one member
    monkeypatch.setattr(archives, "MOST_FILES", 19)
    monkeypatch.setattr(archives, "_MEMBER", 1 << 20)
    (tmp_path / "there").mkdir()
    with pytest.raises(ValueError, match="holds 20 members; a submission holds 19 at most"):
        unpack(path, tmp_path / "there")
    assert everything_below(tmp_path / "there") == []


ENDED = """
import os, signal, sys
from zapbench.cli.main import main
from zapbench.leaderboard.submissions import check

def end(path, folder):
    print(folder, flush=True)
    os.kill(os.getpid(), signal.SIGTERM)
    signal.pause()

check.unpack = end
main(["leaderboard", "--check", sys.argv[1]])
"""


def test_sigterm_removes_what_was_unpacked(tmp_path):
    path = zipped(tmp_path / "s.zip", [(NAME, b"")])
    command = [sys.executable, "-c", ENDED, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"TMPDIR": str(tmp_path)})
    folder = Path(done.stdout.splitlines()[0])
    assert folder.parent == tmp_path
    assert not folder.exists()


def test_a_file_where_another_member_wants_a_folder_is_one_line(tmp_path):
    path = zipped(tmp_path / "s.zip", [("tfevents", b"x"), ("tfevents/tfevents", b"x")])
    with pytest.raises(ValueError, match="damaged zip"):
        check(path)


def deflated_zeros(length):
    """Raw deflate of zeros: the stream of a mebibyte, again and again (each part ends at a byte, as none is last)."""
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    first = deflate.compress(bytes(1 << 20)) + deflate.flush(zlib.Z_FULL_FLUSH)
    return first * (length >> 20) + b"\x03\x00"


def test_a_zip_bomb_of_ten_gigabytes_is_refused_at_its_first_megabytes(tmp_path):
    length = 10 << 30
    stream = deflated_zeros(length)
    assert len(stream) < 20 << 20
    name = NAME.encode()
    sizes = (0, len(stream), 100)  # the header claims a hundred bytes: it is not believed, and the truth neither
    local = struct.pack("<4s5H3L2H", b"PK\3\4", 20, 0, 8, 0, 33, *sizes, len(name), 0) + name
    central = struct.pack("<4s6H3L5H2L", b"PK\1\2", 20, 20, 0, 8, 0, 33, *sizes, len(name), 0, 0, 0, 0, 0, 0) + name
    for claimed, words in ((100, "damaged zip"), (0xFFFFFFFE, f"more than {LARGEST_FILE:,} bytes")):
        body = bytearray(local + stream)
        directory = bytearray(central)
        struct.pack_into("<L", body, 22, claimed)
        struct.pack_into("<L", directory, 24, claimed)
        end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 1, 1, len(directory), len(body), 0)
        (tmp_path / "bomb.zip").write_bytes(bytes(body + directory) + end)
        said, grown = in_a_process_of_its_own(tmp_path / "bomb.zip")
        assert words in said
        assert grown < 150
    (tmp_path / "in").mkdir()
    with pytest.raises(ValueError, match="more than"):
        unpack(tmp_path / "bomb.zip", tmp_path / "in")
    assert sum(found.stat().st_size for found in (tmp_path / "in").rglob("*tfevents*")) <= LARGEST_FILE


def test_many_files_that_are_large_together_are_refused(tmp_path, monkeypatch):
    from zapbench.leaderboard.submissions import archives

    monkeypatch.setattr(archives, "LARGEST_TOTAL", 2500)
    path = zipped(tmp_path / "s.zip", [(f"{i}/tfevents", bytes(1000)) for i in range(4)])
    with pytest.raises(ValueError, match="have 3,000 bytes or more; a submission has 2,500 at most"):
        check(path)


def test_a_directory_of_millions_of_files_is_refused_before_it_is_read(tmp_path):
    (tmp_path / "s.zip").write_bytes(struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 1, 1, 200_000_000, 0, 0))
    with pytest.raises(ValueError, match="holds 20,000 at most"):
        check(tmp_path / "s.zip")
    locator = b"PK\6\7" + bytes(16)
    (tmp_path / "t.zip").write_bytes(locator + struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 1, 1, 46, 0, 0))
    with pytest.raises(ValueError, match="zip64"):
        check(tmp_path / "t.zip")


class Runs:
    def __reduce__(self):
        return (os.system, ("touch ran",))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("run/checkpoint.pt", pickle.dumps(Runs())),
        ("run/tfevents.pkl", pickle.dumps(Runs())),
        ("run/config.gin", b"import antigravity_of_ours\n"),
        ("run/tfevents.gin", b"import antigravity_of_ours\n"),
        ("nested.zip", b"PK"),
        ("run/.tfevents", b""),
    ],
)
def test_what_is_no_event_file_is_refused_by_its_name_and_never_loaded(tmp_path, monkeypatch, name, content):
    monkeypatch.chdir(tmp_path)
    write_submission(tmp_path / "logs", ("x",))
    members = [(path.relative_to(tmp_path / "logs").as_posix(), path.read_bytes()) for path in
               sorted((tmp_path / "logs").rglob("*tfevents*"))]  # fmt: skip
    one_line(
        check(zipped(tmp_path / "s.zip", [*members, (name, content)])).problems, "not an event file; it was not read"
    )
    assert not (tmp_path / "ran").exists()


def test_a_pickle_and_a_configuration_under_an_event_files_name_are_damage(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, content in (("a", pickle.dumps(Runs())), ("b", b"import antigravity_of_ours\n" * 9)):
        (tmp_path / "logs" / name).mkdir(parents=True)
        (tmp_path / "logs" / name / "events.out.tfevents.x").write_bytes(content)
    assert len(load(tmp_path / "logs").problems) == 2
    assert not (tmp_path / "ran").exists()


def test_a_configuration_that_imports_is_kept_as_text(tmp_path):
    from zapbench.leaderboard.read.parse import config_of

    with (tmp_path / "tfevents").open("wb") as file:
        EventWriter(file).start(describe(), "import antigravity_of_ours")
    assert load(tmp_path).problems == []
    assert config_of(tmp_path / "tfevents") == "import antigravity_of_ours"


def test_curves_of_zeros_or_chance_are_no_copies(tmp_path):
    for seed in range(3):
        write_run(tmp_path / "logs", seed=seed)
        write(tmp_path / "logs", list(np.zeros(6)), seed=seed, facts=SIX)
    from zapbench.leaderboard.submissions.archives import pack

    pack(tmp_path / "logs", Path(tmp_path / "s.zip"))
    assert check(tmp_path / "s.zip").problems == []
