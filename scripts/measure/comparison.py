"""How close networks come to the LA-2A at every setting of a test split, in the numbers of an audio engineer.

Of each network and setting: the largest error of the static curve from −40 to 0 dBFS, and how many times as long attack
and release take as the device's. Both get the test signals of `steady` and `tone_step`. Of each network: how it follows
its knob (`knob_sweep`). For networks that were trained on the embedded data set: its device is at hand.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path

import numpy as np

from data import signaltrain
from models.source import Source
from scripts.measure.devices import (
    Array,
    Device,
    Setting,
    is_embedded,
    la2a_at,
    parsed,
)
from scripts.measure.steady import Timing, static_curve
from scripts.measure.tone_step import tone_step

LEVELS_DB = tuple(range(-40, 1, 5))  # of the static curve: below, the LA-2A is a gain of 1
BRIEF = Timing(window=0.05, guard=0.17)  # as there are many settings; both are long enough
COMPRESS = 0  # the switch while the knob moves
BURST = 0.6  # s, of the tone step: high, and then low


@dataclass(frozen=True)
class Behaviour:
    """What is measured of a device at one setting."""

    output_db: Array  # for each of `LEVELS_DB`
    attack_ms: float  # as `tone_step.ToneStep` has them, NaN included
    release_ms: float


@dataclass(frozen=True)
class Comparison:
    """A model beside the device at one setting; a time is NaN where there is none, and a ratio if one of two is."""

    switch: int
    peak_reduction: float
    curve_error_db: float  # the largest of all levels, without its sign
    worst_level_db: float  # where that is, dBFS
    attack_ms: float
    device_attack_ms: float
    attack_ratio: float
    release_ms: float
    device_release_ms: float
    release_ratio: float


@dataclass(frozen=True)
class Medians:
    """Medians over settings; of a ratio over those that have it, how many there are, and how many the device has."""

    settings: int
    curve_error_db: float
    attack_ratio: float
    attacks: tuple[int, int]
    release_ratio: float
    releases: tuple[int, int]

    def __str__(self) -> str:
        return (
            f"static curve within {self.curve_error_db:.2f} dB; "
            f"attack {times(self.attack_ratio)} ({self.attacks[0]} of {self.attacks[1]}); "
            f"release {times(self.release_ratio)} ({self.releases[0]} of {self.releases[1]})"
        )


def behaviour(device: Device, sample_rate: int) -> Behaviour:
    """Measures a device, which processes 6.6 s of audio; errors as of `devices.run`."""
    step = tone_step(device, sample_rate, high_seconds=BURST, release_seconds=BURST, timing=BRIEF)
    return Behaviour(static_curve(device, sample_rate, LEVELS_DB, timing=BRIEF), step.attack_ms, step.release_ms)


def la2a_behaviour(settings: Iterable[Setting], sample_rate: int) -> dict[Setting, Behaviour]:
    """The LA-2A model at each setting."""
    at = la2a_at(sample_rate)
    return {setting: behaviour(at(*setting), sample_rate) for setting in settings}


def comparisons(
    device_at: Callable[[int, float], Device], targets: Mapping[Setting, Behaviour], sample_rate: int
) -> list[Comparison]:
    """A model at the settings of the targets, beside them.

    Args:
        device_at: gives the model for a switch (0 or 1) and a peak reduction (0 … 100).
        targets: the device at each setting.
        sample_rate: Hz.
    """
    return [beside(setting, behaviour(device_at(*setting), sample_rate), target) for setting, target in targets.items()]


def beside(setting: Setting, model: Behaviour, target: Behaviour) -> Comparison:
    """A model beside the device at a setting.

    >>> target = Behaviour(np.array([-40.0, -20.0]), 8.0, 50.0)
    >>> beside((0, 75), Behaviour(np.array([-41.0, -17.0]), 12.0, math.nan), target)
    Comparison(switch=0, peak_reduction=75, curve_error_db=3.0, worst_level_db=-35.0, attack_ms=12.0, \
device_attack_ms=8.0, attack_ratio=1.5, release_ms=nan, device_release_ms=50.0, release_ratio=nan)
    """
    error = np.abs(model.output_db - target.output_db)
    attack, release = model.attack_ms / target.attack_ms, model.release_ms / target.release_ms
    worst = int(error.argmax())
    return Comparison(
        *setting, float(error[worst]), float(LEVELS_DB[worst]),
        model.attack_ms, target.attack_ms, attack, model.release_ms, target.release_ms, release,
    )  # fmt: skip


def medians(found: Sequence[Comparison]) -> Medians:
    """The medians over settings, at least one."""
    attack, release = ([getattr(setting, name) for setting in found] for name in ("attack_ratio", "release_ratio"))
    return Medians(
        len(found),
        float(np.median([setting.curve_error_db for setting in found])),
        _median(attack),
        (_count(attack), _count(setting.device_attack_ms for setting in found)),
        _median(release),
        (_count(release), _count(setting.device_release_ms for setting in found)),
    )


def table(models: Mapping[str, Sequence[Comparison]], trained: Iterable[Setting]) -> str:
    """All of it as CSV, a row for each model and setting; `trained` are the settings that were trained on."""
    known = set(trained)
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["model", "trained", *(field.name for field in fields(Comparison))])
    for label, found in models.items():
        for setting in found:
            numbers = ["" if math.isnan(value) else f"{value:.6g}" for value in astuple(setting)]
            writer.writerow([label, int((setting.switch, setting.peak_reduction) in known), *numbers])
    return stream.getvalue()


def times(ratio: float) -> str:
    """
    >>> times(1.25), times(123.4), times(math.nan)
    ('×1.25', '×123', '–')
    """
    return "–" if math.isnan(ratio) else f"×{ratio:.3g}"


def lines(found: Iterable[Comparison]) -> Iterable[str]:
    """A line of text for each setting: model / device of the times in ms."""
    for setting in found:
        mode = signaltrain.MODES[str(setting.switch)]
        yield (
            f"{mode:<8} {setting.peak_reduction:3g}   curve {setting.curve_error_db:6.2f} dB "
            f"(at {setting.worst_level_db:3g} dBFS)   "
            f"attack {_pair(setting.attack_ms, setting.device_attack_ms)} ms {times(setting.attack_ratio):<6} "
            f"release {_pair(setting.release_ms, setting.device_release_ms)} ms {times(setting.release_ratio)}"
        )


def _pair(model: float, device: float) -> str:
    return " / ".join("     –" if math.isnan(value) else f"{value:6.1f}" for value in (model, device))


def _median(values: Sequence[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return float(np.median(known)) if known else math.nan


def _count(values: Iterable[float]) -> int:
    return sum(not math.isnan(value) for value in values)


def settings_of(source: Source) -> tuple[list[Setting], int]:
    """Settings of the test split of a run's data, in order, and its sample rate in Hz.

    Raises:
        ValueError: if the data are gone, or not the embedded ones.
    """
    if not is_embedded(Path(source.root)):
        raise ValueError(f"{source.root} is not the embedded data set: its device cannot be run")
    found = signaltrain.recordings(*source)["test"]
    return sorted({parsed(recording.setting) for recording in found}), source.sample_rate
