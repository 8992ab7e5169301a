"""What a run writes and the leaderboard reads: tags, steps, statuses and the description (schema 1).

Standard library only. An event file holds, beside TensorBoard's own HParams records:

===========================================  ==========================================  ====================
tag                                          value                                       step
===========================================  ==========================================  ====================
``pretrain/loss``                            mean loss of the outer or i.i.d. batches    updates or episodes
``pretrain/train_accuracy``                  accuracy on those batches, in [0, 1]        updates or episodes
``pretrain/validation_accuracy``             accuracy on held-out images, in [0, 1]      updates or episodes
``pretrain/effective_rank``                  of the pre-trained encoder's features       last step
``pretrain/dormant_units``                   share of its features, in [0, 1]            last step
``pretrain/weight_norm``                     root mean square of its parameters          last step
``transfer/held_out_accuracy``               mean over the classes seen, in [0, 1]       classes seen, or updates
``transfer/trained_on_accuracy``             the same on the images trained on           classes seen, or updates
``transfer/forgetting``                      mean of best so far minus now, in [0, 1]    classes seen, or updates
``transfer/held_out_accuracy_seen_classes``  the same where predictions are among the    classes seen, or updates
                                             classes seen so far, in [0, 1]
``transfer/held_out_loss``                   mean cross-entropy in nats, at some points  classes seen, or updates
``transfer/trained_on_loss``                 the same on the images trained on           classes seen, or updates
``transfer/class_accuracy``                  1-D tensor, in the order learned            classes seen, or updates
``transfer/correct_per_class``               2-D tensor ``(points, classes)``, in the    last step
                                             order learned: held-out images predicted
                                             right; of reported trials
``transfer/class_losses``                    2-D tensor ``(points, classes)``, in the    last step
                                             order learned: mean held-out cross-entropy
                                             in nats, of classes to come too; of
                                             reported trials that measure it
``cost/seconds``                             wall-clock seconds of this task, and its     last step
                                             share of what several trials need
``cost/peak_memory_bytes``                   peak resident (or device) memory            last step
``cost/parameters``                          trainable parameters of the model           last step
``cost/images_seen``                         images that pre-training took, repeats too  last step
``cost/gradient_steps``                      gradient steps of pre-training              last step
``cost/flops``                               nominal FLOPs of pre-training               last step
``zapbench/run``                             text: step 0 the description, last step     0 and last step
                                             the closing record (status and reason)
``zapbench/config``                          text: the operative gin configuration       0
===========================================  ==========================================  ====================

Curves are scalars. Costs are 0-D tensors, which TensorBoard does not draw; readers also take scalars, as earlier
versions wrote them.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from zapbench.leaderboard import bounds
from zapbench.leaderboard.fingerprints import FINGERPRINT_FIELDS as FINGERPRINT_FIELDS
from zapbench.leaderboard.fingerprints import canonical_json as canonical_json
from zapbench.leaderboard.fingerprints import deserialised, serialised
from zapbench.leaderboard.fingerprints import fingerprint as fingerprint
from zapbench.text import one_line, shown

SCHEMA = 1

LOSS = "pretrain/loss"
TRAIN_ACCURACY = "pretrain/train_accuracy"
VALIDATION_ACCURACY = "pretrain/validation_accuracy"
EFFECTIVE_RANK = "pretrain/effective_rank"
DORMANT_UNITS = "pretrain/dormant_units"
WEIGHT_NORM = "pretrain/weight_norm"
HELD_OUT = "transfer/held_out_accuracy"
TRAINED_ON = "transfer/trained_on_accuracy"
FORGETTING = "transfer/forgetting"
HELD_OUT_SEEN = "transfer/held_out_accuracy_seen_classes"
HELD_OUT_LOSS = "transfer/held_out_loss"
TRAINED_ON_LOSS = "transfer/trained_on_loss"
CLASS_ACCURACY = "transfer/class_accuracy"
CORRECT = "transfer/correct_per_class"
CLASS_LOSSES = "transfer/class_losses"
SECONDS = "cost/seconds"
PEAK_MEMORY = "cost/peak_memory_bytes"
PARAMETERS = "cost/parameters"
IMAGES_SEEN = "cost/images_seen"
GRADIENT_STEPS = "cost/gradient_steps"
FLOPS = "cost/flops"
RUN = "zapbench/run"
CONFIG = "zapbench/config"

ADDED = (
    HELD_OUT_SEEN, HELD_OUT_LOSS, TRAINED_ON_LOSS, CORRECT, CLASS_LOSSES, EFFECTIVE_RANK, DORMANT_UNITS, WEIGHT_NORM,
    FLOPS,
)  # fmt: skip
"""Tags that records of zapbench 0.1.0 lack."""

FINISHED = "finished"
DIVERGED = "diverged"
FAILED = "failed"
UNFINISHED = "unfinished"
STATUSES = (FINISHED, DIVERGED, FAILED, UNFINISHED)
ENDED = (FINISHED, DIVERGED)
"""Statuses of a task that has a result."""

REPORT = "report"
SELECT = "select"
ROLES = (REPORT, SELECT)

MEASURING = ("every", "every_select", "first")
"""Parameters of a protocol that say where curves are measured: they make another record, and no other method."""

EVENT_FILE = "events.out.tfevents.zapbench"
"""One fixed name a folder: a repeated task replaces its record, it never adds a second one."""


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
    configuration: Mapping[str, str] = field(default_factory=dict)
    """Bindings that reach the task, those of its files included: of pre-training, or of the trial alone."""
    transfer_hash: str = ""
    """Hash of the configuration of the transfer: another one is another trial."""
    code: Mapping[str, str] = field(default_factory=dict)
    """Digests of the code from outside the package that the task uses, by module."""
    data: str = ""
    """Digest of the images and of the classes that are pre-trained on."""
    method_hash: str = ""
    """Hash of what the method is, tuned bindings aside: two methods of one name differ in it."""
    learner_bindings: tuple[str, ...] = ()
    """Undeclared bindings of a person that reach the trial alone: they make another method."""
    transfer_setting: Mapping[str, Any] = field(default_factory=dict)
    """Declared as tuned in the transfer: binding -> value."""
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
    choices: Mapping[str, str] = field(default_factory=dict, metadata={"volatile": True})
    """Ways of computing that were chosen for their speed on this machine; they decide the last bits."""
    device: str = field(default="", metadata={"volatile": True})
    time: str = field(default="", metadata={"volatile": True})
    command: str = field(default="", metadata={"volatile": True})
    sources: Mapping[str, str] = field(default_factory=dict, metadata={"volatile": True})
    """Scenario, strategy, transfer and weights as they were asked for: names, or paths of a person's own files."""

    def to_json(self) -> str:
        """Returns the text that `zapbench/run` holds at step 0; a path in it may lose characters that nothing shows.

        Raises:
            ValueError: a field holds what no reader would take.
        """
        values = {key: _printable(value) if key in _VOLATILE else value for key, value in asdict(self).items()}
        _check(values)
        values["fingerprint_fields"] = serialised(self.fingerprint_fields)
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
        for name in ("bindings", "learner_bindings"):
            if not isinstance(values.get(name, []), list):
                raise ValueError(f"{name} are not a list")
            values[name] = tuple(values.get(name, ()))
        if isinstance(values.get("fingerprint_fields"), dict):
            values["fingerprint_fields"] = deserialised(values["fingerprint_fields"])
        try:
            description = cls(**values)
        except TypeError as error:
            raise ValueError(f"the description lacks a field: {error}") from None
        _check(vars(description))
        return description

    def stable(self) -> dict[str, Any]:
        """Returns every field but the volatile ones (time, command, versions, device)."""
        values = {key: value for key, value in asdict(self).items() if key not in _VOLATILE}
        plain: dict[str, Any] = json.loads(json.dumps(values, sort_keys=True))
        return plain


