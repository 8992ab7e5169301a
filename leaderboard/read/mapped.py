"""A run that zapbench did not write, and a mapping -> its summary and curves, as `load` has them of zapbench's own."""

import bisect
import hashlib
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from zapbench.leaderboard import bounds, contract
from zapbench.leaderboard.read import hyperparameters
from zapbench.leaderboard.read.files import Run
from zapbench.leaderboard.read.foreign import read_merged
from zapbench.leaderboard.read.mapping import LogMapping, fits
from zapbench.leaderboard.read.parse import OTHER_PATTERN, EventFile, points, summarise
from zapbench.text import nearest, one_line


def with_hyperparameters(mapping: LogMapping, folder: Path, runs: Sequence[Run]) -> list[Run]:
    """Returns the runs with the files that hold their hyper-parameters.

    `SummaryWriter.add_hparams` writes them into a folder of their own below the run's: such a folder is no run where
    the one above it is.
    """
    if not mapping.keys:
        return list(runs)
    if mapping.file:
        found = [hyperparameters.nearest_file(folder, run.name, mapping.file) for run in runs]
        return [
            replace(run, beside=(own[0],), stamp=(*run.stamp, *own[1])) if own else run for run, own in zip(runs, found)
        ]
    named = {run.name: run for run in runs if mapping.match(run.name.rstrip("/")) is not None}
    for run in runs:
        above = named.get(run.name.rstrip("/").rpartition("/")[0] + "/")
        if run.name not in named and above is not None:
            named[above.name] = replace(above, beside=(*above.beside, *run.files), stamp=(*above.stamp, *run.stamp))
    part = {name for run in named.values() for name in run.beside}
    return [named.get(run.name, run) for run in runs if not part.intersection(run.files)]


def read_mapped(mapping: LogMapping, folder: Path, run: Run) -> tuple[dict[str, Any], Any]:
    """Returns a run's summary and curves.

    Args:
        mapping: how to read it.
        folder: the logs.
        run: its name is the path of its folder, with a slash at its end.
    """
    found = read_merged([folder / name for name in run.files], mapping.tags)
    about: dict[str, Any] | None = None
    if not found.problem:
        try:
            about = _about(mapping, _given(mapping, folder, run, found))
            found.curves = _curves(mapping, found)
        except ValueError as error:
            found.problem, about = str(error), None
    return summarise(found) | {"about": about}, points(found)


def _given(mapping: LogMapping, folder: Path, run: Run, found: EventFile) -> dict[str, str]:
    """Returns what the path and the hyper-parameters of a run give."""
    given = mapping.match(run.name.rstrip("/"))
    if given is None:
        raise ValueError(f"{OTHER_PATTERN} {mapping.pattern}")
    given = {name: one_line(value) for name, value in given.items()}
    if not mapping.keys:
        return given
    if mapping.file:
        if not run.beside:
            raise ValueError(f"there is no {mapping.file} in its folder or above it")
        values, where = hyperparameters.of_file(folder / run.beside[0]), mapping.file
    else:
        values, where = found.hyperparameters, "the hyper-parameters of its logs"
        for name in run.beside:
            values = values | read_merged([folder / name], ()).hyperparameters
        if not values:
            raise ValueError("its logs hold no hyper-parameters; in a file beside them? LogMapping.file = 'NAME.yaml'")
    return given | {name: hyperparameters.look_up(values, key, where) for name, key in mapping.keys.items()}


def _about(mapping: LogMapping, given: Mapping[str, str]) -> dict[str, Any]:
    role = given.get("role", contract.REPORT)
    if role not in contract.ROLES:
        raise ValueError(f"role is {role!r}; allowed: {', '.join(contract.ROLES)}")
    scenario = given.get("scenario", mapping.scenario)
    facts = {
        "mapped_by": mapping.key,
        "protocol": mapping.protocol,
        "scenario": scenario,
        "score": one_line(mapping.meaning),
    }
    return contract.Description(
        scenario=scenario,
        strategy=given["method"],
        method=given["method"],
        pretrain_seed=_seed(given["pretrain_seed"]),
        transfer="mapped",
        protocol=mapping.protocol,
        rate=_rate(given.get("rate", "0")),
        role=role,
        transfer_seed=_seed(given.get("transfer_seed", "0")),
        outputs=mapping.outputs,
        config_hash=given["method"],
        fingerprint=hashlib.sha256(contract.canonical_json(facts).encode()).hexdigest()[:12],
        fingerprint_fields=facts,
    ).stable()


def _seed(text: str) -> int:
    """Returns a seed as a number; one that is a word has a number above all others, its own.

    >>> _seed("07"), _seed("paris") > 2**48, _seed("paris") == _seed("rome")
    (7, True, False)
    """
    if re.fullmatch(r"[0-9]{1,9}", text):
        return int(text)
    return 2**48 + int.from_bytes(hashlib.sha256(text.encode()).digest()[:6])


