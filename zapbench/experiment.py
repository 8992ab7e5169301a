"""One run: pre-train a model, then transfer it. `run` is the one root of the gin configuration."""

import errno
import platform
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import gin
import torch
from filelock import FileLock, Timeout
from torch import nn

from zapbench import __version__, checkpoints, config, seeding
from zapbench.checkpoints import Checkpoint
from zapbench.cost import Cost
from zapbench.leaderboard import contract
from zapbench.leaderboard.contract import Closing, Description
from zapbench.leaderboard.parse import description_of, status_of
from zapbench.models import Classifier, count_parameters
from zapbench.pretraining import Diverged, Monitor, Progress, accuracy, every, silent_evaluator
from zapbench.record import PretrainRecord, clear_parts, write_trial
from zapbench.scenarios.scenario import ImageTensor, Scenario
from zapbench.scenarios.streams import pretraining_experience
from zapbench.suite import Outcome, RunSpec, TrialSpec
from zapbench.transfer import (
    Features,
    Inputs,
    OptimizerFactory,
    Protocol,
    Trajectory,
    count_steps,
    learner_for,
    run_trial,
    trial_generator,
)

for _optimizer in (torch.optim.Adam, torch.optim.AdamW, torch.optim.SGD):
    gin.external_configurable(_optimizer, module="torch.optim")

LOCK_FILE = ".lock"
FATAL = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM}
"""Errors of the output folder that no other run would escape."""


@dataclass(frozen=True)
class Job:
    """What one call does: a run's pre-training where it is not finished, then some trials of one transfer.

    Attributes:
        run: which pre-trained model.
        trials: which trials, all of one transfer; none for pre-training alone.
        out: output folder.
        command: the command line, for the description.
        check: everything is made and checked, nothing is trained or written.
        progress: called as work goes on.
    """

    run: RunSpec
    trials: tuple[TrialSpec, ...]
    out: Path
    command: str = ""
    check: bool = False
    progress: Progress = field(default=lambda phase, done, total: None, compare=False)


def execute(job: Job) -> Outcome:
    """Composes the job's configuration and runs it.

    Raises:
        ValueError: the configuration cannot be used; nothing was trained.
    """
    spec = job.run
    transfer = job.trials[0].transfer if job.trials else None
    bindings = [b for b in (*spec.bindings, *spec.setting) if transfer is not None or config.reaches_pretraining(b)]
    config.compose(spec.scenario, spec.strategy, transfer, bindings, pretrain_seed=spec.seed)
    try:
        outcome: Outcome = run(job, spec.config_hash)
    except ValueError as error:
        raise ValueError(config.explain(error)) from error
    return outcome


@gin.configurable
def run(
    job: Job,
    config_hash: str,
    *,
    scenario: Scenario = gin.REQUIRED,
    model: Callable[..., Classifier] = gin.REQUIRED,
    strategy: Callable[..., Any] = gin.REQUIRED,
    optimizer: OptimizerFactory = gin.REQUIRED,
    transfer: Protocol | None = None,
    transfer_optimizer: OptimizerFactory | None = None,
    device: str = "cpu",
    checkpoint_seconds: float = 15.0,
) -> Outcome:
    """Pre-trains, then transfers.

    Args:
        job: which run and which trials.
        config_hash: of the composed configuration of pre-training.
        scenario: data and sizes.
        model: makes the network from `outputs`, `channels` and `size`.
        strategy: an Avalanche strategy; gets `model`, `optimizer`, `evaluator` and `device`.
        optimizer: of pre-training; gets the parameters.
        transfer: the protocol.
        transfer_optimizer: gets the learner's parameters and `lr`.
        device: where to compute.
        checkpoint_seconds: seconds between two checkpoints.

    Raises:
        ValueError: something does not fit; nothing was trained.
    """
    experiment = _Experiment(job, config_hash, scenario, model, strategy, optimizer, device, checkpoint_seconds)
    if job.trials and (transfer is None or transfer_optimizer is None):
        raise ValueError(f"transfer {job.trials[0].transfer!r} binds no run.transfer or no run.transfer_optimizer")
    experiment.check(transfer)
    if job.check:
        experiment.new_strategy()
        return experiment.outcome
    try:
        with experiment.alone():
            pretrained = experiment.pretrain()
            if job.trials and transfer is not None and transfer_optimizer is not None:
                experiment.transfer(pretrained, transfer, transfer_optimizer)
    except OSError as error:
        if error.errno not in FATAL:
            raise
        experiment.outcome.fatal = f"{error.strerror} ({error.filename or experiment.folder})"
    return experiment.outcome


