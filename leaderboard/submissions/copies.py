"""Trials that are other trials: another method's under a new name, selection trials that are the reported ones.

Measured on the published logs of Omniglot: two honest trials of one draw, from models of different pre-training, differ
by at least 0.7 points of held-out accuracy on average over their curves, and in 7% of their classes.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
from scipy.spatial.distance import cdist

from zapbench.leaderboard import contract
from zapbench.leaderboard.submissions.evidence import Array, Trial, beyond
from zapbench.text import some_of

LEAST_VALUES = 4
"""Different values that a curve must have before another one like it is suspicious."""

LEAST_LENGTH, LEAST_PARTS, MOST_PARTS = 10, 4, 10
"""Points of a part of a curve, and parts of a curve, by which copies are found."""

LEAST_KNOWN = 8
"""Classes that a model must know at the end before another one that knows the same is suspicious."""

NEAR = 0.005
"""Mean distance of two curves, over ten points or more, below which they are one measurement with changes."""

MOST_NEAR, MOST_POINTS = 2000, 100
"""Trials, and points of their curves, of which distances are computed."""

_CHUNK = 256


def on_copies(own: Sequence[Trial], beside: Sequence[Trial]) -> Iterator[str]:
    """Says which methods have reported trials whose curve, or most of it, is another trial's."""
    for method, twins in _copied(own, beside).items():
        of = [trial for trial in own if trial.method == method and trial.role == contract.REPORT]
        others = sorted({name for _, _, name in twins})
        first, second, _ = twins[0]
        yield (
            f"{method}: {len(twins)} of {len(of)} reported trials have the curve of another trial, or most of it, of "
            f"{some_of(others, 3)} ({first} is {second})"
        )


def _copied(own: Sequence[Trial], beside: Sequence[Trial]) -> dict[str, list[tuple[str, str, str]]]:
    """Returns method -> its files that are copies, of which file, and of whose."""
    known: dict[str, tuple[Trial, str]] = {}
    for trial in beside:
        for key in keys_of(trial):
            known.setdefault(key, (trial, " in the logs beside it"))
    found: dict[str, list[tuple[str, str, str]]] = defaultdict(list)
    for trial in own:
        if trial.role != contract.REPORT:
            continue
        keys = keys_of(trial)
        shared = Counter(id(known[key][0]) for key in keys if key in known)
        twins = {id(known[key][0]): known[key] for key in keys if key in known}
        for place, count in shared.most_common(1):
            twin, where = twins[place]
            if 2 * count >= len(keys) and not _is_idle(trial, twin) and not _is_repeat(trial, twin):
                found[trial.method].append((trial.file, f"{twin.file}{where}", f"{twin.method}{where}"))
        for key in keys:
            known.setdefault(key, (trial, ""))
    return found


def _is_idle(trial: Trial, twin: Trial) -> bool:
    """Whether the twin is the same model under another transfer, which may well change nothing."""
    return trial.model == twin.model and trial.transfer != twin.transfer


def _is_repeat(trial: Trial, twin: Trial) -> bool:
    """Whether the twin is the same task of the same method, which another part of the check compares."""
    return (trial.method, trial.model, trial.draw, trial.transfer, trial.candidate, trial.rate) == (
        twin.method,
        twin.model,
        twin.draw,
        twin.transfer,
        twin.candidate,
        twin.rate,
    )


