"""From image files to a memory-mapped array: decoded in parallel, once per content and transform."""

import hashlib
import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import PIL

from zapbench.scenarios import decode_worker
from zapbench.scenarios.cache import CLASSES, DIGEST, stored, write_facts
from zapbench.scenarios.decode_worker import RECORD, Batch
from zapbench.scenarios.image_files import ImageFile
from zapbench.scenarios.images import Images, Indices, digest
from zapbench.scenarios.progress import show_progress

CHUNK = 500
ALONE = 2 * CHUNK
"""Up to so many images, starting another process costs more than it saves."""

START = "import runpy, sys; sys.path += sys.argv[2:]; runpy.run_path(sys.argv[1], run_name='__main__')"
"""What a decoding process executes. It is isolated from the working directory and from the environment, so that no file
there replaces a module; of the folders of this process it has those of NumPy and PIL, at the end of its path."""


class NotDistinct(ValueError):
    """An image shows nothing, or two are equal; names them."""


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How images are pre-processed.

    Attributes:
        mode: `L` or `RGB`.
        size: height and width of the network's input, in pixels.
        original: `(height, width)` of every file; None where they may differ.
        resampling: how sizes are changed.
        ground: grey level, 0 to 255, behind transparent pixels.
        distinct: whether images without variation, and images that occur twice, are refused; needs `original` None.
    """

    mode: Literal["L", "RGB"]
    size: int
    original: tuple[int, int] | None = None
    resampling: Literal["lanczos", "box"] = "lanczos"
    ground: int = 255
    distinct: bool = False

    def __post_init__(self) -> None:
        """Checks the size and the ground."""
        if self.size < 1:
            raise ValueError(f"size must be at least 1, got {self.size}")
        if not 0 <= self.ground <= 255:
            raise ValueError(f"ground is {self.ground}; allowed: 0 (black) to 255 (white)")
        if self.distinct and self.original is not None:
            raise ValueError("images are checked to be distinct only where their sizes may differ (original is None)")

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one image of the network's input."""
        return (self.size, self.size) if self.mode == "L" else (self.size, self.size, 3)


def decoded(name: str, files: Mapping[str, Sequence[ImageFile]], reading: Reading) -> Images:
    """Returns the images of each class, from the cache where they were decoded before.

    Args:
        name: the data set's name.
        files: class -> its image files; classes and files keep their order.
        reading: how they are pre-processed.

    Raises:
        NotDistinct: see `Reading.distinct`.
        ValueError: a file is not a readable image; names it.
        OSError: the disk is full, or there is no permission.
    """
    content = hashlib.sha256()
    for class_name, own in files.items():
        content.update(repr((class_name, [(f.name, f.stamp) for f in own])).encode())
    key = {"content": content.hexdigest(), "reading": asdict(reading), "pillow": PIL.__version__, "version": 3}
    return stored(name, key, lambda folder: decoded_into(name, files, reading, folder))


def decoded_into(name: str, files: Mapping[str, Sequence[ImageFile]], reading: Reading, folder: Path) -> None:
    """Decodes into a folder, in the form of the cache: `pixels.npy` and what `write_facts` writes."""
    flat = [file for own in files.values() for file in own]
    labels = np.repeat(np.arange(len(files)), [len(own) for own in files.values()])
    extra = folder / "extra.bin"
    extra.touch()
    batches = _batches(flat, reading, folder / "pixels.npy", extra)
    run(batches, lambda done: show_progress(f"decoding {name}", done, len(flat)))
    if reading.original is None:
        records = np.fromfile(extra, dtype=np.uint8).reshape(len(labels), RECORD)
        if reading.distinct:
            _check_distinct(records, flat)
        found = digest(records[:, :-1], labels)
    else:
        found = _digest(folder / "pixels.npy", extra, reading, labels)
    extra.unlink()
    write_facts(folder, labels, {CLASSES: list(files), DIGEST: found})


