"""Whether a submission can be ranked, in words, and what in it a person should look at."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from zapbench.leaderboard.read.identity import FILE, Identity, read_identity
from zapbench.leaderboard.read.load import load
from zapbench.leaderboard.read.tabulate import Logs
from zapbench.leaderboard.submissions import beside as joined
from zapbench.leaderboard.submissions import copies, draws, measured, tuning
from zapbench.leaderboard.submissions.archives import unpack
from zapbench.leaderboard.submissions.evidence import Trial, finished_trials, on_limits
from zapbench.leaderboard.submissions.findings import on_repeats, on_runs, on_tables, on_trials
from zapbench.leaderboard.submissions.names import on_names
from zapbench.text import one_line


@dataclass(frozen=True)
class Verdict:
    """What a check found.

    Attributes:
        problems: why it cannot be ranked, a line each; none where it can.
        methods: the rows that it would make.
        files: the event files that could be used.
        doubts: what a person should look at before it is ranked, a line each: it may be right, and is unusual.
        identity: who made it; None where it does not say.
    """

    problems: list[str]
    methods: list[str]
    files: int
    doubts: list[str] = field(default_factory=list)
    identity: Identity | None = None

    @property
    def sentence(self) -> str:
        """The verdict in a line."""
        if self.problems:
            return f"cannot be ranked: {len(self.problems)} problem{'s' if len(self.problems) > 1 else ''}"
        words = f"can be ranked: {', '.join(map(one_line, self.methods))} ({self.files} event files)"
        count = len(self.doubts)
        return f"{words}; {count} finding{'s' if count > 1 else ''} to be looked at" if count else words


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
        identity = None
        if (Path(folder) / FILE).is_file():
            try:
                identity = read_identity(Path(folder) / FILE)
            except ValueError as error:
                problems.append(str(error))
        own = finished_trials(logs)
        theirs = finished_trials(beside, set(logs.trials["fingerprint"])) if beside is not None else []
        problems += map(one_line, [*logs.problems, *_problems(logs, beside, own, theirs)])
        doubts = list(map(one_line, _doubts(logs, beside, own, theirs)))
    return Verdict(problems, sorted(set(logs.trials["method"])), len(logs.trials) + len(logs.runs), doubts, identity)


def _problems(logs: Logs, beside: Logs | None, own: list[Trial], theirs: Sequence[Trial]) -> list[str]:
    found = [
        *on_trials(logs),
        *on_repeats(logs),
        *on_runs(logs),
        *measured.on_tables_of_predictions(logs, own),
        *copies.on_copies(own, theirs),
        *copies.on_selection(own),
        *tuning.on_tried(logs),
        *on_tables(logs, beside),
        *on_names(logs.trials["method"], beside.trials["method"] if beside is not None else ()),
    ]
    return found if beside is None else [*found, *joined.on_methods(logs, beside), *joined.on_facts(logs, beside)]


def _doubts(logs: Logs, beside: Logs | None, own: list[Trial], theirs: Sequence[Trial]) -> list[str]:
    return [
        *measured.without_spread(logs),
        *copies.near_copies(own, theirs),
        *copies.idle_transfers(own, theirs),
        *draws.wrong_draws(own, theirs),
        *tuning.doubts_on_tried(logs, beside),
        *on_limits(logs, own),
        *(joined.on_repeats(logs, beside) if beside is not None else ()),
        *(on_limits(beside, theirs, set(logs.trials["fingerprint"])) if beside is not None else ()),
    ]
