"""A computation on a GPU as one CUDA graph: its small operations are launched together instead of one by one."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from zapbench.networks.manual_gradients import reason_against_structure

Computation = Callable[..., tuple[Tensor, ...]]

GPU = "cuda"

WARM_UP = 3
"""Runs before recording, in which libraries choose their algorithms and allocate."""


def reason_against_graphs(model: nn.Module) -> str:
    """Returns in words why the model's steps cannot be a CUDA graph, or nothing where they can.

    Only networks are taken whose forward pass draws no random numbers and keeps no state, so that the runs before
    recording leave nothing behind.
    """
    if any(p.device.type != GPU or not p.requires_grad for p in model.parameters()):
        return "parameters are frozen or not on a GPU"
    return reason_against_structure(model)


class CudaGraph:
    """Runs a computation as a CUDA graph, recorded at the first call, and again when a shape or a parameter changes.

    Args:
        computation: maps tensors on the GPU to tensors there. It may change `parameters` in place, and nothing else,
            and must not depend on values on the CPU.
        parameters: returns the tensors that it reads or changes beside its arguments.
    """

    def __init__(self, computation: Computation, parameters: Callable[[], Sequence[Tensor]]) -> None:
        self._computation = computation
        self._parameters = parameters
        self._recorded_for: object = None
        self._graph = torch.cuda.CUDAGraph()
        self._inputs: tuple[Tensor, ...] = ()
        self._outputs: tuple[Tensor, ...] = ()

    def __call__(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Returns what the computation returns; the next call writes into the same tensors."""
        key = [(x.shape, x.dtype) for x in inputs], [(p.shape, p.data_ptr()) for p in self._parameters()]
        if self._recorded_for != key:
            self._record(inputs)
            self._recorded_for = key
        torch._foreach_copy_(self._inputs, inputs)
        self._graph.replay()
        return self._outputs

    def _record(self, inputs: tuple[Tensor, ...]) -> None:
        parameters = [p.detach() for p in self._parameters()]
        before = [p.clone() for p in parameters]
        self._inputs = tuple(x.clone() for x in inputs)
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(WARM_UP):
                self._computation(*self._inputs)
        torch.cuda.current_stream().wait_stream(side)
        torch._foreach_copy_(parameters, before)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph, capture_error_mode="thread_local"):
            self._outputs = self._computation(*self._inputs)
