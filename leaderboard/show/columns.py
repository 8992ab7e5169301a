"""The columns of a table. Terminal, Markdown, LaTeX, CSV, JSON and the page all take them from here.

A new column is one more record in `COLUMNS`, and a field of `Row` if it shows something new.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

from zapbench.leaderboard.decide.compare import Estimate
from zapbench.leaderboard.decide.metrics import FINAL
from zapbench.leaderboard.decide.rows import Row, is_number
from zapbench.leaderboard.decide.tables import Table
from zapbench.text import nearest

ABSENT = "–"
DETAIL = 6
"""Priority from which the page shows a column only when all columns are asked for."""
COST = 9
"""Priority from which a column is about cost; LaTeX leaves these out."""


def percent(value: float) -> str:
    """Returns a share in [0, 1] as a percentage with one decimal."""
    return f"{100 * value:.1f}" if is_number(value) else ABSENT


def count(value: float) -> str:
    """Returns a large number rounded to an integer."""
    return f"{value:,.0f}" if is_number(value) else ABSENT


def points(value: float) -> str:
    """Returns a difference of accuracies in points, signed."""
    return f"{100 * value:+.1f}" if is_number(value) else ABSENT


def decimal(value: float) -> str:
    """Returns a number with two decimals."""
    return f"{value:.2f}" if is_number(value) else ABSENT


def interval(row: Row, estimate: Estimate | None = None) -> str:
    """Returns mean and 95% confidence interval in percent, clipped to [0, 100]; of held-out accuracy, or of another."""
    estimate = estimate or row.held_out
    if not is_number(estimate.low):
        return percent(estimate.mean)
    low, high = estimate.low, estimate.high
    if estimate.mean >= 0:
        low, high = max(0.0, low), min(1.0, high)
    return f"{percent(estimate.mean)} [{percent(low)}, {percent(high)}]"


def with_spread(estimate: Estimate) -> str:
    """Returns mean and standard deviation between pre-training seeds in percent."""
    if not is_number(estimate.spread):
        return percent(estimate.mean)
    return f"{percent(estimate.mean)} ± {percent(estimate.spread)}"


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column.

    Attributes:
        label: its heading.
        fields: the values of `record` that it stands for, as CSV and JSON name them; rows sort by the first.
        cell: a row -> the text of its cell.
        align: `left` for text, `right` for numbers.
        priority: 0 is always shown; of the others the highest is dropped first where the terminal is too narrow.
        smallest_first: whether less is better: rows are sorted from the smallest value.
        name: how it is asked for; empty for the first of `fields`.
        on_request: whether it is shown only where it is asked for by name; the page has all of them.
        has_best: whether the best of its values is worth a mark.
        instead_of: field of a column that it stands in for: hidden where that one has a value in some row.
    """

    label: str
    fields: tuple[str, ...]
    cell: Callable[[Row], str]
    align: Literal["left", "right"] = "right"
    priority: int = 0
    smallest_first: bool = False
    name: str = ""
    on_request: bool = False
    has_best: bool = False
    instead_of: str = ""

    @property
    def key(self) -> str:
        """How it is asked for."""
        return self.name or self.fields[0]

    def of(self, table: Table) -> "Column":
        """Returns the column as it stands in a table: those of the metric are called and sorted by it."""
        if "scored" not in self.fields:
            return self
        label = f"{table.metric.label} [95% CI]" if self.key == "scored" else self.label
        return replace(self, label=label, smallest_first=table.metric.smallest_first)

    @property
    def is_detail(self) -> bool:
        """Whether the page hides it until all columns are asked for."""
        return self.priority >= DETAIL

    @property
    def is_cost(self) -> bool:
        """Whether it says what a method costs, not what it scores."""
        return self.priority >= COST and not self.on_request

    def sort_value(self, row: Row) -> float | None:
        """Returns the number that a row is sorted by; None where the cell is text or holds no value."""
        value = record(row)[self.fields[0]]
        known = isinstance(value, int | float) and self.cell(row) != ABSENT
        return float(value) if known else None


def _requested(label: str, field: str, cell: Callable[[float], str]) -> Column:
    """Returns a column that is shown only where it is asked for; CSV, JSON and the page always have it."""
    return Column(
        label=label, fields=(field,), cell=lambda row: cell(getattr(row, field)), priority=20, on_request=True
    )


REQUESTED = (
    _requested("among seen classes %", "held_out_seen", percent),
    _requested("learning accuracy %", "learning_accuracy", percent),
    _requested("backward transfer", "backward_transfer", points),
    _requested("newest tenth %", "retention_newest", percent),
    _requested("oldest tenth %", "retention_oldest", percent),
    _requested("held-out loss", "held_out_loss", decimal),
    _requested("trained-on loss", "trained_on_loss", decimal),
    _requested("effective rank", "effective_rank", decimal),
    _requested("dormant %", "dormant_units", percent),
    _requested("weight norm", "weight_norm", lambda value: f"{value:.4f}" if is_number(value) else ABSENT),
)


