"""Image files of a folder or of an archive, which is read in place: nothing is extracted."""

import os
import stat
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

SUFFIXES = (".png", ".jpg", ".jpeg")
OTHER_SUFFIXES = (
    ".avif", ".bmp", ".gif", ".heic", ".heif", ".jfif", ".jp2", ".jpe", ".pgm", ".ppm", ".tif", ".tiff", ".webp"
)  # fmt: skip
"""Of images that are not read."""

SERVICE_FOLDERS = {"__MACOSX", "__pycache__", "@eaDir", "$RECYCLE.BIN", "System Volume Information", "lost+found"}
"""What systems put beside people's files; names that begin with a dot are skipped as well."""


@dataclass(frozen=True, slots=True)
class ImageFile:
    """An image file.

    Attributes:
        source: the folder or archive that it is in.
        name: its path inside, with `/`.
        stamp: its size in bytes, and its CRC (archive) or times (folder): what identifies its content undecoded. The
            time of the last change of the inode is among them: the modification time can be set, and `unzip` does.
    """

    source: str
    name: str
    stamp: tuple[int, ...]

    @property
    def parts(self) -> tuple[str, ...]:
        """The parts of its path inside."""
        return tuple(self.name.split("/"))


@dataclass(frozen=True)
class Contents:
    """What a folder or archive holds, at any depth, but for hidden and service files and folders.

    Attributes:
        images: image files, sorted by name.
        others: images in formats that are not read, sorted.
        folders: paths of all folders, sorted.
    """

    images: list[ImageFile]
    others: list[str]
    folders: list[str]


def image_files(source: Path) -> list[ImageFile]:
    """Returns the images in a folder or .zip archive, at any depth, sorted by name; see `contents_of`."""
    return contents_of(source).images


def contents_of(source: Path) -> Contents:
    """Returns what a folder or .zip archive holds. Links are followed.

    Raises:
        ValueError: the archive is damaged or unsafe, a link leads nowhere or in a circle, or an image is not a regular
            file.
        OSError: a folder cannot be read.
    """
    images, others, folders = [], [], set()
    for name, stamp in _walk(source, "", ()) if source.is_dir() else _members(source):
        if stamp is None:
            folders.add(name)
        elif name.lower().endswith(SUFFIXES):
            images.append(ImageFile(str(source), name, stamp))
        else:
            others.append(name)
    return Contents(sorted(images, key=lambda file: file.name), sorted(others), sorted(folders))


def open_archive(source: Path) -> zipfile.ZipFile:
    """Opens a .zip archive for reading.

    Raises:
        ValueError: it is not an archive, is truncated, or has a member whose path leads out of it.
    """
    if not source.is_file():
        raise ValueError(f"{source} is neither a folder nor a regular file")
    try:
        archive = zipfile.ZipFile(source)
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise ValueError(f"{source} is not a readable archive ({error})") from None
    for name in archive.namelist():
        if name.startswith(("/", "\\")) or name[1:2] == ":" or ".." in name.replace("\\", "/").split("/"):
            archive.close()
            raise ValueError(f"{source} has a member that leads out of it ({name!r}); it is not read")
    return archive


def by_class(files: Iterable[ImageFile], depth: int) -> dict[str, list[ImageFile]]:
    """Returns files by the name of the folder `depth` levels above them (1: their own folder), sorted by it.

    Raises:
        ValueError: two folders have one name.
    """
    found: dict[str, list[ImageFile]] = {}
    folders: dict[str, tuple[str, ...]] = {}
    for file in files:
        if len(file.parts) > depth:
            folder = file.parts[:-depth]
            if folders.setdefault(folder[-1], folder) != folder:
                both = " and ".join(sorted(map("/".join, (folders[folder[-1]], folder))))
                raise ValueError(f"{file.source} has the folder {folder[-1]} twice: {both}")
            found.setdefault(folder[-1], []).append(file)
    return dict(sorted(found.items()))


def _skipped(part: str) -> bool:
    return part.startswith(".") or part in SERVICE_FOLDERS


def _members(source: Path) -> Iterator[tuple[str, tuple[int, ...] | None]]:
    """Yields the images of an archive with their stamps, and its folders with None."""
    seen, folders = set(), set()
    with open_archive(source) as archive:
        for member in archive.infolist():
            parts = member.filename.rstrip("/").split("/")
            if any(_skipped(part) for part in parts):
                continue
            inside = parts if member.is_dir() else parts[:-1]
            folders |= {"/".join(inside[:length]) for length in range(1, len(inside) + 1)}
            if member.is_dir() or not member.filename.lower().endswith((*SUFFIXES, *OTHER_SUFFIXES)):
                continue
            if member.filename in seen:
                raise ValueError(f"{source} has the member {member.filename!r} twice")
            seen.add(member.filename)
            yield member.filename, (member.file_size, member.CRC)
    yield from ((folder, None) for folder in folders)


def _walk(
    folder: Path, inside: str, above: tuple[tuple[int, int], ...]
) -> Iterator[tuple[str, tuple[int, ...] | None]]:
    """Yields the images below a folder with their stamps, and the folders with None."""
    own = folder.stat()
    if (own.st_dev, own.st_ino) in above:
        raise ValueError(f"{folder} is a link to a folder that it is in")
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        if _skipped(entry.name):
            continue
        name = f"{inside}{entry.name}"
        image = entry.name.lower().endswith((*SUFFIXES, *OTHER_SUFFIXES))
        try:
            about = entry.stat()
        except FileNotFoundError:
            raise ValueError(f"{entry.path} is a link that leads nowhere") from None
        if stat.S_ISDIR(about.st_mode):
            yield name, None
            yield from _walk(Path(entry.path), f"{name}/", (*above, (own.st_dev, own.st_ino)))
        elif image and not stat.S_ISREG(about.st_mode):
            raise ValueError(f"{entry.path} is not a regular file")
        elif image:
            yield name, (about.st_size, about.st_mtime_ns, about.st_ctime_ns)
