"""The fingerprint: a hash of the facts that make two scores comparable."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

FINGERPRINT_FIELDS = (
    "scenario",
    "scenario_version",
    "data",
    "pretrain_classes",
    "report_pool",
    "select_pool",
    "classes_per_trial",
    "images_trained_on",
    "images_held_out",
    "protocol",
    "frozen",
    "passes",
    "images_per_step",
    "accuracy",
)

SERIALISED = {"classes_per_trial": "classes_a_trial", "images_per_step": "images_a_step"}
"""Fields of a fingerprint that logs and hashes spell otherwise than the code: name in the code -> name in logs."""


def canonical_json(value: Any) -> str:
    """Returns `value` as JSON with sorted keys and no spaces: equal values give equal text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def fingerprint(facts: Mapping[str, Any]) -> str:
    """Returns the first 12 hex digits of SHA-256 over the canonical JSON of what makes scores comparable.

    Args:
        facts: exactly the keys of `FINGERPRINT_FIELDS`.

    Raises:
        ValueError: a field is missing or unknown.
    """
    if set(facts) != set(FINGERPRINT_FIELDS):
        wrong = sorted(set(facts) ^ set(FINGERPRINT_FIELDS))
        raise ValueError(
            f"a fingerprint has exactly {len(FINGERPRINT_FIELDS)} fields; missing or unknown: {', '.join(wrong)}"
        )
    return hashlib.sha256(canonical_json(serialised(facts)).encode()).hexdigest()[:12]


def serialised(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the fields of a fingerprint by the names that logs and hashes have."""
    return {SERIALISED.get(name, name): value for name, value in facts.items()}


def deserialised(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the fields of a fingerprint by the names that the code has."""
    names = {written: name for name, written in SERIALISED.items()}
    return {names.get(name, name): value for name, value in facts.items()}
