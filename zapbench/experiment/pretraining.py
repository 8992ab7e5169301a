"""Where a run's model comes from: pre-trained here, from the start or resumed, or given as a file of weights."""

import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gin
import numpy as np
import torch
from torch import nn

from zapbench import seeding
from zapbench.experiment import checkpoints
from zapbench.experiment.checkpoints import Checkpoint
from zapbench.experiment.context import Context
from zapbench.experiment.monitor import Diverged, Monitor, accuracy, every
from zapbench.experiment.record import PretrainRecord
from zapbench.experiment.resources import ResourceMeter
from zapbench.leaderboard import contract
from zapbench.leaderboard.contract import Closing
from zapbench.leaderboard.read.parse import status_of
from zapbench.networks import plasticity
from zapbench.networks.backbones import check_single_image
from zapbench.networks.classifier import Classifier, count_parameters, training_flops
from zapbench.networks.passes import in_passes
from zapbench.networks.weights import load_weights
from zapbench.plugins import make_strategy, own_plugins, refuse_inert, silent_evaluator
from zapbench.scenarios.streams import pretraining_experience
from zapbench.strategies.base import can_resume, effort_of, epochs_of, fewest_images, resume_at, updates_of
from zapbench.strategies.cadence import refuse_idle
from zapbench.strategies.data import ImageSource
from zapbench.strategies.episodic import Episodic
from zapbench.transfer.plan import OptimizerFactory

REHEARSAL_IMAGES = 100
"""Images to rehearse a strategy on: hooks fire on few as on many, and some plug-ins visit every image afterwards."""

PLASTICITY_IMAGES = 1000
"""Images at most from whose features effective rank and dormant units are computed."""


@dataclass
class Origin:
    """Where a run's model comes from."""

    context: Context
    model: Callable[..., Classifier]

    def new_model(self) -> Classifier:
        """Returns the network before pre-training: the same weights for every method of one seed."""
        scenario, seed = self.context.scenario, self.context.job.run.seed
        seeding.seed_global_state("pre-training", scenario.name, seed)
        return self.model(outputs=scenario.pretrain_outputs, channels=scenario.channels, size=scenario.size)

    def done(self) -> Classifier | None:
        """Returns the model of a finished checkpoint; None where there is none."""
        found = self.checkpoint()
        if found is None or not found.finished:
            return None
        if status_of(self.context.folder / contract.EVENT_FILE) != contract.FINISHED:
            return None
        model = self.new_model().to(self.context.device)
        model.load_state_dict(found.model)
        return model

    @property
    def identity(self) -> str:
        """Hash of the data and of the code from outside the package, which a checkpoint belongs to."""
        return checkpoints.digest_of([self.context.data, self.context.job.run.code])

    def checkpoint(self) -> Checkpoint | None:
        """Returns the run's checkpoint, if any; a damaged one counts as none, with a line on standard error.

        Raises:
            ValueError: it is of another configuration, or of other data or code.
        """
        path = self.context.folder / checkpoints.FILE
        if not path.exists():
            return None
        try:
            found = checkpoints.load(path, device=self.context.device)
        except checkpoints.DamagedError as error:
            print(f"zapbench: {error}; pre-training starts again", file=sys.stderr)
            return None
        if found.config_hash != self.context.config_hash:
            raise ValueError(
                f"{path} is of another configuration ({found.config_hash}, not {self.context.config_hash})"
            )
        if found.identity and found.identity != self.identity:
            raise ValueError(f"{path} is of other images, pre-training classes or code; choose another --out or --name")
        return found

    def keep(self, model: Classifier, updates: int) -> None:
        """Saves the pre-trained model."""
        final = Checkpoint(
            self.context.config_hash,
            updates,
            True,
            model.state_dict(),
            model.head.out_features,
            identity=self.identity,
        )
        checkpoints.save(self.context.folder / checkpoints.FILE, final)


@dataclass
class GivenModel(Origin):
    """A model that was pre-trained elsewhere; its weights are kept with the run."""

    weights: Path

    def rehearse(self) -> None:
        """Loads the weights.

        Raises:
            ValueError: they cannot be read, do not fit the model, or are those of an unfinished pre-training.
        """
        checkpoints.refuse_unfinished(self.weights)
        load_weights(self.new_model(), self.weights)

    def run(self) -> Classifier:
        """Returns the model, and records it as pre-trained."""
        if (done := self.done()) is not None:
            return done
        model = self.new_model().to(self.context.device)
        load_weights(model, self.weights)
        with PretrainRecord(self.context.folder, self.context.describe(model), gin.operative_config_str()) as record:
            record.finish(Closing(contract.FINISHED), {contract.PARAMETERS: count_parameters(model)}, step=0)
        self.keep(model, 0)
        return model


