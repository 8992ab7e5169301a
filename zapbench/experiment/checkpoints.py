"""Checkpoints: state dicts, generator states and a cursor, readable with `weights_only=True`."""

import io
import pickle
import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from zapbench.atomic import write_atomically

SCHEMA = 1
FILE = "checkpoint.pt"


@dataclass
class Checkpoint:
    """A model on its way, or pre-trained.

    Attributes:
        config_hash: of the composed configuration of pre-training.
        updates: updates (or episodes) done.
        finished: whether pre-training is over.
        model: the model's state dict.
        optimizer: the optimiser's state dict.
        generators: states of the global generators.
        plugins: state dicts of plug-ins that have one, by their place.
        outputs: outputs of the head.
        seconds: spent on pre-training so far.
        point: losses and accuracies since the last point of the curves.
    """

    config_hash: str
    updates: int
    finished: bool
    model: dict[str, Any]
    outputs: int
    optimizer: dict[str, Any] = field(default_factory=dict)
    generators: dict[str, Any] = field(default_factory=dict)
    plugins: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    point: dict[str, Any] = field(default_factory=dict)


def save(path: Path, checkpoint: Checkpoint) -> None:
    """Writes a checkpoint, whole or not at all."""
    buffer = io.BytesIO()
    torch.save({"schema": SCHEMA, **vars(checkpoint)}, buffer)
    write_atomically(path, buffer.getvalue())


def load(path: Path, *, device: torch.device | str = "cpu") -> Checkpoint:
    """Reads a checkpoint; nothing in the file is executed.

    Raises:
        ValueError: not a checkpoint, damaged, or of another schema.
    """
    try:
        raw = torch.load(path, map_location=device, weights_only=True)
    except (OSError, RuntimeError, pickle.UnpicklingError, EOFError, ValueError) as error:
        reason = str(error).strip().split("\n")[0][:120]
        raise ValueError(f"{path} is not a readable checkpoint ({reason})") from None
    if not isinstance(raw, dict) or raw.pop("schema", None) != SCHEMA:
        raise ValueError(f"{path} is not a checkpoint of schema {SCHEMA}")
    try:
        return Checkpoint(**raw)
    except TypeError as error:
        raise ValueError(f"{path} is not a complete checkpoint ({error})") from None


def generator_states() -> dict[str, Any]:
    """Returns the states of Python's, NumPy's and torch's global generators as plain values and tensors."""
    version, words, gauss = random.getstate()
    name, keys, place, has_gauss, cached = np.random.get_state()
    states: dict[str, Any] = {
        "python": [version, list(words), gauss],
        "numpy": [name, torch.from_numpy(np.asarray(keys).astype(np.int64)), place, has_gauss, cached],
        "torch": torch.get_rng_state(),
    }
    if torch.cuda.is_available():
        states["cuda"] = torch.cuda.get_rng_state_all()
    return states


def restore_generators(states: dict[str, Any]) -> None:
    """Sets the global generators to `generator_states()`'s result."""
    version, words, gauss = states["python"]
    random.setstate((version, tuple(words), gauss))
    name, keys, place, has_gauss, cached = states["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), place, has_gauss, cached))
    torch.set_rng_state(states["torch"].cpu())
    if "cuda" in states and torch.cuda.is_available():
        torch.cuda.set_rng_state_all([state.cpu() for state in states["cuda"]])
