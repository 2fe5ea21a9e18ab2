"""The conditional temporal convolutional network (TCN) of the paper.

A stack of dilated convolutions without padding. Controls (for a compressor: mode and peak reduction) pass through a
small network and then scale and shift every channel of every block (FiLM). The outputs of all blocks are summed and
mixed to the output signal.

Because nothing is padded, an input of T samples gives T − receptive_field + 1 output samples, each computed from a full
receptive field. Which input sample an output sample belongs to follows from ``lookahead``:

    output[0]  belongs to  input[receptive_field − 1 − lookahead]

A causal network has ``lookahead == 0``; the paper's is centred, so it looks ahead by half of its receptive field.

A new network starts as (nearly) the identity, ``tanh(input)``. A loss on magnitudes cannot tell a signal from its
inversion: from random weights it would settle on either polarity, from the identity it stays with the right one.

Source: Steinmetz and Reiss, "auraloss: Audio-focused loss functions in PyTorch", DMRN+15, 2020, and its released model.
That model adds the output of the last block twice; here every block is added once.
"""

from __future__ import annotations

import itertools
import math
import operator
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models import compiled, gpu
from models.compiled_steps import CompiledSteps
from models.conv import fast_on
from models.film import CONDITIONING, FiLM, conditioning
from models.fused import Layout
from models.net import Net, State
from models.tcn_block import TCNBlock
from models.tcn_steps import TCNSteps

NORMS = ("batch", "frozen")

Run = Callable[[TCNBlock, Tensor, Tensor, Tensor, Layout, bool], tuple[Tensor, Tensor]]
"""Of a block, signal, condition, weights in the mix, layout, and whether to compute once more what could be kept."""


