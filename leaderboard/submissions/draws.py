"""Whether trials are of the draws that their numbers say.

Every method learns the same classes in a trial of the same two seeds, and some classes are hard for all of them. So
the accuracies of a trial's classes, in the order learned, correlate with those of other methods on the same draw, and
with no other draw. Measured on the published logs of Omniglot, 100 classes per trial: 0.4 to 0.8 on the same draw, for
methods that know something; on another, 0 with a standard deviation of 0.1. So trials that were run with other seeds
than they say are found: those renumbered because worse ones were dropped, or chosen from many.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np

from zapbench.leaderboard import contract
from zapbench.leaderboard.submissions.evidence import Array, Trial, beyond
from zapbench.text import some_of

LEAST_CLASSES = 20
"""Classes of a trial below which correlations say little."""

LEAST_DRAWS = 6
"""Draws that both sides must have: a draw is recognised by how it differs from the others."""

CERTAIN = 4.5
"""Standard deviations, under no relation, beyond which two trials are of one draw."""

UNRELATED = 2.0
"""Standard deviations within which the trials of a seed, together, are of no draw that they say."""

MOST_DRAWS, MOST_CLASSES, MOST_WITNESSES = 300, 1000, 50
"""Of draws and classes of a method, and of other methods: as many are looked at."""

Draw = tuple[int, int]


def wrong_draws(own: Sequence[Trial], beside: Sequence[Trial]) -> Iterator[str]:
    """Says which methods have trials that are of another draw than they say, or whose seed is of none known."""
    by_table: dict[tuple[str, int], list[Trial]] = defaultdict(list)
    for trial in (*own, *beside):
        if trial.role == contract.REPORT and len(trial.classes) >= LEAST_CLASSES:
            by_table[trial.fingerprint, len(trial.classes)].append(trial)
    mine = {id(trial) for trial in own}
    for trials in by_table.values():
        methods: dict[tuple[bool, str, str, float], list[Trial]] = defaultdict(list)
        for trial in trials:
            methods[id(trial) in mine, trial.method, trial.candidate, trial.rate].append(trial)
        residuals = {key: _residuals(found) for key, found in methods.items() if len(found) >= LEAST_DRAWS}
        for key, found in residuals.items():
            if key[0]:
                # Another method's own models may be the same: what shares them is no independent witness.
                models = {trial.model[:2] for trial in methods[key]}
                witnesses = [r for k, r in residuals.items() if models.isdisjoint(t.model[:2] for t in methods[k])]
                if witnesses:
                    yield from beyond(len(methods[key]), MOST_DRAWS, f"draws of {key[1]}")
                    yield from beyond(len(methods[key][0].classes), MOST_CLASSES, f"classes of {key[1]}'s draws")
                    yield from beyond(len(witnesses), MOST_WITNESSES, f"methods beside {key[1]}'s draws")
                    yield from _of_method(key[1], found, _mean(witnesses[:MOST_WITNESSES]))


def _residuals(trials: Sequence[Trial]) -> dict[Draw, Array]:
    """Returns draw -> accuracies of the classes, less their mean over the draws, which is what the order does."""
    trials = sorted(trials, key=lambda trial: trial.draw)[:MOST_DRAWS]
    table = np.array([trial.classes[:MOST_CLASSES] for trial in trials])
    return {trial.draw: row for trial, row in zip(trials, table - table.mean(axis=0))}


def _mean(methods: Sequence[dict[Draw, Array]]) -> dict[Draw, Array]:
    found: dict[Draw, list[Array]] = defaultdict(list)
    for residuals in methods:
        for draw, row in residuals.items():
            found[draw].append(row)
    return {draw: np.mean(rows, axis=0) for draw, rows in found.items()}


def _of_method(method: str, own: dict[Draw, Array], known: dict[Draw, Array]) -> Iterator[str]:
    """Compares the draws of a method with those of the others together."""
    draws = sorted(known)
    z = {draw: _correlations(row, [known[other] for other in draws]) for draw, row in own.items()}
    others = {draw: (draws[int(np.argmax(row))], float(row.max())) for draw, row in z.items() if len(row)}
    place = {draw: number for number, draw in enumerate(draws)}
    fit = {draw: float(z[draw][place[draw]]) for draw in own if draw in place}
    wrong = {d: o for d, (o, best) in others.items() if o != d and best > CERTAIN and fit.get(d, 0) < best / 2}
    for draw, other in sorted(wrong.items())[:1]:
        yield (
            f"{method}: {len(wrong)} trials are of another draw than they say: pre-training seed {draw[0]}, trial "
            f"{draw[1]} has the classes of seed {other[0]}, trial {other[1]}, as the accuracies of other methods show"
        )
    seeds: dict[int, list[float]] = defaultdict(list)
    for (seed, trial), value in fit.items():
        if (seed, trial) not in wrong:
            seeds[seed].append(value)
    together = {seed: sum(values) / len(values) ** 0.5 for seed, values in seeds.items()}
    strange = sorted(seed for seed, value in together.items() if value < UNRELATED)
    if strange and max(together.values()) > CERTAIN:
        yield (
            f"{method}: its trials of pre-training seed {some_of(map(str, strange))} are of no draw of that seed: "
            "the classes that are hard for other methods are not hard in them, as they are in its other seeds"
        )


def _correlations(row: Array, others: Sequence[Array]) -> Array:
    """Returns correlations in standard deviations under no relation; 0 where nothing varies."""
    table = np.vstack([row, *others])
    table = table - table.mean(axis=1, keepdims=True)
    norms = np.sqrt((table**2).sum(axis=1))
    with np.errstate(invalid="ignore", divide="ignore"):
        found = (table[1:] @ table[0]) / (norms[1:] * norms[0])
    return np.asarray(np.nan_to_num(found) * np.sqrt(len(row)), dtype=np.float64)
