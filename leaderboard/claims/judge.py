"""Every claim held against every table that is about it."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from zapbench.leaderboard.claims.evidence import Evidence, evidence
from zapbench.leaderboard.claims.rules import verdict
from zapbench.leaderboard.claims.schema import Claim, Setup, read_claims
from zapbench.leaderboard.claims.verdict import UNDECIDED, Verdict
from zapbench.leaderboard.decide.metrics import FINAL
from zapbench.leaderboard.decide.tables import Table
from zapbench.leaderboard.read.tabulate import Logs

RATES = ("lr", "inner_lr")
"""Parameters that the paper tuned in pre-training."""


@dataclass(frozen=True)
class Finding:
    """A claim and what logs say about it.

    Attributes:
        claim: the claim.
        verdict: on it.
        table: the table that it was held against; None where there are no logs.
        size: how the logs differ from the paper's size; empty where they do not.
        names: a claim's method -> the table's.
    """

    claim: Claim
    verdict: Verdict
    table: Table | None
    size: tuple[str, ...]
    names: Mapping[str, str]


def judge(claims: Sequence[Claim], logs: Logs, tables: Sequence[Table]) -> list[Finding]:
    """Holds claims against tables: a finding for each claim and table that is about it.

    A claim that no table has all methods of is undecided, and says what is missing.
    """
    about = {table.fingerprint + table.protocol: evidence(logs, table) for table in tables}
    findings = []
    for claim in claims:
        own = [about[table.fingerprint + table.protocol] for table in tables if _is_about(table, claim)]
        complete = [(found, names) for found in own if (names := _names(claim, found))]
        findings += [_finding(claim, found, names) for found, names in complete]
        if not complete:
            findings.append(Finding(claim, Verdict(UNDECIDED, why=_missing(claim, own)), None, (), {}))
    return findings


def papers_values(table: Table, logs: Logs) -> dict[str, float]:
    """Returns method -> its final accuracy in the paper, in percent, where a table is at the paper's size.

    Args:
        table: the table.
        logs: for its facts.
    """
    found = evidence(logs, table)
    values = {}
    for claim in read_claims():
        about = claim.kind == "number" and claim.metric == "held_out" and _is_about(table, claim)
        if about and (names := _names(claim, found)) and not _size(claim, found, names):
            assert claim.value is not None
            own = names[claim.methods[0]]
            values[found.names.get(own, own)] = claim.value
    return values


def scenarios(setup: Setup) -> tuple[str, ...]:
    """Returns the scenarios that a setup's claims are held against."""
    return (*setup.scenarios, *setup.other_sizes)


def _is_about(table: Table, claim: Claim) -> bool:
    """Returns whether a claim is about a table; none is about one that ranks by another metric than final accuracy."""
    same = table.scenario in scenarios(claim.setup) and table.protocol == claim.protocol
    return same and table.metric == FINAL


def _finding(claim: Claim, found: Evidence, names: Mapping[str, str]) -> Finding:
    return Finding(claim, verdict(claim, found, names), found.table, _size(claim, found, names), names)


def _names(claim: Claim, found: Evidence) -> dict[str, str]:
    """Returns the rows that a claim is about; empty where one is missing, or has another kind of encoder."""
    families = {_family(encoder) for encoder in claim.setup.encoders}
    rows = {row.method for row in found.table.rows if not row.encoder or _family(row.encoder) in families}
    names = {}
    for method in claim.needs:
        other = claim.setup.names_at_other_sizes.get(method, method)
        alike = [name for name in (method, other) if name in rows]
        if not alike:
            return {}
        names[method] = alike[0]
    return names


def _family(encoder: str) -> str:
    """Returns the kind of an encoder, whatever its size.

    >>> _family("convnet3x256 28x28x1"), _family("anml112+convnet3x256")
    ('convnet', 'anml')
    """
    found = re.match("[a-z]*", encoder)
    return found[0] if found else ""


def _missing(claim: Claim, own: Sequence[Evidence]) -> str:
    if not own:
        return f"no logs of {' or '.join(scenarios(claim.setup))}, {claim.protocol}"
    there = {row.method for found in own for row in found.table.rows}
    missing = [name for name in claim.needs if name not in there]
    absent = [name for name in missing if claim.setup.names_at_other_sizes.get(name, name) not in there]
    return f"no logs of {', '.join(absent)}" if absent else "no logs of all its methods with one kind of encoder"


def _size(claim: Claim, found: Evidence, names: Mapping[str, str]) -> tuple[str, ...]:
    """Returns in what the logs' size differs from the paper's."""
    setup, facts = claim.setup, found.facts
    encoders = [found.row(name).encoder.split(" ")[0] for name in dict.fromkeys(names.values())]
    differing = [e for e in dict.fromkeys(encoders) if e and e not in setup.encoders]
    pretrain, trial = _count(facts.get("pretrain_classes")), _count(facts.get("classes_per_trial"))
    if pretrain != setup.pretrain_classes:
        differing.append(f"{pretrain} classes to pre-train on")
    if trial != setup.classes_per_trial:
        differing.append(f"{trial} classes a trial")
    differing += [binding for binding in found.table.common if not binding.startswith("MODEL")]
    for name in dict.fromkeys(names.values()):
        differing += [f"{name}: {binding}" for binding in _beside_rates(found.row(name).setting)]
    if not differing and found.table.scenario not in setup.scenarios:
        differing.append(found.table.scenario)
    return tuple(differing)


def _beside_rates(setting: str) -> list[str]:
    """Returns the parts of a selected setting that are no learning rate, which is all that the paper tuned.

    >>> _beside_rates("ASB.episodes=90, ASB.inner_lr=0.1, outer/Adam.betas=(0.5, 0.9), outer/Adam.lr=0.1")
    ['ASB.episodes=90', 'outer/Adam.betas=(0.5, 0.9)']
    """
    parts = re.split(r", (?=[\w/.]+=)", setting) if setting else []
    return [part for part in parts if part.partition("=")[0].rpartition(".")[2] not in RATES]


def _count(value: object) -> int:
    """Returns the number at the start of a fingerprint's field: `964 classes 5beb04df4564`."""
    found = re.match(r"\d+", str(value))
    return int(found[0]) if found else 0
