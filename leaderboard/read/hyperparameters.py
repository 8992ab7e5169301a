"""The hyper-parameters of a run that zapbench did not write: TensorBoard's, or those of a JSON or YAML file beside it.

Files are untrusted: YAML is read by a loader that makes plain values alone, and only numbers and texts are used.
"""

import json
import os
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml
from google.protobuf.message import DecodeError
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from zapbench.leaderboard.read.files import Stamp, stamp_of
from zapbench.text import nearest, one_line

TAG = "_hparams_/session_start_info"
"""Of the record that holds a run's hyper-parameters."""

LONGEST_FILE = 1 << 18
"""Bytes."""

LONGEST_VALUE = 200
"""Letters."""


class _PlainLoader(yaml.SafeLoader):
    """Makes plain values; without merge keys, of which a short file can make billions of values."""

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Refuses merge keys."""
        if any(key.tag == "tag:yaml.org,2002:merge" for key, _ in node.value):
            raise ValueError("a merge key, `<<`, is not read")


def of_record(value: Any) -> dict[str, Any]:
    """Returns the hyper-parameters that a summary's value holds, by TensorBoard's plug-in.

    Raises:
        ValueError: the record is damaged.
    """
    try:
        found = HParamsPluginData.FromString(value.metadata.plugin_data.content).session_start_info.hparams
    except DecodeError:
        raise ValueError("holds hyper-parameters that cannot be read") from None
    return {key: getattr(one, one.WhichOneof("kind")) for key, one in found.items() if one.WhichOneof("kind")}


def nearest_file(folder: Path, run: str, name: str) -> tuple[str, Stamp] | None:
    """Returns the path below `folder`, and stamp, of the file in a run's folder, or the nearest folder above it."""
    parts = [part for part in run.split("/") if part]
    for depth in range(len(parts), -1, -1):
        place = "/".join([*parts[:depth], name])
        try:
            status = os.stat(folder / place)
        except OSError:
            continue
        if stat.S_ISREG(status.st_mode):
            return place, stamp_of(status)
    return None


def of_file(path: Path) -> dict[str, Any]:
    """Returns the hyper-parameters in a JSON or YAML file.

    Raises:
        ValueError: it is too long, cannot be read, or is no mapping of keys to values.
    """
    try:
        with path.open("rb") as file:
            content = file.read(LONGEST_FILE + 1)
        if len(content) > LONGEST_FILE:
            raise ValueError(f"it is longer than {LONGEST_FILE:,} bytes")
        found = json.loads(content) if path.suffix == ".json" else yaml.load(content, _PlainLoader)
    except OSError as error:
        raise ValueError(f"{path.name} cannot be read ({error.strerror})") from None
    except (ValueError, TypeError, LookupError, AttributeError, yaml.YAMLError, RecursionError, MemoryError) as error:
        reason = getattr(error, "problem", None) or str(error) or type(error).__name__
        raise ValueError(f"{path.name} cannot be read ({one_line(str(reason))[:LONGEST_VALUE]})") from None
    if not isinstance(found, dict):
        raise ValueError(f"{path.name} holds no keys with values")
    return found


def look_up(given: Mapping[str, Any], key: str, where: str) -> str:
    """Returns the value of a key as a text; `optimizer.lr` is the key itself, or `lr` within `optimizer`.

    Args:
        given: the hyper-parameters.
        key: the key.
        where: what an error calls them.

    Raises:
        ValueError: there is no such key, or its value is neither a number nor a text.
    """
    value: Any = given
    if key in given:
        value = given[key]
    else:
        for part in key.split("."):
            if not isinstance(value, dict) or part not in value:
                raise ValueError(f"there is no {key!r} in {where}{nearest(key, _names(given))}")
            value = value[part]
    return _as_text(value, f"{key} in {where}")


def _names(given: Mapping[str, Any]) -> Iterable[str]:
    return [one_line(str(key))[:LONGEST_VALUE] for key in list(given)[:1000] if isinstance(key, str)]


def _as_text(value: Any, where: str) -> str:
    if isinstance(value, dict | list | tuple | set) or value is None:
        kind = "empty" if value is None else "a group of keys" if isinstance(value, dict) else "a list"
        raise ValueError(f"{where} is {kind}; allowed: a number or a text")
    if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() > 64:
        raise ValueError(f"{where} is a number of {value.bit_length()} bits")
    whole = isinstance(value, float) and value.is_integer() and abs(value) < 1e15
    text = one_line(str(int(value) if whole else value))
    if not text or len(text) > LONGEST_VALUE:
        raise ValueError(f"{where} has {len(text)} characters; allowed: 1 to {LONGEST_VALUE}")
    return text
