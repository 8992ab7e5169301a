"""Weights of a model that was pre-trained elsewhere: a state dict in a file, read without executing anything."""

import hashlib
import pickle
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from zapbench.networks.classifier import Classifier
from zapbench.text import nearest

NESTED = ("state_dict", "model_state_dict", "model")
"""Where training scripts keep the state dict in what they save; our own checkpoints under `model`."""


def digest_of(path: Path) -> str:
    """Returns the first 12 hex digits of the file's SHA-256.

    Raises:
        ValueError: there is no such file.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()[:12]
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror}") from None


def load_weights(model: Classifier, path: Path) -> None:
    """Puts a file's weights into a model.

    The file holds a state dict of the whole model or of its encoder alone, bare or under `state_dict`,
    `model_state_dict` or `model`. A head with other outputs is ignored: transfer replaces it.

    Raises:
        ValueError: not a state dict, not this model's, or a weight is not finite.
    """
    found = {name.removeprefix("module."): value for name, value in _state_dict(path).items()}
    own = model.state_dict()
    if not any(name.startswith("encoder.") for name in found):
        found = {f"encoder.{name}": value for name, value in found.items()}
    if any(name in found and found[name].shape != own[name].shape for name in ("head.weight", "head.bias")):
        found = {name: value for name, value in found.items() if not name.startswith("head.")}
    _check_fit(found, own, model.name, path)
    model.load_state_dict(own | found)


def _state_dict(path: Path) -> dict[str, Tensor]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what is wrong with the file: the error says it
            raw: Any = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, pickle.UnpicklingError, EOFError, ValueError) as error:
        reason = str(error).strip().split("\n")[0].split(". ")[0]
        raise ValueError(f"{path} holds no readable weights ({reason})") from None
    for name in NESTED:
        if isinstance(raw, Mapping) and isinstance(raw.get(name), Mapping):
            raw = raw[name]
    if not isinstance(raw, Mapping) or not raw or not all(isinstance(value, Tensor) for value in raw.values()):
        raise ValueError(f"{path} holds no state dict: a dictionary of tensors, bare or under {', '.join(NESTED)}")
    return {str(name): value for name, value in raw.items()}


def _check_fit(found: Mapping[str, Tensor], own: Mapping[str, Tensor], model: str, path: Path) -> None:
    def refuse(what: str) -> ValueError:
        return ValueError(f"{path} does not fit {model}: {what}; bind the model's kind and sizes with -p")

    for name, value in found.items():
        if name not in own:
            raise refuse(f"it holds {name}{nearest(name, own)}, which the model has not")
        if value.shape != own[name].shape:
            raise refuse(f"{name} is {tuple(value.shape)} there and {tuple(own[name].shape)} in the model")
        if value.is_floating_point() and not value.isfinite().all():
            raise ValueError(f"{path}: {name} is not finite everywhere")
    missing = [name for name in own if name.startswith("encoder.") and name not in found]
    if missing:
        raise refuse(f"it lacks {missing[0]}" + (f" and {len(missing) - 1} more" if len(missing) > 1 else ""))
