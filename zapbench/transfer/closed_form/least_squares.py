"""A head by least squares from features and a constant to one-hot targets, without a gradient step (official code).

With fewer images than features it is the solution of least norm. It uses all images at once, and so is a protocol of
its own. As the start of i.i.d. transfer it makes another protocol, too: the images were used before the first step.
"""

import torch
from torch import Tensor, nn

from zapbench.networks.classifier import Classifier
from zapbench.networks.passes import in_passes
from zapbench.scenarios.trial import Trial
from zapbench.transfer.features import Inputs


def least_squares(features: Tensor, labels: Tensor, outputs: int) -> tuple[Tensor, Tensor]:
    """Returns weights `(outputs, features)` and biases `(outputs,)` in float64, on the CPU.

    Args:
        features: `(images, features)`.
        labels: `(images,)` int64. Outputs without an image get weights of 0.
        outputs: outputs of the head.
    """
    inputs = features.cpu().double()
    inputs = torch.cat([inputs, torch.ones(len(inputs), 1, dtype=torch.float64)], dim=1)
    seen, place = labels.cpu().unique(return_inverse=True)
    targets = nn.functional.one_hot(place, len(seen)).double()
    solution = torch.linalg.lstsq(inputs, targets, driver="gelsd").solution.T
    head = torch.zeros(outputs, inputs.shape[1], dtype=torch.float64)
    head[seen] = solution
    return head[:, :-1], head[:, -1]


@torch.no_grad()
def start_from_least_squares(learner: nn.Module, inputs: Inputs, trial: Trial) -> None:
    """Sets a learner's head by least squares on all images that a trial trains on.

    Args:
        learner: a head, whose inputs are features, or a model, whose inputs are images; in eval mode.
        inputs: image indices -> the learner's inputs.
        trial: classes, labels and images.
    """
    head, encoder = (learner.head, learner.encoder) if isinstance(learner, Classifier) else (learner, nn.Identity())
    assert isinstance(head, nn.Linear)
    index = torch.from_numpy(trial.train.reshape(-1).copy())
    features = torch.cat([encoder(inputs(part)) for part in in_passes(index, encoder)])
    labels = torch.from_numpy(trial.labels).repeat_interleave(trial.train.shape[1])
    weight, bias = least_squares(features, labels, head.out_features)
    head.weight.copy_(weight)
    head.bias.copy_(bias)
