"""Findings as text: a table for a terminal, Markdown, JSON."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from zapbench.leaderboard.claims.judge import Finding
from zapbench.leaderboard.claims.schema import Claim
from zapbench.leaderboard.claims.verdict import REFUTED, REPRODUCED, UNDECIDED
from zapbench.leaderboard.decide.rows import is_number
from zapbench.leaderboard.decide.tables import Table
from zapbench.leaderboard.show.markdown import escape
from zapbench.text import count, in_words, one_line

SCHEMA = 1
HEADINGS = ("verdict", "claim", "source", "paper", "ours [95% CI]", "seeds", "needed", "detects", "because")
ANOTHER_SIZE = "another size"
PAPERS = {
    ("order", False): "higher",
    ("trend", False): "rising",
    ("significance", False): "no difference",
    ("significance", True): "a difference",
    ("correlation", False): "does not",
    ("correlation", True): "does",
}
"""(kind, whether it says yes) -> what the paper says, where it is no value."""


def statement(claim: Claim, names: Mapping[str, str]) -> str:
    """Returns a claim in words.

    Args:
        claim: the claim.
        names: its method -> how it is called here.
    """
    methods, better, worse = (
        [names.get(name, name) for name in own] for own in (claim.methods, claim.better, claim.worse)
    )
    of = "average over the trajectory: " if claim.metric == "area" else ""
    words = {
        "number": lambda: f"accuracy of {methods[0]}",
        "difference": lambda: f"{methods[0]} - {methods[1]}",
        "order": lambda: f"{in_words(better)} > {in_words(worse)}",
        "significance": lambda: (
            f"{methods[0]} {'differs' if claim.significant else 'does not differ'} from {methods[1]}"
        ),
        "correlation": lambda: f"validation accuracy {'ranks' if claim.ranks else 'does not rank'} transfer accuracy",
        "trend": lambda: f"{' < '.join(methods)}, mostly",
    }
    return of + words[claim.kind]() + (" (unverified)" if claim.unverified else "")


def summary(findings: Sequence[Finding]) -> str:
    """Returns how many claims have which verdict, a claim and a table counted once."""
    judged = [finding for finding in findings if finding.table is not None]
    counts = ", ".join(f"{_count(judged, verdict)} {verdict}" for verdict in (REPRODUCED, REFUTED, UNDECIDED))
    without = len(findings) - len(judged)
    missing = f"; {without} without logs here" if without else ""
    there = {finding.size for finding in judged}
    size = "" if () in there or not there else f", all at {ANOTHER_SIZE} than the paper's"
    return f"{counts}{size}{missing}."


def _count(findings: Sequence[Finding], verdict: str) -> int:
    return sum(finding.verdict.verdict == verdict for finding in findings)


def groups(findings: Sequence[Finding]) -> list[tuple[Table, str, list[Finding]]]:
    """Returns the findings by table and size, in words: `the paper's size`, or how it differs."""
    found: dict[tuple[str, str, bool], list[tuple[Table, Finding]]] = {}
    for finding in findings:
        if (table := finding.table) is not None:
            key = (table.fingerprint, table.protocol, bool(finding.size))
            found.setdefault(key, []).append((table, finding))
    return [
        (own[0][0], _sizes([finding for _, finding in own]), [finding for _, finding in own]) for own in found.values()
    ]


def _sizes(findings: Sequence[Finding]) -> str:
    differing = dict.fromkeys(part for finding in findings for part in finding.size)
    return f"{ANOTHER_SIZE}: {', '.join(differing)}" if differing else "the paper's size"


def missing(findings: Sequence[Finding]) -> list[str]:
    """Returns a line for each reason why claims could not be held against anything, and which claims they are."""
    reasons: dict[str, list[str]] = {}
    for finding in findings:
        if finding.table is None:
            reasons.setdefault(finding.verdict.why, []).append(finding.claim.id)
    return [f"{UNDECIDED}: {reason}: {', '.join(ids)}" for reason, ids in reasons.items()]


def cells(finding: Finding) -> tuple[str, ...]:
    """Returns the cells of a finding, in the order of `HEADINGS`."""
    own, claim = finding.verdict, finding.claim
    return (
        own.verdict + (f" ({ANOTHER_SIZE})" if finding.size else ""),
        statement(claim, finding.names),
        ", ".join(claim.source),
        _papers(claim),
        own.ours,
        str(own.seeds),
        _needed(finding),
        f"{own.detects:.1f}" if is_number(own.detects) else "–",
        own.why,
    )


def _papers(claim: Claim) -> str:
    if claim.value is None:
        return PAPERS[claim.kind, bool(claim.significant or claim.ranks)]
    value = f"{claim.value:+.1f}" if claim.kind == "difference" else f"{claim.value:.1f}"
    return value + (f" ± {claim.spread:.1f}" if claim.spread is not None else "")


def _needed(finding: Finding) -> str:
    own = finding.verdict
    if own.verdict != UNDECIDED:
        return "–"
    return str(own.needed) if own.needed else "more methods" if finding.claim.kind == "correlation" else ">100"


def to_terminal(findings: Sequence[Finding], console: Console) -> None:
    """Prints the findings: of each its claim, and below that what is known."""
    for table, size, own in groups(findings):
        console.print(_text(f"{table.title} ({size})"), style="bold")
        grid = RichTable.grid(padding=(0, 2, 0, 0))
        grid.add_column(no_wrap=True)
        grid.add_column(overflow="fold")
        for finding in own:
            grid.add_row(_text(finding.verdict.verdict), _text(statement(finding.claim, finding.names)))
            grid.add_row("", _text(_details(finding)))
        console.print(grid)
        console.print()
    for line in missing(findings):
        console.print(_text(line))
    console.print(_text(summary(findings)))


def _details(finding: Finding) -> str:
    own, claim = finding.verdict, finding.claim
    seeds = count(own.seeds, "seed")
    if own.verdict == UNDECIDED:
        seeds += f" (needed: {_needed(finding)})"
    power = [f"detects {own.detects:.1f}"] if is_number(own.detects) and claim.value is None else []
    parts = [f"paper {_papers(claim)} ({', '.join(claim.source)})", f"ours {own.ours}", seeds, *power, own.why]
    return "; ".join(parts)


def _text(text: str) -> Text:
    return Text(one_line(text))


def to_markdown(findings: Sequence[Finding], *, complete: bool = True) -> str:
    """Returns the findings in Markdown.

    Args:
        findings: to show.
        complete: whether claims without logs are named.
    """
    lines: list[str] = []
    without = missing(findings) if complete else []
    for table, size, own in groups(findings):
        lines += [f"### Claims: {escape(table.title)} ({escape(size)})", "", _row(HEADINGS)]
        lines.append("|" + " --- |" * len(HEADINGS))
        lines += [*(_row(cells(finding)) for finding in own), ""]
    lines += [f"- {escape(line)}" for line in without]
    return "\n".join([*lines, *([""] if without else []), escape(summary(findings))]) + "\n"


def _row(texts: Sequence[str]) -> str:
    return f"| {' | '.join(map(escape, texts))} |"


def claims_data(findings: Sequence[Finding]) -> dict[str, Any] | None:
    """Returns what the page shows of claims; None where there is none to hold against its tables."""
    if not (own := groups(findings)):
        return None
    parts = [
        {"title": f"{table.title} ({size})", "rows": [cells(finding) for finding in found]}
        for table, size, found in own
    ]
    return {"headings": HEADINGS, "parts": parts, "summary": summary(findings)}


def to_json(findings: Sequence[Finding]) -> str:
    """Returns the findings as JSON with a schema number; values in points."""
    document = {"schema": SCHEMA, "claims": [_record(finding) for finding in findings]}
    return json.dumps(document, indent=1, allow_nan=False) + "\n"


def _record(finding: Finding) -> dict[str, Any]:
    claim, own, table = finding.claim, finding.verdict, finding.table
    numbers = {name: getattr(own, name) for name in ("value", "low", "high", "detects")}
    return {
        "id": claim.id,
        "kind": claim.kind,
        "statement": statement(claim, finding.names),
        "source": list(claim.source),
        "protocol": claim.protocol,
        "metric": claim.metric,
        "unverified": claim.unverified,
        "paper": {"value": claim.value, "spread": claim.spread},
        "verdict": own.verdict,
        "because": own.why,
        "scenario": table.scenario if table else None,
        "fingerprint": table.fingerprint if table else None,
        "another_size": list(finding.size),
        "ours": {name: value if is_number(value) else None for name, value in numbers.items()},
        "seeds": own.seeds,
        "seeds_needed": own.needed,
    }
