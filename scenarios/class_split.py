"""Scenarios whose classes a person splits: by numbers, by lists of names, or by text files of names."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from zapbench.scenarios.class_lists import lines_of
from zapbench.scenarios.images import Images
from zapbench.scenarios.scenario import Scenario
from zapbench.scenarios.sizes import Sizes
from zapbench.seeding import numpy_generator
from zapbench.text import nearest

Classes = int | str | Sequence[str]
"""How many classes, a list of their names, or a text file with one name per line."""


@dataclass(frozen=True, kw_only=True)
class About:
    """What a scenario is, apart from its images, classes and sizes; `Scenario` has attributes of the same names.

    Attributes:
        name: the scenario's name.
        version: to be raised with any change that changes a score.
        mean: mean of each channel, () for 0.
        std: standard deviation of each channel, () for 1.
        outputs: outputs of the head, in pre-training and in transfer; 0 for as many as there are classes.
    """

    name: str
    version: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    outputs: int


def by_classes(about: About, images: Images, wanted: Mapping[str, Classes], sizes: Sizes) -> Scenario:
    """Returns a scenario whose classes are split as wanted.

    Args:
        about: name, version and the rest.
        images: the decoded data.
        wanted: classes to `pretrain` on, of `selection` and of reported trials (`transfer`); see `split`.
        sizes: 0 classes per trial are all there are.

    Raises:
        ValueError: a class is unknown or listed twice, or a size does not fit.
    """
    pools = split(about.name, images.classes, wanted, about.version)
    report, select = pools["transfer"], pools["selection"]
    sizes = replace(
        sizes,
        classes_per_trial=sizes.classes_per_trial or len(report),
        classes_per_selection_trial=sizes.classes_per_selection_trial or len(select) or len(report),
    )
    outputs = about.outputs or max(len(pools["pretrain"]), len(report) + len(select))
    return Scenario(
        name=about.name,
        version=about.version,
        images=images,
        pretrain_classes=pools["pretrain"],
        report_pool=report,
        select_pool=select,
        pretrain_outputs=outputs,
        transfer_outputs=outputs,
        mean=about.mean,
        std=about.std,
        **vars(sizes),
    )


def split(name: str, classes: Sequence[str], wanted: Mapping[str, Classes], version: int) -> dict[str, tuple[int, ...]]:
    """Returns the classes of each pool.

    Args:
        name: the scenario's name.
        classes: the names of all classes.
        wanted: pool -> how many, which, or a text file that lists them; a last pool of 0 takes all that remain.
        version: of the scenario.

    Raises:
        ValueError: a class is unknown or listed twice, or there are fewer than wanted.
    """
    place = {c: i for i, c in enumerate(classes)}
    listed = {pool: _names(name, pool, value) for pool, value in wanted.items() if not isinstance(value, int)}
    for pool, names in listed.items():
        for c in names:
            if c not in place:
                raise ValueError(f"{name}: {pool} names the class {c!r}, and there is none{nearest(c, classes)}")
    pools = {pool: tuple(sorted(place[c] for c in set(names))) for pool, names in listed.items()}
    free = sorted(set(range(len(classes))) - {c for own in pools.values() for c in own})
    order = [int(c) for c in numpy_generator("image_folder classes", name, version).permutation(free)]
    *_, last = wanted
    for pool, count in wanted.items():
        if isinstance(count, int):
            taken = len(order) if pool == last and count == 0 else count
            if not 0 <= taken <= len(order):
                raise ValueError(f"{name}: {pool} is {count}, and {len(order)} of {len(classes)} classes remain")
            pools[pool], order = tuple(sorted(order[:taken])), order[taken:]
    return pools


def _names(name: str, pool: str, value: str | Sequence[str]) -> Sequence[str]:
    where = f"{name}: {pool}"
    if isinstance(value, str):
        path = Path(value).expanduser()
        if not path.is_file():
            raise ValueError(f"{where} is {value!r}; allowed: a number, a list of classes, or a text file of them")
        value, where = lines_of(path), f"{where} ({path})"
        if not value:
            raise ValueError(f"{where} lists no class")
    for c in value:
        if list(value).count(c) > 1:
            raise ValueError(f"{where} lists the class {c!r} twice")
    return value
