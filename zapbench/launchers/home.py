"""A home folder that cannot be written to: Avalanche writes its settings there when it is imported."""

import atexit
import importlib
import os
import shutil
import tempfile
from pathlib import Path

WRITES_AT_IMPORT = "avalanche.benchmarks.datasets.dataset_utils"


def import_with_writable_home() -> None:
    """Imports what writes to the home folder with a temporary one, where the real one cannot be written to."""
    if _is_writable(Path.home() / ".avalanche"):
        return
    temporary = tempfile.mkdtemp(prefix="zapbench-home-")
    atexit.register(shutil.rmtree, temporary, ignore_errors=True)
    os.environ.setdefault("NUMBA_CACHE_DIR", temporary)
    home = os.environ.get("HOME")
    os.environ["HOME"] = temporary
    try:
        importlib.import_module(WRITES_AT_IMPORT)
    finally:
        if home is None:
            del os.environ["HOME"]
        else:
            os.environ["HOME"] = home


def _is_writable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(folder, os.W_OK)
