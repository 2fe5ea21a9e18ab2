"""A training step small enough to be tried with every loss."""

from collections.abc import Callable

import torch
from torch import Tensor

from tests.loss_calls import build, ordinary


class Step(torch.nn.Module):
    """A network and its loss in one module, as one wraps them for training in parallel."""

    def __init__(self, call: str) -> None:
        super().__init__()
        self.network = torch.nn.Conv1d(2, 2, 3, padding=1)
        generator = torch.Generator().manual_seed(0)
        for parameter in self.network.parameters():
            parameter.data = 0.5 * torch.randn(parameter.shape, generator=generator)
        self.loss = build(call)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        value: Tensor = self.loss(self.network(input), target)
        return value


def trained(step: Callable[[Tensor, Tensor], Tensor], network: torch.nn.Module) -> list[Tensor]:
    """The loss and the gradients of the network's parameters."""
    network.zero_grad()
    value = step(*(signal.float() for signal in ordinary()))
    value.backward()
    return [value.detach(), *(parameter.grad for parameter in network.parameters() if parameter.grad is not None)]
