"""What the parts of one run share: the job, its folder and lock, and the description of its tasks."""

import hashlib
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout

from zapbench import __version__, config
from zapbench.atomic import LOCK_FILE, remove_partial_files
from zapbench.identity import identity_of, method_hash
from zapbench.leaderboard import contract
from zapbench.leaderboard.contract import Description
from zapbench.leaderboard.read.parse import description_of
from zapbench.networks.choices import choices
from zapbench.networks.classifier import Classifier
from zapbench.scenarios.scenario import Scenario
from zapbench.tasks import Job, Outcome, Progress, TrialSpec
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
        scenario: data and sizes.
        device: where to compute.
        weights: digest of the file of weights that replaces pre-training; empty where there is none.
        outcome: how the job's tasks ended so far.
    """

    job: Job
    options: Options
    scenario: Scenario
    device: str
    weights: str = ""
    outcome: Outcome = field(default_factory=Outcome)

    @property
    def config_hash(self) -> str:
        """Hash of the configuration that reaches pre-training."""
        return self.job.run.config_hash

    @property
    def folder(self) -> Path:
        """The run's folder."""
        return self.options.out / self.job.run.folder

    @cached_property
    def data(self) -> str:
        """Digest of the images and of the classes that are pre-trained on."""
        facts = self.scenario.facts()
        text = contract.canonical_json([facts["data"], facts["pretrain_classes"]])
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def check(self, protocol: Protocol | None) -> None:
        """Refuses a folder that holds another run or another trial, before anything is trained.

        Raises:
            ValueError: it does; says what differs, and how to keep both.
        """
        run = self.job.run
        held = description_of(self.folder / contract.EVENT_FILE)
        if held is not None:
            self._refuse(self.folder, "run", identity_of(run).difference(held) or self._other_model(held))
        if protocol is None:
            return
        wanted = contract.fingerprint(self.scenario.facts() | protocol.facts())
        for spec in self.job.trials:
            folder = self.folder / spec.folder
            trial = description_of(folder / contract.EVENT_FILE)
            if trial is None:
                continue
            difference = identity_of(run, spec).difference(trial) or self._other_model(trial)
            if not difference and trial.fingerprint != wanted:
                difference = f"its fingerprint is {trial.fingerprint}, not {wanted}"
            self._refuse(folder, "trial", difference)

    def _refuse(self, folder: Path, kind: str, difference: str) -> None:
        if difference:
            raise ValueError(
                f"{folder} holds another {kind}: {difference}; to keep both, choose another --out or --name"
            )

    def _other_model(self, held: Description) -> str:
        if held.weights != self.weights:
            return f"its weights are {held.weights or 'pre-trained here'}, not {self.weights or 'to be pre-trained'}"
        if held.data and held.data != self.data:
            return f"its images or pre-training classes are others ({held.data}, not {self.data})"
        return ""

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

    def describe(self, model: Classifier, trial: TrialSpec | None = None, **fields: Any) -> Description:
        """Returns the description of the run, or of one of its trials with `fields`."""
        spec, scenario = self.job.run, self.scenario
        identity = identity_of(spec, trial)
        of_trial = trial.bindings if trial else ()
        return Description(
            scenario=scenario.name,
            strategy=config.name_of(spec.strategy),
            method=spec.method,
            pretrain_seed=spec.seed,
            setting={b.key: b.value for b in spec.setting},
            bindings=tuple(str(b) for b in spec.bindings if config.reaches_pretraining(b) or b in of_trial),
            encoder=model.name,
            input_size=f"{scenario.size}x{scenario.size}x{scenario.channels}",
            settings_tried=max(spec.settings_tried, trial.settings_tried if trial else 1),
            threads=torch.get_num_threads(),
            config_hash=identity.config_hash,
            configuration=identity.transfer if trial else identity.configuration,
            transfer_hash=identity.transfer_hash,
            code=identity.code,
            data=self.data,
            method_hash=method_hash(spec, trial),
            learner_bindings=trial.undeclared if trial else (),
            transfer_setting={b.key: b.value for b in trial.setting} if trial else {},
            weights=self.weights,
            versions={
                "python": platform.python_version(),
                "zapbench": __version__,
                "torch": version("torch"),
                "avalanche": version("avalanche-lib"),
            },
            choices=choices(),
            device=self.device if self.device == "cpu" else torch.cuda.get_device_name(self.device),
            time=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            command=self.options.command,
            sources=self._sources(),
            **fields,
        )

    def _sources(self) -> dict[str, str]:
        spec = self.job.run
        found = {"scenario": spec.scenario, "strategy": spec.strategy}
        found |= {"weights": str(Path(spec.weights).absolute())} if spec.weights else {}
        return found | ({"transfer": self.job.trials[0].transfer} if self.job.trials else {})
