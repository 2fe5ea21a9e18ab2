"""What the report measures of a knob that turns: of each network and of the device, where that can be run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from data import audio
from models.net import Net
from scripts.measure import knob_music
from scripts.measure.comparison import COMPRESS
from scripts.measure.devices import Array, moved_la2a, moved_network, parsed
from scripts.measure.knob_steps import Rise, worst_rise
from scripts.measure.knob_sweep import KnobSweep, sweep_of
from scripts.report.passages import Place
from scripts.report.side_by_side import Workers

SECONDS = 2.0  # of each passage


@dataclass(frozen=True)
class Knob:
    """What a model does while its peak reduction turns."""

    errors: dict[str, float]  # on programme material, by metric; none without passages, and of the device
    sweep: KnobSweep
    rise: Rise


@dataclass(frozen=True)
class Excerpt:
    """Programme material while the knob turns."""

    switch: int
    input: Array
    target: Array  # what the device makes of it


@dataclass(frozen=True)
class Knobs:
    """All that is measured of knobs."""

    device: Knob
    models: dict[str, Knob]
    unprocessed: dict[str, float]  # the errors of the input itself
    passages: int
    failed: dict[str, str]  # why a model is missing


def measure(
    nets: Mapping[str, Net], places: Sequence[Place], sample_rate: int, workers: Workers
) -> Callable[[], Knobs]:
    """Begins to measure each network, and gives what measures the LA-2A model and waits for them.

    A network that fails is left out, and the reason is kept.

    Args:
        nets: in evaluation mode, by the label of their model.
        places: passages whose first seconds they hear; the switch is that of the recording.
        sample_rate: Hz.
    """
    la2a = [moved_la2a(sample_rate, switch) for switch in (0, 1)]
    passages = []
    for place in places:
        switch, x = parsed(place.recording.setting)[0], _signal(place)
        passages.append(Excerpt(switch, x, knob_music.turned(la2a[switch], x)))
    measured = workers.each(nets, partial(_knob, passages=passages, sample_rate=sample_rate))

    def result() -> Knobs:
        found, failed = measured()
        device = Knob({}, sweep_of(la2a[COMPRESS], sample_rate), worst_rise(la2a.__getitem__, sample_rate))
        unprocessed = _errors([passage.input for passage in passages], passages)
        return Knobs(device, found, unprocessed, len(passages), failed)

    return result


def _knob(net: Net, passages: Sequence[Excerpt], sample_rate: int) -> Knob:
    devices = [moved_network(net, switch) for switch in (0, 1)]
    outputs = [knob_music.turned(devices[passage.switch], passage.input) for passage in passages]
    sweep, rise = sweep_of(devices[COMPRESS], sample_rate), worst_rise(devices.__getitem__, sample_rate)
    return Knob(_errors(outputs, passages), sweep, rise)


def _errors(outputs: Sequence[Array], passages: Sequence[Excerpt]) -> dict[str, float]:
    return knob_music.errors(outputs, [passage.target for passage in passages]) if passages else {}


def _signal(place: Place) -> Array:
    """The first seconds of a place, mean of the channels."""
    frames = min(round(SECONDS * place.recording.sample_rate), place.frames)
    return audio.read(place.recording.input, place.start, frames).mean(axis=0, dtype=np.float64)
