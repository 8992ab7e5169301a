"""The file of claims: what may stand in it, and reading it."""

import tomllib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from zapbench.text import nearest, one_line

SHIPPED = Path(__file__).with_name("claims.toml")
KINDS = ("number", "difference", "order", "significance", "correlation", "trend")
METRICS = ("held_out", "area")
PROTOCOLS = ("sequential, frozen", "sequential, unfrozen", "iid, frozen", "iid, unfrozen")
SOURCES = (
    "text", *(f"figure {number}" for number in range(1, 7)), "table 1",
    "section 3.1", "section 3.2", "section 3.3", "section 4", *(f"appendix {letter}" for letter in "ABCDEFGH"),
)  # fmt: skip
LARGEST_FILE = 1 << 20
MOST = 10**9
"""Of what is counted."""
LONGEST = 200
"""Letters of a text, and of what a message shows of a value."""


@dataclass(frozen=True, kw_only=True)
class Setup:
    """The conditions of some claims.

    Attributes:
        name: what claims call it.
        scenarios: those of the paper's size.
        encoders: those of the paper's size.
        pretrain_classes: number of classes to pre-train on.
        classes_per_trial: number of classes of a trial.
        other_sizes: scenarios of the same data at another size.
        names_at_other_sizes: method -> what stands for it there.
    """

    name: str
    scenarios: tuple[str, ...]
    encoders: tuple[str, ...]
    pretrain_classes: int
    classes_per_trial: int
    other_sizes: tuple[str, ...] = ()
    names_at_other_sizes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One claim.

    Attributes:
        id: its name, in one file once.
        kind: `number`: a method's score. `difference`: of the first method's score and the second's. `order`: each of
            `better` scores more than each of `worse`. `significance`: whether two methods differ significantly.
            `correlation`: whether validation accuracy ranks methods as transfer accuracy does. `trend`: scores grow in
            the order of the methods.
        setup: its conditions.
        protocol: of transfer.
        source: where the paper reports it.
        metric: `held_out`, the final accuracy, or `area`, the average over the trajectory.
        methods: rows of a table; see `kind`.
        better: of an order.
        worse: of an order.
        value: of a number or difference, in points.
        spread: the paper's own of it, in points; None where we do not know it.
        significant: of a significance.
        ranks: of a correlation.
        unverified: whether the paper's text is not at hand to check it against.
    """

    id: str
    kind: str
    setup: Setup
    protocol: str
    source: tuple[str, ...]
    metric: str = "held_out"
    methods: tuple[str, ...] = ()
    better: tuple[str, ...] = ()
    worse: tuple[str, ...] = ()
    value: float | None = None
    spread: float | None = None
    significant: bool | None = None
    ranks: bool | None = None
    unverified: bool = False

    @property
    def needs(self) -> tuple[str, ...]:
        """Every method that it is about."""
        return (*self.methods, *self.better, *self.worse)


NEEDED: Mapping[str, tuple[str, ...]] = {
    "number": ("methods", "value"),
    "difference": ("methods", "value"),
    "order": ("better", "worse"),
    "significance": ("methods", "significant"),
    "correlation": ("methods", "ranks"),
    "trend": ("methods",),
}
"""Kind -> the fields that only some kinds have, and this one needs."""
COUNTS = {"number": (1, 1), "difference": (2, 2), "significance": (2, 2), "correlation": (3, 100), "trend": (3, 100)}
"""Kind -> how many methods it has, at least and at most."""
_OWN = ("methods", "better", "worse", "value", "significant", "ranks")


def read_claims(
    path: Path = SHIPPED, *, methods: Collection[str] | None = None, scenarios: Collection[str] | None = None
) -> list[Claim]:
    """Reads a file of claims.

    Args:
        path: the file.
        methods: all that a claim may be about; None for any.
        scenarios: all that a setup may name; None for any.

    Raises:
        ValueError: it cannot be read, or holds what is not allowed: says which claim, what, and what is allowed.
    """
    document = _parsed(path)
    if unknown := set(document) - {"setups", "claims"}:
        raise ValueError(f"{path}: {', '.join(sorted(unknown))} unknown; allowed: setups, claims")
    setups = {name: _setup(str(name), raw, scenarios) for name, raw in _table(document.get("setups"), "setups").items()}
    raw_claims = document.get("claims")
    if not isinstance(raw_claims, list) or not raw_claims:
        raise ValueError(f"{path} holds no [[claims]]")
    found = [_claim(raw, place, setups, methods) for place, raw in enumerate(raw_claims, start=1)]
    seen: set[str] = set()
    for claim in found:
        if claim.id in seen:
            raise ValueError(f"claim {claim.id}: there are two of this id")
        seen.add(claim.id)
    return found


def _parsed(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_FILE + 1)
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror or error}") from None
    if len(content) > LARGEST_FILE:
        raise ValueError(f"{path} is larger than {LARGEST_FILE:,} bytes")
    try:
        return tomllib.loads(content.decode())
    except RecursionError:
        raise ValueError(f"{path} is nested too deeply") from None
    except ValueError as error:  # not TOML, not UTF-8, or a number of thousands of digits
        raise ValueError(f"{path} is not TOML: {_cut(str(error))}") from None


def _cut(text: str) -> str:
    """Returns the start of a text, in one line."""
    flat = one_line(text[: 2 * LONGEST])
    return flat if len(flat) <= LONGEST else f"{flat[: LONGEST - 1]}…"


def _shown(value: Any) -> str:
    """Returns a value as a message shows it."""
    try:
        return _cut(repr(value))
    except ValueError:  # a number of thousands of digits
        return "a number that is too long to be shown"


def _table(value: Any, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{what} is {_shown(value)}; allowed: a table")
    return value


def _setup(name: str, raw: Any, scenarios: Collection[str] | None) -> Setup:
    where = f"setup {name}"
    values = _checked(_table(raw, where), Setup, where, given=("name",))
    for scenario in (*values["scenarios"], *values.get("other_sizes", ())):
        _known(scenario, scenarios, f"{where}: scenario")
    return Setup(name=name, **values)


def _claim(raw: Any, place: int, setups: Mapping[str, Setup], methods: Collection[str] | None) -> Claim:
    raw = _table(raw, f"claim {place}")
    name = raw.get("id", place)
    where = f"claim {_cut(name) if isinstance(name, str) else _shown(name)}"
    values = _checked(raw, Claim, where)
    _known(values["kind"], KINDS, f"{where}: kind")
    _known(values["setup"], setups, f"{where}: setup")
    _known(values["protocol"], PROTOCOLS, f"{where}: protocol")
    _known(values.get("metric", "held_out"), METRICS, f"{where}: metric")
    for source in values["source"]:
        _known(source, SOURCES, f"{where}: source")
    own = NEEDED[values["kind"]]
    if missing := [name for name in own if name not in values]:
        raise ValueError(f"{where}: a claim of the kind {values['kind']} needs {', '.join(missing)}")
    if extra := [name for name in _OWN if name in values and name not in own]:
        raise ValueError(f"{where}: a claim of the kind {values['kind']} has no {', '.join(extra)}")
    _check_methods(values, where)
    setup = setups[values["setup"]]
    claim = Claim(**values | {"setup": setup})
    for method in claim.needs:
        _known(method, methods, f"{where}: method")
        _known(setup.names_at_other_sizes.get(method, method), methods, f"{where}: method")
    return claim


def _check_methods(values: Mapping[str, Any], where: str) -> None:
    least, most = COUNTS.get(values["kind"], (0, 0))
    names = values.get("methods", ())
    if most and not least <= len(names) <= most:
        allowed = f"{least}" if least == most else f"{least} or more"
        raise ValueError(f"{where}: {len(names)} methods; a claim of the kind {values['kind']} has {allowed}")
    every = [*names, *values.get("better", ()), *values.get("worse", ())]
    if len(set(every)) < len(every):
        raise ValueError(f"{where}: a method is named twice")
    if values.get("spread", 0) < 0:
        raise ValueError(f"{where}: spread is {values['spread']}; it is at least 0")


def _checked(raw: Mapping[str, Any], record: type, where: str, given: Collection[str] = ()) -> dict[str, Any]:
    """Returns the values of a record's fields, each of its type; none is unknown or missing."""
    allowed = {f.name for f in fields(record)} - set(given)
    for name in raw:
        _known(name, allowed, f"{where}: field")
    values = {name: _RULES[name](value, f"{where}: {name}") for name, value in raw.items()}
    needed = [name for name in _REQUIRED[record] if name not in values]
    if needed:
        raise ValueError(f"{where}: {', '.join(needed)} missing")
    return values


