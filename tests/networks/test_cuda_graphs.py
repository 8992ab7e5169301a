"""Episodes as CUDA graphs against the same operation by operation, in double precision.

Without a GPU, what is recorded is tested by a stand-in that calls it; with one, the graphs themselves are.
"""

import functools

import pytest
import torch
from support.trained import pretrained
from torch import nn

from zapbench.networks import cuda_graphs
from zapbench.networks.classifier import convnet
from zapbench.networks.cuda_graphs import CudaGraph, reason_against_graphs
from zapbench.networks.oml import oml
from zapbench.strategies import episodic
from zapbench.strategies.asb import ASB
from zapbench.strategies.meta_asb import MetaASB

METHODS = pytest.mark.parametrize(
    "method", [ASB, MetaASB, functools.partial(MetaASB, first_order=True)], ids=["ASB", "MetaASB", "first order"]
)


class Called(CudaGraph):
    """Calls the computation, and returns its results in the same tensors each time, as a graph does."""

    def __init__(self, computation, parameters):
        self._computation, self._kept, self.calls = computation, None, 0

    def __call__(self, *inputs):
        self.calls += 1
        found = self._computation(*inputs)
        self._kept = self._kept or found
        torch._foreach_copy_(self._kept, found) if found else None
        return self._kept


@METHODS
def test_what_is_recorded_of_an_episode_is_the_episode(tiny, method, monkeypatch):
    plain, plain_losses, _ = pretrained(tiny, method, fast=False)
    monkeypatch.setattr(episodic, "reason_against_graphs", lambda model: "")
    monkeypatch.setattr(episodic, "manual_gradients", lambda *args, **kwargs: None)
    monkeypatch.setattr("zapbench.strategies.meta_asb.manual_gradients", lambda *args, **kwargs: None)
    for module in ("asb", "meta_asb"):
        monkeypatch.setattr(f"zapbench.strategies.{module}.CudaGraph", Called)
    found, losses, strategy = pretrained(tiny, method)
    assert [graph.calls for graph in strategy._graphs] == [20] * len(strategy._graphs) != []
    assert torch.allclose(found, plain, rtol=1e-9, atol=1e-9)
    assert torch.allclose(losses, plain_losses, rtol=1e-9)


def test_an_inner_loop_that_moves_some_parameters_is_not_recorded(tiny, monkeypatch):
    monkeypatch.setattr(episodic, "reason_against_graphs", lambda model: "")
    _, _, strategy = pretrained(tiny, MetaASB, episodes=2, inner=("head.*",))
    assert strategy._graphs == ()


def test_inner_updates_of_a_strategy_of_ones_own_are_not_left_out(tiny, monkeypatch):
    class Own(MetaASB):
        calls = 0

        def _inner_updates(self, **kwargs):
            self.calls += 1
            super()._inner_updates(**kwargs)

    monkeypatch.setattr(episodic, "reason_against_graphs", lambda model: "")
    monkeypatch.setattr("zapbench.strategies.meta_asb.manual_gradients", lambda *args, **kwargs: None)
    monkeypatch.setattr("zapbench.strategies.meta_asb.CudaGraph", Called)
    found, _, strategy = pretrained(tiny, Own, episodes=3)
    plain, _, _ = pretrained(tiny, MetaASB, episodes=3, fast=False)
    assert (strategy.calls, strategy._graphs) == (3, ())
    assert torch.allclose(found, plain, rtol=1e-9, atol=1e-9)


def test_graphs_are_for_plain_networks_on_a_gpu(monkeypatch):
    model = convnet(outputs=6, channels=1, size=28, filters=4)
    assert "GPU" in reason_against_graphs(model)
    monkeypatch.setattr(cuda_graphs, "GPU", "cpu")
    assert not reason_against_graphs(model)
    assert reason_against_graphs(oml(outputs=6, channels=1, size=28))
    model.encoder.append(nn.Dropout())
    assert "convnet" in reason_against_graphs(model)


if torch.cuda.is_available():  # not skipped elsewhere: where everything was provided, nothing may be

    @METHODS
    def test_episodes_as_graphs_equal_those_operation_by_operation(tiny, method):
        found, losses, strategy = pretrained(tiny, method, device="cuda")
        assert strategy._graphs
        for device in ("cuda", "cpu"):
            plain, plain_losses, other = pretrained(tiny, method, device=device, fast=False)
            assert not other._graphs
            assert torch.allclose(found, plain, rtol=1e-7, atol=1e-9)
            assert torch.allclose(losses, plain_losses, rtol=1e-7)

    def test_a_graph_is_recorded_again_for_other_shapes_and_parameters():
        weights = [torch.ones(3, device="cuda")]

        def step(x):
            weights[0].add_(1)
            return (x * weights[0],)

        graph = CudaGraph(step, lambda: weights)
        assert [graph(torch.full((3,), 2.0, device="cuda"))[0].tolist() for _ in range(2)] == [[4.0] * 3, [6.0] * 3]
        assert graph(torch.full((2, 3), 2.0, device="cuda"))[0].tolist() == [[8.0] * 3] * 2
        weights[0] = torch.zeros(3, device="cuda")
        assert graph(torch.full((2, 3), 2.0, device="cuda"))[0].tolist() == [[2.0] * 3] * 2
