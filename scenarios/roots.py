"""The folders of data: data sets below `$ZAPBENCH_DATA`, decoded copies in the platform's cache folder."""

import os
from pathlib import Path

import platformdirs


def data_root() -> Path:
    """Returns `$ZAPBENCH_DATA`, else `data` in the platform's cache folder."""
    own = os.environ.get("ZAPBENCH_DATA")
    return Path(own).expanduser() if own else _cache() / "data"


def cache_root() -> Path:
    """Returns the folder of decoded copies, in the platform's cache folder and never below `$ZAPBENCH_DATA`."""
    return _cache() / "decoded"


def _cache() -> Path:
    return Path(platformdirs.user_cache_dir("zapbench", appauthor=False))
