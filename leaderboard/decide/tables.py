"""Ranked tables: one for each scenario and protocol, never mixing fingerprints."""

import hashlib
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from zapbench.leaderboard import contract
from zapbench.leaderboard.decide import compare, method_notes, notes, repeats
from zapbench.leaderboard.decide.compare import Pair
from zapbench.leaderboard.decide.groups import letters as letters_of
from zapbench.leaderboard.decide.metrics import FINAL, Metric, measured
from zapbench.leaderboard.decide.note import Note, listed
from zapbench.leaderboard.decide.rows import Row, is_number, row_of, seed_means
from zapbench.leaderboard.decide.select import Chosen, choose, reported
from zapbench.leaderboard.read.tabulate import Logs

UPPER_BOUNDS = ("cumulative", "joint")
"""Learners that see all earlier images again: an upper bound beside the table, not a competitor in it."""


@dataclass(frozen=True)
class Table:
    """A ranked table.

    Attributes:
        scenario: the scenario's name.
        protocol: the transfer protocol.
        fingerprint: what its scores have in common.
        chance: accuracy of guessing.
        rows: the methods, best mean first.
        pairs: every pair of methods with at least three seeds.
        papers: for the same pairs the p of the paper's test, U over trials.
        choices: the selected setting of each method, and the grid it was selected from.
        remarks: what a reader must know, generated from the logs.
        bounds: methods that are upper bounds beside the table, not competitors in it.
        common: undeclared bindings that all its methods share.
        metric: what its methods are ranked by.
        failed: methods that have to be repeated: they are not compared.
        lacking: methods of which a trial has no value of the metric: they are not compared either.
    """

    scenario: str
    protocol: str
    fingerprint: str
    chance: float
    rows: list[Row]
    pairs: list[Pair]
    papers: dict[tuple[str, str], float]
    choices: dict[str, Chosen]
    remarks: list[Note] = field(default_factory=list)
    bounds: frozenset[str] = frozenset()
    common: tuple[str, ...] = ()
    metric: Metric = FINAL
    failed: frozenset[str] = frozenset()
    lacking: frozenset[str] = frozenset()

    @property
    def excluded(self) -> frozenset[str]:
        """Methods that are not compared with others, whatever their seeds."""
        return self.bounds | self.failed | self.lacking

    @property
    def title(self) -> str:
        """The table's heading."""
        return f"{self.scenario}: {self.protocol} transfer"

    @property
    def file_name(self) -> str:
        """The start of the names of its files: safe letters, and the fingerprint; no two tables have the same."""
        words = re.sub(r"[^a-z0-9_]+", "-", f"{self.scenario} {self.protocol}".lower()).strip("-")[:60]
        name = f"{words}-{re.sub(r'[^a-z0-9]', '', self.fingerprint.lower())[:12]}"
        is_plain = re.fullmatch(r"\w+", self.scenario, re.ASCII) and re.fullmatch(
            r"\w+(, \w+)*", self.protocol, re.ASCII
        )
        whole = f"{self.scenario}\n{self.protocol}"
        if is_plain and whole == whole.lower() and len(whole) <= 60:
            return name
        return f"{name}-{hashlib.sha256(whole.encode()).hexdigest()[:16]}"

    @property
    def notes(self) -> list[str]:
        """The remarks as lines."""
        return [remark.line for remark in self.remarks]


def tables(logs: Logs, *, by: str = "select", metric: Metric = FINAL) -> list[Table]:
    """Returns one table for each scenario, protocol and fingerprint, in that order.

    Args:
        logs: what was loaded.
        by: on which trials settings and rates are selected; see `zapbench.leaderboard.decide.select`.
        metric: what methods are ranked by. Settings and rates are selected by final held-out accuracy in any case.
    """
    found = [
        _table(trials, logs, by, metric)
        for _, trials in logs.trials.groupby(["scenario", "protocol", "fingerprint"], sort=True)
    ]
    return _with_differing_facts(found, logs)


