"""Recordings through a network, block after block: what a stream from their first sample on gives."""

from __future__ import annotations

import torch
from torch import Tensor

from models.endless import Endless
from models.net import Net, Steps


class Rendering:
    """A network's outputs for the blocks of recordings.

    A network hears each block with its `Net.context` around, nothing else. One of endless memory hears the blocks of
    a recording in their order, each by itself, and keeps its state between them.

    Args:
        net: in evaluation mode.
        device: to which it is moved.
    """

    def __init__(self, net: Net, device: torch.device | str = "cpu") -> None:
        self.net = net.to(device)
        self.device = device
        self.endless = isinstance(net, Endless)
        self.context = (0, 0) if self.endless else net.context
        """Samples of the recording that `block` needs before and after each block."""
        self._steps: Steps | None = None

    def begin(self) -> None:
        """The next block is the first of a recording."""
        self._steps = None

    @torch.inference_mode()
    def block(self, segment: tuple[Tensor, Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """The output for a block of a recording (input, target, controls) and its `context`, and the samples of the
        target that belong to it.

        Shape:
            input and target ``(channels, T)``, controls ``(controls,)`` → twice ``(1, channels, n)``, n samples of the
            block.
        """
        input, target, controls = segment
        x, of_net = input[None].to(self.device), controls[None].to(self.device)
        if not self.endless:
            return self.net(x, of_net).float(), self.net.align(target[None]).to(self.device)
        if self._steps is None:
            self._steps = self.net.steps(of_net)
        return self._steps.step(x).float(), target[None].to(self.device)
