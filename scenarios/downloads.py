"""Fetches official archives: the only code that uses a network.

An interrupted download resumes where it stopped; a file is checked by its md5 and appears atomically.
`ZAPBENCH_OFFLINE=1` disables the network.
"""

import hashlib
import http.client
import os
import time
import urllib.error
import urllib.request
from pathlib import Path

from filelock import FileLock

from zapbench.scenarios.data_set import Archive, DataSet
from zapbench.scenarios.image_files import open_archive
from zapbench.scenarios.progress import show_progress

ATTEMPTS = 5
BLOCK = 1 << 18
SECONDS = 30
"""Time-out of a server that does not answer."""


def provide(description: DataSet) -> tuple[Path, ...]:
    """Returns the files or folders of a data set; fetches it first where it is missing and may be fetched by a run.

    Raises:
        ValueError: it is missing and cannot be fetched; says where it was looked for.
    """
    found = description.find()
    if found is None and description.automatic:
        try:
            fetch(description)
        except ValueError as error:
            raise ValueError(f"{description.missing()} (fetching it failed: {error})") from None
        found = description.find()
    if found is None:
        raise ValueError(description.missing())
    return found


def fetch(description: DataSet) -> list[Path]:
    """Fetches the official archives of a data set that are missing; returns all of them.

    Raises:
        ValueError: it has no official archive, or one cannot be fetched.
        OSError: the disk is full, or there is no permission.
    """
    if not description.archives:
        raise ValueError(f"{description.name} cannot be fetched: {description.otherwise}")
    description.path.mkdir(parents=True, exist_ok=True)
    return [fetch_archive(archive, description.path) for archive in description.archives]


def fetch_archive(archive: Archive, folder: Path) -> Path:
    """Fetches one archive into `folder`, where it appears atomically; an existing file is kept as it is.

    Raises:
        ValueError: the server cannot be reached, the connection broke too often (the next call resumes), or the
            checksum differs.
        OSError: the disk is full, or there is no permission.
    """
    target = folder / archive.name
    with FileLock(folder / f".{archive.name}.lock"):
        if target.exists():
            return target
        if os.environ.get("ZAPBENCH_OFFLINE", "0") not in ("", "0"):
            raise ValueError("ZAPBENCH_OFFLINE is set")
        part = folder / f".{archive.name}.part"
        try:
            _download(archive, part)
        except OSError:
            part.unlink(missing_ok=True)  # frees a full disk
            raise
        try:
            _check(archive, part)
        except ValueError:
            part.unlink()
            raise
        os.replace(part, target)
    return target


def _check(archive: Archive, part: Path) -> None:
    found = checksum(part)
    if found != archive.md5:
        raise ValueError(f"{archive.url} has md5 {found}, expected {archive.md5}; the download was deleted")
    if archive.name.endswith(".zip"):
        open_archive(part).close()


def checksum(path: Path) -> str:
    """Returns a file's md5, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _download(archive: Archive, part: Path) -> None:
    """Fills `part`; reconnects after a broken connection, as long as attempts bring more bytes."""
    attempts = 0
    while True:
        before = part.stat().st_size if part.exists() else 0
        reason = _attempt(archive, part, before)
        if reason is None:
            return
        now = part.stat().st_size if part.exists() else 0
        attempts = attempts + 1 if now <= before else 1
        if attempts >= ATTEMPTS:
            kept = f"; {now:,} bytes are kept, and the same command resumes there" if now else ""
            raise ValueError(f"{archive.url} cannot be fetched ({reason}){kept}")
        time.sleep(min(2**attempts, 10) * PAUSE)


PAUSE = 0.5
"""Seconds between two attempts, times 2, 4, 8, 10."""


def _attempt(archive: Archive, part: Path, start: int) -> str | None:
    """Downloads from byte `start` on; returns None when the file is complete, else the reason."""
    headers = {"User-Agent": "zapbench"} | ({"Range": f"bytes={start}-"} if start else {})
    try:
        answer = urllib.request.urlopen(urllib.request.Request(archive.url, headers=headers), timeout=SECONDS)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            return None  # no bytes follow; the checksum decides whether the file is complete
        if error.code < 500:
            raise ValueError(f"{archive.url} cannot be fetched ({error.code} {error.reason})") from None
        return f"{error.code} {error.reason}"
    except (OSError, http.client.HTTPException) as error:
        return str(getattr(error, "reason", error))
    with answer:
        if answer.status != http.HTTPStatus.PARTIAL_CONTENT:
            start = 0  # the server does not support ranges and sends the whole file
        length = answer.headers.get("Content-Length")
        total = start + int(length) if length else 0
        with part.open("r+b" if part.exists() else "wb") as file:
            file.truncate(start)
            file.seek(start)
            while True:
                try:
                    block = answer.read(BLOCK)
                except (OSError, http.client.HTTPException) as error:
                    return f"the connection broke: {error}"
                if not block:
                    break
                file.write(block)
                show_progress(f"fetching {archive.name}", file.tell(), total)
            done = file.tell()
    return None if not total or done >= total else f"the connection broke at byte {done:,} of {total:,}"
