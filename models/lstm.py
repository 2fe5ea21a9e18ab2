"""A recurrent network: a layer of LSTM cells, which is given signal and controls, and adds to the signal.

    y = x + W·h + b        h, c ← LSTM([x, controls], h, c) at each sample

A new one is the identity (W and b are zero). Controls that change reach the cells in an exponential way of 10 ms. The
network remembers what its cells learn to keep over the samples that a crop has besides the warm-up: the shorter the
crops, and the more of them in a batch, the faster a step.

Source: Wright, Damskägg and Välimäki, "Real-time black-box modelling with recurrent neural networks", DAFx 2019, with
the controls as further inputs, as in Steinmetz and Reiss, "Efficient neural networks for real-time modeling of analog
dynamic range compression", AES 152, 2022.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch._higher_order_ops import scan

from models.endless import Endless, glide
from models.net import State

GLIDE = 441  # samples in which controls move, 10 ms at 44.1 kHz


class LSTM(Endless):
    """The network of this module's text.

    Args:
        cells: of the layer.
        controls, in_channels, out_channels, warm_up: see `Endless`.

    Shape:
        x ``(B, in_channels, T)``, controls ``(B, controls)`` → ``(B, in_channels, T − receptive_field + 1)``.

    Raises:
        ValueError: also for fewer than one cell, or for another number of output channels than of input channels.
    """

    def __init__(
        self, cells: int = 32, controls: int = 2, in_channels: int = 1, out_channels: int = 1, warm_up: int = 4
    ) -> None:
        super().__init__(controls, in_channels, out_channels, warm_up)
        if cells < 1:
            raise ValueError(f"LSTM: cells must be at least 1, got {cells}")
        if in_channels != out_channels:
            raise ValueError(
                f"LSTM: what it gives is added to the input; got {in_channels} input and {out_channels} output channels"
            )
        self.cells = nn.LSTM(in_channels + controls, cells, batch_first=True)
        self.mix = nn.Linear(cells, out_channels)
        nn.init.zeros_(self.mix.weight)
        nn.init.zeros_(self.mix.bias)

    def multiplications(self) -> float:
        """Those of gates and mix, each weight once, and three a cell."""
        of_input, of_h, *_ = self.cells.parameters()
        return float(of_input.numel() + of_h.numel() + self.mix.weight.numel() + 3 * self.cells.hidden_size)

    def rest(self, controls: Tensor) -> State:
        """The controls on their way, h and c."""
        h = controls.new_zeros(1, len(controls), self.cells.hidden_size)
        return torch.zeros_like(controls), h, h.clone()

    def step(self, block: Tensor, state: State, controls: Tensor) -> tuple[Tensor, State]:
        x = block.transpose(1, 2)
        before, h, c = state
        on_their_way, after = glide(before, controls, x.shape[1], GLIDE)
        given = torch.cat((x, on_their_way), dim=-1)
        if torch.compiler.is_compiling():
            of_samples, last = self._scanned(given, h, c)
        else:
            of_samples, last = self.cells(given, (h, c))
        return block + self.mix(of_samples).transpose(1, 2), (after, *last)

    def _scanned(self, given: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, State]:
        """Sample after sample, for `torch.export`, which would write out each of them."""
        of_input, of_h, *biases = self.cells.parameters()
        gates = (given @ of_input.t() + sum(biases)).transpose(0, 1).contiguous()

        def step(before: State, gates: Tensor) -> tuple[State, Tensor]:
            h, c = before
            i, f, g, o = (gates + h @ of_h.t()).chunk(4, dim=-1)
            c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
            h = torch.sigmoid(o) * torch.tanh(c)
            return (h, c), h.clone()

        last, of_samples = scan(step, (h[0], c[0]), gates)
        return of_samples.transpose(0, 1), tuple(part.unsqueeze(0) for part in last)
