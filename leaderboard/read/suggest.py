"""A mapping to start from, for logs that zapbench did not write.

It is a guess from their paths (see `suggest_names`), tags and hyper-parameters.
"""

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from zapbench.leaderboard.read import hyperparameters
from zapbench.leaderboard.read.files import Run, find, runs_of
from zapbench.leaderboard.read.foreign import read_merged
from zapbench.leaderboard.read.mapping import LogMapping
from zapbench.leaderboard.read.parse import description_of
from zapbench.leaderboard.read.suggest_names import names_of

SAMPLE = 12
"""Runs whose tags are looked at."""

_TAGS = (
    r"(test|val|eval|held).*acc|acc.*(test|val|eval|held)",
    r"acc(?!.*train)",
    r"acc",
    r"(test|val|eval).*(loss|err)",
    r"loss|err",
)
"""What a score is called, best first."""

_LESS = r"(?i)(exp|task)\D?\d+$|mb|running|forget|epoch$"
"""What a tag of a part of the score is called."""


def suggest(folder: Path) -> LogMapping:
    """Returns a mapping to start from.

    Raises:
        ValueError: there is no event file below the folder, or none that holds a scalar and is not zapbench's.
    """
    runs = [run for run in runs_of(find(folder).files, by_folder=True) if not _is_own(folder, run)]
    sample = runs[:: max(1, len(runs) // SAMPLE)][:SAMPLE]
    read = [(run, read_merged([folder / name for name in run.files], ())) for run in sample]
    score = _score([found.other_tags for _, found in read])
    if not score:
        raise ValueError(f"no logs of another program with a scalar below {folder}")
    scored = [(run, found) for run, found in read if score in found.other_tags]
    depth = Counter(run.name.count("/") for run, _ in scored).most_common(1)[0][0]
    scored = [(run, found) for run, found in scored if run.name.count("/") == depth]
    given = [_hyperparameters(folder, run, runs) | found.hyperparameters for run, found in scored]
    file = ""
    if not any(given):
        file, given = _beside(folder, [run for run, _ in scored])
    places = [run.name.rstrip("/").split("/") for run in runs if run.name.count("/") == depth]
    pattern, keys = names_of(places, given)
    values = [
        value
        for run, _ in scored
        for value in read_merged([folder / name for name in run.files], (score,)).curves.get(score, ([], []))[1]
    ]
    return LogMapping(
        pattern=pattern,
        score=score,
        keys=keys,
        file=file if keys else "",
        **_scale(score, [value for value in values if math.isfinite(value)]),
    )


def as_gin(mapping: LogMapping) -> str:
    """Returns the text of a .gin file that binds a mapping; what it leaves at its default is not in it."""
    bound = {"pattern": mapping.pattern, "score": mapping.score}
    bound |= {name: value for name, value in vars(mapping).items() if value != _DEFAULTS[name]}
    return "".join(f"LogMapping.{name} = {value!r}\n" for name, value in bound.items())


_DEFAULTS = vars(LogMapping(pattern="{method}{pretrain_seed}", score=""))


def _is_own(folder: Path, run: Run) -> bool:
    return description_of(folder / run.files[0]) is not None


def _score(tags: Sequence[Sequence[str]]) -> str:
    """Returns the tag that is most like a score: by its name, then by how many runs have it."""
    counts = Counter(tag for own in tags for tag in own)

    def order(tag: str) -> tuple[Any, ...]:
        kind = next((place for place, name in enumerate(_TAGS) if re.search(name, tag.lower())), len(_TAGS))
        return bool(re.search(_LESS, tag)), kind, -counts[tag], len(tag), tag

    return min(counts, key=order, default="")


def _scale(score: str, values: Sequence[float]) -> dict[str, Any]:
    """Returns the settings of direction and scale that values of a tag ask for."""
    largest = max(values, default=0.0)
    loss = not re.search("acc", score.lower()) and re.search("loss|err", score.lower()) is not None
    if largest <= 1:
        return {"lower_is_better": True} if loss else {}
    if not loss and largest <= 100:
        return {"percent": True}
    magnitude = 10.0 ** math.floor(math.log10(largest))
    return {"lower_is_better": loss, "scale": math.ceil(largest / magnitude) * magnitude}


def _hyperparameters(folder: Path, run: Run, runs: Sequence[Run]) -> dict[str, Any]:
    """Returns the hyper-parameters in the folders below a run's, where `SummaryWriter.add_hparams` writes them."""
    below = [other for other in runs if other.name.rstrip("/").rpartition("/")[0] + "/" == run.name]
    found: dict[str, Any] = {}
    for other in below[:1]:
        found |= read_merged([folder / name for name in other.files], ()).hyperparameters
    return found


def _beside(folder: Path, runs: Sequence[Run]) -> tuple[str, list[dict[str, Any]]]:
    """Returns the name of a JSON or YAML file beside the runs that tells them apart, and what it holds for each."""
    for name in _file_names(folder, runs):
        found = [hyperparameters.nearest_file(folder, run.name, name) for run in runs]
        if all(found) and (len(runs) == 1 or len({own[0] for own in found if own}) > 1):
            try:
                return name, [hyperparameters.of_file(folder / own[0]) for own in found if own]
            except ValueError:
                continue
    return "", []


def _file_names(folder: Path, runs: Sequence[Run]) -> Iterable[str]:
    place = folder / runs[0].name
    while place != folder.parent and place.is_relative_to(folder):
        yield from sorted(path.name for path in place.iterdir() if path.suffix in (".yaml", ".yml", ".json"))
        place = place.parent