LONGEST_DESCRIPTION = 1 << 20

RULES: dict[str, bounds.Rule] = {
    "scenario": bounds.label,
    "strategy": bounds.label,
    "method": bounds.label,
    "pretrain_seed": bounds.integer(),
    "setting": bounds.values(bounds.label),
    "bindings": bounds.labels,
    "configuration": bounds.values(bounds.text),
    "transfer_hash": bounds.label,
    "code": bounds.values(bounds.text),
    "data": bounds.label,
    "method_hash": bounds.label,
    "learner_bindings": bounds.labels,
    "transfer_setting": bounds.values(bounds.label),
    "transfer": bounds.optional(bounds.label),
    "protocol": bounds.optional(bounds.label),
    "learner": bounds.label,
    "rate": bounds.optional(bounds.number(bounds.LARGEST_RATE)),
    "role": bounds.optional(bounds.one_of(ROLES)),
    "transfer_seed": bounds.optional(bounds.integer()),
    "encoder": bounds.label,
    "input_size": bounds.label,
    "settings_tried": bounds.integer(bounds.MOST),
    "threads": bounds.integer(bounds.MOST),
    "engine": bounds.label,
    "config_hash": bounds.label,
    "weights": bounds.label,
    "fingerprint": bounds.label,
    "fingerprint_fields": bounds.values(bounds.label),
    "common_classes": bounds.number(1.0),
    "draws": bounds.label,
    "outputs": bounds.integer(bounds.MOST),
    "schema": bounds.integer(bounds.MOST),
    "versions": bounds.values(bounds.text),
    "choices": bounds.values(bounds.text),
    "device": bounds.text,
    "time": bounds.text,
    "command": bounds.text,
    "sources": bounds.values(bounds.text),
}
"""What each field of a description may hold."""

_VOLATILE = {f.name for f in fields(Description) if f.metadata.get("volatile")}
_TRIAL = ("transfer", "rate", "role", "transfer_seed")


def _check(values: Mapping[str, Any]) -> None:
    for name, rule in RULES.items():
        rule(name, values[name])
    if 0 < sum(values[name] is None for name in _TRIAL) < len(_TRIAL):
        raise ValueError(f"{', '.join(_TRIAL)}: some are given and some are not")


def _printable(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {shown(str(key)): _printable(part) for key, part in value.items()}
    return shown(value) if isinstance(value, str) else value


@dataclass(frozen=True)
class Closing:
    """The last record of an event file: how its task ended, and the reason where it did not finish."""

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
        raw = _object_of(text, "the closing record")
        if not isinstance(raw.get("status"), str) or raw["status"] not in STATUSES:
            raise ValueError(f"the closing record holds none of the statuses {', '.join(STATUSES)}")
        return cls(raw["status"], one_line(str(raw.get("reason", "")))[: bounds.LONGEST_NAME])


def _object_of(text: str, what: str) -> dict[str, Any]:
    if len(text) > LONGEST_DESCRIPTION:
        raise ValueError(f"{what} is longer than {LONGEST_DESCRIPTION} characters")
    try:
        raw = json.loads(text)
    except RecursionError:
        raise ValueError(f"{what} is nested too deeply") from None
    except ValueError as error:
        raise ValueError(f"{what} is not JSON ({error})") from None
    if not isinstance(raw, dict):
        raise ValueError(f"{what} is not a JSON object")
    return raw
