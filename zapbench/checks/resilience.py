"""Re-draws each layer of a pre-trained network in turn, and measures what that costs before and after a recovery."""

import copy
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from zapbench.checks.reproduce import job_of, read_task, refuse_files
from zapbench.experiment import checkpoints
from zapbench.experiment.context import Context, Options
from zapbench.experiment.monitor import accuracy
from zapbench.experiment.root import configured
from zapbench.networks.classifier import Classifier
from zapbench.networks.plasticity import CoAdaptation, co_adaptation
from zapbench.seeding import torch_generator
from zapbench.strategies.data import ImageSource
from zapbench.strategies.zapping import zap
from zapbench.tasks import CHECKPOINT, Progress, silent

BATCH = 64
"""Images per step of a recovery."""


@dataclass(frozen=True)
class Layer:
    """What a layer's re-drawing costs: its name, the three accuracies in [0, 1], and what they say."""

    name: str
    before: float
    redrawn: float
    recovered: float

    @property
    def co_adaptation(self) -> CoAdaptation:
        """Shock, lasting loss and share regained."""
        return co_adaptation(self.before, self.redrawn, self.recovered)


def runs_by_method(folders: Sequence[Path]) -> dict[str, list[Path]]:
    """Returns method, with its setting and scenario -> its runs in folders, which differ in the seed alone.

    A folder may be a run itself.

    Raises:
        ValueError: a folder holds no pre-trained model; a run has no readable record, is the second of a method and
            seed, or has another configuration than those of the same name.
    """
    found: dict[str, dict[int, Path]] = defaultdict(dict)
    hashes: dict[str, str] = {}
    for run in _runs(folders):
        _, about = read_task(run)
        setting = ", ".join(f"{name}={value}" for name, value in about.setting.items())
        method = f"{about.method}{f' ({setting})' * bool(setting)} on {about.scenario}"
        others = found[method]
        if about.pretrain_seed in others:
            raise ValueError(f"{others[about.pretrain_seed]} and {run} are both {method}, seed {about.pretrain_seed}")
        if hashes.setdefault(method, about.method_hash) != about.method_hash:
            raise ValueError(f"{run} has another configuration than {next(iter(others.values()))}: both are {method}")
        others[about.pretrain_seed] = run
    return {method: list(runs.values()) for method, runs in found.items()}


def _runs(folders: Sequence[Path]) -> list[Path]:
    found: dict[Path, Path] = {}
    for folder in folders:
        here = sorted(path.parent for path in folder.rglob(CHECKPOINT))
        if not here:
            raise ValueError(f"{folder} holds no pre-trained model; give the folder of a run, with its {CHECKPOINT}")
        found |= {run.resolve(): run for run in here}
    return list(found.values())


def resilience(
    folder: Path, *, steps: int, rate: float, allow_files: bool = False, progress: Progress = silent
) -> tuple[str, list[Layer]]:
    """Measures the layers of a run's pre-trained network, from the input to the head.

    Accuracy is that on the validation images of pre-training, or on its training images where there are none. A layer
    is re-drawn as by `zap`, all output nodes; recovery trains this layer alone, with Adam, on pre-training images, the
    network in eval mode. The draws depend on the run's seed and the layer's name alone.

    Args:
        folder: a run with a finished checkpoint.
        steps: steps of each recovery, on 64 images each.
        rate: Adam's learning rate.
        allow_files: whether .gin files that the record names may be run: they import code.
        progress: called before each layer.

    Returns:
        Which images accuracy was measured on, `validation` or `training`, and one record per layer.

    Raises:
        ValueError: the folder holds no such run, or it belongs to other files than those here.
    """
    _, about = read_task(folder)
    if about.transfer is not None or not (folder / CHECKPOINT).is_file():
        raise ValueError(f"{folder} holds no pre-trained model; give the folder of a run, with its {CHECKPOINT}")
    if not allow_files:
        refuse_files(folder, about)
    job = job_of(about)
    if job.run.config_hash != about.config_hash:
        raise ValueError(f"{folder} has configuration {about.config_hash}; the files here give {job.run.config_hash}")
    origin = configured(job, Options(folder / "none")).pretraining  # nothing is read or written there
    found = checkpoints.load(folder / CHECKPOINT, device=origin.context.device)
    if not found.finished or found.config_hash != about.config_hash:
        raise ValueError(f"{folder} is not finished; run it to the end first")
    model = origin.new_model().to(origin.context.device)
    model.load_state_dict(found.model)
    return _layers(model, origin.context, job.run.seed, steps, rate, progress)


def _layers(
    model: Classifier, context: Context, seed: int, steps: int, rate: float, progress: Progress
) -> tuple[str, list[Layer]]:
    split = context.scenario.pretraining(seed)
    source = context.scenario.tensor(device=context.device)
    train = _images(split.train)
    measured = _images(split.validation) if split.validation.size else train
    before = accuracy(model, source, *measured)
    found = []
    names = [name for name, module in model.named_modules() if isinstance(module, nn.Linear | nn.Conv2d)]
    for number, name in enumerate(names):
        progress("layers", number, len(names))
        changed = copy.deepcopy(model).eval()
        generator = torch_generator(f"resilience {name}", seed)
        redraw(changed, name, generator)
        redrawn = accuracy(changed, source, *measured)
        recover(changed, name, source, *train, steps=steps, rate=rate, generator=generator)
        found.append(Layer(name, before, redrawn, accuracy(changed, source, *measured)))
    return "validation" if split.validation.size else "training", found


def redraw(model: Classifier, name: str, generator: torch.Generator) -> None:
    """Re-draws all output nodes of a layer, in place."""
    layer = model.get_submodule(name)
    assert isinstance(layer, nn.Linear | nn.Conv2d)
    zap(layer, range(len(layer.weight)), generator=generator)


def recover(
    model: Classifier,
    name: str,
    source: ImageSource,
    index: Tensor,
    labels: Tensor,
    *,
    steps: int,
    rate: float,
    generator: torch.Generator,
) -> None:
    """Trains one layer, in place; all other weights stay as they are.

    Args:
        model: in eval mode.
        name: the layer's name.
        source: indices -> images.
        index: indices of the images to train on, `(images,)`.
        labels: `(images,)`.
        steps: steps.
        rate: Adam's learning rate.
        generator: draws the images of each step.
    """
    weights = list(model.get_submodule(name).parameters())
    optimizer = torch.optim.Adam(weights, lr=rate)
    for _ in range(steps):
        batch = torch.randint(len(index), (BATCH,), generator=generator)
        logits = model(source(index[batch]))
        gradients = torch.autograd.grad(nn.functional.cross_entropy(logits, labels[batch].to(logits.device)), weights)
        for weight, gradient in zip(weights, gradients):
            weight.grad = gradient
        optimizer.step()


def _images(classes: npt.NDArray[np.int64]) -> tuple[Tensor, Tensor]:
    """Returns the indices and labels of images that are given by class."""
    table = torch.from_numpy(classes.copy())
    return table.reshape(-1), torch.arange(len(table)).repeat_interleave(table.shape[1])
