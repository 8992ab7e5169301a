"""What worker processes leave behind when they are killed: temporary files, and semaphores in shared memory.

The launcher removes its own; what a killed launcher left is removed by the next launcher on the machine.
"""

import multiprocessing
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

_NAME = re.compile(r"(?:sem\.zapbench|zapbench-workers)-(?P<pid>\d+)-")
_SHARED_MEMORY = Path("/dev/shm")  # where Linux shows semaphores as files


def new_scratch() -> Path:
    """Makes the folder, after removing those of launchers that are gone."""
    parent = Path(tempfile.gettempdir())
    for folder in _left_by_the_dead(parent, "zapbench-workers-*"):
        shutil.rmtree(folder, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix=f"zapbench-workers-{os.getpid()}-"))


def name_semaphores() -> None:
    """Lets the semaphores that this process makes carry its number, after removing those of launchers that are gone."""
    for path in _left_by_the_dead(_SHARED_MEMORY, "sem.zapbench-*"):
        with suppress(OSError):  # another user's, or removed by another launcher
            path.unlink()
    config = getattr(multiprocessing.current_process(), "_config", None)
    if isinstance(config, dict) and "semprefix" in config:
        config["semprefix"] = f"/zapbench-{os.getpid()}"


def _left_by_the_dead(parent: Path, pattern: str) -> Iterator[Path]:
    for path in parent.glob(pattern):
        match = _NAME.match(path.name)
        if match and not _is_alive(int(match["pid"])):
            yield path


def use_scratch(folder: Path) -> None:
    """Lets this process and those that it starts put their temporary files into a folder."""
    os.environ["TMPDIR"] = str(folder)
    tempfile.tempdir = str(folder)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
