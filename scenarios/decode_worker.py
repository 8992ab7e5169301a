"""Decodes image files into a file of raw pixels; also a process of its own, so that all cores decode.

As a process it reads one batch a line (JSON) and answers each with a line. It imports NumPy and PIL alone, and not the
person's own main module (which a pool of `multiprocessing` would import again).
"""

import hashlib
import io
import json
import signal
import sys
import zipfile
import zlib
from pathlib import Path
from typing import Any, BinaryIO, Literal, TypedDict

from PIL import Image, UnidentifiedImageError

RESAMPLING = {"lanczos": Image.Resampling.LANCZOS, "box": Image.Resampling.BOX}


class Batch(TypedDict):
    """Some images to decode.

    Attributes:
        files: sources (folder or archive) and names inside them.
        mode: PIL's mode.
        size: height and width to resize to, in pixels.
        resampling: how.
        original: `(height, width)` that every image must have; None where sizes may differ.
        pixels: file that the resized images go to, and from which byte on.
        originals: file that the images before resizing go to, and from which byte on; None where nobody wants them.
        hashes: file that each image's SHA-256 goes to, and from which byte on; None where nobody wants them.
    """

    files: list[tuple[str, str]]
    mode: Literal["L", "RGB"]
    size: int
    resampling: Literal["lanczos", "box"]
    original: tuple[int, int] | None
    pixels: tuple[str, int]
    originals: tuple[str, int] | None
    hashes: tuple[str, int] | None


class Reader:
    """Reads files of folders and archives; an archive is opened once."""

    def __init__(self) -> None:
        self._archives: dict[str, zipfile.ZipFile | None] = {}

    def __call__(self, source: str, name: str) -> bytes:
        """Returns a file's bytes.

        Raises:
            ValueError: the archive is damaged there.
        """
        if source not in self._archives:
            self._archives[source] = None if Path(source).is_dir() else zipfile.ZipFile(source)
        archive = self._archives[source]
        if archive is None:
            return (Path(source) / name).read_bytes()
        try:
            return archive.read(name)
        except (zipfile.BadZipFile, zlib.error, EOFError) as error:
            raise ValueError(f"{source} is damaged at {name} ({error})") from None


def decode(batch: Batch, read: Reader) -> None:
    """Decodes a batch's images into their places.

    Raises:
        ValueError: an image is not readable, or not of the size that all have; names the file.
        OSError: a file cannot be read, or nothing more can be written.
    """
    outputs: list[BinaryIO] = []
    try:
        pixels, originals, hashes = (_open(batch[name], outputs) for name in ("pixels", "originals", "hashes"))
        for source, name in batch["files"]:
            image = _image(read(source, name), batch, f"{source}/{name}")
            raw = image.tobytes()
            if originals is not None:
                originals.write(raw)
            if hashes is not None:
                hashes.write(hashlib.sha256(f"{image.size}".encode() + raw).digest())
            if pixels is not None:
                size = (batch["size"], batch["size"])
                same = image.size == size
                pixels.write(raw if same else image.resize(size, RESAMPLING[batch["resampling"]]).tobytes())
    finally:
        for file in outputs:
            file.close()


def _open(place: tuple[str, int] | None, outputs: list[BinaryIO]) -> BinaryIO | None:
    if place is None:
        return None
    file = open(place[0], "r+b", buffering=1 << 20)  # noqa: SIM115
    file.seek(place[1])
    outputs.append(file)
    return file


def _image(content: bytes, batch: Batch, name: str) -> Image.Image:
    try:
        image = Image.open(io.BytesIO(content)).convert(batch["mode"])
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        reason = "no image" if isinstance(error, UnidentifiedImageError) else error
        raise ValueError(f"{name} is not a readable image ({reason})") from None
    if batch["original"] is not None and (image.height, image.width) != tuple(batch["original"]):
        height, width = batch["original"]
        raise ValueError(f"{name} is {image.height}x{image.width}, and every image is {height}x{width}")
    return image


def _answer(line: str, read: Reader) -> dict[str, Any]:
    try:
        decode(json.loads(line), read)
    except OSError as error:
        return {"errno": error.errno, "text": error.strerror or str(error), "file": error.filename}
    except ValueError as error:
        return {"text": str(error)}
    return {}


def main() -> None:
    """Answers batches until the input ends; Ctrl-C is for whoever asks."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    read = Reader()
    for line in sys.stdin:
        print(json.dumps(_answer(line, read)), flush=True)


if __name__ == "__main__":
    main()
