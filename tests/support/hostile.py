"""What tests of hostile input share."""

import io
import struct
import subprocess
import sys

from tensorboard.summary.writer.record_writer import RecordWriter

from support.made_logs import write

PROBE = """
import resource, sys
from pathlib import Path
from zapbench.leaderboard.read.load import load
from zapbench.leaderboard.submissions.check import check
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    path = Path(sys.argv[1])
    found = load(path).problems if path.is_dir() else check(path).problems
    print("; ".join(found))
except ValueError as error:
    print(error)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


def good_bytes(tmp_path):
    write(tmp_path / "good", [0.5, 0.4])
    return next((tmp_path / "good").rglob("*tfevents*")).read_bytes()


def one_line(problems, words):
    assert len(problems) == 1, problems
    assert words in problems[0]
    assert len(problems[0].splitlines()) == 1


def in_a_process_of_its_own(path):
    """Returns what was said of a zip or a folder, and by how many MB the process grew."""
    done = subprocess.run([sys.executable, "-c", PROBE, str(path)], capture_output=True, text=True, check=True)
    said, grown = done.stdout.strip().splitlines()
    return said, int(grown)


def rewrite(path, old, new):
    """Replaces bytes in an event file's records, each of which stays valid, as a forger would."""
    content, place, changed = path.read_bytes(), 0, io.BytesIO()
    assert old in content
    while place < len(content):
        (length,) = struct.unpack_from("<Q", content, place)
        RecordWriter(changed).write(content[place + 12 : place + 12 + length].replace(old, new))
        place += 12 + length + 4
    path.write_bytes(changed.getvalue())


def flipped(path):
    """Flips every bit of a file, one at a time, and yields its place; at the end the file is as it was."""
    content = path.read_bytes()
    for place in range(len(content)):
        for bit in range(8):
            path.write_bytes(content[:place] + bytes([content[place] ^ 1 << bit]) + content[place + 1 :])
            yield place, bit
    path.write_bytes(content)
