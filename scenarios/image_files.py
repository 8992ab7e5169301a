"""Image files of a folder or of an archive. Archives are read where they lie: nothing is extracted."""

import os
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

SUFFIXES = (".png", ".jpg", ".jpeg")


@dataclass(frozen=True, slots=True)
class ImageFile:
    """An image file.

    Attributes:
        source: the folder or archive it is in.
        name: its path inside, with `/`.
        stamp: its size in bytes, and its CRC (archive) or time (folder): what identifies it undecoded.
    """

    source: str
    name: str
    stamp: tuple[int, int]

    @property
    def parts(self) -> tuple[str, ...]:
        """The parts of its path inside."""
        return tuple(self.name.split("/"))


def image_files(source: Path) -> list[ImageFile]:
    """Returns the images in a folder or .zip archive, at any depth, sorted by name.

    Raises:
        ValueError: the archive is damaged, or has a name that leads out of it.
    """
    if source.is_dir():
        found = list(_walk(source))
    else:
        with open_archive(source) as archive:
            found = [
                ImageFile(str(source), member.filename, (member.file_size, member.CRC))
                for member in archive.infolist()
                if member.filename.lower().endswith(SUFFIXES) and not member.filename.startswith("__MACOSX/")
            ]
    return sorted(found, key=lambda file: file.name)


def open_archive(source: Path) -> zipfile.ZipFile:
    """Opens a .zip archive for reading, and refuses one with a name that leads out of it.

    Raises:
        ValueError: it is no archive, torn, or unsafe.
    """
    try:
        archive = zipfile.ZipFile(source)
    except (zipfile.BadZipFile, OSError) as error:
        raise ValueError(f"{source} is not a readable archive ({error})") from None
    for name in archive.namelist():
        if name.startswith(("/", "\\")) or name[1:2] == ":" or ".." in name.replace("\\", "/").split("/"):
            archive.close()
            raise ValueError(f"{source} has a member that leads out of it ({name!r}); it is not read")
    return archive


def by_class(files: Iterable[ImageFile], depth: int) -> dict[str, list[ImageFile]]:
    """Returns files by the folder that stands `depth` levels above them (1: the file's own)."""
    found: dict[str, list[ImageFile]] = {}
    for file in files:
        if len(file.parts) > depth:
            found.setdefault(file.parts[-1 - depth], []).append(file)
    return dict(sorted(found.items()))


def _walk(folder: Path) -> Iterable[ImageFile]:
    for where, _, names in os.walk(folder):
        inside = Path(where).relative_to(folder)
        for name in names:
            if name.lower().endswith(SUFFIXES) and not name.startswith("."):
                about = (Path(where) / name).stat()
                yield ImageFile(str(folder), (inside / name).as_posix(), (about.st_size, about.st_mtime_ns))