def _known(name: str, allowed: Collection[str] | None, what: str) -> None:
    if allowed is not None and name not in allowed:
        listed = f"; allowed: {', '.join(allowed)}" if len(allowed) <= 10 else ""
        raise ValueError(f"{what} {_cut(name)!r} is unknown{nearest(name[:LONGEST], allowed) or listed}")


def _text(value: Any, what: str) -> str:
    if not isinstance(value, str) or not value or one_line(value) != value or len(value) > LONGEST:
        raise ValueError(f"{what} is {_shown(value)}; allowed: a text in one line")
    return value


def _texts(value: Any, what: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not value:
        raise ValueError(f"{what} is {_shown(value)}; allowed: a list of texts")
    return tuple(_text(item, what) for item in value)


def _names(value: Any, what: str) -> dict[str, str]:
    return {key: _text(item, what) for key, item in _table(value, what).items()}


def _count(value: Any, what: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MOST:
        raise ValueError(f"{what} is {_shown(value)}; allowed: a whole number from 1 to {MOST:,}")
    return value


def _number(value: Any, what: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{what} is {_shown(value)}; allowed: a number")
    if not abs(value) <= 100:
        raise ValueError(f"{what} is {_shown(value)}; allowed: at most 100 points")
    return float(value)


def _flag(value: Any, what: str) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"{what} is {_shown(value)}; allowed: true or false")
    return value


_RULES: Mapping[str, Callable[[Any, str], Any]] = {
    "id": _text, "kind": _text, "setup": _text, "protocol": _text, "metric": _text,
    "source": _texts, "methods": _texts, "better": _texts, "worse": _texts,
    "value": _number, "spread": _number, "significant": _flag, "ranks": _flag, "unverified": _flag,
    "scenarios": _texts, "encoders": _texts, "other_sizes": _texts, "names_at_other_sizes": _names,
    "pretrain_classes": _count, "classes_per_trial": _count,
}  # fmt: skip
_REQUIRED: Mapping[type, tuple[str, ...]] = {
    Setup: ("scenarios", "encoders", "pretrain_classes", "classes_per_trial"),
    Claim: ("id", "kind", "setup", "protocol", "source"),
}
