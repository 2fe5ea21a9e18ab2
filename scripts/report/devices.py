"""The models as devices under test, beside the device that they imitate.

Where the data set is the embedded one, the LA-2A model is that device and gets the same test signals. Of another
device there are recordings alone: then levels and response of the recordings stand beside those of the models' output
for the same input.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import torch

from data.signaltrain import Recording
from models.net import Net
from scripts.measure.devices import Setting, la2a_at, network_at, parsed
from scripts.measure.driven import Measurement, measure
from scripts.measure.recorded import LevelMap, Transfer, level_map, transfer
from scripts.report.passages import Place, choose, hear
from scripts.report.side_by_side import Workers

SETTINGS = 4  # at most; a network renders 12 s of test signals for each
RECORDED_SECONDS = 12.0  # of a recording


@dataclass(frozen=True)
class Driven:
    """Measurements of the models and of the device itself, at the same settings."""

    target: Measurement
    models: dict[str, Measurement]
    trained: list[bool]  # for each setting: it was trained on
    failed: dict[str, str]  # why a model could not be measured


@dataclass(frozen=True)
class Recorded:
    """Levels and response at one setting, of the recordings and of the models' output for the same input."""

    setting: Setting
    trained: bool
    target: tuple[LevelMap, Transfer]
    models: dict[str, tuple[LevelMap, Transfer]]
    failed: dict[str, str]  # why a model is not among them


def choose_settings(settings: Iterable[str], trained: Collection[str]) -> list[str]:
    """Up to four settings (``"0__75"``), those that were never trained on first, spread over the peak reductions.

    >>> choose_settings(["0__20", "0__40", "1__60", "0__80", "1__95", "0__90"], {"0__20"})
    ['0__40', '0__90', '1__60', '1__95']
    """
    order = sorted(set(settings), key=lambda setting: (setting in trained, parsed(setting)[1], parsed(setting)))
    new = [setting for setting in order if setting not in trained]
    pool = new if len(new) >= SETTINGS else order[: max(SETTINGS, len(new))]
    if len(pool) > SETTINGS:
        pool = [pool[round(i * (len(pool) - 1) / (SETTINGS - 1))] for i in range(SETTINGS)]
    return sorted(pool, key=parsed)


def drive(
    nets: Mapping[str, Net], settings: Sequence[str], trained: Collection[str], sample_rate: int, workers: Workers
) -> Callable[[], Driven]:
    """Begins to measure each network, and gives what measures the LA-2A model and waits for them.

    A network that fails is left out, and the reason is kept.
    """
    places = [parsed(setting) for setting in settings]
    measured = workers.each(nets, partial(_driven, settings=places, sample_rate=sample_rate))

    def result() -> Driven:
        target = measure(la2a_at(sample_rate), places, sample_rate)
        models, failed = measured()
        return Driven(target, models, [setting in trained for setting in settings], failed)

    return result


def compare(
    nets: Mapping[str, Net],
    recordings: Sequence[Recording],
    settings: Sequence[str],
    trained: Collection[str],
    device: torch.device | str,
    workers: Workers,
) -> Callable[[], list[Recorded]]:
    """Begins to take levels and response where the gain of a recording moves most, for each setting; gives what waits
    for them.
    """
    begun = []
    for setting in settings:
        of_setting = [recording for recording in recordings if recording.setting == setting]
        for place in choose(of_setting, trained, 1, RECORDED_SECONDS):
            begun.append(workers.begin(_recorded, place, setting in trained, nets, device))
    return lambda: [result() for result in reversed(begun)][::-1]


def _driven(net: Net, settings: Sequence[Setting], sample_rate: int) -> Measurement:
    return measure(network_at(net), settings, sample_rate)


def _recorded(place: Place, trained: bool, nets: Mapping[str, Net], device: torch.device | str) -> Recorded:
    passage = hear(place, nets, device)
    rate = place.recording.sample_rate
    both = {
        label: (level_map(passage.input, y, rate), transfer(passage.input, y, rate))
        for label, y in (("", passage.target), *passage.outputs.items())
    }
    target = both.pop("")
    return Recorded(parsed(place.recording.setting), trained, target, both, passage.failed)