def _table(trials: pd.DataFrame, logs: Logs, by: str, metric: Metric) -> Table:
    scenario, protocol, fingerprint = (str(trials[key].iloc[0]) for key in ("scenario", "protocol", "fingerprint"))
    runs = logs.runs[logs.runs["scenario"] == scenario]
    choices = choose(trials, by=by)
    chosen = {name: own for name, choice in choices.items() if not (own := reported(trials, choice)).empty}
    points = method_notes.on_points(chosen)
    chosen = {
        name: rows.assign(final=rows["score"], score=measured(rows, metric, one_cadence=not points))
        for name, rows in chosen.items()
    }
    lacking = {name: count for name, rows in chosen.items() if (count := int(rows["score"].isna().sum()))}
    sign = -1 if metric.smallest_first else 1
    means = {name: [sign * mean for mean in seed_means(rows)] for name, rows in chosen.items()}
    order = sorted(means, key=lambda name: (name in lacking, -sum(means[name]) / len(means[name]), name))
    failed = _failed_methods(trials, runs)
    bounds = frozenset(trials[trials["learner"].isin(UPPER_BOUNDS)]["method"])
    ranked = {name: means[name] for name in order if name not in failed | bounds | set(lacking)}
    compared = compare.pairs(ranked)
    ranks = compare.ranks(ranked, compared)
    letters = letters_of([name for name in order if name in ranks], compared) if compared else {}
    rows = [
        row_of(
            choices[name],
            chosen[name],
            runs,
            rank=ranks.get(name),
            letters=letters.get(name, ""),
            one_cadence=not points,
        )
        for name in order
    ]
    scores = {name: chosen[name]["score"].tolist() for name in order}
    papers = compare.papers_tests(scores, compared)
    validated = [(row.validation, row.held_out.mean) for row in rows if is_number(row.validation)]
    remarks = [
        *method_notes.on_runs(runs),
        *method_notes.on_status(trials),
        *map(Note, notes.on_mapped(trials, logs.facts.get(fingerprint, {}))),
        *method_notes.on_choices(choices, chosen, trials, by),
        *method_notes.on_devices(runs, chosen),
        *map(Note, notes.on_metric(metric, lacking)),
        *method_notes.on_ranks(order, means, failed, bounds),
        *method_notes.on_order(rows),
        *points,
        *map(Note, notes.on_comparison(ranked, compared, papers)),
        *map(Note, notes.on_spread({name: own for name, own in chosen.items() if name not in lacking}, validated)),
        *map(Note, notes.on_draws(trials, by)),
        *listed(repeats.REPEATED, repeats.on_repeats(logs, scenario, fingerprint)),
        *listed(repeats.UNMERGED, repeats.on_unmerged(logs, scenario, fingerprint)),
    ]
    chance = float(trials["chance"].iloc[0]) or math.nan
    common = logs.common.get(scenario, ())
    key = scenario, protocol, fingerprint
    return Table(
        *key, chance, rows, compared, papers, choices, remarks, bounds, common, metric, failed, frozenset(lacking)
    )


def _failed_methods(trials: pd.DataFrame, runs: pd.DataFrame) -> frozenset[str]:
    """Returns the methods with a failed trial or a failed pre-training, whatever they learn new classes by.

    Args:
        trials: the table's.
        runs: the pre-trained models of its scenario.
    """
    failed = runs[runs["status"] == contract.FAILED]
    trained = failed[failed["weights"] == ""]  # all given models have one configuration
    models = set(zip(trained["folder"], trained["config_hash"]))
    of_trials = zip(trials["method"], trials["status"], trials["folder"], trials["config_hash"])
    found = {name for name, status, *model in of_trials if status == contract.FAILED or tuple(model) in models}
    return frozenset(found | set(failed["method"]))


def _with_differing_facts(found: list[Table], logs: Logs) -> list[Table]:
    """Adds to tables of one scenario and protocol which facts make them incomparable."""
    groups: dict[tuple[str, str], list[Table]] = {}
    for table in found:
        groups.setdefault((table.scenario, table.protocol), []).append(table)
    for same in groups.values():
        for table in same:
            for other in same:
                if other is not table:
                    facts = [logs.facts.get(one.fingerprint, {}) for one in (table, other)]
                    differing = ", ".join(differing_facts(*facts))
                    words = f"not comparable with table {other.fingerprint}: they differ in {differing}"
                    table.remarks.append(Note(words))
    return found


def differing_facts(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[str]:
    """Returns the fields of two fingerprints that differ."""
    return sorted(key for key in {*first, *second} if first.get(key) != second.get(key)) or ["the fingerprint alone"]
