"""What makes two tasks one: folders, finished work, checkpoints and rows of a table all ask this module.

A run is its operative configuration (included files put in), the code from outside the package that it uses, its data,
and the weights given instead of pre-training. A trial is that of its run, the operative configuration of its transfer
and the code that this uses. Records of earlier versions hold less; what they do not hold is not compared.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from zapbench import config
from zapbench.leaderboard.contract import MEASURING, Description, canonical_json
from zapbench.tasks import RunSpec, TrialSpec


@dataclass(frozen=True)
class Identity:
    """What a task computes, apart from seeds, rate, role and data.

    Attributes:
        configuration: bindings that reach pre-training.
        transfer: bindings that reach the trial alone; empty for pre-training.
        code: digests of code from outside the package.
        is_trial: whether it is a trial's.
    """

    configuration: Mapping[str, str]
    transfer: Mapping[str, str]
    code: Mapping[str, str]
    is_trial: bool

    @property
    def config_hash(self) -> str:
        """Hash of the configuration of pre-training."""
        return config.hash_of_configuration(self.configuration)

    @property
    def transfer_hash(self) -> str:
        """Hash of the configuration of the transfer; empty for pre-training."""
        return config.hash_of_configuration(self.transfer) if self.is_trial else ""

    def difference(self, held: Description) -> str:
        """Says how a record differs from this identity; empty where it does not, as far as the record knows."""
        own = self.transfer if self.is_trial else self.configuration
        if held.config_hash and held.config_hash != self.config_hash:
            changed = "" if self.is_trial else _changed(held.configuration, own)
            return f"its configuration is another ({changed or f'{held.config_hash}, not {self.config_hash}'})"
        if held.transfer_hash and held.transfer_hash != self.transfer_hash:
            changed = _changed(held.configuration, own)
            return f"its transfer is another ({changed or f'{held.transfer_hash}, not {self.transfer_hash}'})"
        if held.configuration and dict(held.code) != dict(self.code):
            names = {*held.code, *self.code}
            return (
                f"its code is another ({', '.join(sorted(n for n in names if held.code.get(n) != self.code.get(n)))})"
            )
        return ""


def identity_of(run: RunSpec, trial: TrialSpec | None = None) -> Identity:
    """Returns what a task computes: a run's pre-training, or one of its trials."""
    if trial is None:
        return Identity(run.configuration, {}, run.code, is_trial=False)
    return Identity(run.configuration, trial.configuration(run), run.code | trial.code, is_trial=True)


def method_hash(run: RunSpec, trial: TrialSpec | None = None) -> str:
    """Returns a hash of what a method is: the identity without tuned bindings and without where curves are measured."""
    blank = identity_of(run.without_setting(), trial.without_setting() if trial else None)
    transfer = {key: value for key, value in blank.transfer.items() if key.rsplit(".", 1)[-1] not in MEASURING}
    parts = [dict(blank.configuration), transfer, dict(blank.code)]
    return hashlib.sha256(canonical_json(parts).encode()).hexdigest()[:12]


def _changed(held: Mapping[str, str], own: Mapping[str, str], most: int = 3) -> str:
    """Names the bindings that differ, `there, here`; empty where the record holds no configuration."""
    if not held:
        return ""
    keys = sorted(key for key in {*held, *own} if held.get(key) != own.get(key))
    words = [f"{key} was {held.get(key, 'not bound')}, now {own.get(key, 'not bound')}" for key in keys[:most]]
    return "; ".join(words) + (f"; and {len(keys) - most} more" if len(keys) > most else "")