def keys_of(trial: Trial) -> list[str]:
    """Returns hashes of the parts of a trial's curve, to 0.01%.

    A long held-out curve has parts, so that a copy with some values changed is found. A short one is a single part
    with the accuracies of its classes, as single values may well be equal. Left out is what hardly moves: accuracies
    of 1, and those of a model that knows the same number of classes throughout.
    """
    curve = np.column_stack([np.asarray(trial.steps, dtype=float), trial.held_out]).round(4)
    if len(curve) < LEAST_PARTS * LEAST_LENGTH:
        return [_hash(np.concatenate([curve.ravel(), trial.classes]))] if _speaks(trial) else []
    parts = np.array_split(curve, min(MOST_PARTS, len(curve) // LEAST_LENGTH))
    keys = [_hash(part) for part in parts if _moves(part, trial.protocol.startswith("sequential"))]
    return keys if len(keys) >= LEAST_PARTS else []


def _speaks(trial: Trial) -> bool:
    return len(np.unique(trial.held_out)) >= LEAST_VALUES or _knows_some(trial.classes)


def _knows_some(classes: Array) -> bool:
    return bool(np.count_nonzero(classes) >= LEAST_KNOWN and len(np.unique(classes)) > 1)


def _moves(part: Array, sequential: bool) -> bool:
    step, accuracy = part.T
    known = (accuracy * step).round(2) if sequential else accuracy
    return bool(accuracy.min() < 1 and len(np.unique(known)) >= LEAST_VALUES)


def _hash(values: npt.NDArray[np.float64]) -> str:
    return hashlib.sha256(np.ascontiguousarray(values).tobytes()).hexdigest()


def on_selection(own: Sequence[Trial]) -> Iterator[str]:
    """Says whose selection trials are its reported ones: then a rate is selected on the trials that it is scored by."""
    for method in sorted({trial.method for trial in own}):
        trials = [trial for trial in own if trial.method == method]
        reported = {_hash(t.classes) for t in trials if t.role == contract.REPORT and _knows_some(t.classes)}
        select = [t for t in trials if t.role == contract.SELECT and _knows_some(t.classes)]
        same = [t for t in select if _hash(t.classes) in reported]
        if same:
            yield (
                f"{method}: {len(same)} of {len(select)} selection trials are reported trials: they have the same "
                f"accuracy in each of {len(same[0].classes)} classes ({same[0].file})"
            )


def near_copies(own: Sequence[Trial], beside: Sequence[Trial]) -> Iterator[str]:
    """Says whose reported curves are all but another's: the same measurement with small changes."""
    others = [trial for trial in (*beside, *own) if trial.role == contract.REPORT]
    found: dict[str, list[tuple[Trial, Trial]]] = defaultdict(list)
    for steps in sorted({trial.steps for trial in own if len(trial.steps) >= LEAST_LENGTH}):
        mine = [t for t in own if t.steps == steps and _is_telling(t)]
        rest = [t for t in others if t.steps == steps]
        yield from beyond(len(mine), MOST_NEAR, f"reported curves of {len(steps)} points")
        yield from beyond(len(rest), 2 * MOST_NEAR, f"curves of {len(steps)} points that they may be near to")
        for trial, twin in _near(mine[:MOST_NEAR], rest[: 2 * MOST_NEAR]):
            found[trial.method].append((trial, twin))
    for method, twins in found.items():
        trial, twin = twins[0]
        yield (
            f"{method}: {len(twins)} reported curves are within {100 * NEAR:.1f} points, on average, of curves of "
            f"another model, which honest ones are not ({trial.file} and {twin.file} of {twin.method})"
        )


def _near(mine: Sequence[Trial], rest: Sequence[Trial]) -> Iterator[tuple[Trial, Trial]]:
    """Yields the trials that are near to one that they may not be near to, and the first such; all of one length."""
    length = len(rest[0].steps) if rest else 0
    points = np.linspace(0, length - 1, min(length, MOST_POINTS)).astype(int)
    curves = np.array([t.held_out[points] for t in rest])
    for start in range(0, len(mine), _CHUNK):
        part = mine[start : start + _CHUNK]
        distances = cdist(np.array([t.held_out[points] for t in part]), curves, "cityblock") / len(points)
        for row, trial in zip(distances, part):
            near = (rest[place] for place in np.flatnonzero(row < NEAR).tolist())
            twin = next((t for t in near if _may_not_be_near(trial, t)), None)
            if twin is not None:
                yield trial, twin


def _may_not_be_near(trial: Trial, other: Trial) -> bool:
    return (
        trial.method != other.method
        and trial.model != other.model
        and not np.array_equal(trial.held_out, other.held_out)
    )


def idle_transfers(own: Sequence[Trial], beside: Sequence[Trial]) -> Iterator[str]:
    """Says which transfer gives the curves of another transfer of the same models in more than half of its trials."""
    first: dict[tuple[object, ...], tuple[str, str]] = {}
    for trial in beside:
        if _is_telling(trial):
            first.setdefault(_result(trial), (trial.transfer, f"{trial.method} in the logs beside it"))
    same: dict[tuple[str, str], int] = Counter()
    count: Counter[str] = Counter()
    for trial in own:
        if _is_telling(trial):
            count[trial.method] += 1
            transfer, name = first.setdefault(_result(trial), (trial.transfer, trial.method))
            if transfer != trial.transfer:
                same[trial.method, name] += 1
    for (method, other), number in sorted(same.items()):
        if 2 * number > count[method]:
            alike = f"{number} of {count[method]} reported trials are those of {other}"
            yield f"{method}: {alike}, from the same models: its transfer changes nothing"


def _is_telling(trial: Trial) -> bool:
    return trial.role == contract.REPORT and _speaks(trial)


def _result(trial: Trial) -> tuple[object, ...]:
    """Returns the model and draw of a trial, and what came of it."""
    return trial.model, trial.draw, _hash(np.concatenate([trial.held_out, trial.classes]))