def _batches(flat: Sequence[ImageFile], reading: Reading, pixels: Path, extra: Path) -> list[Batch]:
    """Writes the header of `pixels`; returns what fills it, and `extra` with originals or with records."""
    header = np.lib.format.open_memmap(pixels, mode="w+", dtype=np.uint8, shape=(len(flat), *reading.shape))
    start = header.offset
    del header  # rows are written, not mapped: a full disk is then an error and not a crash
    original = reading.original
    row = int(np.prod(reading.shape))
    original_row = int(np.prod(original)) * (row // reading.size**2) if original else 0
    kept = original not in (None, (reading.size, reading.size))
    return [
        Batch(
            files=[(file.source, file.name) for file in flat[first : first + CHUNK]],
            mode=reading.mode,
            size=reading.size,
            resampling=reading.resampling,
            ground=reading.ground,
            original=original,
            pixels=(str(pixels), start + first * row),
            originals=(str(extra), first * original_row) if kept else None,
            records=(str(extra), first * RECORD) if original is None else None,
        )
        for first in range(0, len(flat), CHUNK)
    ]


def _check_distinct(records: npt.NDArray[np.uint8], files: Sequence[ImageFile]) -> None:
    """Refuses images without variation, and images that occur twice.

    Args:
        records: `(images, RECORD)`; see `decode_worker.RECORD`.
        files: the images.
    """
    flat = np.flatnonzero(records[:, -1])
    if len(flat):
        first = files[flat[0]]
        raise NotDistinct(f"{first.source}/{first.name} has one colour in all pixels ({len(flat)} such images)")
    hashes = np.ascontiguousarray(records[:, :-1]).view("V32").ravel()
    _, index, inverse = np.unique(hashes, return_index=True, return_inverse=True)
    again = np.flatnonzero(index[inverse] != np.arange(len(hashes)))
    if len(again):
        one, two = files[index[inverse[again[0]]]], files[again[0]]
        raise NotDistinct(f"{one.source}: {one.name} and {two.name} are the same image ({len(again)} such images)")


def _digest(pixels: Path, extra: Path, reading: Reading, labels: Indices) -> str:
    """Returns the digest of the images before resizing, which all have one size."""
    assert reading.original is not None
    if reading.original == (reading.size, reading.size):
        return digest(np.load(pixels, mmap_mode="r"), labels)
    shape = (len(labels), *reading.original, *reading.shape[2:])
    return digest(np.memmap(extra, dtype=np.uint8, mode="r", shape=shape), labels)


def run(batches: Sequence[Batch], progress: Callable[[int], None]) -> None:
    """Decodes batches, on all cores where there are enough images.

    Args:
        batches: in the order in which an error counts.
        progress: is called with the number of images that are decoded.

    Raises:
        ValueError: an image is not readable; of several the first.
        OSError: a file cannot be read or written.
    """
    if sum(len(batch["files"]) for batch in batches) <= ALONE:
        read = decode_worker.Reader()
        for batch in batches:
            decode_worker.decode(batch, read)
        return
    left: queue.SimpleQueue[int] = queue.SimpleQueue()
    for number in range(len(batches)):
        left.put(number)
    errors: dict[int, Exception] = {}
    done: list[int] = []
    threads = [
        threading.Thread(target=_serve, args=(batches, left, errors, done), daemon=True)
        for _ in range(min(_cores(), len(batches)))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        while thread.is_alive():
            thread.join(0.2)
            progress(sum(done))
    if errors:
        raise errors[min(errors)]
    if sum(done) < sum(len(batch["files"]) for batch in batches):
        raise OSError("processes that decode images could not be started, or ended early")


def _serve(
    batches: Sequence[Batch], left: queue.SimpleQueue[int], errors: dict[int, Exception], done: list[int]
) -> None:
    """Gives one process batch after batch, until none is left or one has failed."""
    folders = dict.fromkeys(str(Path(str(package.__file__)).resolve().parents[1]) for package in (np, PIL))
    command = [sys.executable, "-I", "-c", START, decode_worker.__file__, *folders]
    try:
        started = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    except OSError:  # the other processes do its work; `run` says where there is none
        return
    with started as process:
        assert process.stdin is not None
        assert process.stdout is not None
        while not errors:
            try:
                number = left.get_nowait()
            except queue.Empty:
                return
            try:
                process.stdin.write(json.dumps(batches[number]) + "\n")
                process.stdin.flush()
                error = _error(process.stdout.readline())
            except (OSError, ValueError) as broken:  # the process ended, or says what is no answer
                error = broken
            if error is not None:
                errors[number] = error
            done.append(len(batches[number]["files"]))


def _error(line: str) -> Exception | None:
    if not line:
        return OSError("a decoding process ended unexpectedly")
    answer = json.loads(line)
    if not answer:
        return None
    if "errno" in answer:
        return OSError(answer["errno"], answer["text"], answer["file"])
    return ValueError(answer["text"])


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
