"""What tests of hostile input share."""

import subprocess
import sys

from support.made_logs import write

PROBE = """
import resource, sys
from pathlib import Path
from zapbench.leaderboard.load import load
from zapbench.leaderboard.submissions import check
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