@dataclass
class _Experiment:
    job: Job
    config_hash: str
    scenario: Scenario
    model: Callable[..., Classifier]
    strategy: Callable[..., Any]
    optimizer: OptimizerFactory
    device: str
    checkpoint_seconds: float
    outcome: Outcome = field(default_factory=Outcome)

    @property
    def folder(self) -> Path:
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

    def new_model(self) -> Classifier:
        """Returns the network before pre-training: the same weights for every method of one seed."""
        scenario = self.scenario
        seeding.seed_global_state("pre-training", scenario.name, self.job.run.seed)
        return self.model(outputs=scenario.pretrain_outputs, channels=scenario.channels, size=scenario.size)

    def new_strategy(self) -> Any:
        model = self.new_model().to(self.device)
        return self.strategy(
            model=model,
            optimizer=self.optimizer(model.parameters()),
            evaluator=silent_evaluator(),
            device=self.device,
        )

    def describe(self, model: Classifier, **trial: Any) -> Description:
        spec, scenario = self.job.run, self.scenario
        return Description(
            scenario=scenario.name,
            strategy=config.name_of(spec.strategy),
            method=spec.method,
            pretrain_seed=spec.seed,
            setting={b.key: b.value for b in spec.setting},
            bindings=tuple(str(b) for b in spec.bindings),
            encoder=model.name,
            input_size=f"{scenario.size}x{scenario.size}x{scenario.channels}",
            settings_tried=spec.settings_tried,
            threads=torch.get_num_threads(),
            config_hash=self.config_hash,
            versions={
                "python": platform.python_version(),
                "zapbench": __version__,
                "torch": version("torch"),
                "avalanche": version("avalanche-lib"),
            },
            device=self.device if self.device == "cpu" else torch.cuda.get_device_name(self.device),
            time=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            command=self.job.command,
            sources=self.sources(),
            **trial,
        )

    def sources(self) -> dict[str, str]:
        spec = self.job.run
        found = {"scenario": spec.scenario, "strategy": spec.strategy}
        return found | ({"transfer": self.job.trials[0].transfer} if self.job.trials else {})

    def pretrain(self) -> Classifier | None:
        """Returns the pre-trained model; None where pre-training diverged."""
        path = self.folder / checkpoints.FILE
        status = status_of(self.folder / contract.EVENT_FILE)
        found = self._checkpoint(path)
        if status == contract.DIVERGED:
            return None
        if found is not None and found.finished and status == contract.FINISHED:
            model = self.new_model().to(self.device)
            model.load_state_dict(found.model)
            return model
        strategy = self.new_strategy()
        resume = None if found is None or not hasattr(strategy, "first_update") else found
        with PretrainRecord(self.folder, self.describe(strategy.model), gin.operative_config_str()) as record:
            return self._train(strategy, record, path, resume)

    def _checkpoint(self, path: Path) -> Checkpoint | None:
        if not path.exists():
            return None
        found = checkpoints.load(path, device=self.device)
        if found.config_hash != self.config_hash:
            raise ValueError(f"{path} is of another configuration ({found.config_hash}, not {self.config_hash})")
        return found

    def _train(self, strategy: Any, record: PretrainRecord, path: Path, resume: Checkpoint | None) -> Classifier | None:
        split = self.scenario.pretraining(self.job.run.seed)
        images = self.scenario.tensor(device=self.device)
        experience = pretraining_experience(images, split.train)
        count = split.train.size
        per_epoch = -(-count // strategy.train_mb_size)
        total = strategy.updates(count) if hasattr(strategy, "updates") else strategy.train_epochs * per_epoch
        if resume is not None and record.last < resume.updates - resume.updates % every(total):
            resume = None  # the record was damaged behind the checkpoint's back: its points have to be made again
        if resume is not None:
            strategy.model.load_state_dict(resume.model)
            strategy.first_update = resume.updates

        def validate(model: nn.Module) -> float:
            labels = torch.arange(len(split.validation)).repeat_interleave(split.validation.shape[1])
            return accuracy(model, images, torch.from_numpy(split.validation.reshape(-1).copy()), labels)

        cost = Cost(self.device, before=resume.seconds if resume is not None else 0.0)
        strategy.plugins.append(
            Monitor(
                record,
                path,
                self.config_hash,
                total,
                validate=validate if split.validation.size else None,
                seconds=self.checkpoint_seconds,
                cost=cost,
                progress=self.job.progress,
                resume=resume,
            )
        )
        model: Classifier = strategy.model
        closing = Closing(contract.FINISHED)
        try:
            strategy.train(experience, eval_streams=[])
        except Diverged as diverged:
            closing = Closing(contract.DIVERGED, str(diverged))
            self.outcome.diverged[str(self.folder)] = str(diverged)
        except Exception as error:
            reason = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
            with suppress(OSError):
                record.finish(Closing(contract.FAILED, reason), {}, step=strategy.clock.train_iterations)
            raise
        costs = {
            contract.SECONDS: cost.seconds(),
            contract.PEAK_MEMORY: cost.peak_memory(),
            contract.PARAMETERS: count_parameters(model),
        }
        done = strategy.clock.train_iterations
        seen, steps = strategy.effort(count) if hasattr(strategy, "effort") else (strategy.train_epochs * count, total)
        costs |= {contract.IMAGES_SEEN: seen * done / total, contract.GRADIENT_STEPS: steps * done / total}
        record.finish(closing, costs, step=done)
        if closing.status == contract.FINISHED:
            final = Checkpoint(self.config_hash, done, True, model.state_dict(), model.head.out_features)
            checkpoints.save(path, final)
        return model if closing.status == contract.FINISHED else None

    def transfer(self, model: Classifier | None, protocol: Protocol, optimizer: OptimizerFactory) -> None:
        """Runs the job's trials that are not there yet."""
        images = self.scenario.tensor(device=self.device)
        facts = self.scenario.facts() | protocol.facts()
        shown = model if model is not None else self.new_model()
        described = {
            spec: self.describe(
                shown,
                transfer=config.name_of(spec.transfer),
                protocol=protocol.name,
                learner=protocol.learner,
                rate=spec.rate,
                role=spec.role,
                transfer_seed=spec.seed,
                engine="features" if protocol.frozen else "model",
                fingerprint=contract.fingerprint(facts),
                fingerprint_fields=facts,
                outputs=self.scenario.transfer_outputs,
                draws=self.scenario.draws,
                common_classes=0.0 if self.scenario.select_pool else 1.0,
            )
            for spec in self.job.trials
        }
        missing = [spec for spec in self.job.trials if not self._is_done(spec, described[spec])]
        inputs: Inputs = images
        if missing and model is not None and protocol.frozen:
            inputs = self._features(model, images, missing)
        for number, spec in enumerate(missing):
            self.job.progress(f"transfer {config.name_of(spec.transfer)}", number, len(missing))
            self._trial(spec, described[spec], model, inputs, protocol, optimizer)
        self.job.progress("transfer", len(missing), len(missing))

    def _is_done(self, spec: TrialSpec, description: Description) -> bool:
        path = self.folder / spec.folder / contract.EVENT_FILE
        if status_of(path) not in (contract.FINISHED, contract.DIVERGED):
            return False
        held = description_of(path)
        return held is not None and _same_trial(held, description)

    def _features(self, model: Classifier, images: ImageTensor, trials: list[TrialSpec]) -> Features:
        self.job.progress("features", 0, 1)
        wanted = []
        for seed, role in sorted({(t.seed, t.role) for t in trials}):
            trial = self.scenario.trial(self.job.run.seed, seed, role=role)
            wanted += [trial.train.reshape(-1), trial.held_out.reshape(-1)]
        return Features(model.encoder, images, torch.cat([torch.from_numpy(w.copy()) for w in wanted]))

    def _trial(
        self,
        spec: TrialSpec,
        description: Description,
        model: Classifier | None,
        inputs: Inputs,
        protocol: Protocol,
        optimizer: OptimizerFactory,
    ) -> None:
        folder = self.folder / spec.folder
        cost = Cost(self.device)
        trajectory = Trajectory(diverged="pre-training diverged")
        closing = Closing(contract.FINISHED)
        try:
            if model is not None:
                trajectory = self._learn(spec, model, inputs, protocol, optimizer)
        except OSError:
            raise
        except Exception as error:
            closing = Closing(contract.FAILED, f"{type(error).__name__}: {error}".splitlines()[0])
            self.outcome.failed[str(folder)] = closing.reason
        else:
            if trajectory.diverged:
                closing = Closing(contract.DIVERGED, trajectory.diverged)
                self.outcome.diverged[str(folder)] = closing.reason
        costs = {contract.SECONDS: cost.seconds(), contract.PEAK_MEMORY: cost.peak_memory()}
        write_trial(folder, description, gin.operative_config_str(), trajectory, costs, closing)

    def _learn(
        self,
        spec: TrialSpec,
        model: Classifier,
        inputs: Inputs,
        protocol: Protocol,
        optimizer: OptimizerFactory,
    ) -> Trajectory:
        scenario = self.scenario
        trial = scenario.trial(self.job.run.seed, spec.seed, role=spec.role)
        key = (scenario.name, self.job.run.seed, spec.seed, spec.role)
        learner = learner_for(model, protocol, scenario.transfer_outputs, trial_generator("head", *key), inputs)
        return run_trial(
            learner,
            inputs,
            trial,
            protocol,
            optimizer=optimizer,
            rate=spec.rate,
            points=protocol.points(count_steps(protocol, *trial.train.shape), spec.role),
            generator=trial_generator("order", *key),
        )


def _same_trial(held: Description, wanted: Description) -> bool:
    names = ("config_hash", "fingerprint", "rate", "role", "transfer_seed", "pretrain_seed", "transfer")
    return all(getattr(held, name) == getattr(wanted, name) for name in names)
