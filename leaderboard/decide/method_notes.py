"""Notes that name methods, one line for each kind: what did not finish, was not selected, or has no rank."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress

import pandas as pd

from zapbench.leaderboard import contract
from zapbench.leaderboard.decide import compare
from zapbench.leaderboard.decide.note import Note, listed
from zapbench.leaderboard.decide.rows import Row, models_of
from zapbench.leaderboard.decide.select import Chosen
from zapbench.text import count

ROLE_NAMES = {contract.REPORT: "reported", contract.SELECT: "selection"}
MOST_REASONS = 2
"""Reasons of one method that are named."""


def on_runs(runs: pd.DataFrame) -> list[Note]:
    """Says which pre-trainings did not finish, and why: a note for each status."""
    notes = []
    for status, rows in runs[runs["status"] != contract.FINISHED].groupby("status", sort=True):
        named = {}
        for method, own in rows.groupby("method", sort=True):
            seeds = sorted(map(int, own["pretrain_seed"]))
            named[str(method)] = seeds_in_words(seeds) + _reasons(own)
        notes += listed(f"pre-training {status}", named)
    return notes


def on_status(trials: pd.DataFrame) -> list[Note]:
    """Says how many trials did not finish, and why, and what was ignored in those that did."""
    notes = []
    told = trials[(trials["status"] != contract.FINISHED) | (trials["reason"] != "")]
    for status in (contract.DIVERGED, contract.FAILED, contract.UNFINISHED, contract.FINISHED):
        for role, rows in told[told["status"] == status].groupby("role", sort=True):
            own = rows.groupby("method", sort=True)
            named = {str(method): f"{len(found)}{_reasons(found)}" for method, found in own}
            notes += listed(f"{ROLE_NAMES[str(role)]} trials {status}", named)
    return notes


def _reasons(rows: pd.DataFrame) -> str:
    reasons = sorted({reason for reason in rows["reason"] if reason})
    more = f" and {len(reasons) - MOST_REASONS} other reasons" if len(reasons) > MOST_REASONS else ""
    return f": {'; '.join(reasons[:MOST_REASONS])}{more}" if reasons else ""


def on_choices(
    choices: Mapping[str, Chosen], chosen: Mapping[str, pd.DataFrame], trials: pd.DataFrame, by: str
) -> list[Note]:
    """Says which methods could not be selected for, lack reported trials, or are at the boundary of a tuning grid.

    Args:
        choices: the selected setting of each method.
        chosen: method -> its reported trials at that setting, where it has some.
        trials: every trial of the table.
        by: on which trials settings and rates were selected.
    """
    none, seeds = {}, {}
    for method, choice in choices.items():
        if method not in chosen:
            none[method] = f"rate {choice.rate:g}" + (f", {choice.setting}" if choice.setting else "")
            continue
        everyone = set(trials[trials["method"] == method]["pretrain_seed"])
        if missing := sorted(everyone - set(chosen[method]["pretrain_seed"])):
            seeds[method] = ", ".join(map(str, missing))
    role = ROLE_NAMES[contract.SELECT if by == "select" else contract.REPORT]
    unselected = dict.fromkeys(sorted(set(trials["method"]) - set(choices)), "")
    return [
        *listed("no reported trial at the selected setting", none),
        *listed("pre-training seeds without a reported trial at the selected setting", seeds),
        *_on_fewer_seeds(choices[method] for method in choices if method in chosen),
        *_on_grids(choices[method] for method in choices if method in chosen),
        *listed(f"not ranked, for want of a finished {role} trial to select the setting on", unselected),
    ]


def _on_fewer_seeds(choices: Iterable[Chosen]) -> list[Note]:
    """Says where settings were tried on fewer seeds than the selected one, and what both scored on those they share."""
    found: dict[str, dict[str, str]] = {}
    for choice in choices:
        complete = choice.grid.groupby("candidate")["complete"].any()
        fewer = choice.grid[~choice.grid["candidate"].map(complete)]
        if fewer.empty:
            continue
        if not choice.shared_seeds:
            excluded = f"{fewer['candidate'].nunique()} of {len(complete)}"
            found.setdefault("settings excluded, for no seed has them all", {})[choice.method] = excluded
            continue
        own = 100 * choice.grid[choice.grid["candidate"] == choice.candidate]["shared"].max()
        best = fewer.sort_values("shared", ascending=False, kind="stable").iloc[0]
        other = 100 * best["shared"]
        text = f"settings selected on pre-training {seeds_in_words(choice.shared_seeds)} alone"
        words = f"{len(complete)} settings: the best {own:.1f}, the next {other:.1f}"
        if other > own:
            text += ", and the row is not at the best one"
            words = f"{len(complete)} settings: {best['setting'] or 'another'} {other:.1f}, the row's {own:.1f}"
        found.setdefault(text, {})[choice.method] = words
    return [Note(text, methods) for text, methods in sorted(found.items())]


def seeds_in_words(seeds: Sequence[int]) -> str:
    """Returns seeds as words.

    >>> seeds_in_words([0]), seeds_in_words([0, 2])
    ('seed 0', 'seeds 0, 2')
    """
    return f"seed{'' if len(seeds) == 1 else 's'} {', '.join(map(str, seeds))}"


def _on_grids(choices: Iterable[Chosen]) -> list[Note]:
    """Says which selected values are at the boundary of their tuning grid: a note for each grid."""
    found: dict[tuple[str, float, float], dict[str, str]] = {}
    for choice in choices:
        for name, (value, grid) in _grids(choice).items():
            ends = (min(grid), max(grid))
            if len(grid) > 1 and value in ends:
                found.setdefault((name, *ends), {})[choice.method] = f"{value:g}"
    return [
        Note(f"{name} at the boundary of the tuning grid {low:g} to {high:g} (extend it)", methods)
        for (name, low, high), methods in sorted(found.items())
    ]


def _grids(choice: Chosen) -> dict[str, tuple[float, set[float]]]:
    """Returns, of the rate and of each tuned number, the selected value and all that were tried."""
    grids = {"rate": (choice.rate, set(choice.grid["rate"]))}
    settings = [_numbers(text) for text in choice.grid["setting"].unique()]
    for name, value in _numbers(choice.setting).items():
        grids[name] = (value, {setting[name] for setting in settings if name in setting})
    return grids


def _numbers(setting: str) -> dict[str, float]:
    """Returns the numbers of a setting in words: `ASB.inner_lr=0.1` -> {"ASB.inner_lr": 0.1}."""
    found = {}
    for part in setting.split(", "):
        name, _, value = part.partition("=")
        with suppress(ValueError):
            found[name] = float(value)
    return found


def on_ranks(
    order: Sequence[str], means: Mapping[str, Sequence[float]], failed: Collection[str], bounds: Collection[str]
) -> list[Note]:
    """Says why a method has no rank: a failed task, an upper bound, too few pre-training seeds.

    Args:
        order: the table's methods, best first.
        means: method -> means per seed.
        failed: methods with a failed task.
        bounds: methods that are upper bounds.
    """
    least = compare.LEAST_SEEDS
    few = {name: count(len(means[name]), "seed") for name in order if len(means[name]) < least}
    bounding = {name: _above(name, means, bounds) for name in order if name in bounds}
    return [
        *listed("not ranked, for a task failed and has to be repeated", {n: "" for n in sorted(failed) if n in means}),
        *listed("upper bounds, not ranked", {name: "" for name, above in bounding.items() if not above}),
        *listed("meant as upper bounds, not ranked, but below", {n: above for n, above in bounding.items() if above}),
        *listed(f"fewer than {least} pre-training seeds, so no interval and no rank", few),
    ]


def _above(name: str, means: Mapping[str, Sequence[float]], bounds: Collection[str]) -> str:
    """Returns the methods of the same pre-training that are above a bound, `STRATEGY + LEARNER`."""
    strategy = name.split(" + ")[0]
    mean = sum(means[name]) / len(means[name])
    rivals = [other for other in means if other.split(" + ")[0] == strategy and other not in bounds]
    return ", ".join(sorted(other for other in rivals if sum(means[other]) / len(means[other]) > mean))


def on_points(chosen: Mapping[str, pd.DataFrame]) -> list[Note]:
    """Says where trials were measured at different points: forgetting over the measured points is then not shown.

    Measured more often, the best accuracy so far of a class is higher. A trial that was measured at its end alone has
    no forgetting.

    Args:
        chosen: method -> its reported trials.
    """
    finished = {name: rows[(rows["status"] == contract.FINISHED)] for name, rows in chosen.items()}
    several = {name: rows[rows["measured"] > 1] for name, rows in finished.items()}
    marks = set().union(*(set(rows["cadence"]) for rows in several.values())) if several else set()
    if len(marks) < 2:
        return []
    named = {
        name: " or ".join(str(points) for points in sorted(set(rows["measured"].astype(int))))
        for name, rows in several.items()
        if not rows.empty
    }
    return listed("forgetting over the measured points is not shown, for these differ; number of points", named)


def on_devices(runs: pd.DataFrame, chosen: Mapping[str, pd.DataFrame]) -> list[Note]:
    """Says which models of a row were pre-trained on different devices: they may compute in another precision.

    Args:
        runs: the pre-trained models of the table's scenario.
        chosen: method -> its reported trials.
    """
    named = {}
    for method, trials in chosen.items():
        own = runs[models_of(runs, trials)]
        devices = own[own["device"] != ""].groupby("device", sort=True)["pretrain_seed"]
        if devices.ngroups > 1:
            named[method] = "; ".join(f"{device} {seeds_in_words(sorted(set(seeds)))}" for device, seeds in devices)
    return listed("pre-trained on different devices", named)


def on_order(rows: Sequence[Row]) -> list[Note]:
    """Says why a method has a better rank than one with a higher mean, by the plainest example.

    Args:
        rows: the table's, best mean first.
    """
    found = [
        (abs(first.scored.mean - second.scored.mean), first, second)
        for place, first in enumerate(rows)
        for second in rows[place + 1 :]
        if first.rank is not None and second.rank is not None and second.rank < first.rank
    ]
    if not found:
        return []
    _, higher, lower = max(found, key=lambda pair: pair[0])
    more = f"; likewise {count(len(found) - 1, 'other pair')}" if len(found) > 1 else ""
    return [
        Note(
            "A rank counts the methods that are significantly better, so a mean that few seeds leave uncertain may "
            f"rank above a higher one: {lower.method} (rank {lower.rank}, {_mean(lower)}) above {higher.method} (rank "
            f"{higher.rank}, {_mean(higher)}){more}."
        )
    ]


def _mean(row: Row) -> str:
    half = 50 * (row.scored.high - row.scored.low)
    return f"{100 * row.scored.mean:.1f} ± {half:.1f} over {count(row.scored.seeds, 'seed')}"
