"""Ranked tables: one for each scenario and protocol, never mixing fingerprints."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from zapbench.leaderboard import contract
from zapbench.leaderboard.decide import compare
from zapbench.leaderboard.decide import notes as notes_of
from zapbench.leaderboard.decide.compare import Estimate, Pair
from zapbench.leaderboard.decide.select import Chosen, choose, reported
from zapbench.leaderboard.read.load import Logs

BOUNDS = ("cumulative", "joint")
"""Learners that see all earlier images again: an upper bound beside the table, not a competitor in it."""


@dataclass(frozen=True)
class Row:
    """One method of a table.

    Attributes:
        method: the row's name.
        rank: one plus the number of significantly better methods; None where it cannot be ranked.
        letters: methods that share one cannot be told apart; empty where not compared.
        held_out: final held-out accuracy over pre-training seeds.
        trained_on: mean final accuracy on the images trained on.
        forgetting: mean final forgetting.
        validation: mean pre-training validation accuracy; NaN where none was recorded.
        setting: what selection chose of the tuned bindings.
        rate: what selection chose of the transfer rates.
        settings_tried: pre-training settings times transfer rates tried.
        trials: reported trials.
        diverged: those of them that diverged (each counts as chance).
        area: mean over the trajectory of held-out accuracy; NaN where only the end was measured.
        encoder: the network, and the images it sees.
        images_seen: images that pre-training took, repeats counted; NaN where not recorded.
        gradient_steps: gradient steps of pre-training; NaN where not recorded.
        parameters: trainable parameters in pre-training.
        seconds: mean seconds of pre-training.
        transfer_seconds: mean seconds of a reported trial.
        memory: peak memory of pre-training and reported trials in bytes.
    """

    method: str
    rank: int | None
    letters: str
    held_out: Estimate
    trained_on: float
    forgetting: float
    validation: float
    setting: str
    rate: float
    settings_tried: int
    trials: int
    diverged: int
    area: float
    encoder: str
    images_seen: float
    gradient_steps: float
    parameters: int
    seconds: float
    transfer_seconds: float
    memory: float


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
        choices: what selection chose, and among what.
        notes: what a reader must know, generated from the logs.
        bounds: methods that are upper bounds beside the table, not competitors in it.
    """

    scenario: str
    protocol: str
    fingerprint: str
    chance: float
    rows: list[Row]
    pairs: list[Pair]
    papers: dict[tuple[str, str], float]
    choices: dict[str, Chosen]
    notes: list[str] = field(default_factory=list)
    bounds: frozenset[str] = frozenset()

    @property
    def title(self) -> str:
        """The table's heading."""
        return f"{self.scenario}: {self.protocol} transfer"


def tables(logs: Logs, *, by: str = "select") -> list[Table]:
    """Returns one table for each scenario, protocol and fingerprint, in that order.

    Args:
        logs: what was loaded.
        by: how settings and rates are chosen; see `zapbench.leaderboard.decide.select`.
    """
    made = []
    for (scenario, protocol, fingerprint), trials in logs.trials.groupby(
        ["scenario", "protocol", "fingerprint"], sort=True
    ):
        made.append(_table(str(scenario), str(protocol), str(fingerprint), trials, logs, by))
    return _tell_apart(made, logs)


def _table(scenario: str, protocol: str, fingerprint: str, trials: pd.DataFrame, logs: Logs, by: str) -> Table:
    notes = notes_of.on_runs(logs.runs[logs.runs["scenario"] == scenario]) + notes_of.on_status(trials)
    choices = choose(trials, by=by)
    failed = _failed_methods(trials, logs)
    bounds = set(trials[trials["learner"].isin(BOUNDS)]["method"])
    blocked = failed | bounds
    means: dict[str, list[float]] = {}
    chosen_rows: dict[str, pd.DataFrame] = {}
    for method, choice in choices.items():
        rows = reported(trials, choice)
        if rows.empty:
            notes.append(f"{method}: no reported trial at its chosen setting (lr={choice.rate:g}{_in(choice)})")
            continue
        chosen_rows[method] = rows
        per_seed = rows.groupby("pretrain_seed")["score"].mean()
        means[method] = [float(value) for value in per_seed]
        notes += notes_of.on_choice(method, rows, choice, trials)
    for method in sorted(set(trials["method"]) - set(choices)):
        notes.append(f"{method}: nothing to choose its setting by (no finished trial of role {by})")
    order = sorted(means, key=lambda name: (-sum(means[name]) / len(means[name]), name))
    ranked = {name: means[name] for name in order if name not in blocked}
    compared = compare.pairs(ranked)
    ranks = compare.ranks(ranked, compared)
    letters = compare.letters([name for name in order if name in ranks], compared) if compared else {}
    notes += [f"{name}: not ranked until its failed tasks are repeated" for name in sorted(failed & set(means))]
    notes += [notes_of.on_bound(name, means, bounds) for name in sorted(bounds & set(means))]
    for name in order:
        if len(means[name]) < compare.LEAST_SEEDS:
            more = compare.LEAST_SEEDS - len(means[name])
            notes.append(
                f"{name}: {len(means[name])} pre-training seed(s), so no interval and no rank; {more} more needed"
            )
    runs = logs.runs[logs.runs["scenario"] == scenario]
    rows_made = [
        _row(name, means[name], chosen_rows[name], choices[name], runs, ranks.get(name), letters.get(name, ""))
        for name in order
    ]
    scores = {name: chosen_rows[name]["score"].tolist() for name in order}
    papers = {(p.first, p.second): compare.papers_test(scores[p.first], scores[p.second]) for p in compared}
    validated = [(row.validation, row.held_out.mean) for row in rows_made if is_number(row.validation)]
    notes += notes_of.on_statistics(ranked, compared, papers, chosen_rows, validated, trials)
    outputs = int(trials["outputs"].max())
    chance = 1.0 / outputs if outputs else float("nan")
    return Table(
        scenario, protocol, fingerprint, chance, rows_made, compared, papers, choices, notes, frozenset(bounds)
    )


