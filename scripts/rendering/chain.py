"""What a signal passes on its way through a network in blocks: resampling there and back where rates differ."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from data.resample import Resampler
from models.net import Net
from models.stream import Stream

Array = NDArray[np.float32]


class Stage(Protocol):
    """What a signal passes through in blocks (channels, n)."""

    def feed(self, block: Array) -> Array: ...

    def flush(self) -> Array: ...


class Network:
    """A network as a stage. One of a single channel takes each channel of the signal on its own."""

    def __init__(self, net: Net, controls: Sequence[float], channels: int) -> None:
        self.stream = Stream(net, controls)
        self.shape = (1, channels, -1) if net.in_channels == channels else (channels, 1, -1)
        self.channels = self.shape[0] * self.stream.out_channels
        self.device = next(net.parameters(), torch.empty(0)).device

    def feed(self, block: Array) -> Array:
        return self._array(self.stream.feed(torch.from_numpy(block).reshape(self.shape).to(self.device)))

    def flush(self) -> Array:
        return self._array(self.stream.flush())

    def _array(self, output: torch.Tensor) -> Array:
        return output.flatten(0, 1).cpu().numpy()


class Model(NamedTuple):
    """A trained network, and how it is to be run."""

    net: Net
    sample_rate: int  # Hz
    controls: tuple[float, ...]

    def stages(self, sample_rate: int, channels: int) -> tuple[list[Stage], int]:
        """What a file of this rate and number of channels passes through, and how many channels come out."""
        if self.net.in_channels not in (1, channels):
            raise ValueError(f"it has {channels} channel(s), the network takes {self.net.in_channels}. Convert it.")
        network = Network(self.net, self.controls, channels)
        if sample_rate == self.sample_rate:
            return [network], network.channels
        there = Resampler(sample_rate, self.sample_rate, channels)
        back = Resampler(self.sample_rate, sample_rate, network.channels)
        return [there, network, back], network.channels


def through(stages: Sequence[Stage], blocks: Iterable[Array]) -> Iterator[Array]:
    """The output of all stages in turn for each block, and for the end of the signal."""
    for block in blocks:
        for stage in stages:
            block = stage.feed(block)
        yield block
    for number, stage in enumerate(stages):
        block = stage.flush()
        for later in stages[number + 1 :]:
            block = later.feed(block)
        yield block
