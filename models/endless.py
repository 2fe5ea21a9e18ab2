"""Networks whose memory has no end: recurrent ones, whose output depends on all samples before.

They meet the contract of `models.net` by a rule for their beginning. ``receptive_field − 1`` samples before its first
output sample such a network is at rest, in a state of zeros; by these samples it is warmed:

    forward(x)   steps over all of x from rest, and returns what comes after the first receptive_field − 1 samples
    start        the state after receptive_field − 1 zeros from rest; from there on, a stream forgets nothing

So blocks, whole signals and exported graphs give the same to the last digit, although the memory is endless. In
training the samples that warm it get no gradient: this is truncated backpropagation, over the rest of the crop. The
blocks that validate a training come alone, each with `Net.memory` samples more before it; a recording that is scored or
drawn goes through the network from its first sample on (`models.rendering`), as in a stream.
"""

from __future__ import annotations

import torch
from torch import Tensor

from models.net import Net, State


class Endless(Net):
    """A causal network that has `rest` and `step`, and is run by them.

    Args:
        controls: number of controls; 0 for a network without.
        in_channels: channels of the input signal.
        out_channels: channels of the output signal.
        warm_up: blocks of 1,024 samples by which the network is warmed, see the module's text.

    Raises:
        ValueError: for sizes out of range; in `forward`, for an input of another rank, number of channels or controls,
            or one that is not longer than the warm-up.
    """

    lookahead = 0
    memory = 2**18  # 6 s at 44.1 kHz

    def __init__(self, controls: int, in_channels: int, out_channels: int, warm_up: int) -> None:
        super().__init__()
        sizes = {"controls": (controls, 0), "in_channels": (in_channels, 1), "warm_up": (warm_up, 0)}
        for size, (value, least) in sizes.items():
            if value < least:
                raise ValueError(f"{type(self).__name__}: {size} must be at least {least}, got {value}")
        self.controls, self.in_channels, self.out_channels = controls, in_channels, out_channels
        self.receptive_field = 1 + 1024 * warm_up

    def rest(self, controls: Tensor) -> State:
        """A state of zeros, for controls ``(B, controls)``."""
        raise NotImplementedError

    def forward(self, x: Tensor, controls: Tensor) -> Tensor:
        self.check(x, controls)
        warm, state = self.receptive_field - 1, self.rest(controls)
        if warm and not torch.compiler.is_compiling():
            with torch.no_grad():
                _, state = self.step(x[..., :warm], state, controls)
            x, warm = x[..., warm:], 0
        output, _ = self.step(x, state, controls)
        return output[..., warm:]

    def start(self, controls: Tensor) -> State:
        silence = controls.new_zeros(len(controls), self.in_channels, self.receptive_field - 1)
        return self.step(silence, self.rest(controls), controls)[1] if silence.numel() else self.rest(controls)


def glide(before: Tensor, controls: Tensor, steps: int, length: float) -> tuple[Tensor, Tensor]:
    """Controls that have been set, on an exponential way to which they come: of each step, and after the last.

    Args:
        before: where they are.
        controls: where they go.
        steps: their number; 0 or more.
        length: steps in which a difference falls to 1/e.

    Shape:
        before and controls ``(B, P)`` → ``(B, steps, P)`` and ``(B, P)``.
    """
    left = torch.exp(-torch.arange(steps + 1, device=controls.device, dtype=controls.dtype) / length)
    way = controls.unsqueeze(1) + (before - controls).unsqueeze(1) * left[:, None]
    return way[:, 1:], way[:, -1]


def approached(rate: Tensor) -> Tensor:
    """What of a difference is gone after a step, 1 − exp(−rate), to all digits also where a runtime has no ``expm1``.

    >>> approached(torch.tensor([1.0, 1e-6])).tolist()
    [0.6321205496788025, 9.999995427278918e-07]
    """
    half = torch.tanh(rate / 2)
    return 2 * half / (1 + half)
