"""Published results by name: logs that are shipped with the package, unpacked once into the user's cache folder."""

import hashlib
import os
import shutil
import tarfile
import tempfile
from pathlib import Path

from zapbench.leaderboard.read.cache import default_cache
from zapbench.text import nearest

RESULTS = Path(__file__).with_name("results")
LOGS = "logs.tar.xz"
SHORT = {"omniglot_small": "omniglot_small_claim"}
"""A scenario's name -> the results that it stands for: those of pre-training strategies."""
HEADS = {"omniglot_small": "omniglot_small_contenders_frozen"}
"""The same for transfers: results of several transfers after the same pre-trainings."""


def names() -> list[str]:
    """Returns the names of the published results."""
    return sorted(path.parent.name for path in RESULTS.glob(f"*/{LOGS}"))


def full_name(name: str, *, heads: bool = False) -> str:
    """Returns the name of published results.

    Args:
        name: of results, or of a scenario.
        heads: whether a scenario's name stands for results of transfers, not of pre-training strategies.

    Raises:
        ValueError: there are no such results; says which there are.
    """
    known = names()
    found = (HEADS if heads else SHORT).get(name, name)
    if found in known:
        return found
    raise ValueError(
        f"no published results {name!r}{nearest(name, [*known, *SHORT])}; there are: {', '.join(known)} "
        f"({', '.join(f'{short} for {full}' for short, full in SHORT.items())})"
    )


def unpacked(name: str, root: Path | None = None) -> Path:
    """Returns a folder with the logs of published results; unpacks them where that was not done before.

    The folder's name has the digest of the archive, so another version of the results is another folder.

    Args:
        name: of results, or of a scenario.
        root: below which they are unpacked; None for the user's cache folder.

    Raises:
        ValueError: there are no such results.
        OSError: nothing can be written there.
    """
    full = full_name(name)
    archive = RESULTS / full / LOGS
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()[:12]
    folder = (default_cache().parent / "published" if root is None else root) / digest / full
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(prefix=".", dir=folder.parent))
    try:
        with tarfile.open(archive) as opened:
            opened.extractall(part, filter="data")
        os.replace(part, folder)  # a folder of logs is there as a whole or not at all
    except OSError:
        if not folder.is_dir():  # not another process's, which was faster
            raise
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return folder