@dataclass
class Pretraining(Origin):
    """A run's pre-training: finished, resumed or started."""

    strategy: Callable[..., Any]
    optimizer: OptimizerFactory
    checkpoint_seconds: float

    def new_strategy(self) -> Any:
        """Returns the Avalanche strategy with a new model.

        Raises:
            ValueError: the model and the strategy do not fit each other or the images.
        """
        model = self.new_model().to(self.context.device)
        strategy = make_strategy(
            self.strategy,
            model=model,
            optimizer=self.optimizer(model.parameters()),
            criterion=nn.CrossEntropyLoss(),
            evaluator=silent_evaluator(),
            device=self.context.device,
        )
        if isinstance(strategy, Episodic):
            check_single_image(self.model, model, self.context.scenario.channels, self.context.scenario.size)
        return strategy

    def rehearse(self) -> None:
        """Makes the strategy; where it has plug-ins, trains it for one update and throws it away.

        Raises:
            ValueError: a plug-in would have no effect.
        """
        strategy = self.new_strategy()
        if plugins := own_plugins(strategy):
            split = self.context.scenario.pretraining(self.context.job.run.seed)
            count = split.train.size
            refuse_idle(plugins, updates=updates_of(strategy, count), epochs=epochs_of(strategy, count))
            images = self.context.scenario.tensor(device=self.context.device)
            enough = max(REHEARSAL_IMAGES, fewest_images(strategy))
            few = split.train[: -(-enough // split.train.shape[1])]
            refuse_inert(strategy, [pretraining_experience(images, few)])

    def run(self) -> Classifier | None:
        """Returns the pre-trained model; None where pre-training diverged."""
        folder = self.context.folder
        if status_of(folder / contract.EVENT_FILE) == contract.DIVERGED:
            return None
        if (done := self.done()) is not None:
            return done
        found = self.checkpoint()
        strategy = self.new_strategy()
        resume = found if can_resume(strategy) else None
        with PretrainRecord(folder, self.context.describe(strategy.model), gin.operative_config_str()) as record:
            return self._train(strategy, record, folder / checkpoints.FILE, resume)

    def _train(self, strategy: Any, record: PretrainRecord, path: Path, resume: Checkpoint | None) -> Classifier | None:
        context = self.context
        split = context.scenario.pretraining(context.job.run.seed)
        images = context.scenario.tensor(device=context.device)
        total = updates_of(strategy, split.train.size)
        if resume is not None and max(record.last, 0) < resume.updates - resume.updates % every(total):
            resume = None  # the record lacks points that lie before the checkpoint: they have to be computed again
        if resume is not None:
            strategy.model.load_state_dict(resume.model)
            resume_at(strategy, resume.updates)

        def validate(model: nn.Module) -> float:
            labels = torch.arange(len(split.validation)).repeat_interleave(split.validation.shape[1])
            return accuracy(model, images, torch.from_numpy(split.validation.reshape(-1).copy()), labels)

        meter = ResourceMeter(context.device, before=resume.seconds if resume is not None else 0.0)
        strategy.plugins.append(
            Monitor(
                record,
                path,
                (context.config_hash, self.identity),
                total,
                validate=validate if split.validation.size else None,
                seconds=self.checkpoint_seconds,
                cost=meter,
                progress=context.options.progress,
                progress_seconds=context.options.progress_seconds,
                resume=resume,
            )
        )
        closing = self._closing(
            strategy, pretraining_experience(images, split.train, context.scenario.augmentation), record
        )
        done = strategy.clock.train_iterations
        values = _costs(strategy, meter, images, split.train, total)
        if closing.status == contract.FINISHED:
            shown = split.validation if split.validation.size else split.train
            values |= plasticity_of(strategy.model, images, torch.from_numpy(shown.reshape(-1).copy()))
        record.finish(closing, values, step=done)
        if closing.status != contract.FINISHED:
            return None
        model: Classifier = strategy.model
        self.keep(model, done)
        return model

    def _closing(self, strategy: Any, experience: Any, record: PretrainRecord) -> Closing:
        """Trains a strategy and returns how that ended; an error is recorded and raised."""
        try:
            strategy.train(experience, eval_streams=[])
        except Diverged as diverged:
            self.context.outcome.diverged[str(self.context.folder)] = str(diverged)
            return Closing(contract.DIVERGED, str(diverged))
        except Exception as error:
            reason = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
            with suppress(OSError):
                record.finish(Closing(contract.FAILED, reason), {}, step=strategy.clock.train_iterations)
            raise
        return Closing(contract.FINISHED)


@torch.no_grad()
def plasticity_of(
    model: Classifier, images: ImageSource, index: torch.Tensor, *, most: int = PLASTICITY_IMAGES
) -> dict[str, float]:
    """Returns how much the encoder can still change, as tag -> value; nothing where a feature is not finite.

    Args:
        model: pre-trained.
        images: where they come from.
        index: images, of which some are taken, evenly spread.
        most: how many at most.
    """
    training = model.training
    model.eval()
    few = index[:: -(-len(index) // most)]
    features = torch.cat([model.encoder(images(part)) for part in in_passes(few, model)])
    model.train(training)
    try:
        return {
            contract.EFFECTIVE_RANK: plasticity.effective_rank(features),
            contract.DORMANT_UNITS: plasticity.dormant_units(features),
            contract.WEIGHT_NORM: plasticity.weight_norm(model.encoder),
        }
    except ValueError:
        return {}


def _costs(strategy: Any, meter: ResourceMeter, images: ImageSource, index: np.ndarray, total: int) -> dict[str, float]:
    """Returns what pre-training took; of a run that diverged, the share of its updates that were made."""
    effort = effort_of(strategy, index.size)
    share = strategy.clock.train_iterations / total if total else 0.0
    one = images(torch.from_numpy(index.reshape(-1)[:1].copy()))
    return {
        contract.SECONDS: meter.seconds(),
        contract.PEAK_MEMORY: meter.peak_memory(),
        contract.PARAMETERS: count_parameters(strategy.model),
        contract.IMAGES_SEEN: effort.images * share,
        contract.GRADIENT_STEPS: effort.gradient_steps * share,
        contract.FLOPS: effort.images * share * training_flops(strategy.model, one),
    }
