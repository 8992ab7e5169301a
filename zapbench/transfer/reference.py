"""The plain loop of transfer: a pre-trained model gets a new head and learns unseen classes from few images.

Sequential (Algorithm 2): class after class, one image at a time, one pass. I.i.d. (Algorithm 3): shuffled batches.
At once: the head by least squares on all images, without a gradient step (`zapbench.transfer.closed_form`).
The same loop runs frozen and unfrozen transfer. In frozen transfer the learner is the head and its inputs are features,
computed once per image; in unfrozen transfer the learner is the model and its inputs are images. Models are in eval
mode: batch norm keeps the running statistics of pre-training. Accuracy is defined in `zapbench.transfer.metrics`.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from zapbench.networks.gradients import gradients_of
from zapbench.transfer.features import Inputs
from zapbench.transfer.metrics import Measure, Trajectory
from zapbench.transfer.plan import TrialPlan


def run_trial(inputs: Inputs, plan: TrialPlan, *, fast: bool = True) -> Trajectory:
    """Learns one trial and measures it.

    Args:
        inputs: image indices -> the learner's inputs.
        plan: what to learn; its learner is trained in place.
        fast: whether manual passes replace autograd's where they are faster; both agree up to rounding.

    Returns:
        The curves. They end before the first loss that is not finite, and `diverged` says where that was.
    """
    protocol = plan.protocol
    sequential = protocol.protocol == "sequential"
    optimizer = plan.new_optimizer()
    gradients = gradients_of(plan.learner, protocol.images_per_step, fast=fast)
    measure = Measure(plan.learner, inputs, plan.trial, plan.loss_points, class_losses=protocol.class_losses, fast=fast)
    wanted = set(plan.points)
    for step, (images, labels) in enumerate(_batches(plan), start=1):
        losses = []
        for batch, batch_labels in zip(images, labels):
            losses.append(gradients(inputs(batch), batch_labels))
            optimizer.step()
        if losses and not torch.stack(losses).isfinite().all():
            measure.curve.end(step, "class" if sequential else "update")
            break
        if step in wanted:
            measure(step, seen=step if sequential else len(plan.trial.classes))
    return measure.trajectory


def _batches(plan: TrialPlan) -> Iterator[tuple[list[Tensor], list[Tensor]]]:
    """Yields, for one step of the curve after another, the batches (image indices) and their labels."""
    trial, protocol = plan.trial, plan.protocol
    train = torch.from_numpy(trial.train)
    labels = torch.from_numpy(trial.labels)
    if protocol.protocol == "at_once":
        yield [], []
        return
    if protocol.protocol == "sequential":
        for images, label in zip(train, labels):
            batches = list(images.split(protocol.images_per_step)) * protocol.passes
            yield batches, [label.repeat(len(batch)) for batch in batches]
        return
    flat, flat_labels = train.flatten(), labels.repeat_interleave(train.shape[1])
    for _ in range(protocol.passes):
        order = torch.randperm(len(flat), generator=plan.order)
        for batch in order.split(protocol.images_per_step):
            yield [flat[batch]], [flat_labels[batch]]
