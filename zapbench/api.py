"""zapbench from Python: `run` experiments, `load` logs, `compare` methods.

    import zapbench

    zapbench.run("glyphs", ["iid", "iid_zap"], seeds=3, out="runs")
    comparison = zapbench.compare("runs")
    print(comparison)
    comparison.figure()

They do what the commands `zapbench suite` and `zapbench leaderboard` do, on the same folders. `load` and `compare`
import neither torch nor Avalanche.
"""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from zapbench.launchers.base import Launcher
    from zapbench.leaderboard.decide.tables import Table
    from zapbench.leaderboard.read.mapping import LogMapping
    from zapbench.leaderboard.read.tabulate import Logs
    from zapbench.suites.search import Search

WIDTH = 120
"""Columns of a comparison as text."""


def run(
    scenario: str | Sequence[str],
    strategy: str | Sequence[str],
    *,
    transfer: str | Sequence[str] = "sequential",
    seeds: int | Sequence[int] = 1,
    trials: int = 5,
    select_trials: int = 3,
    rates: Sequence[float] | None = None,
    tune: "Mapping[str, Search] | None" = None,
    bindings: Sequence[str] = (),
    name: str = "",
    out: str | Path = "runs",
    jobs: int = 1,
    threads: int = 1,
    quiet: bool = False,
) -> "Logs":
    """Pre-trains models, selects rates and settings, runs the reported trials, and returns their logs.

    What is finished in `out` is not repeated, so a call that was interrupted resumes.

    Args:
        scenario: names of `zapbench list scenarios`, or paths of .gin files.
        strategy: names of `zapbench list strategies`, or paths of .gin files.
        transfer: names of `zapbench list transfers`, or paths of .gin files.
        seeds: pre-training seeds: how many (`0..seeds-1`), or which. Ranks need at least three.
        trials: reported trials of each model.
        select_trials: trials of each model on which rates and settings are selected.
        rates: transfer learning rates; None for the default grid.
        tune: strategy or transfer -> settings to try, as `Suite.tune`.
        bindings: gin bindings such as `"ASB.inner_lr = 0.03"`; they make another method.
        name: what tables call the one strategy; empty for its own name.
        out: output folder.
        jobs: processes; more than one needs a main module that can be imported, so a script calls this below
            `if __name__ == "__main__"`.
        threads: threads of each process.
        quiet: whether to print no progress.

    Raises:
        ValueError: something cannot be used; nothing was trained.
        RuntimeError: tasks failed; the others are finished.
        OSError: the output folder cannot be written.
        KeyboardInterrupt: a person stopped it.
    """
    from rich.console import Console

    from zapbench.suites.plan import plan
    from zapbench.suites.run import run_suite
    from zapbench.suites.suite import RATES, Suite

    suite = Suite(
        scenarios=_tuple(scenario),
        strategies=_tuple(strategy),
        transfers=_tuple(transfer),
        seeds=seeds,
        trials=trials,
        select_trials=select_trials,
        rates=tuple(RATES if rates is None else rates),
        tune=dict(tune or {}),
        bindings=tuple(bindings),
        name=name,
        cpus=threads,
    )
    if jobs < 1:
        raise ValueError(f"jobs must be at least 1, got {jobs}")
    planned, folder = plan(suite), Path(out)
    given: dict[str, object] = {
        "seeds": seeds,
        "trials": trials,
        "select_trials": select_trials,
        "rates": list(suite.rates),
    }
    given |= {key: value for key, value in (("tune", tune), ("bindings", list(bindings)), ("name", name)) if value}
    words = ", ".join(f"{key}={value!r}" for key, value in given.items())
    command = f"zapbench.run({scenario!r}, {strategy!r}, transfer={transfer!r}, {words})"

    def new_launcher() -> "Launcher":
        from zapbench.launchers.local import InProcessLauncher, ProcessPoolLauncher

        if jobs == 1:
            return InProcessLauncher(folder, command, threads)
        return ProcessPoolLauncher(folder, command, threads, jobs)

    outcome = run_suite(planned, folder, new_launcher, Console(stderr=True, quiet=quiet, force_jupyter=False)).outcome
    if outcome.fatal:
        raise OSError(outcome.fatal)
    if outcome.stopped:
        raise KeyboardInterrupt
    if outcome.failed:
        raise RuntimeError("; ".join(f"{where} failed: {reason}" for where, reason in outcome.failed.items()))
    return _load(folder, only=planned.folders)


