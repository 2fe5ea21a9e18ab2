"""How far a network is from the LA-2A itself, on each segment that was scored and at each setting of the test split.

The gain error of a segment is the mean distance of the network's gain reduction (`scripts.measure.recorded`) from the
device's own, which no recording tells. Settings are compared by `scripts.measure.comparison`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd

from data import audio
from data.la2a import control_hop, gain_reduction
from data.signaltrain import Recording
from models.net import Net
from scripts.measure.comparison import Behaviour, comparisons
from scripts.measure.devices import Array, Setting, network_at, parsed
from scripts.measure.recorded import gain_reduction_trace, mean_error

ERRORS = {
    "gain": "gain over time (dB)",
    "curve": "static curve (dB)",
    "attack": "attack (ratio)",
    "release": "release (ratio)",
}


class Heard:
    """A recording of the test split, and what the device does with its input.

    Args:
        recording: of the embedded data set.
        segments: start and length in samples of each that was scored.
    """

    def __init__(self, recording: Recording, segments: Mapping[int, tuple[int, int]]) -> None:
        self.setting: Setting = parsed(recording.setting)
        self.sample_rate, self.segments = recording.sample_rate, segments
        self.input, self.target = (
            audio.read(file, 0, recording.frames).astype(np.float64).mean(axis=0)
            for file in (recording.input, recording.target)
        )
        switch, peak_reduction = self.setting
        self.reduction = gain_reduction(self.input, peak_reduction, switch, self.sample_rate)

    def gain_errors(self, output: Array) -> dict[int, float]:
        """Of each segment in dB; NaN for one without a window above the floor."""
        times, reduction = gain_reduction_trace(self.input, output, self.sample_rate)
        at = times * self.sample_rate
        reached = (np.arange(len(self.reduction)) + 1) * control_hop(self.sample_rate)  # the gain glides in a step
        error = reduction - np.interp(at, reached, self.reduction)
        found = {}
        for number, (start, length) in self.segments.items():
            found[number] = mean_error(error[(at >= start) & (at < start + length)])
        return found


def of_net(net: Net, heard: Mapping[str, Heard], targets: Mapping[Setting, Behaviour]) -> pd.DataFrame:
    """All errors of a network.

    Args:
        net: in evaluation mode.
        heard: the recordings by their id.
        targets: the device at each setting.

    Returns:
        columns recording, segment, error (a key of `ERRORS`) and value. What is measured of a setting stands at each
        segment of its recordings, as far as the device has it; the value is infinite where the network has none.
    """
    at = network_at(net)
    rate = next(iter(heard.values())).sample_rate
    of_setting = {(c.switch, c.peak_reduction): c for c in comparisons(at, targets, rate)}
    rows: list[tuple[str, int, str, float]] = []
    for name, recording in heard.items():
        gains = recording.gain_errors(at(*recording.setting)(recording.input))
        found = of_setting[recording.setting]
        settled = {
            "curve": found.curve_error_db,
            "attack": ratio(found.attack_ms, found.device_attack_ms),
            "release": ratio(found.release_ms, found.device_release_ms),
        }
        for segment, gain in gains.items():
            rows += [(name, segment, error, value) for error, value in {"gain": gain, **settled}.items()]
    table = pd.DataFrame(rows, columns=["recording", "segment", "error", "value"])
    return table[~table["value"].isna()]


def ratio(time: float, of_device: float) -> float:
    """How far a time is from the device's, whichever is longer; infinite for one that is 0 or before the event.

    >>> round(ratio(20.0, 10.0), 3) == round(ratio(5.0, 10.0), 3) == round(math.log(2), 3)
    True
    >>> ratio(math.nan, 10.0), ratio(-0.5, 10.0), ratio(10.0, math.nan)  # none, before the step, none of the device
    (inf, inf, nan)
    """
    if not of_device > 0:
        return math.nan
    return abs(math.log(time / of_device)) if time > 0 else math.inf


def floor(heard: Iterable[Heard]) -> float:
    """The mean gain error of the target itself, from the device's tube and noise: no network need do better."""
    return float(np.nanmean([error for one in heard for error in one.gain_errors(one.target).values()]))
