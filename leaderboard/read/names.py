"""What the rows of a table are called: one name for one method, two names for two methods.

A row is its strategy (or the name that a person gave), its learner, and those undeclared bindings that differ within a
scenario. Bindings that all methods of a scenario share are listed once. Where two methods would still have one name,
the name of the transfer is added, else the hash of the method.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from zapbench.leaderboard.contract import MEASURING


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
    learned = tuple(_compact(b) for b in about["learner_bindings"] if not _measures(b)) if of_trial else ()
    if not method.startswith(f"{strategy}["):
        return Parts(method, (), learner, learned)
    bracket = method[len(strategy) :]
    return Parts(strategy, tuple(b for b in map(_compact, about["bindings"]) if b in bracket), learner, learned)


def _measures(binding: str) -> bool:
    """Says whether a binding says where curves are measured alone: it makes no other method, and so no other name."""
    return binding.partition("=")[0].strip().rpartition(".")[2] in MEASURING


def _compact(binding: str) -> str:
    return binding.replace(" = ", "=", 1)


def name_rows(rows: list[dict[str, Any]]) -> dict[str, tuple[str, ...]]:
    """Sets `method` and `owner` of each row (a trial's or a run's); returns what all rows of a scenario share.

    A name belongs to the first folder that has it: another method of that name, from a later folder, is called by its
    folder, too. A row's `owner` is the place of the first folder that has its method.

    Args:
        rows: with `place` and `folder`, `scenario`, `fingerprint`, `transfer`, `method_hash`, `config_hash` and
            `weights`; their `parts` are removed.

    Returns:
        Scenario -> the bindings that all its rows share.
    """
    by_scenario: dict[str, list[dict[str, Any]]] = defaultdict(list)
    by_place: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        by_scenario[row["scenario"]].append(row)
        by_place[row["place"]].append(row)
    common = {scenario: _shared([row["parts"] for row in own]) for scenario, own in by_scenario.items()}
    for own in by_place.values():
        _complete_hashes(own)
    tables: dict[tuple[str, str, str], list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        name = row.pop("parts").name(common[row["scenario"]])
        tables[row["scenario"], row["fingerprint"], name].append(row)
    for (_, _, name), own in tables.items():
        _name(name, own)
    return common


def _complete_hashes(rows: list[dict[str, Any]]) -> None:
    """Sets the hash of the method where an earlier version wrote none: tuned settings cannot be taken out of it."""
    known = {
        (row["parts"], row["transfer"], row["config_hash"]): row["method_hash"] for row in rows if row["method_hash"]
    }
    tuned = {(row["scenario"], row["parts"], row["transfer"]) for row in rows if row["setting"]}
    for row in rows:
        if not row["method_hash"]:
            unknown = "" if (row["scenario"], row["parts"], row["transfer"]) in tuned else row["config_hash"]
            row["method_hash"] = known.get((row["parts"], row["transfer"], row["config_hash"]), unknown)


def _shared(parts: list[Parts]) -> tuple[str, ...]:
    """Returns the bindings that all have, in the order of the first."""
    together = [(*one.bindings, *one.learner_bindings) for one in parts]
    if not together:
        return ()
    return tuple(b for b in together[0] if all(b in other for other in together))


@dataclass
class _Method:
    """One of the methods of a name: the place of the first folder that has it, and what it is there."""

    place: int
    transfer: str
    method_hash: str
    hashes: set[str]
    rows: list[dict[str, Any]]

    def is_that_of(self, other: "_Method") -> bool:
        """Whether a later folder's method is this one: by its hash, or by a configuration or weights that both have."""
        return self.place < other.place and self.transfer == other.transfer and not self.hashes.isdisjoint(other.hashes)


def _name(name: str, rows: list[dict[str, Any]]) -> None:
    """Names rows of one table that have one name: a name for each method."""
    methods: list[_Method] = []
    for found in _methods(rows):
        known = next((method for method in methods if method.is_that_of(found)), found)
        if known is found:
            methods.append(found)
        else:
            known.rows += found.rows
    for method in methods:
        beside = [other for other in methods if other.place == method.place]
        alike = {other.method_hash for other in beside if other.transfer == method.transfer}
        own = name
        if len({other.transfer for other in beside}) > 1:
            own += f" ({method.transfer})"
        if len(alike) > 1:
            own += f" #{method.method_hash[:4] or 'tuned'}"
        if method.place > methods[0].place:
            own += f" ({method.rows[0]['folder']})"
        for row in method.rows:
            row["method"], row["owner"] = own, method.place


def _methods(rows: list[dict[str, Any]]) -> list[_Method]:
    """Returns the methods of each folder, in the order of the folders."""
    found: dict[tuple[int, str, str], _Method] = {}
    for row in sorted(rows, key=lambda row: int(row["place"])):
        key = (row["place"], row["transfer"], row["method_hash"])
        method = found.setdefault(key, _Method(*key, set(), []))
        # All given models have one configuration: their weights are what identifies them.
        method.hashes |= {row["weights"]} if row["weights"] else {row["method_hash"], row["config_hash"]} - {""}
        method.rows.append(row)
    return list(found.values())
