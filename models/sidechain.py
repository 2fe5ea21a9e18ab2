"""Networks that compute a gain aside, as a compressor's side chain does: less often than samples come, in dB.

    y = x · 10^(g/20)        g: once in 16 samples, of the mean magnitude of these

g goes in a straight line, as a factor, to each new value over the 16 samples that follow it: there is no latency. At
44.1 kHz that is 2,756 values a second, far faster than any level changes, for a sixteenth of the cost.
"""

from __future__ import annotations

import torch
from torch import Tensor

from models.endless import Endless
from models.net import State

HOP = 16  # samples of a step


class SideChain(Endless):
    """A network that has `at_rest` and `follow`, and is run by them.

    Args:
        controls, in_channels, out_channels, warm_up: see `Endless`.

    Raises:
        ValueError: also if there are not as many output channels as input channels.
    """

    def __init__(self, controls: int, in_channels: int, out_channels: int, warm_up: int) -> None:
        super().__init__(controls, in_channels, out_channels, warm_up)
        if in_channels != out_channels:
            raise ValueError(
                f"{type(self).__name__}: each output channel is an input channel times a gain; got {in_channels} input "
                f"and {out_channels} output channels"
            )

    def of_a_step(self) -> int:
        """Multiplications of a step; divisions and functions count as one."""
        raise NotImplementedError

    def multiplications(self) -> float:
        """Those of a step, shared out among its samples, and two for each channel: the gain, and the line to it."""
        return self.of_a_step() / HOP + 2 * self.in_channels

    def at_rest(self, controls: Tensor) -> State:
        """What `follow` remembers, as zeros."""
        raise NotImplementedError

    def follow(self, magnitude: Tensor, state: State, controls: Tensor, happens: Tensor | None) -> tuple[Tensor, State]:
        """The gain in dB after each step, and the state after the last.

        Shape:
            magnitude ``(B, in_channels, K)``, controls ``(B, controls)`` → ``(B, in_channels, K)``; K ≥ 0. Of a graph
            that is exported, steps are left out where ``happens``, ``(K,)``, is false.
        """
        raise NotImplementedError

    def rest(self, controls: Tensor) -> State:
        """Magnitudes of the last samples, samples since the last step, the last two gains, and `at_rest`.

        Raises:
            ValueError: for controls in half precision, in which a leaky average stands still.
        """
        if controls.dtype.itemsize < 4:
            raise ValueError(f"{type(self).__name__}: computes in float32 or float64, got {controls.dtype}")
        shape = (len(controls), self.in_channels)
        past, since = controls.new_zeros(*shape, HOP - 1), controls.new_zeros(len(controls), 1)
        return past, since, controls.new_zeros(*shape, 2), *self.at_rest(controls)

    def step(self, block: Tensor, state: State, controls: Tensor) -> tuple[Tensor, State]:
        gain, after = self.gain(block, state, controls)
        return block * gain, after

    def gain(self, block: Tensor, state: State, controls: Tensor) -> tuple[Tensor, State]:
        """The factor of each sample, and the next state; shapes as for `step`. Autocast does not reach it."""
        if torch.is_autocast_enabled(block.device.type):
            with torch.autocast(block.device.type, enabled=False):
                return self.gain(block, state, controls)
        samples, (past, since, before, *memory) = block.shape[-1], state
        phase = since[0, 0].long()
        magnitude = torch.cat((past, block.abs()), dim=-1)
        # The first sample of each step, one or two steps too many: how many there are is not to depend on the state.
        first = torch.arange(samples // HOP + 2, device=block.device) * HOP - phase
        happens = first + HOP <= samples
        exported = torch.compiler.is_compiling()
        if not exported:
            first = first[happens]
        of_step = first[:, None] + torch.arange(HOP - 1, 2 * HOP - 1, device=block.device)
        means = magnitude[..., of_step.clamp(max=samples + HOP - 2)].mean(-1)
        gains, after = self.follow(means, tuple(memory), controls, happens if exported else None)
        known = torch.cat((before, gains), dim=-1)
        gain = torch.pow(10, known / 20)
        at = torch.arange(samples + 1, device=block.device) + phase
        line, share = at[:-1] // HOP, (at[:-1] % HOP + 1) / HOP
        of_each = torch.lerp(gain[..., line], gain[..., line + 1], share.to(gain))
        last = at[-1] // HOP + torch.arange(2, device=block.device)
        return of_each, (magnitude[..., samples:], (at[-1] % HOP).to(since).expand_as(since), known[..., last], *after)

    def gain_db(self, x: Tensor, controls: Tensor) -> Tensor:
        """The gain over time in dB; a gain reduction is negative.

        Shape:
            x ``(B, in_channels, T)``, controls ``(B, controls)`` → ``(B, in_channels, T − receptive_field + 1)``.
        """
        self.check(x, controls)
        gain, _ = self.gain(x, self.rest(controls), controls)
        return 20 * torch.log10(gain[..., self.receptive_field - 1 :])
