"""From the folders of a person's images to classes. Whatever would be ignored or merged in silence is an error."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from zapbench.scenarios.image_files import Contents, ImageFile, contents_of
from zapbench.text import shown

Folder = tuple[str, ...]
"""The parts of a folder's path."""


def classes_of(root: Path, levels: int) -> Mapping[str, Sequence[ImageFile]]:
    """Returns the images of each class, sorted by class: each path of `levels` folders is one.

    A folder that holds all the others, as in most archives, is not part of a class's name.

    Args:
        root: a folder or .zip archive.
        levels: folders that make a class: 2 for `ALPHABET/CHARACTER`.

    Raises:
        ValueError: an image is not in a class's folder or is in a format that is not read, a folder has no image, or
            the name of a folder cannot be shown.
        OSError: a folder cannot be read.
    """
    if levels < 1:
        raise ValueError(f"levels must be at least 1, got {levels}")
    contents = contents_of(root)
    _check_formats(root, contents)
    paths = [tuple(folder.split("/")) for folder in contents.folders]
    top = _shared_levels([file.parts[:-1] for file in contents.images], paths, levels)
    folders = [file.parts[top:-1] for file in contents.images]
    found: dict[str, list[ImageFile]] = {}
    for file, folder in zip(contents.images, folders):
        if len(folder) != levels:
            raise ValueError(_misplaced(file.name, folder, levels, folders))
        found.setdefault("/".join(folder), []).append(file)
    _check_names(found)
    _check_empty(paths, [file.parts[:-1] for file in contents.images])
    return dict(sorted(found.items()))


def _check_formats(root: Path, contents: Contents) -> None:
    if contents.others:
        count = len(contents.others)
        raise ValueError(f"{contents.others[0]} is not read ({count} such files): images are .png, .jpg or .jpeg files")
    if not contents.images:
        raise ValueError(f"no CLASS/*.png, *.jpg or *.jpeg in {root}")


def _shared_levels(folders: Sequence[Folder], paths: Sequence[Folder], levels: int) -> int:
    """Returns how many levels above the classes hold one folder each."""
    top = 0
    while all(len(folder) > top + levels for folder in folders):
        if len({path[top] for path in paths if len(path) > top}) > 1:
            break
        top += 1
    return top


def _misplaced(image: str, folder: Folder, levels: int, folders: Sequence[Folder]) -> str:
    """Says which image is not in the folder of a class, and what to do."""
    depth = len(folder)
    if not depth:
        return f"{image} is in no folder of a class; move it away"
    alike = {other for other in folders if len(other) == depth}
    return (
        f"{image} is at depth {depth}, and image_folder.levels is {levels}; with levels = {depth} there are "
        f"{len(alike)} classes such as {'/'.join(min(alike))!r}"
    )


def _check_names(classes: Mapping[str, object]) -> None:
    for c in classes:
        if shown(c) != c or len(c.splitlines()) > 1:
            raise ValueError(f"the name of the folder {c!r} is not UTF-8, or has control characters; rename it")


def _check_empty(paths: Sequence[Folder], folders: Sequence[Folder]) -> None:
    used = {folder[:length] for folder in folders for length in range(1, len(folder) + 1)}
    empty = ["/".join(path) for path in paths if path not in used]
    if empty:
        raise ValueError(f"the folder {empty[0]} has no image ({len(empty)} such folders); remove it")
