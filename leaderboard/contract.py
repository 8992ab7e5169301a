"""What a run writes and the leaderboard reads: tags, steps, statuses and the description (schema 1).

Standard library only. An event file holds, beside TensorBoard's own HParams records:

=================================  ==========================================  ====================
tag                                value                                       step
=================================  ==========================================  ====================
``pretrain/loss``                  mean loss of the outer or i.i.d. batches    updates or episodes
``pretrain/train_accuracy``        accuracy on those batches, in [0, 1]        updates or episodes
``pretrain/validation_accuracy``   accuracy on held-out images, in [0, 1]      updates or episodes
``transfer/held_out_accuracy``     mean over the classes seen, in [0, 1]       classes seen, or updates
``transfer/trained_on_accuracy``   the same on the images trained on           classes seen, or updates
``transfer/forgetting``            mean of best so far minus now, in [0, 1]    classes seen, or updates
``transfer/held_out_accuracy_...   the same where predictions are among the    classes seen, or updates
seen_classes``                     classes seen so far, in [0, 1]
``transfer/held_out_loss``         mean cross-entropy in nats, at some points  classes seen, or updates
``transfer/trained_on_loss``       the same on the images trained on           classes seen, or updates
``transfer/class_accuracy``        1-D tensor, in the order learned            classes seen, or updates
``transfer/correct_per_class``     2-D tensor ``(points, classes)``, in the    last step
                                   order learned: held-out images predicted
                                   right; of reported trials
``cost/seconds``                   wall-clock seconds of this task             last step
``cost/peak_memory_bytes``         peak resident (or device) memory            last step
``cost/parameters``                trainable parameters of the model           last step
``cost/images_seen``               images that pre-training took, repeats too  last step
``cost/gradient_steps``            gradient steps of pre-training              last step
``zapbench/run``                   text: step 0 the description, last step     0 and last step
                                   the closing word (status and reason)
``zapbench/config``                text: the operative gin configuration       0
=================================  ==========================================  ====================
"""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from zapbench.text import UNPRINTABLE, one_line

SCHEMA = 1

LOSS = "pretrain/loss"
TRAIN_ACCURACY = "pretrain/train_accuracy"
VALIDATION_ACCURACY = "pretrain/validation_accuracy"
HELD_OUT = "transfer/held_out_accuracy"
TRAINED_ON = "transfer/trained_on_accuracy"
FORGETTING = "transfer/forgetting"
HELD_OUT_SEEN = "transfer/held_out_accuracy_seen_classes"
HELD_OUT_LOSS = "transfer/held_out_loss"
TRAINED_ON_LOSS = "transfer/trained_on_loss"
CLASS_ACCURACY = "transfer/class_accuracy"
CORRECT = "transfer/correct_per_class"
SECONDS = "cost/seconds"
PEAK_MEMORY = "cost/peak_memory_bytes"
PARAMETERS = "cost/parameters"
IMAGES_SEEN = "cost/images_seen"
GRADIENT_STEPS = "cost/gradient_steps"
RUN = "zapbench/run"
CONFIG = "zapbench/config"

ADDED = (HELD_OUT_SEEN, HELD_OUT_LOSS, TRAINED_ON_LOSS, CORRECT)
"""Tags that records of zapbench 0.1.0 lack."""

FINISHED = "finished"
DIVERGED = "diverged"
FAILED = "failed"
UNFINISHED = "unfinished"
STATUSES = (FINISHED, DIVERGED, FAILED, UNFINISHED)

REPORT = "report"
SELECT = "select"
ROLES = (REPORT, SELECT)

EVENT_FILE = "events.out.tfevents.zapbench"
"""One fixed name a folder: a repeated task replaces its record, it never adds a second one."""

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
        raise ValueError(f"a fingerprint takes exactly {len(FINGERPRINT_FIELDS)} fields; off: {', '.join(wrong)}")
    return hashlib.sha256(canonical_json(_serialised(facts)).encode()).hexdigest()[:12]


