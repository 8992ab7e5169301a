"""A folder for the temporary files of worker processes, which are killed and leave theirs behind.

The launcher removes it; one that a killed launcher left is removed by the next launcher on the machine.
"""

import os
import re
import shutil
import tempfile
from pathlib import Path

_NAME = re.compile(r"zapbench-workers-(?P<pid>\d+)-")


def new_scratch() -> Path:
    """Makes the folder, after removing those of launchers that are gone."""
    parent = Path(tempfile.gettempdir())
    for folder in parent.glob("zapbench-workers-*"):
        match = _NAME.match(folder.name)
        if match and not _is_alive(int(match["pid"])):
            shutil.rmtree(folder, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix=f"zapbench-workers-{os.getpid()}-"))


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