COLUMNS = (
    Column(
        label="rank",
        fields=("rank",),
        cell=lambda row: ABSENT if row.rank is None else str(row.rank),
        smallest_first=True,
    ),
    Column(label="method", fields=("method",), cell=lambda row: row.method, align="left"),
    Column(label="held-out % [95% CI]", fields=("held_out", "low", "high"), cell=interval, has_best=True),
    Column(
        label="score [95% CI]",
        fields=("scored", "scored_low", "scored_high"),
        cell=lambda row: interval(row, row.scored),
        on_request=True,
        has_best=True,
    ),
    Column(
        label="mean ± std %",
        fields=("scored", "scored_spread"),
        name="mean_std",
        cell=lambda row: with_spread(row.scored),
        on_request=True,
        has_best=True,
    ),
    Column(label="group", fields=("letters",), cell=lambda row: row.letters or ABSENT, align="left", priority=1),
    Column(
        label="trained-on %",
        fields=("trained_on",),
        cell=lambda row: percent(row.trained_on),
        priority=6,
        has_best=True,
    ),
    Column(
        label="forgetting %",
        fields=("forgetting_at_tenths",),
        cell=lambda row: percent(row.forgetting_at_tenths),
        priority=3,
        has_best=True,
        smallest_first=True,
    ),
    Column(
        label="forgetting (curve) %",
        fields=("forgetting",),
        cell=lambda row: percent(row.forgetting),
        priority=3,
        has_best=True,
        smallest_first=True,
        instead_of="forgetting_at_tenths",
    ),
    Column(
        label="validation %",
        fields=("validation",),
        cell=lambda row: percent(row.validation),
        priority=5,
        has_best=True,
    ),
    Column(label="rate", fields=("rate",), cell=lambda row: f"{row.rate:g}" if row.rate else ABSENT, priority=1),
    Column(label="setting", fields=("setting",), cell=lambda row: row.setting or ABSENT, align="left", priority=4),
    Column(label="tried", fields=("settings_tried",), cell=lambda row: str(row.settings_tried), priority=7),
    Column(label="seeds", fields=("seeds", "seed_spread"), cell=lambda row: str(row.held_out.seeds), priority=2),
    Column(
        label="average incremental %",
        fields=("average_incremental",),
        cell=lambda row: percent(row.average_incremental),
        priority=8,
        has_best=True,
    ),
    Column(
        label="parameters",
        fields=("parameters",),
        cell=lambda row: f"{row.parameters:,}" if row.parameters else ABSENT,
        priority=9,
    ),
    Column(label="gradient steps", fields=("gradient_steps",), cell=lambda row: count(row.gradient_steps), priority=10),
    Column(label="images seen", fields=("images_seen",), cell=lambda row: count(row.images_seen), priority=11),
    Column(label="pre-training (GFLOP)", fields=("flops",), cell=lambda row: count(row.flops / 1e9), priority=11),
    Column(label="cores", fields=("cores",), cell=lambda row: count(row.cores), priority=12),
    Column(label="pre-training (s)", fields=("seconds",), cell=lambda row: count(row.seconds), priority=12),
    Column(
        label="transfer (s)",
        fields=("transfer_seconds",),
        cell=lambda row: f"{row.transfer_seconds:.1f}" if is_number(row.transfer_seconds) else ABSENT,
        priority=13,
    ),
    Column(label="memory (MB)", fields=("memory",), cell=lambda row: count(row.memory / 1e6), priority=14),
    Column(label="encoder", fields=("encoder",), cell=lambda row: row.encoder or ABSENT, align="left", priority=15),
    Column(
        label="trials",
        fields=("trials", "diverged"),
        cell=lambda row: f"{row.trials}" + (f" ({row.diverged} diverged)" if row.diverged else ""),
        priority=6,
    ),
    *REQUESTED,
)


def columns_of(table: Table, *, every: bool = False) -> list[Column]:
    """Returns the columns that hold a value in some row, and those of priority 0 in any case.

    Args:
        table: the table.
        every: whether the metrics that are shown on request are wanted, too.
    """
    is_final = table.metric is FINAL
    shown = [
        c for c in COLUMNS if not c.on_request or (c.key == "scored" and not is_final) or (every and c in REQUESTED)
    ]
    found = [c for c in shown if c.priority == 0 or any(c.cell(row) != ABSENT for row in table.rows)]
    fields = {field for column in found for field in column.fields}
    return [column.of(table) for column in found if every or column.instead_of not in fields]


def column_named(name: str) -> Column:
    """Returns a column by its key.

    Raises:
        ValueError: there is none.
    """
    known = {column.key: column for column in COLUMNS}
    if name not in known:
        raise ValueError(f"unknown column {name!r}{nearest(name, known)}; known: {', '.join(known)}")
    return known[name]


def record(row: Row) -> dict[str, Any]:
    """Returns a row as flat values, by the names that CSV and JSON give them; None where a number is missing."""
    estimate = row.held_out
    values = vars(row) | {
        "held_out": estimate.mean,
        "low": estimate.low,
        "high": estimate.high,
        "seeds": estimate.seeds,
        "seed_spread": estimate.spread,
        "scored": row.scored.mean,
        "scored_low": row.scored.low,
        "scored_high": row.scored.high,
        "scored_spread": row.scored.spread,
    }
    return {key: None if isinstance(value, float) and not is_number(value) else value for key, value in values.items()}
