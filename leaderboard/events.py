"""Reads TensorBoard event files record by record, up to the last whole one."""

import math
import mmap
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from google.protobuf.message import DecodeError
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.util import tensor_util

_LENGTH = struct.Struct("<Q")

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


def last_event(path: Path) -> Event | None:
    """Returns the last whole event of a file, stepping over the others unread; None for an empty or damaged file."""
    last = b""
    size = path.stat().st_size
    with path.open("rb") as file:
        while len(header := file.read(12)) == 12:
            (length,) = struct.unpack("<Q", header[:8])
            if file.tell() + length + 4 > size:
                return None
            start = file.tell()
            file.seek(length + 4, 1)
        if header or not size:
            return None
        file.seek(start)
        last = file.read(length)
    try:
        return Event.FromString(last)
    except DecodeError:
        return None


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
