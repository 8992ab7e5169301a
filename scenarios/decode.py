"""The one way from image files to a memory-mapped array: decoded in parallel, once, keyed by content and transform."""

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
import PIL

from zapbench.scenarios import decode_worker
from zapbench.scenarios.cache import CLASSES, DIGEST, stored, write_facts
from zapbench.scenarios.decode_worker import Batch
from zapbench.scenarios.image_files import ImageFile
from zapbench.scenarios.images import Images, digest
from zapbench.scenarios.progress import show_progress

CHUNK = 500
ALONE = 2 * CHUNK
"""Up to so many images another process would cost more than it gives."""


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How image files become what the network sees.

    Attributes:
        mode: `L` or `RGB`.
        size: height and width that the network sees, in pixels.
        original: `(height, width)` of every file; None where they may differ.
        resampling: how sizes are changed.
    """

    mode: Literal["L", "RGB"]
    size: int
    original: tuple[int, int] | None = None
    resampling: Literal["lanczos", "box"] = "lanczos"

    def __post_init__(self) -> None:
        """Checks the size."""
        if self.size < 1:
            raise ValueError(f"size must be at least 1, got {self.size}")

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one image that the network sees."""
        return (self.size, self.size) if self.mode == "L" else (self.size, self.size, 3)


def decoded(name: str, files: Mapping[str, Sequence[ImageFile]], reading: Reading) -> Images:
    """Returns the images of each class, from the cache where they were decoded before.

    Args:
        name: the data set's name.
        files: class -> its image files; classes and files keep their order.
        reading: how they are read.

    Raises:
        ValueError: a file is not a readable image; names it.
        OSError: the disk is full, or there is no permission.
    """
    content = hashlib.sha256()
    for class_name, own in files.items():
        content.update(repr((class_name, [(f.name, f.stamp) for f in own])).encode())
    key = {"content": content.hexdigest(), "reading": asdict(reading), "pillow": PIL.__version__, "version": 2}
    return stored(name, key, lambda folder: decoded_into(name, files, reading, folder))


def decoded_into(name: str, files: Mapping[str, Sequence[ImageFile]], reading: Reading, folder: Path) -> None:
    """Decodes into a folder, in the cache's form: `pixels.npy` and the rest."""
    flat = [file for own in files.values() for file in own]
    labels = np.repeat(np.arange(len(files)), [len(own) for own in files.values()])
    whole = np.lib.format.open_memmap(
        folder / "pixels.npy", mode="w+", dtype=np.uint8, shape=(len(flat), *reading.shape)
    )
    start = whole.offset
    del whole  # it made the header; rows are written, not mapped: a full disk is then an error and no crash
    extra = folder / "extra.bin"
    extra.touch()
    kept = reading.original is not None and reading.original != (reading.size, reading.size)
    row = int(np.prod(reading.shape))
    original_row = int(np.prod(reading.original)) * (row // reading.size**2) if reading.original else 32

    def batch(first: int) -> Batch:
        return Batch(
            files=[(file.source, file.name) for file in flat[first : first + CHUNK]],
            mode=reading.mode,
            size=reading.size,
            resampling=reading.resampling,
            original=reading.original,
            pixels=(str(folder / "pixels.npy"), start + first * row),
            originals=(str(extra), first * original_row) if kept else None,
            hashes=None if reading.original else (str(extra), first * original_row),
        )

    run(
        [batch(first) for first in range(0, len(flat), CHUNK)],
        lambda done: show_progress(f"decoding {name}", done, len(flat)),
    )
    facts = {CLASSES: list(files), DIGEST: _digest(folder, extra, reading, labels)}
    extra.unlink()
    write_facts(folder, labels, facts)


def _digest(folder: Path, extra: Path, reading: Reading, labels: "np.typing.NDArray[np.int64]") -> str:
    """Returns the hash of the images before resizing; where their sizes differ, the hash of their hashes."""
    if reading.original is None:
        hashes = np.fromfile(extra, dtype=np.uint8).reshape(len(labels), 32)
        return digest(hashes, labels)
    if reading.original == (reading.size, reading.size):
        return digest(np.load(folder / "pixels.npy", mmap_mode="r"), labels)
    shape = (len(labels), *reading.original, *reading.shape[2:])
    return digest(np.memmap(extra, dtype=np.uint8, mode="r", shape=shape), labels)


def run(batches: Sequence[Batch], progress: Callable[[int], None]) -> None:
    """Runs batches, on all cores where there are enough.

    Raises:
        ValueError: an image is not readable; of several the first in order.
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


def _serve(
    batches: Sequence[Batch], left: queue.SimpleQueue[int], errors: dict[int, Exception], done: list[int]
) -> None:
    """Gives one process a batch after the other, until none is left or one has failed."""
    command = [sys.executable, "-m", "zapbench.scenarios.decode_worker"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path)}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
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
            except OSError as broken:
                error = broken
            if error is not None:
                errors[number] = error
            done.append(len(batches[number]["files"]))


def _error(line: str) -> Exception | None:
    if not line:
        return OSError("a decoding process ended before its time")
    answer = json.loads(line)
    if not answer:
        return None
    if "errno" in answer:
        return OSError(answer["errno"], answer["text"], answer["file"])
    return ValueError(answer["text"])


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
