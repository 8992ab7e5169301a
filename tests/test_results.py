"""The published results are what their logs say."""

import tarfile
from pathlib import Path

import pytest

from zapbench.leaderboard.load import load
from zapbench.leaderboard.render import to_markdown
from zapbench.leaderboard.tables import tables

RESULTS = Path(__file__).parent.parent / "leaderboard" / "results"
PUBLISHED = sorted(path.parent for path in RESULTS.glob("*/logs.tar.xz"))


@pytest.mark.parametrize("folder", PUBLISHED, ids=lambda folder: folder.name)
def test_a_published_table_is_made_of_its_logs(folder, tmp_path):
    with tarfile.open(folder / "logs.tar.xz") as archive:
        archive.extractall(tmp_path, filter="data")
    logs = load(tmp_path)
    assert not logs.problems
    assert to_markdown(tables(logs)) == (folder / "table.md").read_text(encoding="utf-8")
