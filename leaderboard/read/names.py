"""What the rows of a table are called: one name for one method, two names for two methods.

A row is its strategy (or the name that a person gave), its learner, and those undeclared bindings that differ within a
scenario. Bindings that all methods of a scenario share are listed once. Where two methods would still have one name,
the name of the transfer is added, else the hash of the method.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Parts:
    """What a row's name is made of.

    Attributes:
        base: strategy, or the name that a person gave.
        bindings: undeclared bindings of pre-training that differ from the files.
        learner: name of the learner; empty for plain fine-tuning.
        learner_bindings: undeclared bindings that reach the trials alone and differ from the file.
    """

    base: str
    bindings: tuple[str, ...]
    learner: str
    learner_bindings: tuple[str, ...]

    def name(self, common: Iterable[str] = ()) -> str:
        """Returns the row's name without the bindings that are common to all."""
        shared = set(common)
        own = [b for b in self.bindings if b not in shared]
        learned = [b.removeprefix("transfer/") for b in self.learner_bindings if b not in shared]
        name = f"{self.base}[{', '.join(own)}]" if own else self.base
        if learned:
            return f"{name} + {self.learner or 'fine-tuning'}[{', '.join(learned)}]"
        return f"{name} + {self.learner}" if self.learner else name


def parts_of(about: Mapping[str, Any]) -> Parts:
    """Returns what the name of a described run or trial is made of."""
    method, strategy = about["method"], about["strategy"]
    of_trial = about["transfer"] is not None
    learner = about["learner"] if of_trial else ""
    learned = tuple(_compact(b) for b in about["learner_bindings"]) if of_trial else ()
    if not method.startswith(f"{strategy}["):
        return Parts(method, (), learner, learned)
    bracket = method[len(strategy) :]
    return Parts(strategy, tuple(b for b in map(_compact, about["bindings"]) if b in bracket), learner, learned)


def _compact(binding: str) -> str:
    return binding.replace(" = ", "=", 1)


def name_rows(rows: list[dict[str, Any]]) -> dict[str, tuple[str, ...]]:
    """Sets `method` of each row (a trial's or a run's) and returns the bindings that all rows of a scenario share.

    Args:
        rows: with `scenario`, `fingerprint`, `transfer`, `method_hash` and `config_hash`; their `parts` are removed.
    """
    by_scenario: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        by_scenario[row["scenario"]].append(row)
    common = {scenario: _shared([row["parts"] for row in own]) for scenario, own in by_scenario.items()}
    known = {
        (row["parts"], row["transfer"], row["config_hash"]): row["method_hash"] for row in rows if row["method_hash"]
    }
    tuned = {(row["scenario"], row["parts"], row["transfer"]) for row in rows if row["setting"]}
    tables: dict[tuple[str, str, str], list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        parts = row.pop("parts")
        row["method"] = parts.name(common[row["scenario"]])
        if not row["method_hash"]:  # written by an earlier version: settings that were tuned cannot be taken out
            unknown = "" if (row["scenario"], parts, row["transfer"]) in tuned else row["config_hash"]
            row["method_hash"] = known.get((parts, row["transfer"], row["config_hash"]), unknown)
        tables[row["scenario"], row["fingerprint"], row["method"]].append(row)
    for own in tables.values():
        _separate(own)
    return common


def _shared(parts: list[Parts]) -> tuple[str, ...]:
    """Returns the bindings that all have, in the order of the first."""
    together = [(*one.bindings, *one.learner_bindings) for one in parts]
    if not together:
        return ()
    return tuple(b for b in together[0] if all(b in other for other in together))


def _separate(rows: list[dict[str, Any]]) -> None:
    """Gives rows of one name that are several methods a name each."""
    if len({(row["transfer"], row["method_hash"]) for row in rows}) == 1:
        return
    transfers = {row["transfer"] for row in rows}
    for row in rows:
        alike = {other["method_hash"] for other in rows if other["transfer"] == row["transfer"]}
        if len(transfers) > 1:
            row["method"] += f" ({row['transfer']})"
        if len(alike) > 1:
            row["method"] += f" #{row['method_hash'][:4] or 'tuned'}"
