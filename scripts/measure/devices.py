"""Devices under test: functions from mono samples to as many, aligned with them; some with a knob that moves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from data.controls import given
from data.embedded import CONTROLS, SETTINGS_FILE
from data.la2a import la2a
from models.net import Net
from models.stream import Stream

Array = NDArray[np.float64]
Device = Callable[[Array], Array]
Moved = Callable[[Array, Array], Array]  # takes the knob at each sample as well: peak reduction, 0 … 100
Setting = tuple[int, float]  # switch (0 or 1), peak reduction (0 … 100)


def turning(corners: Sequence[float] | Array, positions: Sequence[float], samples: int, block: int) -> Array:
    """A knob at each sample that goes in lines from position to position, set anew every block, as a host does it.

    Args:
        corners: samples at which it is at the positions.
        samples: how many.
        block: samples for which it stays the same.

    >>> turning([0, 4], [0, 100], 6, 2).tolist()
    [0.0, 0.0, 50.0, 50.0, 100.0, 100.0]
    """
    return np.repeat(np.interp(np.arange(0, samples, block), corners, positions), block)[:samples]


def is_embedded(root: Path) -> bool:
    """Whether a data set is the embedded one, whose device is at hand."""
    return (root / SETTINGS_FILE).is_file()


def parsed(setting: str) -> Setting:
    """
    >>> parsed("0__75")
    (0, 75.0)
    """
    switch, _, peak_reduction = setting.partition("__")
    return int(switch), float(peak_reduction)


def run(device: Device, x: Array) -> Array:
    """The device's output, checked.

    Raises:
        ValueError: if it is not as long as the input, or not finite.
    """
    y = np.asarray(device(x), dtype=np.float64)
    if y.shape != x.shape:
        raise ValueError(f"the device returned shape {y.shape} for an input of {x.shape}: it must keep the length")
    bad = np.flatnonzero(~np.isfinite(y))
    if bad.size:
        raise ValueError(f"the device returned {bad.size} samples that are not finite, the first at {bad[0]}")
    return y


def network_device(net: Net, controls: Sequence[float]) -> Device:
    """A trained network at one setting, with zeros before and after the signal.

    It runs in parts, so that memory stays flat. A network with several channels gets the signal on all of them, and its
    first output is taken.

    Args:
        net: in evaluation mode, on any device; what `models.run.Run.net` returns.
        controls: as the network was trained with, see `data.controls`.

    Raises:
        ValueError: for a network in training mode, or controls of another number than it has.
    """
    stream = Stream(net, controls)
    return lambda x: _through(stream, net, x)


def _through(stream: Stream, net: Net, x: Array) -> Array:
    """A signal through a network, from silence on."""
    stream.reset()
    signal = torch.from_numpy(x.astype(np.float32)).to(_where(net)).expand(1, net.in_channels, -1)
    return torch.cat([stream.feed(signal), stream.flush()], dim=-1)[0, 0].cpu().double().numpy()


def _where(net: Net) -> torch.device:
    return next(net.parameters(), torch.empty(0)).device


def moved_network(net: Net, switch: int) -> Moved:
    """A network trained on the LA-2A whose peak reduction moves, as a host moves it: set anew where it changes.

    Arguments and errors as of `network_device`.
    """
    stream = Stream(net, (switch, 0.0))

    def device(x: Array, knob: Array) -> Array:
        stream.reset()
        signal = torch.from_numpy(x.astype(np.float32)).to(_where(net)).expand(1, net.in_channels, -1)
        starts = np.flatnonzero(np.diff(knob, prepend=np.nan)).tolist()
        parts = []
        for start, stop in pairwise([*starts, len(x)]):
            stream.controls = given(CONTROLS, (switch, knob[start]))
            parts.append(stream.feed(signal[..., start:stop]))
        return torch.cat([*parts, stream.flush()], dim=-1)[0, 0].cpu().double().numpy()

    return device


def network_at(net: Net) -> Callable[[int, float], Device]:
    """A network trained on the LA-2A, for a switch and a peak reduction (0 … 100).

    The devices are one stream, which costs more to make than a second of sound: they work one after the other.
    """
    stream = Stream(net, (0, 0.0))

    def at(switch: int, peak_reduction: float) -> Device:
        def device(x: Array) -> Array:
            stream.reset()
            stream.controls = given(CONTROLS, (switch, peak_reduction))
            return _through(stream, net, x)

        return device

    return at


def la2a_at(sample_rate: int, seed: int | None = 0) -> Callable[[int, float], Device]:
    """The LA-2A model, for a switch and a peak reduction (0 … 100); `seed` of its noise, None for none."""
    return lambda switch, peak_reduction: lambda x: la2a(x, peak_reduction, switch, sample_rate, seed)


def moved_la2a(sample_rate: int, switch: int) -> Moved:
    """The LA-2A model without its noise, while its peak reduction moves."""
    return lambda x, knob: la2a(x, knob, switch, sample_rate, seed=None)
