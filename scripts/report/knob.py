"""What the report measures of a knob that turns: of each network and of the device, where that can be run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from data import audio
from models.net import Net
from scripts.measure import knob_music
from scripts.measure.devices import Array, moved_la2a, moved_network, parsed
from scripts.measure.figures import COMPRESS
from scripts.measure.knob_steps import Rise, worst_rise
from scripts.measure.knob_sweep import KnobSweep, sweep_of
from scripts.report.passages import Place
from scripts.report.side_by_side import each

SECONDS = 2.0  # of each passage


@dataclass(frozen=True)
class Knob:
    """What a model does while its peak reduction turns."""

    errors: dict[str, float]  # on programme material, by metric; none without passages, and of the device
    sweep: KnobSweep
    rise: Rise


@dataclass(frozen=True)
class Knobs:
    """All that is measured of knobs."""

    device: Knob
    models: dict[str, Knob]
    unprocessed: dict[str, float]  # the errors of the input itself
    passages: int
    failed: dict[str, str]  # why a model is missing


def measure(nets: Mapping[str, Net], places: Sequence[Place], sample_rate: int) -> Knobs:
    """Measures the LA-2A model and each network; one that fails is left out, and the reason is kept.

    Args:
        nets: in evaluation mode, by the label of their model.
        places: passages whose first seconds they hear; the switch is that of the recording.
        sample_rate: Hz.
    """
    heard = [(parsed(place.recording.setting)[0], _signal(place)) for place in places]
    targets = [knob_music.turned(moved_la2a(sample_rate, switch), x) for switch, x in heard]

    def errors(outputs: Sequence[Array]) -> dict[str, float]:
        return knob_music.errors(outputs, targets) if targets else {}

    def measured(net: Net) -> Knob:
        devices = [moved_network(net, switch) for switch in (0, 1)]
        outputs = [knob_music.turned(devices[switch], x) for switch, x in heard]
        sweep, rise = sweep_of(devices[COMPRESS], sample_rate), worst_rise(devices.__getitem__, sample_rate)
        return Knob(errors(outputs), sweep, rise)

    found, failed = each(nets, measured)
    la2a = [moved_la2a(sample_rate, switch) for switch in (0, 1)]
    device = Knob({}, sweep_of(la2a[COMPRESS], sample_rate), worst_rise(la2a.__getitem__, sample_rate))
    return Knobs(device, found, errors([x for _, x in heard]), len(heard), failed)


def _signal(place: Place) -> Array:
    """The first seconds of a place, mean of the channels."""
    frames = min(round(SECONDS * place.recording.sample_rate), place.frames)
    return audio.read(place.recording.input, place.start, frames).mean(axis=0, dtype=np.float64)
