"""Checkpoints of pre-training: the states of model, optimiser, plug-ins and generators.

They are read with `weights_only=True`, so nothing in a checkpoint is executed.
"""

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
    """The state of a pre-training, or its finished model.

    Attributes:
        config_hash: hash of the configuration of pre-training.
        updates: updates (or episodes) done.
        finished: whether pre-training has finished.
        model: the model's state dict.
        outputs: number of outputs of the head.
        optimizer: the optimiser's state dict.
        generators: states of the global generators.
        plugins: state dicts of the plug-ins that have one, by their position.
        seconds: wall-clock time of pre-training so far.
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
    """Writes a checkpoint atomically."""
    buffer = io.BytesIO()
    torch.save({"schema": SCHEMA, **vars(checkpoint)}, buffer)
    write_atomically(path, buffer.getvalue())


def load(path: Path, *, device: torch.device | str = "cpu") -> Checkpoint:
    """Reads a checkpoint; nothing in the file is executed.

    Raises:
        ValueError: the file is not a checkpoint, is damaged or has another schema.
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
    version, state, gauss = random.getstate()
    name, keys, position, has_gauss, cached = np.random.get_state()
    states: dict[str, Any] = {
        "python": [version, list(state), gauss],
        "numpy": [name, torch.from_numpy(np.asarray(keys).astype(np.int64)), position, has_gauss, cached],
        "torch": torch.get_rng_state(),
    }
    if torch.cuda.is_available():
        states["cuda"] = torch.cuda.get_rng_state_all()
    return states


def restore_generators(states: dict[str, Any]) -> None:
    """Sets the global generators to states that `generator_states` returned."""
    version, state, gauss = states["python"]
    random.setstate((version, tuple(state), gauss))
    name, keys, position, has_gauss, cached = states["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), position, has_gauss, cached))
    torch.set_rng_state(states["torch"].cpu())
    if "cuda" in states and torch.cuda.is_available():
        torch.cuda.set_rng_state_all([state.cpu() for state in states["cuda"]])
