"""Whether a submission can be ranked, in words."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

from zapbench.leaderboard.read.load import load
from zapbench.leaderboard.read.tabulate import Logs
from zapbench.leaderboard.submissions.archives import unpack
from zapbench.leaderboard.submissions.beside import on_facts, on_methods
from zapbench.leaderboard.submissions.findings import on_curves, on_repeats, on_runs, on_tables, on_trials
from zapbench.leaderboard.submissions.names import on_names
from zapbench.text import one_line


@dataclass(frozen=True)
class Verdict:
    """What a check found.

    Attributes:
        problems: why it cannot be ranked, a line each; none where it can.
        methods: the rows that it would make.
        files: the event files that could be used.
    """

    problems: list[str]
    methods: list[str]
    files: int

    @property
    def sentence(self) -> str:
        """The verdict in a line."""
        if self.problems:
            return f"cannot be ranked: {len(self.problems)} problem{'s' if len(self.problems) > 1 else ''}"
        return f"can be ranked: {', '.join(map(one_line, self.methods))} ({self.files} event files)"


def check(path: Path, beside: Logs | None = None) -> Verdict:
    """Says whether a zip of event files, which is untrusted, can be ranked.

    Args:
        path: the zip. It is unpacked into a temporary folder, which is deleted afterwards.
        beside: logs that it would join.

    Raises:
        ValueError: it is not a zip that can be read to its end.
    """
    with tempfile.TemporaryDirectory(prefix="zapbench-") as folder:
        problems = unpack(path, Path(folder))
        try:
            logs = load(Path(folder))
        except ValueError:
            return Verdict([*problems, "no event files in it"], [], 0)
    problems += logs.problems
    found = [*on_trials(logs), *on_repeats(logs), *on_runs(logs), *on_curves(logs, beside), *on_tables(logs, beside)]
    found += on_names(logs.trials["method"], beside.trials["method"] if beside is not None else ())
    if beside is not None:
        found += [*on_methods(logs, beside), *on_facts(logs, beside)]
    problems += map(one_line, found)
    return Verdict(problems, sorted(set(logs.trials["method"])), len(logs.trials) + len(logs.runs))
