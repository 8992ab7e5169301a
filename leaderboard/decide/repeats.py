"""What records that do not count say: how well results are reproduced, and what another folder has of a method."""

import math
from collections.abc import Sequence

from zapbench.leaderboard.read.merge import Repeat, Unmerged
from zapbench.leaderboard.read.tabulate import Logs
from zapbench.text import count, some_of

REPEATED = "recorded more than once; the first record counts, in the order of folders and paths; final accuracies"
UNMERGED = "what a later folder has beside repeats is not merged; put both folders into one to pool them"


def on_repeats(logs: Logs, scenario: str, fingerprint: str) -> dict[str, str]:
    """Returns method -> how many of its tasks are recorded again, and how far these records are from those kept.

    Args:
        logs: what was loaded.
        scenario: of a table.
        fingerprint: of its trials; pre-trainings are those of the scenario.
    """
    own = [repeat for repeat in logs.repeats if repeat.scenario == scenario]
    found = {}
    for method in sorted({repeat.method for repeat in own if repeat.fingerprint == fingerprint}):
        mine = [repeat for repeat in own if repeat.method == method]
        trials = [repeat for repeat in mine if repeat.fingerprint == fingerprint]
        runs = [repeat for repeat in mine if not repeat.fingerprint]
        found[method] = "; ".join(_distance(*part) for part in ((trials, "trial"), (runs, "pre-training")) if part[0])
    return found


def _distance(repeats: Sequence[Repeat], noun: str) -> str:
    counted = count(len(repeats), noun)
    if all(repeat.is_copy for repeat in repeats):
        return f"{counted}, identical"
    known = [100 * repeat.difference for repeat in repeats if not math.isnan(repeat.difference)]
    if not known:
        return f"{counted}, without an accuracy to compare"
    unknown = f" ({len(repeats) - len(known)} without an accuracy)" if len(known) < len(repeats) else ""
    return f"{counted}{unknown} {sum(known) / len(known):.2f} points apart on average, {max(known):.2f} at most"


def on_unmerged(logs: Logs, scenario: str, fingerprint: str) -> dict[str, str]:
    """Returns method -> what a later folder has of it that the first does not: settings, rates, seeds or trials."""
    own = [one for one in logs.unmerged if one.scenario == scenario and one.fingerprint == fingerprint]
    found = {}
    for method in sorted({one.method for one in own}):
        mine = [one for one in own if one.method == method]
        folders = sorted({one.folder for one in mine})
        found[method] = "; ".join(_of_folder(name, [one for one in mine if one.folder == name]) for name in folders)
    return found


def _of_folder(folder: str, records: Sequence[Unmerged]) -> str:
    words = []
    if settings := sorted({one.setting or "of its own" for one in records if one.lacking == "setting"}):
        words.append(f"settings {some_of(settings, 3)}")
    if rates := sorted({one.rate for one in records if one.lacking == "rate" and one.rate is not None}):
        words.append(f"rates {some_of([f'{rate:g}' for rate in rates])}")
    if seeds := sorted({one.seed for one in records if one.lacking == "seed"}):
        words.append(f"pre-training seeds {some_of(map(str, seeds))}")
    return f"{len(records)} trials in {folder}: {', '.join(words)}"
