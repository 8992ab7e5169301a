"""Reads TensorBoard event files record by record, up to the last complete and undamaged one.

A record is: its length (uint64), the length's checksum (uint32), the data, their checksum (uint32), all little-endian.
Both checksums of every record are verified.
"""

import functools
import math
import mmap
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
from google.protobuf.message import DecodeError
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.util import tensor_util

from zapbench.leaderboard.read.checksum import masked_crcs

_LENGTH = struct.Struct("<Q")
_CHECKSUM = struct.Struct("<I")
_HEADER = 12
_FOOTER = 4

TAIL = 1 << 13
"""Bytes at the end of a file that hold its last records, where nothing in them is unusually long."""

LONGEST_RECORD = 1 << 23
"""Bytes; a longer record (a large image, or an attack) is skipped. Parsed, it takes up to fifty times as much."""

BATCH = 1 << 20
"""Bytes of records whose checksums are computed together."""

TORN = "ends in the middle of a record"

MOST_NUMBERS = 1_000_000
"""Of a tensor."""


@dataclass
class Tail:
    """How reading ended.

    Attributes:
        whole: bytes up to the end of the last complete and undamaged record.
        damage: what is wrong after it, in words; empty if nothing.
        skipped: records that are too long to be read.
    """

    whole: int = 0
    damage: str = ""
    skipped: int = 0

    @property
    def torn(self) -> bool:
        """Whether the file merely ends too early, as where a process was killed."""
        return self.damage == TORN


def read_events(path: Path, tail: Tail | None = None) -> Iterator[Event]:
    """Yields the events of a file; stops before a torn or damaged record and says so in `tail`."""
    tail = tail if tail is not None else Tail()
    for payload in read_payloads(path, tail):
        try:
            event = Event.FromString(payload)
        except DecodeError:
            tail.damage = "holds a record that is no event"
            return
        yield event


def read_payloads(path: Path, tail: Tail) -> Iterator[bytes]:
    """Yields the data of a file's records; stops before a torn or damaged one and says so in `tail`."""
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if not size:
            return
        with mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ) as content:
            place = 0
            while place < size and not tail.damage:
                batch, place, damage = _batch(content, place, size, tail)
                checksums = masked_crcs([payload for payload, _, _ in batch]) if batch else []
                for (payload, checksum, end), found in zip(batch, checksums):
                    if checksum != found:
                        tail.damage = f"holds a damaged record at byte {end - len(payload) - _HEADER - _FOOTER}"
                        return
                    tail.whole = end
                    yield payload
                tail.whole = max(tail.whole, place)
                tail.damage = damage


def _batch(content: mmap.mmap, place: int, size: int, tail: Tail) -> tuple[list[tuple[bytes, int, int]], int, str]:
    """Returns the next records (data, checksum, end), where they end, and what is wrong behind them."""
    found: list[tuple[bytes, int, int]] = []
    first = place
    while place < size and place - first < BATCH:
        start = place + _HEADER
        if start > size:
            return found, place, TORN
        header = content[place:start]
        if _CHECKSUM.unpack_from(header, 8)[0] != _header_crc(header[:8]):
            return found, place, f"holds a damaged record at byte {place}"
        (length,) = _LENGTH.unpack_from(header)
        end = start + length + _FOOTER
        if end > size:
            return found, place, TORN
        if 0 < length <= LONGEST_RECORD:
            found.append((content[start : end - _FOOTER], _CHECKSUM.unpack_from(content, end - _FOOTER)[0], end))
        else:
            tail.skipped += 1
        place = end
    return found, place, ""


@functools.lru_cache(maxsize=4096)
def _header_crc(length: bytes) -> int:
    return masked_crcs([length])[0]


def last_events(path: Path, most: int = 1) -> list[Event]:
    """Returns up to `most` of a file's last events, the last one first; none for an empty, torn or damaged file.

    Where the file's end says where they begin, that is all that is read of it; else its records are stepped over.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        file.seek(max(0, size - TAIL))
        tail = file.read()
        found: list[Event] = []
        end = len(tail)
        try:
            while len(found) < most and (start := _start_of_record(tail, end)) is not None:
                payload = tail[start + _HEADER : end - _FOOTER]
                if masked_crcs([payload])[0] != _CHECKSUM.unpack_from(tail, end - _FOOTER)[0]:
                    return []
                found.append(Event.FromString(payload))
                end = start
            if found or not size:
                return found
            return _walk_to_the_last(file, size)
        except DecodeError:
            return []


def _start_of_record(content: bytes, end: int) -> int | None:
    """Returns where the record begins that ends at `end`; a length that fits, and its checksum, say so."""
    place = max(0, end - 8)  # a record has four bytes after its data
    while (place := content.rfind(b"\0\0\0\0\0", 0, place)) >= 3:  # of eight bytes of a length the last five
        header = content[place - 3 : place + 9]
        (length,) = _LENGTH.unpack_from(header)
        if place - 3 + 12 + length + 4 == end and _CHECKSUM.unpack_from(header, 8)[0] == _header_crc(header[:8]):
            return place - 3
        place += 4
    return None


def _walk_to_the_last(file: BinaryIO, size: int) -> list[Event]:
    file.seek(0)
    while len(header := file.read(12)) == 12:
        (length,) = _LENGTH.unpack_from(header)
        if file.tell() + length + 4 > size:
            return []
        start = file.tell()
        file.seek(length + 4, 1)
    if header:
        return []
    file.seek(start)
    return [Event.FromString(file.read(length))]


def text_of(value: object) -> str:
    """Returns the text of a text summary's value.

    Raises:
        ValueError: not a text, or not UTF-8.
    """
    strings = value.tensor.string_val  # type: ignore[attr-defined]
    if len(strings) != 1:
        raise ValueError("not a text")
    try:
        return bytes(strings[0]).decode("utf-8")
    except UnicodeDecodeError:
        raise ValueError("holds a text that is not UTF-8") from None


def numbers_of(value: object) -> list[float]:
    """Returns the numbers of a tensor summary's value, flat.

    Raises:
        ValueError: as `array_of`.
    """
    return [float(number) for number in array_of(value).reshape(-1)]


def array_of(value: object) -> "npt.NDArray[Any]":
    """Returns the array of a tensor summary's value.

    Raises:
        ValueError: not a tensor of numbers, or one that would unfold to more than it was written with.
    """
    tensor = value.tensor  # type: ignore[attr-defined]
    dimensions = [int(dimension.size) for dimension in tensor.tensor_shape.dim]
    size = math.prod(dimensions)  # one number may stand for all of a tensor
    if min(dimensions, default=0) < 0 or size > MOST_NUMBERS:
        raise ValueError(f"holds a tensor of {size} numbers; allowed: 0 to {MOST_NUMBERS}")
    try:
        found: npt.NDArray[Any] = tensor_util.make_ndarray(tensor)
        return found if np.issubdtype(found.dtype, np.number) else found.astype(float)
    except (KeyError, TypeError, ValueError):  # a type that numpy lacks, or that is none
        raise ValueError("holds a tensor that is not of numbers") from None
