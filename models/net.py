"""What every network here is: `receptive_field` and `lookahead`, the alignment that follows from them, running one."""

from __future__ import annotations

import torch
from torch import Tensor, nn

State = tuple[Tensor, ...]
"""What a network remembers of the signal so far; of the same shapes after every step."""


class Net(nn.Module):
    """A network without padding: ``forward(x, controls)`` turns T samples into T − receptive_field + 1.

    A signal of any length goes through it in blocks with `start` and `step`. They work for every network, by running it
    over the last ``receptive_field − 1`` samples again; a network that knows better overrides both.

    Shape:
        x ``(B, in_channels, T)``, controls ``(B, controls)`` → ``(B, out_channels, T − receptive_field + 1)``.
    """

    in_channels: int = 1
    """Channels of the input signal."""

    controls: int
    """Number of controls."""

    recompute: bool = False
    """Whether training is to keep less for the backward pass and compute more; a network that cannot ignores it."""

    receptive_field: int
    """Input samples on which an output sample depends."""

    lookahead: int
    """How many of them are later than the output sample; 0 for a causal network."""

    memory: int = 0
    """Samples that it hears besides, before each block by which a training is validated: of endless memory as many as
    matter (`models.endless`), of any other none."""

    @property
    def context(self) -> tuple[int, int]:
        """Input samples needed before and after the span of the output."""
        return self.receptive_field - 1 - self.lookahead, self.lookahead

    def align(self, signal: Tensor) -> Tensor:
        """Of a signal that spans the same samples as the input, those that belong to the output.

        Output sample 0 belongs to input sample ``receptive_field − 1 − lookahead``.
        """
        before, after = self.context
        return signal[..., before : signal.shape[-1] - after]

    def check(self, x: Tensor, controls: Tensor) -> None:
        """Raises a `ValueError` unless ``forward`` can take these."""
        name = type(self).__name__
        if x.ndim != 3 or x.shape[1] != self.in_channels:
            expected = f"(batch, {self.in_channels}, samples)"
            raise ValueError(f"{name}: input must have shape {expected}, got {tuple(x.shape)}")
        if controls.shape != (x.shape[0], self.controls):
            expected = f"{(x.shape[0], self.controls)}"
            raise ValueError(f"{name}: controls must have shape {expected}, got {tuple(controls.shape)}")
        if not len(x):
            raise ValueError(f"{name}: the batch is empty")
        if not torch.compiler.is_compiling() and not torch.is_autocast_enabled(x.device.type):
            weight = next(self.parameters(), x)
            if weight.dtype != x.dtype:
                raise ValueError(f"{name}: input of {x.dtype}, the network is in {weight.dtype}")
        if x.shape[-1] < self.receptive_field:
            raise ValueError(
                f"{name}: input of {x.shape[-1]} samples is shorter than the receptive field of "
                f"{self.receptive_field} samples"
            )

    def multiplications(self) -> float:
        """For a sample of the output: those of all convolutions, each weight once. What is computed when the controls
        change is not counted, nor what is done to each number of a channel by itself."""
        return float(sum(module.weight.numel() for module in self.modules() if isinstance(module, nn.Conv1d)))

    def start(self, controls: Tensor) -> State:
        """The state after endless silence, at these controls ``(B, controls)``."""
        silence = torch.zeros(len(controls), self.in_channels, self.receptive_field - 1)
        return (silence.to(controls),)

    def step(self, block: Tensor, state: State, controls: Tensor) -> tuple[Tensor, State]:
        """The output for a block of new samples, and the next state.

        The newest output sample belongs to the input sample that came `lookahead` samples before the newest. Steps over
        a signal and `lookahead` zeros after it therefore give `lookahead` samples that belong to the silence before,
        and then what ``forward`` gives for the signal with zeros on both sides.

        Shape:
            block ``(B, in_channels, n)``, controls ``(B, controls)`` → ``(B, out_channels, n)``, for any n ≥ 1.
        """
        (history,) = state
        joined = torch.cat((history, block), dim=-1)
        return self(joined, controls), (joined[..., block.shape[-1] :],)

    def steps(self, controls: Tensor) -> Steps:
        """A signal's way through the network in blocks, from silence at these controls on, in evaluation mode.

        For those who run it long; a network that can do better than its `step` overrides this as well.
        """
        return Steps(self, controls)


class Unprocessed(Net):
    """The network that does nothing: its score says what a trained one has to beat."""

    receptive_field = 1
    lookahead = 0

    def forward(self, x: Tensor, controls: Tensor) -> Tensor:
        return x


LONGEST_WAY = 1024
"""Samples after which a network that moves to new controls is there at the latest; else the next block ends its way."""


def way(count: int, like: Tensor) -> Tensor:
    """What share of the way to new controls each of the next `count` samples has gone, ``(count,)``.

    >>> way(4, torch.zeros(1))
    tensor([0.2500, 0.5000, 0.7500, 1.0000])
    """
    share = torch.arange(1, count + 1, dtype=like.dtype, device=like.device) / min(count, LONGEST_WAY)
    return share.clamp_max(1)


class Steps:
    """A network on its way through a signal: `Net.step` with a memory of its own, and controls that may change.

    Args:
        net: the network, in evaluation mode.
        controls: ``(B, controls)``.
    """

    longest: int
    """Samples of the longest block that is treated at once; a longer one is split."""

    def __init__(self, net: Net, controls: Tensor) -> None:
        self.net = net
        self.state = net.start(controls)
        # Each part costs a receptive field more than it has samples: at most a fourth.
        self.longest = max(2**15, 4 * net.receptive_field)
        self.set(controls)

    def set(self, controls: Tensor) -> None:
        """The controls ``(B, controls)`` of the samples to come."""
        self.controls = controls

    def step(self, block: Tensor) -> Tensor:
        """As `Net.step`: ``(B, in_channels, n)`` → ``(B, out_channels, n)``, for any n ≥ 1."""
        return torch.cat([self._step(part) for part in block.split(self.longest, dim=-1)], dim=-1)

    def _step(self, block: Tensor) -> Tensor:
        output, state = self.net.step(block, self.state, self.controls)
        self.state = tuple(part.clone() for part in state)  # a view would keep the whole block
        return output
