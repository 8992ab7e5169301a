"""ASB, alternating sequential and batch learning (Frati et al., ECAI 2024, Algorithm 1 without meta-gradients)."""

from typing import Any

import gin
import torch
from torch import Tensor

from zapbench.networks.cuda_graphs import CudaGraph
from zapbench.strategies.episodic import Episodic


@gin.register
class ASB(Episodic):
    """K steps of plain SGD, an image each, on one class; then one step of the optimiser on the outer batch.

    theta_{i+1} = theta_i - inner_lr * grad L(f(X_inner[i]; theta_i), C), for i in 0..K-1;
    theta = theta_K - lr_out * grad L(f(X_outer; theta_K), Y).

    See `Episodic` for the hooks.
    """

    def _cuda_graphs(self) -> tuple[CudaGraph, ...]:
        return CudaGraph(self._descend, self._parameters), CudaGraph(self._outer_gradients, self._parameters)

    def _inner_updates(self, **kwargs: Any) -> None:
        if self._net is not None:
            self._net.load()
            self._net.descend(self.inner_x, self.inner_y, lr=self.inner_lr)
            self._net.store()
        elif self._graphs:
            self._graphs[0](self.inner_x, self.inner_y)
        else:
            self._descend(self.inner_x, self.inner_y)

    def _descend(self, images: Tensor, labels: Tensor) -> tuple[Tensor, ...]:
        parameters = [p for p in self.model.parameters() if p.requires_grad]
        for i in range(self.inner_images):
            loss = self._criterion(self.model(images[i : i + 1]), labels[i : i + 1])
            gradients = torch.autograd.grad(loss, parameters)
            with torch.no_grad():
                torch._foreach_add_(parameters, gradients, alpha=-self.inner_lr)
        return ()

    def _outer_update(self, **kwargs: Any) -> None:
        self.optimizer.zero_grad()
        if self._net is not None:
            self._net.load()
            self.mb_output = self._net.backpropagate(self.mb_x, self.mb_y)
            self._net.assign_gradients()
            self.loss = self.criterion()
        elif self._graphs:
            output, loss, *gradients = self._graphs[1](self.mb_x, self.mb_y)
            self.mb_output, self.loss = output.clone(), loss.clone()  # the next episode writes into the graph's own
            for parameter, gradient in zip(self.model.parameters(), gradients):
                parameter.grad = gradient
        else:
            self.mb_output = self.model(self.mb_x)
            self.loss = self.criterion()
            self.loss.backward()
        self.optimizer.step()

    def _outer_gradients(self, images: Tensor, labels: Tensor) -> tuple[Tensor, ...]:
        output = self.model(images)
        loss = self._criterion(output, labels)
        return output.detach(), loss.detach(), *torch.autograd.grad(loss, list(self.model.parameters()))
