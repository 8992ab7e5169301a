"""Configurations that installed packages offer, by entry points; looking them up imports nothing.

An entry point of the group `zapbench.scenarios`, `zapbench.strategies`, `zapbench.transfers` or `zapbench.suites` has a
package as its value, for example `my_package` or `my_package.strategies`. Each .gin file in that package's folder is a
configuration of the kind, under the name of its file.
"""

import functools
import importlib.util
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

PREFIX = "zapbench."


@dataclass(frozen=True)
class Offer:
    """A configuration of an installed package.

    Attributes:
        name: of the configuration.
        path: of its .gin file.
        package: name and version of the package.
    """

    name: str
    path: Path
    package: str


@functools.cache
def offers(kind: str) -> dict[str, tuple[Offer, ...]]:
    """Returns what installed packages offer of a kind: name -> the offers, more than one where packages clash."""
    found: dict[str, dict[Path, Offer]] = {}
    for point in _points(kind):
        folder = folder_of(point)
        for path in sorted(folder.glob("*.gin")) if folder is not None else ():
            found.setdefault(path.stem, {})[path.resolve()] = Offer(path.stem, path, _package(point))
    return {name: tuple(by_path.values()) for name, by_path in sorted(found.items())}


def broken(kind: str) -> list[str]:
    """Returns a sentence about each entry point that offers nothing."""
    said = []
    for point in _points(kind):
        folder = folder_of(point)
        what = f"the package {_package(point)} offers {kind} in {point.value!r}"
        if folder is None:
            said.append(f"{what}, which is not the name of a package")
        elif not any(folder.glob("*.gin")):
            said.append(f"{what}, but {folder} holds no .gin file")
    return said


def folder_of(point: EntryPoint) -> Path | None:
    """Returns the folder of the package that an entry point names; None if there is none. Nothing is imported."""
    top, *parts = point.value.strip().split(".")
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        return None
    for place in (spec.submodule_search_locations or []) if spec else []:
        folder = Path(place).joinpath(*parts)
        if folder.is_dir():
            return folder
    return None


def _points(kind: str) -> list[EntryPoint]:
    return sorted(entry_points(group=f"{PREFIX}{kind}"), key=lambda point: (_package(point), point.name))


def _package(point: EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist else point.value