def _serialised(facts: Mapping[str, Any]) -> dict[str, Any]:
    return {SERIALISED.get(name, name): value for name, value in facts.items()}


def _deserialised(facts: Mapping[str, Any]) -> dict[str, Any]:
    names = {written: name for name, written in SERIALISED.items()}
    return {names.get(name, name): value for name, value in facts.items()}


@dataclass(frozen=True, kw_only=True)
class Description:
    """What one event file is about. It holds no score: scores are computed from curves.

    A run's own file (pre-training) leaves `transfer`, `rate`, `role` and `transfer_seed` at None.
    """

    scenario: str
    strategy: str
    method: str
    """The row of a table: the strategy, undeclared bindings in brackets, and `+ learner` where there is one."""
    pretrain_seed: int
    setting: Mapping[str, Any] = field(default_factory=dict)
    """Declared as tuned: binding -> value. Runs that differ only here are one method."""
    bindings: tuple[str, ...] = ()
    """Undeclared bindings of a person (`-p`): they make another method."""
    transfer: str | None = None
    protocol: str | None = None
    learner: str = ""
    rate: float | None = None
    role: str | None = None
    transfer_seed: int | None = None
    encoder: str = ""
    input_size: str = ""
    settings_tried: int = 1
    """Pre-training settings tried for this method, those tried before the suite included."""
    threads: int = 1
    engine: str = ""
    config_hash: str = ""
    """Hash of the composed configuration of pre-training: another one is another run."""
    weights: str = ""
    """Digest of the file of weights, where a model was pre-trained elsewhere; empty where a run pre-trained it."""
    fingerprint: str = ""
    fingerprint_fields: Mapping[str, Any] = field(default_factory=dict)
    common_classes: float = 0.0
    """Share of the classes of selection trials that reported trials may draw, too."""
    draws: str = "nested"
    """`nested`: other trials for every pre-training seed; `crossed`: the same for all."""
    outputs: int = 0
    """Outputs of the head: chance is one over it."""
    schema: int = SCHEMA
    versions: Mapping[str, str] = field(default_factory=dict, metadata={"volatile": True})
    device: str = field(default="", metadata={"volatile": True})
    time: str = field(default="", metadata={"volatile": True})
    command: str = field(default="", metadata={"volatile": True})
    sources: Mapping[str, str] = field(default_factory=dict, metadata={"volatile": True})
    """Scenario, strategy, transfer and weights as they were asked for: names, or paths of a person's own files."""

    def to_json(self) -> str:
        """Returns the text that `zapbench/run` holds at step 0."""
        values = asdict(self) | {"fingerprint_fields": _serialised(self.fingerprint_fields)}
        return json.dumps(values, sort_keys=True, indent=1, ensure_ascii=True)

    @classmethod
    def from_json(cls, text: str) -> "Description":
        """Reads `to_json`'s text; unknown keys of a later writer are ignored.

        Raises:
            ValueError: not JSON, not an object, another schema, or a field is missing or of the wrong type.
        """
        raw = _object_of(text, "the description")
        if raw.get("schema") != SCHEMA:
            raise ValueError(f"schema {raw.get('schema')!r}, and this zapbench reads schema {SCHEMA}")
        known = {f.name for f in fields(cls)}
        values = {key: value for key, value in raw.items() if key in known}
        if not isinstance(values.get("bindings", []), list):
            raise ValueError("bindings are not a list")
        values["bindings"] = tuple(values.get("bindings", ()))
        if isinstance(values.get("fingerprint_fields"), dict):
            values["fingerprint_fields"] = _deserialised(values["fingerprint_fields"])
        try:
            description = cls(**values)
        except TypeError as error:
            raise ValueError(f"the description lacks a field: {error}") from None
        _check_types(description)
        return description

    def stable(self) -> dict[str, Any]:
        """Returns every field but the volatile ones (time, command, versions, device)."""
        volatile = {f.name for f in fields(self) if f.metadata.get("volatile")}
        return {key: value for key, value in json.loads(self.to_json()).items() if key not in volatile}


