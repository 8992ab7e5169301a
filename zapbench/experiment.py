"""One run: pre-train a model, then transfer it. `run` is the one root of the gin configuration."""

import errno
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gin
import torch
from torch import nn

from zapbench import checkpoints, config, seeding
from zapbench.checkpoints import Checkpoint
from zapbench.contenders import StrategyFactory
from zapbench.cost import Cost
from zapbench.hooks import own_plugins, refuse_inert
from zapbench.leaderboard import contract
from zapbench.leaderboard.contract import Closing
from zapbench.leaderboard.parse import status_of
from zapbench.models import Classifier, count_parameters
from zapbench.place import Job, Place
from zapbench.pretraining import Diverged, Monitor, accuracy, every, silent_evaluator
from zapbench.record import PretrainRecord
from zapbench.scenarios.scenario import Scenario
from zapbench.scenarios.streams import pretraining_experience
from zapbench.suite import Outcome
from zapbench.transfer import OptimizerFactory, Protocol
from zapbench.trials import Trials

for _optimizer in (torch.optim.Adam, torch.optim.AdamW, torch.optim.SGD):
    gin.external_configurable(_optimizer, module="torch.optim")

REHEARSAL_IMAGES = 100
"""Images to rehearse a strategy on: hooks fire on few as on many, and some plug-ins visit every image afterwards."""

FATAL = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM}
"""Errors of the output folder that no other run would escape."""


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
    transfer_strategy: StrategyFactory | None = None,
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
        transfer_strategy: the Avalanche strategy that learns the new classes; None for plain fine-tuning.
        device: where to compute.
        checkpoint_seconds: seconds between two checkpoints.

    Raises:
        ValueError: something does not fit; nothing was trained.
    """
    place = Place(job, config_hash, scenario, device)
    pretraining = _Pretraining(place, model, strategy, optimizer, checkpoint_seconds)
    if job.trials and (transfer is None or transfer_optimizer is None):
        raise ValueError(f"transfer {job.trials[0].transfer!r} binds no run.transfer or no run.transfer_optimizer")
    place.check(transfer)

    def trials(model: Classifier | None, shown: Classifier) -> Trials | None:
        if not job.trials or transfer is None or transfer_optimizer is None:
            return None
        return Trials(place, model, shown, transfer, transfer_optimizer, transfer_strategy)

    if job.check:
        pretraining.rehearse()
        if found := trials(None, pretraining.new_model()):
            found.check()
        return place.outcome
    try:
        with place.alone():
            pretrained = pretraining.run()
            if found := trials(pretrained, pretrained or pretraining.new_model()):
                found.run()
    except OSError as error:
        if error.errno not in FATAL:
            raise
        place.outcome.fatal = f"{error.strerror} ({error.filename or place.folder})"
    return place.outcome


@dataclass
class _Pretraining:
    """A run's pre-training: done, to be gone on with, or to be begun."""

    place: Place
    model: Callable[..., Classifier]
    strategy: Callable[..., Any]
    optimizer: OptimizerFactory
    checkpoint_seconds: float

    def new_model(self) -> Classifier:
        """Returns the network before pre-training: the same weights for every method of one seed."""
        scenario, seed = self.place.scenario, self.place.job.run.seed
        seeding.seed_global_state("pre-training", scenario.name, seed)
        return self.model(outputs=scenario.pretrain_outputs, channels=scenario.channels, size=scenario.size)

    def new_strategy(self) -> Any:
        """Returns the Avalanche strategy with a new model."""
        model = self.new_model().to(self.place.device)
        return self.strategy(
            model=model,
            optimizer=self.optimizer(model.parameters()),
            evaluator=silent_evaluator(),
            device=self.place.device,
        )

    def rehearse(self) -> None:
        """Makes the strategy; where it has plug-ins, trains it for one update and throws it away.

        Raises:
            ValueError: a plug-in would do nothing.
        """
        strategy = self.new_strategy()
        if own_plugins(strategy):
            split = self.place.scenario.pretraining(self.place.job.run.seed)
            images = self.place.scenario.tensor(device=self.place.device)
            enough = max(REHEARSAL_IMAGES, getattr(strategy, "random_images", 0))
            few = split.train[: -(-enough // split.train.shape[1])]
            refuse_inert(strategy, [pretraining_experience(images, few)])

    def run(self) -> Classifier | None:
        """Returns the pre-trained model; None where pre-training diverged."""
        folder = self.place.folder
        path = folder / checkpoints.FILE
        status = status_of(folder / contract.EVENT_FILE)
        found = self._checkpoint(path)
        if status == contract.DIVERGED:
            return None
        if found is not None and found.finished and status == contract.FINISHED:
            model = self.new_model().to(self.place.device)
            model.load_state_dict(found.model)
            return model
        strategy = self.new_strategy()
        resume = None if found is None or not hasattr(strategy, "first_update") else found
        with PretrainRecord(folder, self.place.describe(strategy.model), gin.operative_config_str()) as record:
            return self._train(strategy, record, path, resume)

    def _checkpoint(self, path: Path) -> Checkpoint | None:
        if not path.exists():
            return None
        found = checkpoints.load(path, device=self.place.device)
        if found.config_hash != self.place.config_hash:
            raise ValueError(f"{path} is of another configuration ({found.config_hash}, not {self.place.config_hash})")
        return found

    def _train(self, strategy: Any, record: PretrainRecord, path: Path, resume: Checkpoint | None) -> Classifier | None:
        split = self.place.scenario.pretraining(self.place.job.run.seed)
        images = self.place.scenario.tensor(device=self.place.device)
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

        cost = Cost(self.place.device, before=resume.seconds if resume is not None else 0.0)
        strategy.plugins.append(
            Monitor(
                record,
                path,
                self.place.config_hash,
                total,
                validate=validate if split.validation.size else None,
                seconds=self.checkpoint_seconds,
                cost=cost,
                progress=self.place.job.progress,
                resume=resume,
            )
        )
        model: Classifier = strategy.model
        closing = Closing(contract.FINISHED)
        try:
            strategy.train(experience, eval_streams=[])
        except Diverged as diverged:
            closing = Closing(contract.DIVERGED, str(diverged))
            self.place.outcome.diverged[str(self.place.folder)] = str(diverged)
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
            final = Checkpoint(self.place.config_hash, done, True, model.state_dict(), model.head.out_features)
            checkpoints.save(path, final)
        return model if closing.status == contract.FINISHED else None
