"""Derives named random generators from seeds, and is the only module that seeds the global generators.

The stream of a generator depends only on its keys and on a hash of its name, so a new generator changes no other.
"""

import hashlib
import random

import numpy as np
import torch

Key = int | str


def sequence(name: str, *keys: Key) -> np.random.SeedSequence:
    """Returns the seed sequence of `name` under `keys` (a scenario's name, a seed, the number of an episode, ...)."""
    return np.random.SeedSequence([_number(key) for key in keys], spawn_key=(_number(name),))


def numpy_generator(name: str, *keys: Key) -> np.random.Generator:
    """Returns a NumPy generator for `name` under `keys`."""
    return np.random.Generator(np.random.PCG64(sequence(name, *keys)))


def torch_generator(name: str, *keys: Key, device: torch.device | str = "cpu") -> torch.Generator:
    """Returns a torch generator for `name` under `keys`."""
    seed = int(sequence(name, *keys).generate_state(1, np.uint64)[0])
    return torch.Generator(device=device).manual_seed(seed)


def seed_global_state(name: str, *keys: Key) -> None:
    """Seeds the global generators of Python, NumPy and torch, from which Avalanche and default initialisations draw."""
    seeds = sequence(name, *keys).generate_state(3, np.uint32)
    random.seed(int(seeds[0]))
    np.random.seed(int(seeds[1]))
    torch.manual_seed(int(seeds[2]))


def _number(key: Key) -> int:
    """Returns a whole number of at least 0 as it is, and of a text the first 64 bits of its SHA-256."""
    if isinstance(key, int):
        if key < 0:
            raise ValueError(f"a seed must be a whole number of at least 0, got {key}")
        return key
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "little")
