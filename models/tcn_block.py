"""A block of the TCN, on a processor, on a GPU, and in torch's own operations."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.compiled import CompiledBlock
from models.conv import pad_rows
from models.film import FiLM
from models.fused import FusedBlock, Layout
from models.gpu import GPUBlock


class TCNBlock(nn.Module):
    """Dilated convolution → FiLM → PReLU, plus the block's input through a 1×1 convolution.

    ``span`` is the number of samples by which the output is shorter than the input; ``lookahead`` of them are lost at
    the end, the others at the start.

    Shape:
        x ``(B, in_channels, T)``, condition ``(B, condition)`` → ``(B, out_channels, T − span)``.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        dilation: int,
        condition: int,
        causal: bool,
        frozen: bool = False,
    ) -> None:
        super().__init__()
        self.dilation = dilation
        self.span = (kernel_size - 1) * dilation
        self.lookahead = 0 if causal else self.span // 2
        # Holds the weight and its initialisation; it is never called.
        self.conv = nn.Conv1d(in_channels, out_channels, kernel_size, dilation=dilation, bias=False)
        self.film = FiLM(out_channels, condition, frozen)
        self.activation = nn.PReLU(out_channels)
        groups = math.gcd(in_channels, out_channels)
        self.residual = nn.Conv1d(in_channels, out_channels, 1, groups=groups, bias=False)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        start = self.span - self.lookahead
        kept = x[..., start : x.shape[-1] - self.lookahead]
        y = F.conv1d(x, self.conv.weight, dilation=self.dilation)
        y = self.activation(self.film(y, condition))
        if kept.shape[1] in (1, y.shape[1]):  # then the 1×1 convolution is a gain for each channel, and cheaper as such
            return torch.addcmul(y, kept, self.residual.weight.view(1, -1, 1))
        return y + self.residual(kept)

    def rows_needed(self, samples: int) -> int:
        """Rows that an input of so many samples has to have for `fused`."""
        return pad_rows(samples - self.span, self.dilation) + self.span

    def fused(
        self, x: Tensor, condition: Tensor, mix: Tensor, layout: Layout, recompute: bool
    ) -> tuple[Tensor, Tensor]:
        """The block's output, and its share of the network's; see `models.fused`."""
        return self._applied(FusedBlock, x, condition, self._residual(x), mix, layout, recompute)

    def on_gpu(
        self, x: Tensor, condition: Tensor, mix: Tensor, layout: Layout, recompute: bool
    ) -> tuple[Tensor, Tensor]:
        """The same; see `models.gpu`."""
        return self._applied(GPUBlock, x, condition, self._residual(x), mix, layout, recompute)

    def compiled(
        self, x: Tensor, condition: Tensor, mix: Tensor, layout: Layout, recompute: bool
    ) -> tuple[Tensor, Tensor]:
        """The same; see `models.compiled`."""
        return self._applied(CompiledBlock, x, condition, self.residual.weight[..., 0], mix, layout, recompute)

    def _residual(self, x: Tensor) -> Tensor:
        gain = self.residual.weight[..., 0]
        of_each = x.shape[-1] == len(gain)  # channel its own: a gain instead of a matrix
        return gain[:, 0] if of_each else torch.block_diag(*gain.chunk(self.residual.groups)).T

    def _applied(
        self,
        function: type[torch.autograd.Function],
        x: Tensor,
        condition: Tensor,
        residual: Tensor,
        mix: Tensor,
        layout: Layout,
        recompute: bool,
    ) -> tuple[Tensor, Tensor]:
        norm = self.film.norm
        signals = (x, self.conv.weight, *self.film.scale_and_shift(condition), self.activation.weight, residual, mix)
        moments = (None, None) if norm.training else (norm.running_mean, norm.running_var)
        out, share, mean, variance = function.apply(*signals, *moments, norm.eps, layout, recompute)
        if norm.training:
            self.film.observe(mean, variance, len(x) * layout.samples)
        return out, share
