"""Weights of a model that was pre-trained elsewhere: a state dict in a file, read without executing anything."""

import argparse
import hashlib
import pickle
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from zapbench.networks.classifier import Classifier
from zapbench.networks.misfits import advice
from zapbench.text import nearest

NESTED = ("state_dict", "model_state_dict", "model")
"""Where training scripts keep the state dict in what they save; our own checkpoints under `model`."""

WRAPPERS = ("module.", "_orig_mod.", "model.")
"""How all names start where a model was saved in a wrapper: of data-parallel training, `torch.compile`, Lightning."""


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
    `model_state_dict` or `model`, or is a `.safetensors` file. Names may be those of the encoder's library (timm):
    its own classifier is ignored. A head with other outputs is ignored: transfer replaces it.

    Raises:
        ValueError: not a state dict, not this model's, or a weight is not finite.
    """
    found = _unwrapped(_state_dict(path))
    own = model.state_dict()
    if not _are_own(found, own):
        found = _from_library(found, model)
    head = found.get("head.weight")
    if any(name in found and found[name].shape != own[name].shape for name in ("head.weight", "head.bias")):
        found = {name: value for name, value in found.items() if not name.startswith("head.")}
    _check_fit(found, model, path)
    _check_features(head, model, path)
    model.load_state_dict(own | found)


def _unwrapped(found: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Returns a state dict without the prefixes that all its names share, and without those of compiled parts."""
    names = {name: name.replace("_orig_mod.", "") for name in found}
    while shared := [wrapper for wrapper in WRAPPERS if all(name.startswith(wrapper) for name in names.values())]:
        names = {name: short.removeprefix(shared[0]) for name, short in names.items()}
    twice = len(set(names.values())) < len(names)
    return dict(found) if twice else {names[name]: value for name, value in found.items()}


def _are_own(found: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> bool:
    """Returns whether names are those of our model, and not of an encoder that has an `encoder` of its own."""
    return any(name.startswith("encoder.") and f"encoder.{name}" not in own for name in found)


def _from_library(found: Mapping[str, Tensor], model: Classifier) -> dict[str, Tensor]:
    """Returns the weights of an encoder under our names; those of its library's classifier are ignored."""
    encoder, library = model.encoder.state_dict(), model.library
    ignored = tuple(library.ignored()) if any(name not in encoder for name in found) else ()
    named: dict[str, Tensor] = {}
    for name, value in found.items():
        if name in encoder:
            named[f"encoder.{name}"] = value
        elif not name.startswith(ignored):
            start = next((start for start in library.renamed if name.startswith(start)), "")
            named[f"encoder.{library.renamed.get(start, '')}{name.removeprefix(start)}"] = value
    return named


def _state_dict(path: Path) -> dict[str, Tensor]:
    try:
        raw = _read(path)
    except (OSError, RuntimeError, pickle.UnpicklingError, EOFError, ValueError) as error:
        reason = str(error).strip().split("\n")[0].split(". ")[0]
        raise ValueError(f"{path} holds no readable weights ({reason})") from None
    for name in NESTED:
        if isinstance(raw, Mapping) and isinstance(raw.get(name), Mapping):
            raw = raw[name]
    if not isinstance(raw, Mapping) or not raw or not all(isinstance(value, Tensor) for value in raw.values()):
        raise ValueError(f"{path} holds no state dict: a dictionary of tensors, bare or under {', '.join(NESTED)}")
    return {str(name): value for name, value in raw.items()}


def _read(path: Path) -> Any:
    if path.suffix == ".safetensors":
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            return load_file(path)
        except SafetensorError as error:
            raise ValueError(str(error)) from None
    # timm's training script saves its options beside the weights: a Namespace, which holds values and runs nothing.
    with warnings.catch_warnings(), torch.serialization.safe_globals([argparse.Namespace]):
        warnings.simplefilter("ignore")  # of what is wrong with the file: the error says it
        return torch.load(path, map_location="cpu", weights_only=True)


def _check_features(head: Tensor | None, model: Classifier, path: Path) -> None:
    """Refuses an encoder whose own head takes another number of features than ours: it computes something else."""
    if head is not None and head.ndim == 2 and head.shape[1] != model.head.in_features:
        raise ValueError(
            f"{path} does not fit {model.name}: its head takes {head.shape[1]} features, and the model has "
            f"{model.head.in_features} here (another image size, padding or pooling); bind them as in pre-training, or "
            "save the encoder alone"
        )


def _check_fit(found: Mapping[str, Tensor], model: Classifier, path: Path) -> None:
    own = model.state_dict()

    def refuse(what: str) -> ValueError:
        return ValueError(f"{path} does not fit {model.name}: {what}; {advice(model, found)}")

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
