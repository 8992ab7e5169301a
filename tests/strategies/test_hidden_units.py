"""How active hidden units are: numbers by hand."""

import torch

from zapbench.strategies.hidden_units import firing_share, mean_activity


def test_a_filters_activity_is_a_mean_over_images_and_pixels():
    maps = torch.tensor([[[[1.0, -3.0]], [[0.0, 0.0]]], [[[2.0, 0.0]], [[0.0, 4.0]]]])
    assert mean_activity(maps, 2).tolist() == [6 / 4, 4 / 4]
    assert firing_share(maps, 2).tolist() == [2 / 4, 1 / 4]


def test_a_flattened_filter_has_one_feature_per_pixel():
    """Two filters of two pixels: features 0 and 1, 2 and 3."""
    features = torch.tensor([[1.0, 3.0, 0.0, -2.0], [0.0, 4.0, 0.0, 0.0]])
    assert mean_activity(features, 2).tolist() == [2.0, 0.5]
    assert firing_share(features, 2).tolist() == [3 / 4, 0.0]
