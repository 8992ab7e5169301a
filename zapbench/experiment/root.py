"""One run: pre-train a model, then transfer it. `run` is the one root of the gin configuration."""

import functools
import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gin
import torch

import zapbench.networks
import zapbench.scenarios
import zapbench.strategies
from zapbench import config
from zapbench.atomic import FATAL
from zapbench.experiment.context import Context, Options
from zapbench.experiment.pretraining import GivenModel, Pretraining
from zapbench.experiment.trials import Transfer, Trials
from zapbench.networks.classifier import Classifier
from zapbench.networks.weights import digest_of
from zapbench.scenarios.scenario import Scenario
from zapbench.tasks import Job, Outcome
from zapbench.transfer.avalanche import StrategyFactory
from zapbench.transfer.closed_form import HeadFactory
from zapbench.transfer.plan import OptimizerFactory
from zapbench.transfer.protocol import Protocol

for _optimizer in (torch.optim.Adam, torch.optim.AdamW, torch.optim.RMSprop, torch.optim.SGD):
    gin.external_configurable(_optimizer, module="torch.optim")


@dataclass
class Experiment:
    """A run that is configured and checked, and not yet executed.

    Attributes:
        context: the job, its scenario and its folder.
        pretraining: makes or loads the pre-trained model.
        transfer: how the trials learn; None where the job has no trials.
    """

    context: Context
    pretraining: GivenModel | Pretraining
    transfer: Transfer | None = None

    def trials(self, model: Classifier | None) -> Trials | None:
        """Returns the trials of a pre-trained model (None: it diverged); None where the job has no trials."""
        if self.transfer is None:
            return None
        return Trials(self.context, model, model or self.pretraining.new_model(), self.transfer)

    def rehearse(self) -> None:
        """Makes everything that the run will use, trains it for one update at most, and writes nothing.

        Raises:
            ValueError: something does not fit.
        """
        self.pretraining.rehearse()
        if trials := self.trials(None):
            trials.rehearse()

    def execute(self) -> Outcome:
        """Pre-trains where that is not done, then runs the trials that are not done."""
        context = self.context
        try:
            with context.locked():
                context.check(self.transfer.protocol if self.transfer else None)  # another process may have been first
                if trials := self.trials(self.pretraining.run()):
                    trials.run()
        except OSError as error:
            if error.errno not in FATAL:
                raise
            context.outcome.fatal = f"{error.strerror} ({error.filename or context.folder})"
        return context.outcome


def execute(job: Job, options: Options) -> Outcome:
    """Executes a job, one transfer after another.

    Raises:
        ValueError: the configuration cannot be used; nothing was trained.
    """
    outcome = Outcome()
    for part in job.by_transfer():
        outcome.add(configured(part, options).execute())
        if outcome.stopped or outcome.fatal or outcome.failed:
            break
    return outcome


def configured(job: Job, options: Options) -> Experiment:
    """Composes the configuration of a job of one transfer and returns its run; its folder is checked.

    Raises:
        ValueError: the configuration cannot be used, or the folder holds something else.
    """
    register_everything()
    spec, transfer = job.run, job.transfer
    bindings = [b for b in (*spec.bindings, *spec.setting) if transfer is not None or config.reaches_pretraining(b)]
    bindings += job.setting
    config.compose(spec.scenario, spec.strategy, transfer, bindings, pretrain_seed=spec.seed)
    try:
        experiment: Experiment = run(job, options)
    except ValueError as error:
        raise ValueError(config.explain(error)) from error
    return experiment


@functools.cache
def register_everything() -> None:
    """Imports every module that registers something with gin, so that a name is unknown only where nothing has it."""
    for package in (zapbench.networks, zapbench.scenarios, zapbench.strategies):
        for module in pkgutil.iter_modules(package.__path__):
            importlib.import_module(f"{package.__name__}.{module.name}")


@gin.configurable
def run(
    job: Job,
    options: Options,
    *,
    scenario: Scenario = gin.REQUIRED,
    model: Callable[..., Classifier] = gin.REQUIRED,
    strategy: Callable[..., Any] | None = None,
    optimizer: OptimizerFactory | None = None,
    transfer: Protocol | None = None,
    transfer_optimizer: OptimizerFactory | None = None,
    transfer_strategy: StrategyFactory | None = None,
    transfer_head: HeadFactory | None = None,
    device: str = "cpu",
    checkpoint_seconds: float = 15.0,
    transfer_memory: float = 1e9,
) -> Experiment:
    """Returns a run: pre-training, then trials of one transfer.

    Args:
        job: which run, and which trials.
        options: how it is executed.
        scenario: data and sizes.
        model: makes the network from `outputs`, `channels` and `size`.
        strategy: an Avalanche strategy; called with `model`, `optimizer`, `criterion`, `evaluator` and `device`. None
            where the job names a file of weights instead.
        optimizer: of pre-training; called with the parameters.
        transfer: the protocol.
        transfer_optimizer: called with the learner's parameters and `lr`.
        transfer_strategy: the Avalanche strategy that learns the new classes; None for plain fine-tuning.
        transfer_head: makes a head that is computed in closed form; None where new classes are learned by steps.
        device: where to compute.
        checkpoint_seconds: seconds between two checkpoints.
        transfer_memory: bytes that trials may take which are learned in one call of a fast engine.

    Raises:
        ValueError: something does not fit.
    """
    check_device(device)
    if device != "cpu":
        compute_in_float32()
    weights = Path(job.run.weights) if job.run.weights else None
    context = Context(job, options, scenario, device, digest_of(weights) if weights else "")
    pretraining: GivenModel | Pretraining
    if weights is not None:
        pretraining = GivenModel(context, model, weights)
    elif strategy is None or optimizer is None:
        raise ValueError(
            f"strategy {job.run.strategy!r} binds no run.strategy or no run.optimizer, and no file of weights was "
            "given instead (zapbench transfer WEIGHTS)"
        )
    else:
        pretraining = Pretraining(context, model, strategy, optimizer, checkpoint_seconds)
    if not job.trials:
        context.check(None)
        return Experiment(context, pretraining)
    if transfer is None or transfer_optimizer is None:
        raise ValueError(f"transfer {job.transfer!r} binds no run.transfer or no run.transfer_optimizer")
    context.check(transfer)
    learns = Transfer(transfer, transfer_optimizer, transfer_strategy, transfer_head, transfer_memory)
    return Experiment(context, pretraining, learns)


def compute_in_float32() -> None:
    """Makes GPUs compute in float32 what is stored as float32; by default, cuDNN rounds to TF32, with 10 bits."""
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False


def check_device(device: str) -> None:
    """Refuses a device that is not here.

    Raises:
        ValueError: torch does not know it, or has none of it on this machine.
    """
    try:
        wanted = torch.device(device)
    except (RuntimeError, TypeError):
        raise ValueError(f"run.device is {device!r}; allowed: 'cpu', 'cuda' or 'cuda:N'") from None
    if wanted.type == "cpu":
        return
    if wanted.type != "cuda":
        raise ValueError(f"run.device is {device!r}; allowed: 'cpu', 'cuda' or 'cuda:N'")
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if (wanted.index or 0) >= count:
        seen = f"{count} GPU{'s' if count > 1 else ''}" if count else "no GPU"
        raise ValueError(f"run.device is {device!r}, and torch sees {seen} here; `zapbench doctor` says more")