def _row(
    method: str,
    means: list[float],
    trials: pd.DataFrame,
    choice: Chosen,
    runs: pd.DataFrame,
    rank: int | None,
    letters: str,
) -> Row:
    own = runs[(runs["config_hash"] == choice.config_hash) & runs["pretrain_seed"].isin(trials["pretrain_seed"])]
    rates = choice.grid["rate"].nunique()
    tried = max(int(trials["settings_tried"].max()), choice.grid["config_hash"].nunique())
    parameters = own["parameters"].max()
    return Row(
        method=method,
        rank=rank,
        letters=letters,
        held_out=compare.estimate(means),
        trained_on=_mean_over_seeds(trials, "trained_on"),
        forgetting=_mean_over_seeds(trials, "forgetting"),
        validation=float(own["validation"].mean()),
        setting=choice.setting,
        rate=choice.rate,
        settings_tried=tried * rates,
        trials=len(trials),
        diverged=int((trials["status"] == contract.DIVERGED).sum()),
        area=_mean_over_seeds(trials, "area"),
        encoder=f"{trials['encoder'].iloc[0]} {trials['input_size'].iloc[0]}".strip(),
        images_seen=float(own["images_seen"].mean()),
        gradient_steps=float(own["gradient_steps"].mean()),
        parameters=0 if pd.isna(parameters) else int(parameters),
        seconds=float(own["seconds"].mean()),
        transfer_seconds=float(trials["seconds"].mean()),
        memory=float(pd.concat([own["peak_memory"], trials["peak_memory"]]).max()),
    )


def _mean_over_seeds(trials: pd.DataFrame, column: str) -> float:
    return float(trials.groupby("pretrain_seed")[column].mean().mean())


def _in(choice: Chosen) -> str:
    return f", {choice.setting}" if choice.setting else ""


def _failed_methods(trials: pd.DataFrame, logs: Logs) -> set[str]:
    failed = set(trials[trials["status"] == contract.FAILED]["method"])
    return failed | set(logs.runs[logs.runs["status"] == contract.FAILED]["method"])


def _tell_apart(made: list[Table], logs: Logs) -> list[Table]:
    """Adds to tables of one scenario and protocol which facts keep them apart."""
    groups: dict[tuple[str, str], list[Table]] = {}
    for table in made:
        groups.setdefault((table.scenario, table.protocol), []).append(table)
    for same in groups.values():
        for table in same:
            for other in same:
                if other is not table:
                    differing = differing_facts(
                        logs.facts.get(table.fingerprint, {}), logs.facts.get(other.fingerprint, {})
                    )
                    table.notes.append(
                        f"not comparable with table {other.fingerprint}: they differ in {', '.join(differing)}"
                    )
    return made


def differing_facts(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[str]:
    """Returns the fields of two fingerprints that differ."""
    return sorted(key for key in {*first, *second} if first.get(key) != second.get(key)) or ["the fingerprint alone"]


def sentence(table: Table) -> str:
    """Says which methods can be told apart, and which cannot: generated from the table's pairs alone."""
    if not table.pairs:
        least = compare.LEAST_SEEDS
        return f"Nothing is ranked: a comparison takes two methods with at least {least} pre-training seeds each."
    count = len(table.pairs)
    better: dict[str, list[str]] = {}
    for row in table.rows:
        for pair in table.pairs:
            first, second = (pair.first, pair.second) if pair.difference > 0 else (pair.second, pair.first)
            if pair.significant and first == row.method:
                better.setdefault(first, []).append(second)
    basis = f"at the 5% level over all {count} pair{'s' if count > 1 else ''} (Welch's t on seed means, Holm)"
    if not better:
        return f"No two methods can be told apart {basis}."
    told = "; ".join(f"{first} is above {_and(others)}" for first, others in better.items())
    alike = [f"{p.first} and {p.second}" for p in table.pairs if not p.significant]
    rest = f" Not told apart: {'; '.join(alike)}." if alike else " Every two methods are told apart."
    return f"Told apart {basis}: {told}.{rest}"


def _and(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def is_number(value: float) -> bool:
    """Returns whether a value is a finite number."""
    return not (math.isnan(value) or math.isinf(value))