def _rate(text: str) -> float:
    try:
        rate = float(text)
    except ValueError:
        rate = math.nan
    if not 0 <= rate <= bounds.LARGEST_RATE:
        raise ValueError(f"rate is {text!r}, and should be a number of at least 0")
    return rate


def _curves(mapping: LogMapping, found: EventFile) -> dict[str, tuple[list[int], list[float]]]:
    """Returns the curves that the mapping's tags name; the run's reason says which of the optional ones it lacks."""
    score = _tag(mapping.score, found)
    if not score:
        ended = f" ({reason})" if (reason := found.closing.reason) else ""
        raise ValueError(f"{_no_tag(mapping.score, found)}{ended}")
    losses = [score]
    if mapping.trained_on and mapping.lower_is_better:
        losses.append(_tag(mapping.trained_on, found))
    diverged = [said for tag in losses if tag and (said := _cut_at_divergence(mapping, tag, found))]
    if diverged:
        reasons = [found.closing.reason, *map(one_line, diverged)]
        found.closing = contract.Closing(contract.DIVERGED, "; ".join(filter(None, reasons)))
    elif mapping.step is not None and mapping.step not in found.curves[score][0]:
        raise ValueError(f"{score} has no step {mapping.step}")
    curves = {contract.HELD_OUT: _scaled(mapping, score, found, lowest=0.0, inverted=mapping.lower_is_better)}
    for name, pattern in ((contract.TRAINED_ON, mapping.trained_on), (contract.FORGETTING, mapping.forgetting)):
        if not pattern:
            continue
        difference = name == contract.FORGETTING
        if tag := _tag(pattern, found):
            lowest, inverted = -1.0 if difference else 0.0, mapping.lower_is_better and not difference
            curves[name] = _scaled(mapping, tag, found, lowest=lowest, inverted=inverted)
        else:
            reasons = [found.closing.reason, one_line(_no_tag(pattern, found))]
            found.closing = replace(found.closing, reason="; ".join(filter(None, reasons)))
    return curves


def _cut_at_divergence(mapping: LogMapping, tag: str, found: EventFile) -> str:
    """Cuts a curve where nothing is finite from there up to the mapping's step, and says where; else does nothing.

    So it is with a diverged run of zapbench, whose record ends there. A value that is not finite before a finite one is
    no divergence, and out of range.
    """
    steps, values = found.curves[tag]
    last = len(steps) if mapping.step is None else bisect.bisect_right(steps, mapping.step)
    end = last
    while end and not math.isfinite(values[end - 1]):
        end -= 1
    if end == last:
        return ""
    found.curves[tag] = (steps[:end], values[:end])
    return f"{tag} is {values[end]} from step {steps[end]} on"


def _tag(pattern: str, found: EventFile) -> str:
    """Returns the tag of a run that fits and has a point, or nothing.

    Raises:
        ValueError: several fit.
    """
    fitting = sorted(tag for tag, (steps, _) in found.curves.items() if steps and fits(pattern, tag))
    if len(fitting) > 1:
        shown = ", ".join(fitting[:3]) + (", ..." if len(fitting) > 3 else "")
        raise ValueError(f"{len(fitting)} tags fit {pattern!r}: {shown}; name one")
    return fitting[0] if fitting else ""


def _no_tag(pattern: str, found: EventFile) -> str:
    return f"there is no tag {pattern!r}{nearest(pattern, found.other_tags)}"


def _scaled(
    mapping: LogMapping, tag: str, found: EventFile, *, lowest: float, inverted: bool = False
) -> tuple[list[int], list[float]]:
    """Returns a tag's curve up to the mapping's step, each value as a share of the mapping's scale.

    Raises:
        ValueError: a value is out of range.
    """
    steps, values = [], []
    for step, value in zip(*found.curves[tag]):
        if mapping.step is not None and step > mapping.step:
            break
        share = value / mapping.full
        if not lowest <= share <= 1:
            raise ValueError(_out_of_range(mapping, tag, value, lowest))
        steps.append(step)
        values.append(1 - share if inverted else share)
    return steps, values


def _out_of_range(mapping: LogMapping, tag: str, value: float, lowest: float) -> str:
    said = f"{tag} holds {value:g}; allowed: {lowest * mapping.full:g} to {mapping.full:g}"
    if mapping.full != 1 or not value > 1:
        return said
    loss = mapping.lower_is_better or value > 100
    return f"{said}; {'LogMapping.scale says what counts as 1' if loss else 'in percent? LogMapping.percent = True'}"
