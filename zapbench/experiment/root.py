"""One run: pre-train a model, then transfer it. `run` is the one root of the gin configuration."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gin
import torch

from zapbench import config
from zapbench.atomic import FATAL
from zapbench.experiment.context import Job, Place
from zapbench.experiment.pretraining import Given, Pretraining
from zapbench.experiment.trials import Trials
from zapbench.networks.classifier import Classifier
from zapbench.networks.weights import digest_of
from zapbench.scenarios.scenario import Scenario
from zapbench.tasks import Outcome
from zapbench.transfer.avalanche import StrategyFactory
from zapbench.transfer.protocol import Protocol
from zapbench.transfer.reference import OptimizerFactory

for _optimizer in (torch.optim.Adam, torch.optim.AdamW, torch.optim.SGD):
    gin.external_configurable(_optimizer, module="torch.optim")


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
    strategy: Callable[..., Any] | None = None,
    optimizer: OptimizerFactory | None = None,
    transfer: Protocol | None = None,
    transfer_optimizer: OptimizerFactory | None = None,
    transfer_strategy: StrategyFactory | None = None,
    device: str = "cpu",
    checkpoint_seconds: float = 15.0,
    transfer_memory: float = 1e9,
) -> Outcome:
    """Pre-trains, then transfers.

    Args:
        job: which run and which trials.
        config_hash: of the composed configuration of pre-training.
        scenario: data and sizes.
        model: makes the network from `outputs`, `channels` and `size`.
        strategy: an Avalanche strategy; gets `model`, `optimizer`, `criterion`, `evaluator` and `device`; None where
            the job names weights instead.
        optimizer: of pre-training; gets the parameters.
        transfer: the protocol.
        transfer_optimizer: gets the learner's parameters and `lr`.
        transfer_strategy: the Avalanche strategy that learns the new classes; None for plain fine-tuning.
        device: where to compute.
        checkpoint_seconds: seconds between two checkpoints.
        transfer_memory: bytes that transfer trials which are learned together may take.

    Raises:
        ValueError: something does not fit; nothing was trained.
    """
    weights = Path(job.run.weights) if job.run.weights else None
    place = Place(job, config_hash, scenario, device, digest_of(weights) if weights else "")
    pretraining: Given | Pretraining
    if weights is not None:
        pretraining = Given(place, model, weights)
    elif strategy is None or optimizer is None:
        raise ValueError(
            f"strategy {job.run.strategy!r} binds no run.strategy or no run.optimizer, and no weights were given "
            "instead (zapbench transfer WEIGHTS)"
        )
    else:
        pretraining = Pretraining(place, model, strategy, optimizer, checkpoint_seconds)
    if job.trials and (transfer is None or transfer_optimizer is None):
        raise ValueError(f"transfer {job.trials[0].transfer!r} binds no run.transfer or no run.transfer_optimizer")
    place.check(transfer)

    def trials(model: Classifier | None, shown: Classifier) -> Trials | None:
        if not job.trials or transfer is None or transfer_optimizer is None:
            return None
        return Trials(place, model, shown, transfer, transfer_optimizer, transfer_strategy, transfer_memory)

    if job.check and not job.rehearse:
        return place.outcome
    if job.check:
        pretraining.rehearse()
        job.inspect(pretraining)
        if found := trials(None, pretraining.new_model()):
            found.check()
            job.inspect(found)
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
