"""A submission's zip: packed to the same bytes each time, unpacked as untrusted input.

Sizes and counts are counted while the archive is read; what its headers claim is never trusted. Nothing in it is run,
parsed as configuration, or loaded as a pickle: what is neither an event file nor `submission.toml` is refused by its
name, unread.
"""

import os
import re
import stat
import struct
import uuid
import zipfile
import zlib
from pathlib import Path

from zapbench.leaderboard.read.files import find
from zapbench.leaderboard.read.identity import FILE, read_identity
from zapbench.text import one_line

LARGEST_ZIP = 256 << 20
LARGEST_FILE = 16 << 20
LARGEST_TOTAL = 1 << 30
"""Bytes of all event files of a submission, unpacked."""
MOST_FILES = 20_000
LONGEST_PATH = 400
DEEPEST_PATH = 16
_CHUNK = 1 << 16
_END = struct.Struct("<4s4H2LH")
_MEMBER = 46 + 2 * LONGEST_PATH
"""Bytes of the zip's directory that a file may take."""
_DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    NotImplementedError,
    RuntimeError,
    UnicodeDecodeError,
    FileExistsError,
    NotADirectoryError,
)
"""What reading a zip raises for what is in it; the last two: a file where another member wants a folder."""


def pack(folder: Path, out: Path, identity: Path | None = None) -> int:
    """Packs the event files below a folder into a zip, the same bytes each time, and returns their number.

    Args:
        folder: holds the logs.
        out: the zip to write.
        identity: a `submission.toml`; None for that of the folder, where there is one.

    Raises:
        ValueError: no event files, more or larger ones than a submission may hold, or a wrong `submission.toml`.
    """
    if identity is None and (folder / FILE).is_file():
        identity = folder / FILE
    if identity is not None:
        read_identity(identity)
    found = find(folder)
    if found.problems:
        raise ValueError(f"{folder}: {found.problems[0]}")
    names = list(found.files)
    if not names:
        raise ValueError(f"no event files below {folder}")
    if len(names) > MOST_FILES:
        raise ValueError(f"{len(names)} event files below {folder}; a submission holds {MOST_FILES} at most")
    part = out.with_name(f".{out.name}-{uuid.uuid4().hex[:8]}")
    total = 0
    try:
        with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
            for name in names:
                if problem := _wrong_name(name):
                    raise ValueError(f"{one_line(name)}: {problem}")
                content = (folder / name).read_bytes()
                total += len(content)
                if len(content) > LARGEST_FILE or total > LARGEST_TOTAL:
                    raise ValueError(f"{name}: {_too_large(len(content), total)}")
                archive.writestr(_member(name), content)
            if identity is not None:
                archive.writestr(_member(FILE), identity.read_bytes())
        os.replace(part, out)
    finally:
        part.unlink(missing_ok=True)
    return len(names)


def _member(name: str) -> zipfile.ZipInfo:
    member = zipfile.ZipInfo(name)  # dated 1980, as nothing else in it has a date
    member.compress_type = zipfile.ZIP_DEFLATED
    member.create_system = 3
    member.external_attr = (stat.S_IFREG | 0o644) << 16
    return member


def unpack(path: Path, folder: Path) -> list[str]:
    """Unpacks the event files and `submission.toml` of a zip below an empty folder; returns what is wrong with the zip.

    Raises:
        ValueError: it is not a zip that can be read to its end within the bounds.
    """
    _check_directory(path)
    problems = []
    seen: set[str] = set()
    total = 0
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            if len(members) > MOST_FILES:
                raise ValueError(f"{path} holds {len(members):,} members; a submission holds {MOST_FILES:,} at most")
            for member in members:
                if member.is_dir():
                    continue
                name = member.filename
                problem = _wrong_name(name) or _wrong_kind(member)
                if not problem and name.casefold() in seen:
                    problem = "is in the zip twice"
                if problem:
                    problems.append(f"{one_line(name)[:LONGEST_PATH]}: {problem}")
                    continue
                seen.add(name.casefold())
                total += _extract(archive, member, folder / name, total)
    except _DAMAGE as error:
        raise ValueError(f"{path} is a damaged zip ({one_line(str(error))[:200]})") from None
    return problems


def _check_directory(path: Path) -> None:
    """Refuses a zip whose directory would fill the memory before a single name can be looked at."""
    if not path.is_file():
        raise ValueError(f"no file {path}")
    size = path.stat().st_size
    if size > LARGEST_ZIP:
        raise ValueError(f"{path} has {size:,} bytes; a submission has {LARGEST_ZIP:,} at most")
    with path.open("rb") as file:
        file.seek(max(0, size - _END.size - 20 - 65_535))
        tail = file.read()
    place = tail.rfind(b"PK\x05\x06")
    if place < 0 or len(tail) - place < _END.size:
        raise ValueError(f"{path} is not a zip")
    _, _, _, _, count, directory, _, _ = _END.unpack_from(tail, place)
    if place >= 20 and tail[place - 20 : place - 16] == b"PK\x06\x07":
        raise ValueError(f"{path} is a zip of the large kind (zip64), which no submission needs")
    if count > MOST_FILES or directory > MOST_FILES * _MEMBER:
        raise ValueError(f"{path} claims {count:,} files; a submission holds {MOST_FILES:,} at most")


def _wrong_name(name: str) -> str:
    if one_line(name) != name:
        return "a path with characters that cannot be shown"
    parts = name.split("/")
    if any(len(part.encode()) > 255 for part in parts) or len(name) > LONGEST_PATH or len(parts) > DEEPEST_PATH:
        return f"a path of more than {LONGEST_PATH} characters or {DEEPEST_PATH} folders"
    if name.startswith("/") or "\\" in name or ":" in name or any(part in ("", ".", "..") for part in parts):
        return "a path that leaves its folder"
    if name == FILE:
        return ""
    last = parts[-1]
    if "tfevents" not in last or last.startswith(".") or re.search(r"\.(zip|gz|tar|pt|pth|pkl|gin|py)$", last):
        return "not an event file; it was not read"
    return ""


def _wrong_kind(member: zipfile.ZipInfo) -> str:
    if stat.S_IFMT(member.external_attr >> 16) not in (0, stat.S_IFREG):
        return "a link, or another thing that is not a file"
    if member.flag_bits & 1:
        return "encrypted"
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return "packed by another method than deflate"
    return ""


def _extract(archive: zipfile.ZipFile, member: zipfile.ZipInfo, target: Path, before: int) -> int:
    target.parent.mkdir(parents=True, exist_ok=True)
    size = 0
    with archive.open(member) as source, target.open("xb") as file:
        while chunk := source.read(_CHUNK):
            size += len(chunk)
            if size > LARGEST_FILE or before + size > LARGEST_TOTAL:
                raise ValueError(f"{member.filename}: {_too_large(size, before + size)}")
            file.write(chunk)
    return size


def _too_large(size: int, total: int) -> str:
    if size > LARGEST_FILE:
        return f"more than {LARGEST_FILE:,} bytes, which no trial's record has"
    return f"with it, the event files have {total:,} bytes or more; a submission has {LARGEST_TOTAL:,} at most"