LONGEST_DESCRIPTION = 1 << 20
LONGEST_TEXT = 2000
LARGEST_NUMBER = 2**53
"""Of whole numbers: what every reader of JSON has in common."""
_TEXTS = (
    "scenario", "strategy", "method", "learner", "encoder", "input_size", "fingerprint", "config_hash", "engine",
    "weights", "draws", "device", "time", "command",
)  # fmt: skip
_SHOWN = ("scenario", "method", "learner", "protocol", "encoder", "input_size")
_WHOLE = ("pretrain_seed", "settings_tried", "outputs", "threads")
_TRIAL_TEXTS = ("transfer", "protocol")
_OBJECTS = ("setting", "fingerprint_fields", "versions", "sources")


def _check_types(description: Description) -> None:
    for name in (*_TEXTS, *_TRIAL_TEXTS):
        value = getattr(description, name)
        if not isinstance(value, str) and not (value is None and name in _TRIAL_TEXTS):
            raise ValueError(f"{name} is not a text")
        if name in _SHOWN and len(value or "") > LONGEST_TEXT:
            raise ValueError(f"{name} is longer than {LONGEST_TEXT} letters")
        _check_shown(name, value or "")
    for name in _WHOLE:
        _check_whole(name, getattr(description, name))
    if description.transfer_seed is not None:
        _check_whole("transfer_seed", description.transfer_seed)
    for name in _OBJECTS:
        if not isinstance(getattr(description, name), Mapping):
            raise ValueError(f"{name} is not an object")
        for key, value in getattr(description, name).items():
            if not isinstance(value, str | int | float | bool | None):
                raise ValueError(f"{name} holds {one_line(key)!r}, which is neither a text nor a number")
            _check_shown(name, f"{key} {value}")
    if not all(isinstance(binding, str) for binding in description.bindings):
        raise ValueError("bindings are not texts")
    if description.role is not None and description.role not in ROLES:
        raise ValueError(f"role {description.role!r} is none of {', '.join(ROLES)}")
    for name in ("rate", "common_classes"):
        value = getattr(description, name)
        if value is None and name == "rate":
            continue
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
            raise ValueError(f"{name} is not a number of at least 0")
    trial = (description.transfer, description.rate, description.role, description.transfer_seed)
    if any(part is None for part in trial) and any(part is not None for part in trial):
        raise ValueError("transfer, rate, role and transfer_seed are given all or none")


def _check_whole(name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < LARGEST_NUMBER:
        raise ValueError(f"{name} is not a whole number of at least 0")


def _check_shown(name: str, text: str) -> None:
    if UNPRINTABLE.search(text):
        raise ValueError(f"{name} holds a character that cannot be shown: {one_line(text)[:LONGEST_TEXT]}")


@dataclass(frozen=True)
class Closing:
    """The last word of an event file: how its task ended, and why if not well."""

    status: str
    reason: str = ""

    def to_json(self) -> str:
        """Returns the text that `zapbench/run` holds at its last step."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> "Closing":
        """Reads `to_json`'s text.

        Raises:
            ValueError: not such a text, or an unknown status.
        """
        raw = _object_of(text, "the closing word")
        if not isinstance(raw.get("status"), str) or raw["status"] not in STATUSES:
            raise ValueError(f"the closing word holds none of the statuses {', '.join(STATUSES)}")
        return cls(raw["status"], one_line(str(raw.get("reason", "")))[:LONGEST_TEXT])


def _object_of(text: str, what: str) -> dict[str, Any]:
    if len(text) > LONGEST_DESCRIPTION:
        raise ValueError(f"{what} is longer than {LONGEST_DESCRIPTION} letters")
    try:
        raw = json.loads(text)
    except RecursionError:
        raise ValueError(f"{what} is nested too deeply") from None
    except ValueError as error:
        raise ValueError(f"{what} is not JSON ({error})") from None
    if not isinstance(raw, dict):
        raise ValueError(f"{what} is not a JSON object")
    return raw
