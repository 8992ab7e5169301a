"""Checkpoints of pre-training: the states of model, optimiser, plug-ins and generators.

They are read with `weights_only=True`, so nothing in a checkpoint is executed.
"""

import hashlib
import io
import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from zapbench.atomic import write_atomically
from zapbench.tasks import CHECKPOINT

SCHEMA = 1
FILE = CHECKPOINT


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
        identity: hash of data and outside code; empty in a checkpoint of an earlier version.
        choices: ways of computing that were chosen for their speed, which decide the last bits.
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
    identity: str = ""
    choices: dict[str, str] = field(default_factory=dict)


class DamagedError(ValueError):
    """A checkpoint cannot be read, or does not hold what was written."""


def save(path: Path, checkpoint: Checkpoint) -> None:
    """Writes a checkpoint atomically."""
    buffer = io.BytesIO()
    values = {"schema": SCHEMA, **vars(checkpoint)}
    torch.save({"digest": digest_of(values), **values}, buffer)
    write_atomically(path, buffer.getvalue())


def load(path: Path, *, device: torch.device | str = "cpu") -> Checkpoint:
    """Reads a checkpoint and verifies its digest; nothing in the file is executed.

    Raises:
        DamagedError: the file is not a checkpoint or is damaged.
        ValueError: it has another schema.
    """
    try:
        raw = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises whatever a damaged archive leads it to
        reason = str(error).strip().split("\n")[0][:120]
        raise DamagedError(f"{path} is not a readable checkpoint ({type(error).__name__}: {reason})") from None
    if not isinstance(raw, dict):
        raise DamagedError(f"{path} is not a checkpoint")
    digest = raw.pop("digest", None)
    if digest is not None and digest != digest_of(raw):
        raise DamagedError(f"{path} is damaged: it does not hold what was written")
    if raw.pop("schema", None) != SCHEMA:
        raise ValueError(f"{path} is not a checkpoint of schema {SCHEMA}")
    try:
        found = Checkpoint(**raw)
    except TypeError as error:
        raise DamagedError(f"{path} is not a complete checkpoint ({error})") from None
    found.model = {name: value.to(device) for name, value in found.model.items()}
    return found


def refuse_unfinished(path: Path) -> None:
    """Refuses a checkpoint of zapbench as weights of a pre-trained model where it is damaged or not finished.

    Raises:
        ValueError: it is; another file of weights is not looked at.
    """
    try:
        raw = torch.load(path, map_location="cpu", weights_only=True)
    except Exception:  # whoever reads the weights says what is wrong
        return
    if isinstance(raw, dict) and {"schema", "config_hash", "finished"} <= raw.keys():
        found = load(path)
        if not found.finished:
            raise ValueError(f"{path} is of a pre-training that is not finished (update {found.updates:,})")


def digest_of(value: Any) -> str:
    """Returns the hex SHA-256 of plain values and tensors, in containers of any depth."""
    digest = hashlib.sha256()
    _update(digest, value)
    return digest.hexdigest()


def _update(digest: "hashlib._Hash", value: Any) -> None:
    if isinstance(value, torch.Tensor):
        plain = value.detach().cpu().contiguous()
        digest.update(f"{plain.dtype} {tuple(plain.shape)}".encode())
        digest.update(plain.reshape(-1).view(torch.uint8).numpy().data if plain.numel() else b"")
    elif isinstance(value, dict):
        digest.update(f"dict {len(value)}".encode())
        for key in sorted(value, key=str):
            digest.update(repr(key).encode())
            _update(digest, value[key])
    elif isinstance(value, list | tuple):
        digest.update(f"list {len(value)}".encode())
        for item in value:
            _update(digest, item)
    else:
        digest.update(repr(value).encode())


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
