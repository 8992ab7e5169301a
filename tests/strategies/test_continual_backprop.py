"""Continual backprop: utilities, which units are replaced, and how they are re-initialised; numbers by hand."""

import math

import pytest
import torch
from torch import nn

from zapbench.networks.anml import anml
from zapbench.networks.classifier import Classifier, convnet, new_head
from zapbench.networks.oml import oml
from zapbench.plugins import silent_evaluator
from zapbench.scenarios.streams import pretraining_experience
from zapbench.seeding import torch_generator
from zapbench.strategies.asb import ASB
from zapbench.strategies.continual_backprop import ContinualBackprop, UnitStatistics, contribution
from zapbench.strategies.hidden_units import hidden_layers, reinitialise
from zapbench.strategies.iid import IID


def test_a_nodes_contribution_is_its_mean_magnitude_times_the_sum_of_its_outgoing_weights():
    inputs = torch.tensor([[1.0, -2.0], [-3.0, 0.0]])
    weight = torch.tensor([[1.0, -1.0], [-2.0, 0.5], [0.0, 4.0]])
    assert contribution(inputs, weight, 2).tolist() == [2.0 * 3.0, 1.0 * 5.5]


def test_a_filters_contribution_is_averaged_over_pixels_and_summed_over_the_next_layers_kernels():
    maps = torch.zeros(2, 2, 1, 2)
    maps[0, 0], maps[1, 0] = torch.tensor([[1.0, -3.0]]), torch.tensor([[0.0, 4.0]])
    maps[:, 1] = -1.0
    kernels = torch.tensor([[[[1.0, -1.0]], [[0.5, 0.0]]], [[[2.0, 0.0]], [[0.0, -0.5]]]])
    assert contribution(maps, kernels, 2).tolist() == [2.0 * 4.0, 1.0 * 1.0]


def test_a_flattened_filter_has_several_features_each_with_its_own_outgoing_weights():
    """Two filters of two pixels: features 0 and 1, 2 and 3."""
    features = torch.tensor([[1.0, 2.0, 0.0, 3.0]])
    weight = torch.tensor([[1.0, 0.0, 5.0, 1.0], [-1.0, 10.0, 5.0, 0.0]])
    assert contribution(features, weight, 2).tolist() == [1.0 * 2.0 + 2.0 * 10.0, 0.0 * 10.0 + 3.0 * 1.0]


def statistics_of(utility, age):
    return UnitStatistics(torch.tensor(utility), torch.tensor(age))


def test_utility_is_a_running_mean_and_its_bias_is_corrected_where_units_are_compared():
    units = statistics_of([0.0, 0.0], [0.0, 0.0])
    units.update(torch.tensor([1.0, 3.0]), decay=0.5)
    units.update(torch.tensor([2.0, 0.0]), decay=0.5)
    assert units.utility.tolist() == [1.25, 0.75]
    assert units.age.tolist() == [2.0, 2.0]
    # 0.5 after one update stands for 1, 0.9 after many for 0.9: the second is the less useful one.
    young = statistics_of([0.5, 0.9], [1.0, 50.0])
    assert young.take_least_useful(decay=0.5, maturity=0, rate=0.5).tolist() == [1]


def test_the_least_useful_mature_units_are_replaced_when_due_and_their_statistics_reset():
    units = statistics_of([0.3, 0.1, 0.0, 0.2], [11.0, 11.0, 10.0, 11.0])
    due = [units.take_least_useful(decay=0.0, maturity=10, rate=0.25).tolist() for _ in range(2)]
    assert due == [[], [1]], "three mature units: 0.75, then 1.5; the useless one is too young"
    assert units.pending == 0.5
    assert units.age.tolist() == [11.0, 0.0, 10.0, 11.0]
    assert units.utility.tolist() == pytest.approx([0.3, 0.0, 0.0, 0.2])
    assert statistics_of([0.3, 0.1], [5.0, 5.0]).take_least_useful(decay=0.0, maturity=1, rate=1.0).tolist() == [1, 0]


def small_net(filters=4):
    torch.manual_seed(3)
    return convnet(outputs=6, channels=1, size=28, filters=filters)


