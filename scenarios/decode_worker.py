"""Decodes image files into a file of raw pixels; also a process of its own, so that all cores decode.

As a process it reads one batch per line (JSON) and answers each with a line. It imports NumPy, PIL and the standard
library alone, neither zapbench nor a person's main module (which a pool of `multiprocessing` would import again).
"""

import contextlib
import hashlib
import io
import json
import lzma
import os
import signal
import stat
import sys
import warnings
import zipfile
import zlib
from pathlib import Path
from typing import Any, BinaryIO, Literal, TypedDict

import numpy as np
from PIL import Image, UnidentifiedImageError

RESAMPLING = {"lanczos": Image.Resampling.LANCZOS, "box": Image.Resampling.BOX}
FORMATS = ("PNG", "JPEG")
"""PIL has readers of fifty formats, some of which start other programs; a file's name does not choose among them."""

LARGEST = 1 << 28
"""Bytes of a file that are read: an image of this size is none."""

RECORD = 33
"""Bytes of an image's record: its SHA-256, and 1 where all of its pixels are equal."""

UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What turns an image upright, by the EXIF orientation with which it is stored."""


class Batch(TypedDict):
    """Some images to decode.

    Attributes:
        files: sources (folder or archive) and names inside them.
        mode: PIL's mode.
        size: height and width to resize to, in pixels.
        resampling: how.
        ground: grey level, 0 to 255, behind transparent pixels.
        original: `(height, width)` that every image must have; None where sizes may differ.
        pixels: file for the resized images, and the byte at which it starts.
        originals: the same for the images before resizing; None where they are not needed.
        records: the same for each image's record; None where they are not needed.
    """

    files: list[tuple[str, str]]
    mode: Literal["L", "RGB"]
    size: int
    resampling: Literal["lanczos", "box"]
    ground: int
    original: tuple[int, int] | None
    pixels: tuple[str, int]
    originals: tuple[str, int] | None
    records: tuple[str, int] | None


class Reader:
    """Reads files of folders and archives; an archive is opened once."""

    def __init__(self) -> None:
        self._archives: dict[str, zipfile.ZipFile | None] = {}

    def __call__(self, source: str, name: str) -> bytes:
        """Returns the bytes of a file.

        Raises:
            ValueError: it is damaged, too large, or not a regular file; names it.
            OSError: it cannot be read.
        """
        if source not in self._archives:
            self._archives[source] = None if Path(source).is_dir() else zipfile.ZipFile(source)
        archive = self._archives[source]
        return _read_file(Path(source) / name) if archive is None else _read_member(archive, source, name)


def _read_file(path: Path) -> bytes:
    flags = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)  # a pipe is not waited for
    number = os.open(path, os.O_RDONLY | flags)
    with open(number, "rb") as file:
        about = os.fstat(number)
        if not stat.S_ISREG(about.st_mode):
            raise ValueError(f"{path} is not a regular file")
        if about.st_size > LARGEST:
            raise ValueError(f"{path} has {about.st_size:,} bytes; at most {LARGEST:,} are read")
        return file.read(LARGEST)


def _read_member(archive: zipfile.ZipFile, source: str, name: str) -> bytes:
    try:
        size = archive.getinfo(name).file_size
        if size > LARGEST:
            raise ValueError(f"{source}/{name} has {size:,} bytes; at most {LARGEST:,} are read")
        return archive.read(name)
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, KeyError, RuntimeError) as error:
        raise ValueError(f"{source} is damaged at {name} ({error})") from None
    except OSError as error:
        if error.errno is not None:
            raise
        raise ValueError(f"{source} is damaged at {name} ({error})") from None  # as bz2 says it


def decode(batch: Batch, read: Reader) -> None:
    """Decodes the images of a batch into their places.

    Raises:
        ValueError: an image is not readable, or does not have the size that all must have; names the file.
        OSError: a file cannot be read, or nothing more can be written.
    """
    size = (batch["size"], batch["size"])
    with contextlib.ExitStack() as stack:
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")  # of odd metadata, which are not used
        pixels, originals, records = (_open(batch[name], stack) for name in ("pixels", "originals", "records"))
        for source, name in batch["files"]:
            image = _image(read(source, name), batch, f"{source}/{name}")
            raw = image.tobytes()
            if originals is not None:
                originals.write(raw)
            if records is not None:
                records.write(hashlib.sha256(f"{image.size}".encode() + raw).digest() + bytes([_is_flat(image)]))
            if pixels is not None:
                resized = image if image.size == size else image.resize(size, RESAMPLING[batch["resampling"]])
                pixels.write(resized.tobytes())


def _open(place: tuple[str, int] | None, stack: contextlib.ExitStack) -> BinaryIO | None:
    if place is None:
        return None
    file = stack.enter_context(open(place[0], "r+b", buffering=1 << 20))  # noqa: SIM115
    file.seek(place[1])
    return file


def _image(content: bytes, batch: Batch, name: str) -> Image.Image:
    try:
        stored = Image.open(io.BytesIO(content), formats=FORMATS)
        turn = UPRIGHT.get(_orientation(stored))
        image = _opaque(stored, batch["ground"]).convert(batch["mode"])
        image = image if turn is None else image.transpose(turn)
    except Exception as error:  # a damaged image may raise anything in PIL
        reason = "no PNG or JPEG" if isinstance(error, UnidentifiedImageError) else error
        raise ValueError(f"{name} is not a readable image ({reason})") from None
    if batch["original"] is not None and (image.height, image.width) != tuple(batch["original"]):
        height, width = batch["original"]
        raise ValueError(f"{name} is {image.height}x{image.width}, and every image is {height}x{width}")
    return image


def _orientation(image: Image.Image) -> int:
    """Returns the EXIF orientation, 1 where there is none or it cannot be read."""
    try:
        return int(image.getexif().get(0x0112, 1))
    except Exception:  # damaged metadata may raise anything in PIL
        return 1


def _opaque(image: Image.Image, ground: int) -> Image.Image:
    """Returns an image of eight bits per channel, without transparency.

    Sixteen bits are scaled: 65,535 is white, and PIL would clip at 255. Transparent pixels show the ground: PIL would
    show the colours below them, which no viewer does.
    """
    if image.mode.startswith("I"):
        values = np.asarray(image).astype(np.int64)
        if (clear := image.info.get("transparency")) is not None:
            values = np.where(values == clear, ground * 257, values)
        return Image.fromarray(((values.clip(0, 65_535) + 128) // 257).astype(np.uint8))
    if not image.has_transparency_data:
        return image
    layer = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", layer.size, (ground, ground, ground, 255)), layer).convert("RGB")


def _is_flat(image: Image.Image) -> bool:
    """Returns whether all pixels of an image are equal."""
    return all(low == high for low, high in np.reshape(image.getextrema(), (-1, 2)))


def _answer(line: str, read: Reader) -> dict[str, Any]:
    try:
        decode(json.loads(line), read)
    except OSError as error:
        return {"errno": error.errno, "text": error.strerror or str(error), "file": error.filename}
    except ValueError as error:
        return {"text": str(error)}
    return {}


def main() -> None:
    """Answers batches until the input ends; an interrupt is handled by the process that asks."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    read = Reader()
    for line in sys.stdin:
        print(json.dumps(_answer(line, read)), flush=True)


if __name__ == "__main__":
    main()
