"""Dropout as a binding of the networks: nothing at 0, features dropped in training, none in transfer."""

import copy

import pytest
import torch

from zapbench.networks.backbones import vgg16_bn
from zapbench.networks.classifier import convnet
from zapbench.networks.gradients import reason_for_autograd
from zapbench.networks.oml import oml


def made(network, **settings):
    torch.manual_seed(0)
    return network(outputs=5, channels=1, size=32, **settings)


SMALL = [(convnet, {"filters": 8}), (oml, {"filters": 4, "hidden": 64}), (vgg16_bn, {"width": 0.05})]


@pytest.mark.parametrize(("network", "sizes"), SMALL)
def test_without_dropout_a_network_is_what_it_was(network, sizes):
    plain, bound = made(network, **sizes), made(network, dropout=0.0, **sizes)
    assert plain.name == bound.name
    assert repr(plain) == repr(bound)
    assert "Dropout" not in repr(plain.encoder[-1])


@pytest.mark.parametrize(("network", "sizes"), SMALL)
def test_features_are_dropped_in_training_alone_and_weights_are_drawn_as_before(network, sizes):
    plain, dropping = made(network, **sizes), made(network, dropout=0.5, **sizes)
    assert dropping.name == f"{plain.name}, dropout 0.5"
    assert plain.state_dict().keys() == dropping.state_dict().keys()
    assert all(torch.equal(value, dropping.state_dict()[name]) for name, value in plain.state_dict().items())
    images = torch.randn(4, 1, 32, 32)
    eager = copy.deepcopy(dropping).train()
    features = eager.encoder(images)
    assert (features == 0).float().mean() > 0.4
    assert torch.equal(plain.eval()(images), dropping.eval()(images))
    assert reason_for_autograd(dropping, 4) == "the network is not of the convnet family"


@pytest.mark.parametrize("network", [convnet, oml, vgg16_bn])
@pytest.mark.parametrize("dropout", [-0.1, 1.0])
def test_an_impossible_share_is_refused_in_words(network, dropout):
    with pytest.raises(ValueError, match=rf"{network.__name__}: dropout is {dropout}; allowed: 0 to below 1"):
        made(network, dropout=dropout)
