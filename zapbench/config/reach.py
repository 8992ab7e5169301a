"""Which bindings reach a run or its pre-training, and the hash of those that do: without importing anything."""

import hashlib
import re
from collections.abc import Mapping, Sequence

from zapbench.config.bindings import Binding, names_in, selector_of
from zapbench.config.registry import bindings_of, mentioned
from zapbench.config.sources import with_first_names

DEVICE = "run.device"
OPERATIONAL = (DEVICE, "run.checkpoint_seconds", "run.transfer_memory", "ASB.fast", "MetaASB.fast", "IID.fast")
"""How and where, not what: these bindings make no other method, folder or configuration."""

TRANSFER_PARAMETERS = ("run.transfer", "run.transfer_optimizer", "run.transfer_strategy", "run.transfer_head")
"""Parameters of `run` that say how trials learn."""

TRANSFER_SCOPE = "transfer/"
"""A binding in this scope reaches transfer alone; any other reaches pre-training."""


def names_in_reach(scenario: str, strategy: str, transfers: Sequence[str]) -> set[str]:
    """Returns the configurables and macros that the files of a run name."""
    named = mentioned("scenarios", scenario) | mentioned("strategies", strategy)
    return set(named.union(*(mentioned("transfers", transfer) for transfer in transfers)))


def concerning(
    scenario: str, strategy: str, transfers: Sequence[str], bindings: Sequence[Binding]
) -> tuple[Binding, ...]:
    """Returns the bindings whose configurable or macro some file of a run names (or another such binding's value)."""
    named = names_in_reach(scenario, strategy, transfers)
    kept: list[Binding] = []
    left = list(bindings)
    while reached := [b for b in left if b.selector in named]:
        kept += reached
        left = [b for b in left if b not in reached]
        named.update(*(names_in(b.value) for b in reached))
    return tuple(b for b in bindings if b in kept)


def reachable(scenario: str, strategy: str, bindings: Sequence[Binding]) -> dict[str, str]:
    """Returns the configuration that reaches pre-training from `run`, macros put in, importing nothing.

    Bindings that nothing refers to (such as a macro of another strategy) and operational ones are excluded.
    """
    found = _followed(scenario, strategy, [b for b in bindings if reaches_pretraining(b)])
    return {key: value for key, value in found.items() if key not in OPERATIONAL}


def operational(scenario: str, strategy: str, bindings: Sequence[Binding]) -> dict[str, str]:
    """Returns the bindings in reach that say how and where, and not what."""
    return {key: value for key, value in _followed(scenario, strategy, bindings).items() if key in OPERATIONAL}


def _followed(scenario: str, strategy: str, bindings: Sequence[Binding]) -> dict[str, str]:
    bound = bindings_of("scenarios", scenario) | bindings_of("strategies", strategy)
    return follow(bound | {b.key: b.value for b in bindings})


def follow(whole: Mapping[str, str]) -> dict[str, str]:
    """Returns the bindings that `run` refers to, directly or through others, macros put in, sorted by key."""
    named = {"run"}
    found: dict[str, str] = {}
    while reached := {key: value for key, value in whole.items() if key not in found and selector_of(key) in named}:
        found |= reached
        named.update(*(names_in(value) for value in reached.values()))

    def put_in(value: str) -> str:
        return re.sub(r"%(\w+)", lambda match: put_in(whole.get(match.group(1), f"<{match.group(1)}>")), value)

    return {key: put_in(value) for key, value in sorted(found.items()) if "." in key}


def transfer_configuration(scenario: str, strategy: str, transfer: str, bindings: Sequence[Binding]) -> dict[str, str]:
    """Returns the configuration that reaches the trials of a transfer and not pre-training, macros put in."""
    whole = bindings_of("scenarios", scenario) | bindings_of("strategies", strategy)
    whole |= bindings_of("transfers", transfer) | {b.key: b.value for b in bindings}
    whole = {key: value for key, value in whole.items() if not key.startswith("run.") or key in TRANSFER_PARAMETERS}
    whole = {key: value for key, value in whole.items() if "/" not in key or key.startswith(TRANSFER_SCOPE)}
    return {key: value for key, value in follow(whole).items() if key not in OPERATIONAL}


def hash_of(scenario: str, strategy: str, bindings: Sequence[Binding]) -> str:
    """Returns a hash of the configuration that reaches pre-training: another one makes another model."""
    return hash_of_configuration(reachable(scenario, strategy, bindings))


def hash_of_configuration(configuration: Mapping[str, str]) -> str:
    """Returns the first 16 hex digits of SHA-256 over a configuration's bindings."""
    named = {with_first_names(key): value for key, value in configuration.items()}
    text = "\n".join(f"{key} = {value}" for key, value in sorted(named.items()))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def reaches_pretraining(binding: Binding) -> bool:
    """Returns whether a binding reaches pre-training (else transfer alone)."""
    return not binding.key.startswith(TRANSFER_SCOPE)


def changed(scenario: str, strategy: str, bindings: Sequence[Binding]) -> tuple[Binding, ...]:
    """Returns the bindings that differ from the shipped files, sorted by key."""
    shipped = bindings_of("scenarios", scenario) | bindings_of("strategies", strategy)
    differing = [b for b in bindings if shipped.get(b.key) != b.value and b.key not in OPERATIONAL]
    return tuple(sorted(differing, key=lambda b: b.key))
