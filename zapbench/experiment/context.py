"""What the parts of one run share: the job, its folder and lock, and the description of its tasks."""

import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout

from zapbench import __version__, config
from zapbench.atomic import LOCK_FILE, remove_partial_files
from zapbench.leaderboard import contract
from zapbench.leaderboard.contract import Description
from zapbench.leaderboard.read.parse import description_of
from zapbench.networks.classifier import Classifier
from zapbench.scenarios.scenario import Scenario
from zapbench.tasks import Job, Outcome, Progress
from zapbench.transfer.protocol import Protocol


@dataclass(frozen=True)
class Options:
    """How a job is executed, as opposed to what it computes.

    Attributes:
        out: output folder.
        command: the command line, for descriptions.
        progress: called as work advances; may raise `Stopped`.
        progress_seconds: seconds between two calls of `progress` in pre-training, at least.
    """

    out: Path
    command: str = ""
    progress: Progress = field(default=lambda phase, done, total: None, compare=False)
    progress_seconds: float = 0.5


@dataclass
class Context:
    """A job of one transfer with the scenario of its configuration: what pre-training and trials share.

    Attributes:
        job: which run, and which trials.
        options: how it is executed.
        config_hash: of the configuration that reaches pre-training.
        scenario: data and sizes.
        device: where to compute.
        weights: digest of the file of weights that replaces pre-training; empty where there is none.
        outcome: how the job's tasks ended so far.
    """

    job: Job
    options: Options
    config_hash: str
    scenario: Scenario
    device: str
    weights: str = ""
    outcome: Outcome = field(default_factory=Outcome)

    @property
    def folder(self) -> Path:
        """The run's folder."""
        return self.options.out / self.job.run.folder

    def check(self, protocol: Protocol | None) -> None:
        """Refuses a folder that holds another run or another trial, before anything is trained."""
        path = self.folder / contract.EVENT_FILE
        held = description_of(path) if path.exists() else None
        if held is not None and held.config_hash != self.config_hash:
            raise ValueError(
                f"{self.folder} holds another run ({held.method} on {held.scenario} with configuration "
                f"{held.config_hash}; this one is {self.config_hash}); choose another --out"
            )
        if held is not None and held.weights != self.weights:
            raise ValueError(
                f"{self.folder} holds another model (weights {held.weights or 'pre-trained here'}; these are "
                f"{self.weights or 'to be pre-trained'}); choose another --name, --seed or --out"
            )
        if protocol is None:
            return
        wanted = contract.fingerprint(self.scenario.facts() | protocol.facts())
        for spec in self.job.trials:
            trial = description_of(self.folder / spec.folder / contract.EVENT_FILE)
            if trial is not None and trial.fingerprint != wanted:
                raise ValueError(
                    f"{self.folder / spec.folder} holds another trial (fingerprint {trial.fingerprint}; this one is "
                    f"{wanted}); choose another --out"
                )

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Locks the run's folder; waits while another process holds the lock (a killed one does not)."""
        self.folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.folder / LOCK_FILE)
        while True:
            try:
                lock.acquire(timeout=0.5)
            except Timeout:
                self.options.progress("waiting for another process", 0, 1)
            else:
                break
        try:
            remove_partial_files(self.folder)
            yield
        finally:
            lock.release()

    def describe(self, model: Classifier, **trial: Any) -> Description:
        """Returns the description of the run, or with `trial`'s fields of one of its trials."""
        spec, scenario = self.job.run, self.scenario
        of_trial = self.job.trials[0].bindings if trial else ()
        return Description(
            scenario=scenario.name,
            strategy=config.name_of(spec.strategy),
            method=spec.method,
            pretrain_seed=spec.seed,
            setting={b.key: b.value for b in spec.setting},
            bindings=tuple(str(b) for b in spec.bindings if config.reaches_pretraining(b) or b in of_trial),
            encoder=model.name,
            input_size=f"{scenario.size}x{scenario.size}x{scenario.channels}",
            settings_tried=spec.settings_tried,
            threads=torch.get_num_threads(),
            config_hash=self.config_hash,
            weights=self.weights,
            versions={
                "python": platform.python_version(),
                "zapbench": __version__,
                "torch": version("torch"),
                "avalanche": version("avalanche-lib"),
            },
            device=self.device if self.device == "cpu" else torch.cuda.get_device_name(self.device),
            time=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            command=self.options.command,
            sources=self._sources(),
            **trial,
        )

    def _sources(self) -> dict[str, str]:
        spec = self.job.run
        found = {"scenario": spec.scenario, "strategy": spec.strategy}
        found |= {"weights": str(Path(spec.weights).absolute())} if spec.weights else {}
        return found | ({"transfer": self.job.trials[0].transfer} if self.job.trials else {})
