"""Bytes that changed on the disk: every bit of a record counts, and none of them may change a score."""

import pytest
from support.hostile import flipped
from support.made_logs import write
from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import masked_crc32c

from zapbench.leaderboard import contract
from zapbench.leaderboard.read.checksum import masked_crcs
from zapbench.leaderboard.read.load import load
from zapbench.leaderboard.read.parse import read_file, status_of
from zapbench.leaderboard.submissions.archives import pack
from zapbench.leaderboard.submissions.check import check


def test_checksums_are_those_of_tensorboard_at_every_length():
    content = bytes(place * 37 % 251 for place in range(9000))
    parts = [content[start : start + length] for start in (0, 5) for length in (*range(1, 140), 255, 256, 257, 8000)]
    assert masked_crcs(parts) == [masked_crc32c(part) for part in parts]


def test_every_flipped_bit_of_a_trial_is_noticed_in_its_status_and_in_the_table(tmp_path):
    write(tmp_path, [0.5, 0.25])
    path = next(tmp_path.rglob("*tfevents*"))
    before = read_file(path)
    flips = 0
    for _, bit in flipped(path):
        found = read_file(path)
        noticed = found.problem or (found.closing.status == contract.UNFINISHED and found.closing.reason)
        assert noticed, f"bit {flips} changed nothing that is said"
        assert bit or status_of(path) == contract.UNFINISHED
        flips += 1
    assert flips == 8 * path.stat().st_size
    assert read_file(path) == before


def test_a_flipped_bit_is_named_beside_the_tables_and_by_the_check(tmp_path):
    for seed in range(3):
        write(tmp_path / "logs", [0.5, 0.25], seed=seed)
    path = min((tmp_path / "logs").rglob("*tfevents*"))
    content = bytearray(path.read_bytes())
    content[content.rindex(contract.HELD_OUT.encode()) + len(contract.HELD_OUT) + 3] ^= 0x10
    path.write_bytes(bytes(content))
    (problem,) = load(tmp_path / "logs").problems
    assert problem.startswith(f"{path.relative_to(tmp_path / 'logs').as_posix()}: holds a damaged record at byte")
    pack(tmp_path / "logs", tmp_path / "s.zip")
    assert any("holds a damaged record at byte" in problem for problem in check(tmp_path / "s.zip").problems)


@pytest.mark.parametrize("place", [0, 1, 2])
def test_what_follows_a_damaged_record_is_not_taken(tmp_path, place):
    write(tmp_path, [0.5, 0.4, 0.3])
    path = next(tmp_path.rglob("*tfevents*"))
    before = read_file(path).curves[contract.HELD_OUT]
    content = path.read_bytes()
    at = content.index(contract.HELD_OUT.encode())
    for _ in range(place):
        at = content.index(contract.HELD_OUT.encode(), at + 1)
    path.write_bytes(content[:at] + b"T" + content[at + 1 :])
    held_out = read_file(path).curves.get(contract.HELD_OUT, ([], []))
    assert held_out == (before[0][:place], before[1][:place])
