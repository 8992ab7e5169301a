"""Measures of plasticity by hand."""

import math

import pytest
import torch
from torch import nn

from zapbench.networks.plasticity import dormant_units, effective_rank, feature_drift, weight_norm


def test_effective_rank_by_hand():
    assert effective_rank(torch.eye(5)) == pytest.approx(5.0)
    assert effective_rank(torch.ones(4, 3)) == pytest.approx(1.0)
    entropy = -(0.75 * math.log(0.75) + 0.25 * math.log(0.25))
    assert effective_rank(torch.diag(torch.tensor([3.0, 1.0, 0.0]))) == pytest.approx(math.exp(entropy))
    assert effective_rank(torch.zeros(4, 3)) == 0.0


def test_effective_rank_depends_neither_on_scale_nor_on_a_rotation():
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(20, 6, generator=generator, dtype=torch.float64)
    rotation = torch.linalg.qr(torch.randn(6, 6, generator=generator, dtype=torch.float64)).Q
    assert effective_rank(7 * features @ rotation) == pytest.approx(effective_rank(features))


def test_dormant_units_by_hand():
    features = torch.tensor([[0.0, 2.0, 0.01, -2.0], [0.0, 0.0, 0.01, 2.0]])  # mean activities 0, 1, 0.01, 2
    assert dormant_units(features) == 0.5  # at most 0.025 x 0.7525
    assert dormant_units(features, 0.0) == 0.25
    assert dormant_units(features, 10.0) == 1.0
    assert dormant_units(torch.zeros(3, 2)) == 1.0


def test_weight_norm_by_hand():
    layer = nn.Linear(2, 1)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[3.0, 4.0]]))
        layer.bias.zero_()
    assert weight_norm(layer) == pytest.approx(math.sqrt(25 / 3))
    assert weight_norm(nn.ReLU()) == 0.0


def test_feature_drift_by_hand():
    before, after = torch.tensor([[3.0, 4.0], [0.0, 5.0]]), torch.tensor([[3.0, 4.0], [0.0, 4.0]])
    assert feature_drift(before, before) == 0.0
    assert feature_drift(before, after) == pytest.approx(0.1)  # (0 + 1) / 2 over 5


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: effective_rank(torch.tensor([[float("nan")]])), "a feature is not finite"),
        (lambda: dormant_units(torch.zeros(0, 3)), "expected \\(images, units\\)"),
        (lambda: dormant_units(torch.ones(1, 3), -1.0), "at least 0, got -1.0"),
        (lambda: feature_drift(torch.ones(1, 2), torch.ones(1, 3)), "shapes \\(1, 2\\) and \\(1, 3\\)"),
        (lambda: feature_drift(torch.zeros(1, 2), torch.ones(1, 2)), "all features before were 0"),
    ],
)
def test_what_has_no_value_is_refused_in_words(make, words):
    with pytest.raises(ValueError, match=words):
        make()