class TCN(Net):
    """The paper's network with its defaults: receptive field 14,323 samples (325 ms at 44.1 kHz), about 0.2 M
    parameters. With ``recompute``, training on a CPU keeps one signal of each block instead of two, and convolves once
    more.

    Args:
        blocks: number of blocks.
        kernel_size: taps of each convolution.
        channels: channels of each block.
        dilation_growth: dilation of block n is ``dilation_growth ** n`` samples.
        controls: number of controls; 0 for a network without.
        in_channels: channels of the input signal.
        out_channels: channels of the output signal.
        causal: if true, no output sample depends on a later input sample.
        norm: ``"batch"``, the paper's, normalises by the statistics of the batch in training and by running ones in
            evaluation; ``"frozen"`` by the same constants in both, see `calibrate`.

    Shape:
        x ``(B, in_channels, T)``, controls ``(B, controls)`` → ``(B, out_channels, T − receptive_field + 1)``, in ±1.

    Raises:
        ValueError: for sizes below 1, another `norm`, an input of another rank, number of channels or controls, or one
            that is shorter than the receptive field.

    Example:
        >>> net = TCN(blocks=2, kernel_size=3, channels=4)
        >>> net.receptive_field, net.lookahead
        (7, 3)
        >>> net(torch.zeros(1, 1, 100), torch.zeros(1, 2)).shape
        torch.Size([1, 1, 94])
    """

    features_per_channel = 1  # of the input
    reach = 0  # samples of the past that these need
    mixed_per_channel = 1  # of the output
    multiplies = False  # whether `output` takes the input
    adds_up = True  # all blocks; else the last one alone is heard
    widths = CONDITIONING
    bends: type[nn.Module] = nn.PReLU  # what the controls pass besides layers of these widths

    def __init__(
        self,
        blocks: int = 10,
        kernel_size: int = 15,
        channels: int = 32,
        dilation_growth: int = 2,
        controls: int = 2,
        in_channels: int = 1,
        out_channels: int = 1,
        causal: bool = False,
        norm: str = "batch",
    ) -> None:
        super().__init__()
        sizes = {
            "blocks": blocks,
            "kernel_size": kernel_size,
            "channels": channels,
            "dilation_growth": dilation_growth,
            "in_channels": in_channels,
            "out_channels": out_channels,
        }
        for name, size in sizes.items():
            if size < 1:
                raise ValueError(f"TCN: {name} must be at least 1, got {size}")
        if controls < 0:
            raise ValueError(f"TCN: controls must be at least 0, got {controls}")
        if norm not in NORMS:
            raise ValueError(f"TCN: norm must be one of {', '.join(NORMS)}, got {norm!r}")
        self.in_channels, self.out_channels = in_channels, out_channels
        self.controls = controls

        self.conditioning = conditioning(controls, self.widths, self.bends) if controls else None
        condition = self.widths[-1] if controls else 0

        self.blocks = nn.ModuleList(
            TCNBlock(
                in_channels * self.features_per_channel if n == 0 else channels,
                channels,
                kernel_size,
                dilation_growth**n,
                condition,
                causal,
                norm == "frozen",
            )
            for n in range(blocks)
        )
        self.mix = nn.Conv1d(channels, out_channels * self.mixed_per_channel, 1)
        self.span = sum(block.span for block in self.blocks)  # type: ignore[misc]
        self.receptive_field = 1 + self.reach + self.span
        self.lookahead = sum(block.lookahead for block in self.blocks)  # type: ignore[misc]

        self._initialise()

    def forward(self, x: Tensor, controls: Tensor) -> Tensor:
        return self.output(self.mixed(x, controls), self.align(x))

    def features(self, x: Tensor) -> Tensor:
        """What the first block is given of the input: the input itself.

        Shape:
            x ``(B, in_channels, T)`` → ``(B, features_per_channel · in_channels, T − reach)``.
        """
        return x

    def features_in_steps(self, silence: Tensor, longest: int) -> Callable[[Tensor], Tensor]:
        """The same of a signal in blocks, after silence ``(B, in_channels, 1)``: as many samples as the block has."""
        return self.features

    def output(self, mixed: Tensor, x: Tensor) -> Tensor:
        """The output, of what the blocks add up to and the input that belongs to it: the former, limited to ±1.

        Shape:
            mixed ``(B, mix.out_channels, n)``, x ``(B, in_channels, n)`` → ``(B, out_channels, n)``.
        """
        return torch.tanh(mixed)

    def mixed(self, x: Tensor, controls: Tensor) -> Tensor:
        """What the blocks add up to, mixed; see `output`."""
        self.check(x, controls)
        condition = self.conditioning(controls) if self.conditioning is not None else controls
        x = self.features(x)
        if fast_on(x):
            mixed = self._fused(x, condition)
        elif gpu.fast_on(x, self.mix.in_channels):
            mixed = self._on_gpu(x, condition)
        else:
            mixed = self._plain(x, condition)
        return mixed + self.mix.bias[:, None]  # type: ignore[index]

    def mixes(self) -> list[Tensor]:
        """Of each block, the weights with which its output is mixed, ``(mix.out_channels, channels, 1)``."""
        weight = self.mix.weight
        heard = [self.adds_up or block is self.blocks[-1] for block in self.blocks]
        return [weight if each else torch.zeros_like(weight) for each in heard]

    @torch.no_grad()
    def calibrate(self, batches: Iterable[tuple[Tensor, Tensor]]) -> None:
        """Sets the constants of a frozen normalisation: mean and variance of each channel over all batches.

        Args:
            batches: of signal and controls, as `forward` takes them.

        Raises:
            ValueError: if the normalisation is not frozen: it would go on as another one.
        """
        norms: list[Any] = []
        for film in (module for module in self.modules() if isinstance(module, FiLM)):
            if not film.frozen:
                raise ValueError("a batch norm has no constants to calibrate: pass calibration=0, or model.norm=frozen")
            norms.append(film.norm)
        momenta = [norm.momentum for norm in norms]
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # the mean of all batches
            norm.train()
        for x, controls in batches:
            self.mixed(x, controls)
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
        self.train(self.training)

    def _plain(self, x: Tensor, condition: Tensor) -> Tensor:
        """The mixed sum of all blocks' outputs."""
        samples = x.shape[-1] - self.span
        before = self.span - self.lookahead  # samples that the blocks still to come take from the start
        total: Tensor | None = None
        block: Any
        for block in self.blocks:
            x = block(x, condition)
            before -= block.span - block.lookahead
            skip = x[..., before : before + samples]
            total = skip if total is None or not self.adds_up else total + skip
        return F.conv1d(total, self.mix.weight)  # type: ignore[arg-type]

    def _fused(self, x: Tensor, condition: Tensor) -> Tensor:
        """The same, faster on a CPU; see `models.fused`, and `models.compiled` for few channels."""
        lengths = self._lengths(x.shape[-1])
        if compiled.suits(x, self.mix.in_channels):
            rows = [length + compiled.SLACK for length in lengths]
            x = F.pad(x, (0, rows[0] - lengths[0]))
            return self._added_up(TCNBlock.compiled, x, condition, lengths, rows)
        blocks: Any = self.blocks
        rows = [block.rows_needed(length) for block, length in zip(blocks, lengths, strict=False)] + lengths[-1:]
        x = F.pad(x, (0, rows[0] - lengths[0])).transpose(1, 2).contiguous()
        return self._added_up(TCNBlock.fused, x, condition, lengths, rows).transpose(1, 2)

    def _on_gpu(self, x: Tensor, condition: Tensor) -> Tensor:
        """The same, faster on a GPU; see `models.gpu`."""
        lengths = self._lengths(x.shape[-1])
        return self._added_up(TCNBlock.on_gpu, gpu.rows(x), condition, lengths, lengths).transpose(1, 2)

    def _lengths(self, length: int) -> list[int]:
        """Samples before the first block, and after each."""
        return list(itertools.accumulate((block.span for block in self.blocks), operator.sub, initial=length))

    def _added_up(self, run: Run, x: Tensor, condition: Tensor, lengths: list[int], rows: list[int]) -> Tensor:
        """What all blocks add to the mix.

        Args:
            run: runs a block.
            lengths: samples of the input, and of each block's output.
            rows: the same with what pads them.
        """
        samples, before = lengths[-1], self.span - self.lookahead
        total: Any = 0
        block: Any
        for block, mix, length, padded in zip(self.blocks, self.mixes(), lengths[1:], rows[1:], strict=True):
            start = block.span - block.lookahead
            before -= start
            skip = slice(before, before + samples)
            layout = Layout(block.dilation, block.span, start, length, padded, skip)
            x, share = run(block, x, condition, mix[..., 0].T, layout, self.recompute)
            total = total + share
        return total

    def start(self, controls: Tensor) -> State:
        """The state after endless silence: the input's last samples, as far as features or output need them; of each
        block its last input samples, and the sum of the outputs before it.

        A block looks ahead by some samples, by which the sum has to wait for it. What waits is mixed already, and thus
        has the output's channels instead of the blocks'.
        """
        condition = self.conditioning(controls) if self.conditioning is not None else controls
        silence = controls.new_zeros(len(controls), self.in_channels, 1)
        x = self.features(silence.expand(-1, -1, self.reach + 1))
        total = controls.new_zeros(len(controls), self.mix.out_channels, 1)
        state = [silence.repeat(1, 1, self._kept)] if self._kept else []
        block: Any
        for block, mix in zip(self.blocks, self.mixes(), strict=True):
            state += [x.repeat(1, 1, block.span), total.repeat(1, 1, block.lookahead)]
            x = block(x.expand(-1, -1, block.span + 1), condition)
            total = total + F.conv1d(x, mix)
        return tuple(state)

    def step(self, block: Tensor, state: State, controls: Tensor) -> tuple[Tensor, State]:
        """Each block meets its new input samples once; see `Net.step`."""
        condition = self.conditioning(controls) if self.conditioning is not None else controls
        samples, kept = block.shape[-1], self._kept
        after = []
        if kept:
            block, state = torch.cat((state[0], block), dim=-1), state[1:]
            after.append(block[..., samples:])
        x = self.features(block[..., kept - self.reach :])
        total = block.new_zeros(block.shape[0], self.mix.out_channels, samples)
        stage: Any
        for stage, mix, history, waiting in zip(self.blocks, self.mixes(), state[::2], state[1::2], strict=True):
            x = torch.cat((history, x), dim=-1)
            total = torch.cat((waiting, total), dim=-1)
            after += [x[..., samples:], total[..., samples:]]
            x = stage(x, condition)
            total = total[..., :samples] + F.conv1d(x, mix)
        dry = block[..., kept - self.lookahead :][..., :samples] if self.multiplies else block
        return self.output(total + self.mix.bias[:, None], dry), tuple(after)  # type: ignore[index]

    @property
    def _kept(self) -> int:
        """Samples of the input that a step needs besides the new ones."""
        return max(self.reach, self.lookahead if self.multiplies else 0)

    def steps(self, controls: Tensor) -> TCNSteps:
        """See `Net.steps`; many times as fast as `step` for short blocks."""
        few = controls.device.type == "cpu" and compiled.suits(controls, self.mix.in_channels)
        return (CompiledSteps if few else TCNSteps)(self, controls)

    @torch.no_grad()
    def _initialise(self) -> None:
        """As the identity: the convolutions are silent at first (`FiLM`), the residual paths carry the input, the mix
        takes the mean."""
        block: Any
        for block in self.blocks:
            nn.init.constant_(block.residual.weight, 1 / block.residual.weight.shape[1])
        outputs, channels, _ = self.mix.weight.shape
        groups = math.gcd(self.in_channels, channels)
        carried = torch.ones(outputs, channels)
        if groups == self.in_channels == outputs:  # then each output takes the channels that carry its own input
            carried = (torch.arange(channels) * groups // channels == torch.arange(outputs)[:, None]).float()
        heard = len(self.blocks) if self.adds_up else 1
        self.mix.weight.copy_((carried / carried.sum(dim=1, keepdim=True) / heard).unsqueeze(-1))
        self.mix.bias.zero_()  # type: ignore[union-attr]
