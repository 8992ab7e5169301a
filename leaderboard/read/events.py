"""Reads TensorBoard event files record by record, up to the last whole one."""

import math
import mmap
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from google.protobuf.message import DecodeError
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import masked_crc32c
from tensorboard.util import tensor_util

_LENGTH = struct.Struct("<Q")
_CHECKSUM = struct.Struct("<I")

TAIL = 1 << 13
"""Bytes at the end of a file that hold its last records, where nothing in them is unusually long."""

LONGEST_RECORD = 1 << 23
"""Bytes; a length beyond it is damage (or an attack), not a record. Parsed, it takes up to fifty times as much."""

MOST_NUMBERS = 1_000_000
"""Of a tensor."""


@dataclass
class Tail:
    """How reading ended: the bytes up to the last whole record, and what stood after it (empty if nothing)."""

    whole: int = 0
    damage: str = ""


def read_events(path: Path, tail: Tail | None = None) -> Iterator[Event]:
    """Yields the events of a file; stops before a torn or damaged record and says so in `tail`.

    A record is: length (uint64), its checksum (uint32), the data, their checksum (uint32), all little-endian.
    """
    tail = tail if tail is not None else Tail()
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if not size:
            return
        with mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ) as content:
            place = 0
            while place < size:
                start = place + 12
                if start > size:
                    tail.damage = "ends in the middle of a record"
                    return
                (length,) = _LENGTH.unpack_from(content, place)
                if not 0 < length <= LONGEST_RECORD:  # a hole in a sparse file reads as empty records
                    tail.damage = f"claims a record of {length} bytes"
                    return
                place = start + length + 4
                if place > size:
                    tail.damage = "ends in the middle of a record"
                    return
                try:
                    event = Event.FromString(content[start : start + length])
                except DecodeError:
                    tail.damage = f"holds a damaged record at byte {tail.whole}"
                    return
                tail.whole = place
                yield event


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
                found.append(Event.FromString(tail[start + 12 : end - 4]))
                end = start
            if found or not size:
                return found
            return _walk_to_the_last(file, size)
        except DecodeError:
            return []


def _start_of_record(content: bytes, end: int) -> int | None:
    """Returns where the record begins that ends at `end`; a length that fits, and its checksum, say so."""
    place = max(0, end - 8)  # a record has four bytes behind its data
    while (place := content.rfind(b"\0\0\0\0\0", 0, place)) >= 3:  # of eight bytes of a length the last five
        header = content[place - 3 : place + 9]
        (length,) = _LENGTH.unpack_from(header)
        if place - 3 + 12 + length + 4 == end and _CHECKSUM.unpack_from(header, 8)[0] == masked_crc32c(header[:8]):
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
        ValueError: not a tensor of numbers, or one that would unfold to more than it was written with.
    """
    tensor = value.tensor  # type: ignore[attr-defined]
    dimensions = [int(dimension.size) for dimension in tensor.tensor_shape.dim]
    size = math.prod(dimensions)  # one number may stand for a whole tensor of it
    if min(dimensions, default=0) < 0 or size > MOST_NUMBERS:
        raise ValueError(f"holds a tensor of {size} numbers; allowed: 0 to {MOST_NUMBERS}")
    try:
        return [float(number) for number in tensor_util.make_ndarray(tensor).reshape(-1)]
    except (KeyError, TypeError, ValueError):  # a type that numpy lacks, or that is none
        raise ValueError("holds a tensor that is not of numbers") from None
