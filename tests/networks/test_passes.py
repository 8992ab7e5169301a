"""How many images go through a network at once where no gradient is wanted."""

import pytest
import torch
from torch import nn

from zapbench.experiment.monitor import accuracy
from zapbench.networks import passes
from zapbench.networks.classifier import convnet
from zapbench.transfer.features import Features


@pytest.fixture
def images(omniglot_files):
    from zapbench.scenarios.omniglot import omniglot

    return omniglot().tensor()


@pytest.mark.parametrize("filters", [4, 32])
def test_features_do_not_depend_on_the_passes_in_which_they_are_computed(filters, images, monkeypatch):
    model = convnet(outputs=3, channels=1, size=28, filters=filters).eval()
    wanted = torch.arange(75)
    by_32 = Features(model.encoder, images, wanted).table
    monkeypatch.setattr(passes, "ON_CPU", 75)
    assert torch.equal(Features(model.encoder, images, wanted).table, by_32)


def test_no_tensor_of_a_pass_on_a_cpu_is_of_more_images_than_its_limit(images):
    seen = []
    model = convnet(outputs=3, channels=1, size=28, filters=4)
    model.encoder.register_forward_hook(lambda module, inputs, output: seen.append(len(output)))
    index = torch.arange(75)
    accuracy(model, images, index, torch.zeros(75, dtype=torch.int64))
    assert seen == [passes.ON_CPU, passes.ON_CPU, 75 - 2 * passes.ON_CPU]


def test_a_model_without_parameters_is_taken_to_be_on_the_cpu():
    assert [len(part) for part in passes.in_passes(torch.arange(40), nn.Identity())] == [passes.ON_CPU, 8]