def load(folder: str | Path | Sequence[str | Path], *, mapping: "str | Path | LogMapping | None" = None) -> "Logs":
    """Reads the TensorBoard logs below a folder, or below several.

    Args:
        folder: the logs.
        mapping: a .gin file (or a `LogMapping`) that says how to read logs that zapbench did not write.

    Returns:
        The logs: `trials` and `runs` are data frames with a row each, `problems` says what was excluded and why.

    Raises:
        ValueError: there is no such folder, no event file in it, or the mapping is wrong.
    """
    from zapbench.leaderboard.read.mapping import read_mapping

    found = read_mapping(Path(mapping)) if isinstance(mapping, str | Path) else mapping
    return _load(folder, mapping=found)


def compare(
    logs: "Logs | str | Path | Sequence[str | Path]", *, select: Literal["select", "paper"] = "select"
) -> "Comparison":
    """Ranks the methods in logs: one table for each scenario and protocol.

    Args:
        logs: what `run` or `load` returned, or folders of logs.
        select: the trials on which rates and settings are selected: the selection trials, or the reported ones as in
            the paper.

    Raises:
        ValueError: nothing in the logs can be ranked.
    """
    from zapbench.leaderboard.decide.tables import tables
    from zapbench.leaderboard.read.tabulate import Logs

    found = logs if isinstance(logs, Logs) else load(logs)
    if select not in ("select", "paper"):
        raise ValueError(f"select is {select!r}; allowed: 'select', 'paper'")
    ranked = tables(found, by=select)
    if not ranked:
        raise ValueError("; ".join(["nothing in these logs can be ranked", *found.problems[:3]]))
    return Comparison(tuple(ranked), found)


@dataclass(frozen=True, repr=False)
class Comparison:
    """Ranked methods. Printed, it is what `zapbench leaderboard` prints; a notebook shows it as a table.

    Attributes:
        tables: one for each scenario and protocol.
        logs: what the tables are computed from.
    """

    tables: "tuple[Table, ...]"
    logs: "Logs"

    def frame(self) -> "pd.DataFrame":
        """Returns one row per method of each table, numbers unrounded, with the columns of `--format csv`."""
        import pandas as pd

        from zapbench.leaderboard.show.data import to_csv

        return pd.read_csv(io.StringIO(to_csv(self.tables)))

    def figure(self, number: int = 0) -> "Figure":
        """Returns the figure of a table: held-out accuracy over the classes learned.

        Args:
            number: of the table.
        """
        from zapbench.leaderboard.decide.curves import curves
        from zapbench.leaderboard.show.drawing import places
        from zapbench.leaderboard.show.trajectories import trajectories

        table = self.tables[number]
        return trajectories(table, curves(self.logs, table), places(self.tables))

    def __str__(self) -> str:
        """Returns the tables as text."""
        from rich.console import Console

        from zapbench.leaderboard.show.terminal import to_terminal

        console = Console(file=io.StringIO(), width=WIDTH, force_jupyter=False)
        to_terminal(list(self.tables), console)
        text: str = console.file.getvalue()  # type: ignore[attr-defined]
        return "\n".join(line.rstrip() for line in text.splitlines())

    def __repr__(self) -> str:
        """Returns the tables as text, as an interactive session shows a value."""
        return str(self)

    def _repr_markdown_(self) -> str:
        from zapbench.leaderboard.show.markdown import to_markdown

        return to_markdown(self.tables, self.logs.problems)


def _tuple(names: str | Sequence[str]) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else tuple(names)


def _load(folder: str | Path | Sequence[str | Path], **more: Any) -> "Logs":
    from zapbench.leaderboard.read.cache import default_cache
    from zapbench.leaderboard.read.load import load as read

    folders = [Path(folder)] if isinstance(folder, str | Path) else [Path(place) for place in folder]
    return read(folders[0] if len(folders) == 1 else folders, cache=default_cache(), **more)
