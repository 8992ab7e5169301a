"""What the catalog says about a data set. No torch."""

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from zapbench.scenarios.roots import data_root

if TYPE_CHECKING:
    from zapbench.scenarios.images import Images


@dataclass(frozen=True)
class Archive:
    """An official file: its name, address and md5, as the code of its authors, torchvision or Avalanche has them."""

    name: str
    url: str
    md5: str


Layout = tuple[tuple[str, ...], ...]
"""Parts that are all needed, and for each part the file or folder names under which it may be found."""


@dataclass(frozen=True, kw_only=True)
class DataSet:
    """Description of a data set.

    Attributes:
        name: its name in commands.
        loader: `module:function`, the function that returns its `Images` without an argument; imported by `load`.
        version: to be raised with any change here that changes what a scenario sees.
        title: its name in texts.
        folder: its folder below the data root; empty where it is drawn and needs no files.
        layouts: the forms in which it is read; the first that is complete is used.
        content: classes and images, in words.
        splits: the role of each class, in words.
        reading: how an image is pre-processed, in words.
        scenarios: shipped scenarios on it.
        licence: of the images.
        citation: what to cite.
        source: where it is described.
        archives: official files.
        automatic: whether a run fetches it where it is missing.
        otherwise: how to get it where it cannot be fetched, in words.
        pixels: known hashes of decoded content, each with what it is the hash of.
        at_hand: the part of it on which this package was tested.
    """

    name: str
    loader: str
    version: int
    title: str
    folder: str
    layouts: tuple[Layout, ...]
    content: str
    splits: str
    reading: str
    scenarios: tuple[str, ...]
    licence: str
    citation: str
    source: str
    archives: tuple[Archive, ...] = ()
    automatic: bool = False
    otherwise: str = ""
    pixels: tuple[tuple[str, str], ...] = ()
    at_hand: str

    @property
    def path(self) -> Path:
        """Its folder."""
        return data_root() / self.folder

    def load(self) -> "Images":
        """Returns its images, decoded or from the cache.

        Raises:
            ValueError: the data are missing, incomplete or damaged.
        """
        module, function = self.loader.split(":")
        images: Images = getattr(importlib.import_module(module), function)()
        return images

    def find(self) -> tuple[Path, ...] | None:
        """Returns the parts of the first complete layout; None where none is complete."""
        for layout in self.layouts:
            found = [
                next((self.path / name for name in names if (self.path / name).exists()), None) for names in layout
            ]
            parts = tuple(part for part in found if part is not None)
            if len(parts) == len(layout):
                return parts
        return None

    def missing(self) -> str:
        """Returns an error message: what was looked for, where, and how to get it."""
        forms = "; or ".join(" and ".join(_either(names) for names in layout) for layout in self.layouts)
        get = f"`zapbench data fetch {self.name}` fetches it" if self.archives else self.otherwise
        where = f"{get}, or set ZAPBENCH_DATA to the folder that holds {self.folder}"
        return f"{self.name}: no {forms} in {self.path}; {where}"


def _either(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"({' or '.join(names)})"