def test_a_re_initialised_filter_has_new_weights_no_outgoing_weights_and_no_moments():
    model = small_net(filters=64)
    optimizer = torch.optim.Adam(model.parameters())
    model(torch.randn(8, 1, 28, 28)).sum().backward()
    optimizer.step()
    for parameter in model.parameters():
        nn.init.constant_(parameter, 7.0)
        for name in ("exp_avg", "exp_avg_sq"):
            nn.init.constant_(optimizer.state[parameter][name], 7.0)
    second, last = hidden_layers(model, "test")[1:]
    units = torch.tensor([1, 5, *range(10, 60)])
    others = [unit for unit in range(64) if unit not in units.tolist()]
    for hidden in (second, last):
        reinitialise(hidden, units, optimizer, generator=torch_generator("test", 0))
        assert hidden.layer.weight[units].std().item() == pytest.approx(math.sqrt(2 / (64 * 9)), rel=0.05)
        (norm,) = hidden.norms
        for parameter, new in ((hidden.layer.bias, 0.0), (norm.weight, 1.0), (norm.bias, 0.0)):
            assert (parameter[units] == new).all()
            assert (parameter[others] == 7).all()
            assert (optimizer.state[parameter]["exp_avg"][units] == 0).all()
        assert (hidden.layer.weight[others].flatten(1) == 7).any(dim=1).all()
    outgoing = last.layer.weight
    assert (outgoing[others][:, units] == 0).all()
    assert (outgoing[others][:, others] == 7).all()
    head = model.head.weight.view(6, 64, -1)
    assert head.shape[2] == 9
    assert (head[:, units] == 0).all()
    assert (head[:, others] == 7).all()
    for parameter, columns in ((outgoing, 64), (model.head.weight, 64)):
        for name in ("exp_avg", "exp_avg_sq"):
            state = optimizer.state[parameter][name].view(len(parameter), columns, -1)
            assert (state[:, units] == 0).all()
    state = optimizer.state[model.head.weight]["exp_avg"].view(6, 64, -1)
    assert (state[:, others] == 7).all()
    assert (optimizer.state[last.layer.weight]["exp_avg"][units] == 0).all()


def test_outputs_change_by_no_more_than_the_lost_contributions():
    """Re-initialising a filter without contribution changes no output."""
    model = small_net()
    images = torch.randn(5, 1, 28, 28)
    last = hidden_layers(model, "test")[-1]
    with torch.no_grad():
        model.head.weight.view(6, 4, -1)[:, 2] = 0.0
        before = model(images)
        reinitialise(
            last, torch.tensor([2]), torch.optim.SGD(model.parameters(), lr=0.1), generator=torch_generator("t", 0)
        )
        assert torch.equal(model(images), before)


class Watch(ContinualBackprop):
    """Keeps the ages after each update."""

    def after_training_iteration(self, strategy, *args, **kwargs):
        super().after_training_iteration(strategy)
        strategy.ages.append([statistics.age.tolist() for statistics in self._statistics])


def train(tiny, plugin, model, kind=IID, **settings):
    strategy = kind(
        model=model,
        optimizer=torch.optim.Adam(model.parameters(), lr=0.01),
        plugins=[plugin],
        evaluator=silent_evaluator(),
        **settings,
    )
    strategy.ages = []
    strategy.train(pretraining_experience(tiny.tensor(), tiny.pretraining(0).train), eval_streams=[])
    return strategy


def test_filters_of_every_block_mature_and_are_replaced_in_training(tiny):
    plugin = Watch(replacement_rate=0.25, maturity=2)
    strategy = train(tiny, plugin, small_net(), epochs=2, batch_size=8)
    assert strategy.ages[1] == [[2.0] * 4] * 3
    for layer in range(3):
        young = [min(ages[layer]) for ages in strategy.ages]
        assert young == [1.0, 2.0, 0.0, *young[3:]], "mature in the third update; four of them make one due"
        assert sorted(strategy.ages[2][layer]) == [0.0, 3.0, 3.0, 3.0]
    assert not strategy.model.head._forward_pre_hooks, "it stops listening"


def test_utilities_in_training_are_of_what_the_next_layer_took_in(tiny):
    plugin = ContinualBackprop(replacement_rate=0.1, maturity=100, decay=0.0)
    model = small_net()
    taken = []
    handle = model.encoder[4].register_forward_pre_hook(lambda module, inputs: taken.append(inputs[0].detach().clone()))
    train(tiny, plugin, model, epochs=1, batch_size=24)
    handle.remove()
    (maps,) = taken
    by_hand = maps.abs().mean(dim=(0, 2, 3)) * model.encoder[4].weight.abs().sum(dim=(0, 2, 3))
    torch.testing.assert_close(plugin._statistics[0].utility, by_hand)


def test_episodes_have_hidden_units_too(tiny):
    sizes = {"inner_lr": 0.01, "episodes": 4, "inner_images": 2, "random_images": 3}
    strategy = train(tiny, Watch(replacement_rate=0.25, maturity=2), small_net(), kind=ASB, **sizes)
    assert [min(ages[0]) for ages in strategy.ages][:3] == [1.0, 2.0, 0.0]


def test_layers_that_follow_one_another_are_found_hidden_linear_ones_too():
    found = hidden_layers(oml(outputs=6, channels=1, size=28, filters=3, hidden=5), "test")
    assert [hidden.units for hidden in found] == [3] * 6 + [5]


def test_a_network_that_is_not_sequential_is_refused():
    with pytest.raises(ValueError, match="contains a Gated; allowed"):
        hidden_layers(anml(outputs=6, channels=1, size=28, gate_filters=3), "test")
    shared = nn.Sequential(nn.Flatten(), nn.Linear(784, 4), nn.PReLU(), nn.Linear(4, 4))
    with pytest.raises(ValueError, match="belongs to several units"):
        hidden_layers(Classifier(shared, new_head(4, 6), name="shared"), "test")


@pytest.mark.parametrize("wrong", [{"replacement_rate": 0.0}, {"maturity": -1}, {"decay": 1.0}])
def test_impossible_settings_are_refused_in_words(wrong):
    with pytest.raises(ValueError, match="allowed"):
        ContinualBackprop(**wrong)
