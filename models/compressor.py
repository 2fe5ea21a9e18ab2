"""A gray box: a compressor as engineers build them, whose few parameters are learned, and follow the knobs.

The gain is that of `models.ballistics`: detector, soft knee, feedback, a fast and a slow part, make-up gain. Threshold,
knee, slope, feedback and make-up gain come from the knobs, through a layer of 16 units; the time constants are the
device's. All are numbers with a unit, which `Compressor.ballistics` tells. Each channel of the signal has a compressor
of its own. What such a network cannot do is everything else: no distortion, no frequency response.

The device of the embedded data set is such a compressor too, with a memory of its cell besides (`data/la2a.py`).
Little of that set can surprise this network; what it is worth on a recorded device only a recorded device tells.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from models import ballistics
from models.ballistics import Ballistics
from models.endless import approached
from models.net import State, Steps
from models.sidechain import HOP, SideChain

HIDDEN = 16  # units between knobs and parameters
RATE = 44_100 / HOP  # steps a second at which the times below hold; only the start of a training depends on it
GLIDE = 0.01  # s, of the make-up gain

# At first, and by how much a unit of what is learned moves it: dB, factors e, of feedback units of a sigmoid.
BY_KNOBS = {
    "threshold": (-20.0, 40.0),
    "knee": (6.0, 3.0),
    "slope": (2.0, 3.0),
    "feedback": (0.0, 6.0),
    "makeup": (0.0, 20.0),
}
TIMES = {"detector": 0.002, "attack": 0.05, "release": 0.05, "charge": 0.5, "discharge": 1.0}  # s, at first
SHARE, URGENCY = 0.3, 0.2  # w, and q per dB, at first
EASE = 4.0  # factors e of these for a unit of what is learned


class Compressor(SideChain):
    """The network of this module's text.

    Args:
        controls, in_channels, out_channels, warm_up: see `Endless`.

    Shape:
        x ``(B, in_channels, T)``, controls ``(B, controls)`` → ``(B, in_channels, T − receptive_field + 1)``.

    Raises:
        ValueError: see `SideChain`.
    """

    def __init__(self, controls: int = 2, in_channels: int = 1, out_channels: int = 1, warm_up: int = 64) -> None:
        super().__init__(controls, in_channels, out_channels, warm_up)
        last = nn.Linear(HIDDEN, len(BY_KNOBS))
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.knobs = nn.Sequential(nn.Linear(controls, HIDDEN), nn.Tanh(), last)
        self.times = nn.Parameter(torch.zeros(len(TIMES)))
        self.shape = nn.Parameter(torch.zeros(2))

    def ballistics(self, controls: Tensor) -> Ballistics:
        """The parameters at these controls ``(B, controls)``; coefficients are of a step of 16 samples."""
        threshold, knee, slope, feedback, makeup = (
            first + unit * learned if name in ("threshold", "makeup") else unit * learned
            for (name, (first, unit)), learned in zip(BY_KNOBS.items(), self.knobs(controls).unbind(-1), strict=True)
        )
        every = torch.ones_like(threshold)
        steps = torch.exp(EASE * self.times) * RATE * self.times.new_tensor(list(TIMES.values()))  # of each time
        detector, _, release, charge, discharge = (every * c for c in approached(1 / steps))
        return Ballistics(
            threshold=threshold,
            knee=BY_KNOBS["knee"][0] * torch.exp(knee),
            slope=BY_KNOBS["slope"][0] * torch.exp(slope),
            feedback=torch.sigmoid(feedback),
            detector=detector,
            attack=every / steps[1],
            urgency=every * URGENCY * torch.exp(EASE * self.shape[0]),
            release=release,
            share=every * torch.sigmoid(math.log(SHARE / (1 - SHARE)) + EASE * self.shape[1]),
            charge=charge,
            discharge=discharge,
            makeup=makeup,
            glide=every * (1 - math.exp(-1 / (RATE * GLIDE))),
        )

    def of_a_step(self) -> int:
        return 20 * self.in_channels  # of `models.ballistics`, and the power

    def at_rest(self, controls: Tensor) -> State:
        return (controls.new_zeros(len(controls), self.in_channels, ballistics.COUNT),)

    def follow(self, magnitude: Tensor, state: State, controls: Tensor, happens: Tensor | None) -> tuple[Tensor, State]:
        each = Ballistics(*(part.repeat_interleave(self.in_channels) for part in self.ballistics(controls)))
        rows, before = magnitude.flatten(0, 1), state[0].flatten(0, 1)
        if happens is None:
            gains, after = ballistics.gains(rows, before, each)
        else:
            gains, after = ballistics.scanned(rows, before, each, happens)
        return gains.view_as(magnitude), (after.view_as(state[0]),)

    def steps(self, controls: Tensor) -> Steps:
        """See `Net.steps`; on a CPU one compiled loop over all samples of a block."""
        return CompressorSteps(self, controls) if controls.device.type == "cpu" else Steps(self, controls)


class CompressorSteps(Steps):
    """See `Steps`."""

    net: Compressor
    longest = 2**16

    def __init__(self, net: Compressor, controls: Tensor) -> None:
        self.net = net
        _, _, gains, cell = net.start(controls)  # which ends with a step, as a warm-up is a multiple of it
        self.phase = 0
        self.cell = cell.flatten(0, 1).detach().numpy().copy()
        factors = torch.pow(10, gains.flatten(0, 1) / 20)
        self.line = torch.cat((torch.zeros_like(factors[:, :1]), factors), dim=1).detach().numpy().copy()
        self.set(controls)

    def set(self, controls: Tensor) -> None:
        numbers = torch.stack(self.net.ballistics(controls), dim=1).repeat_interleave(self.net.in_channels, dim=0)
        self.parameters: Any = numbers.detach().contiguous().numpy()

    def _step(self, block: Tensor) -> Tensor:
        output = torch.empty_like(block, memory_format=torch.contiguous_format)
        x, y = (signal.detach().contiguous().flatten(0, 1).numpy() for signal in (block, output))
        self.phase = ballistics.live(x, HOP, self.phase, self.parameters, self.cell, self.line, y)
        return output
