"""Where a job works: its folder below the output folder, who else is there, and how its tasks describe themselves."""

import platform
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout

from zapbench import __version__, config
from zapbench.atomic import LOCK_FILE, clear_parts
from zapbench.leaderboard import contract
from zapbench.leaderboard.contract import Description
from zapbench.leaderboard.read.parse import description_of
from zapbench.networks.classifier import Classifier
from zapbench.scenarios.scenario import Scenario
from zapbench.tasks import Outcome, Progress, RunSpec, TrialSpec
from zapbench.transfer.protocol import Protocol


@dataclass(frozen=True)
class Job:
    """What one call does: a run's pre-training where it is not finished, then some trials of one transfer.

    Attributes:
        run: which pre-trained model.
        trials: which trials, all of one transfer; none for pre-training alone.
        out: output folder.
        command: the command line, for the description.
        check: everything is made and checked, nothing is trained or written.
        rehearse: whether a check also makes the model and what learns; else it looks at the folder alone.
        progress: called as work goes on.
        progress_seconds: at most so often, in pre-training.
        inspect: called in a check with where the run's model comes from, then with its trials, if there are any.
    """

    run: RunSpec
    trials: tuple[TrialSpec, ...]
    out: Path
    command: str = ""
    check: bool = False
    rehearse: bool = True
    progress: Progress = field(default=lambda phase, done, total: None, compare=False)
    progress_seconds: float = 0.5
    inspect: Callable[[Any], None] = field(default=lambda origin: None, compare=False)


@dataclass
class Place:
    """A job with the scenario it was given: what pre-training and trials share.

    Attributes:
        job: what is to be done.
        config_hash: of the configuration that reaches pre-training.
        scenario: data and sizes.
        device: where to compute.
        weights: digest of the file of weights that stands for pre-training; empty where there is none.
        outcome: how the job's tasks ended so far.
    """

    job: Job
    config_hash: str
    scenario: Scenario
    device: str
    weights: str = ""
    outcome: Outcome = field(default_factory=Outcome)

    @property
    def folder(self) -> Path:
        """The run's folder."""
        return self.job.out / self.job.run.folder

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
    def alone(self) -> Iterator[None]:
        """Keeps other processes out of the run's folder; waits for one that is there (killed ones are not)."""
        self.folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.folder / LOCK_FILE)
        while True:
            try:
                lock.acquire(timeout=0.5)
            except Timeout:
                self.job.progress("waiting for another process", 0, 1)
            else:
                break
        try:
            clear_parts(self.folder)
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
            command=self.job.command,
            sources=self._sources(),
            **trial,
        )

    def _sources(self) -> dict[str, str]:
        spec = self.job.run
        found = {"scenario": spec.scenario, "strategy": spec.strategy}
        found |= {"weights": str(Path(spec.weights).absolute())} if spec.weights else {}
        return found | ({"transfer": self.job.trials[0].transfer} if self.job.trials else {})
