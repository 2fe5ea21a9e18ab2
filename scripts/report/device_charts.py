"""Figures of the models as devices under test."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from data.signaltrain import MODES
from scripts.measure.devices import Setting
from scripts.measure.driven import Setting as Measured
from scripts.measure.recorded import LevelMap, Transfer
from scripts.measure.steady import RESPONSE_DB
from scripts.report.charts import BEYOND_DB, WIDE, Canvas, Chart, Section, bounds, plain, scale, thinned
from scripts.report.colours import INPUT, TARGET, Look
from scripts.report.devices import Driven, Recorded

Line = tuple[NDArray[np.float64], NDArray[np.float64]]
CUT = f"Errors of more than {BEYOND_DB:g} dB, or beyond the device's range, are drawn at {BEYOND_DB:g} dB."
COHERENT = 0.5  # below it a response estimated from recordings says little


def driven(found: Driven, looks: Mapping[str, Look]) -> Section:
    """Static curves, gain over time, attack and release, distortion and response, beside the LA-2A model's."""
    settings = [(setting.switch, setting.peak_reduction) for setting in found.target.settings]
    titles = [_title(setting, known) for setting, known in zip(settings, found.trained, strict=True)]
    target = found.target

    def lines(x: NDArray[np.float64], values: Callable[[Measured], NDArray[np.float64]]) -> _Lines:
        of_models = {label: [(x, values(s)) for s in model.settings] for label, model in found.models.items()}
        return _Lines([(x, values(s)) for s in target.settings], of_models)

    low, high = target.step_db
    curve = lines(target.input_db, lambda setting: setting.output_db)
    gain = lines(target.times, lambda setting: setting.gain_db)
    thd = lines(target.input_db, lambda setting: setting.thd_percent)
    response = lines(target.frequencies, lambda setting: setting.response_db)
    figures = [
        _grid("static", titles, curve, looks, "input (dBFS)", "output (dBFS)", "Static curve",
              "a 1 kHz sine, 0.3 s after its level has stepped up. The dotted line is a gain of 1.", unity=True),
        _grid("gain", titles, gain, looks, "time (s)", "gain (dB)", "Gain over time",
              f"a 1 kHz tone steps from {low:g} to {high:g} dBFS at 0 s, and down again at {target.step_down:g} s. "
              "Peaks of a few ms are cut off.".replace("-", "−")),
        _times(found, titles, looks),
        _grid("thd", titles, thd, looks, "input (dBFS)", "THD (%)", "Harmonic distortion",
              "harmonics 2 to 10 of a steady 1 kHz sine.", error=False),
        _grid("response", titles, response, looks, "frequency (Hz)", "gain (dB)", "Frequency response",
              f"sines of all frequencies at once, together at {RESPONSE_DB:g} dBFS.".replace("-", "−"),
              logarithmic=True),
    ]  # fmt: skip
    text = (
        "Each model, and the LA-2A model that made the data set, measured with the same test signals, from rest. "
        f"The lower panels show the model minus the device. {CUT} A new setting is one that was never trained on."
    )
    return Section("devices", "As a device under test", text, figures)


def recorded(found: Sequence[Recorded], looks: Mapping[str, Look]) -> Section | None:
    """Level map and response from programme material, for a device of which there are recordings alone."""
    if not found:
        return None
    titles = [_title(item.setting, item.trained) for item in found]
    models = [label for label in found[0].models if all(label in item.models for item in found)]
    maps = _Lines(
        [_median(item.target[0]) for item in found],
        {label: [_median(item.models[label][0]) for item in found] for label in models},
        [item.target[0] for item in found],
    )
    responses = _Lines(
        [_response(item.target[1]) for item in found],
        {label: [_response(item.models[label][1]) for item in found] for label in models},
    )
    figures = [
        _grid("levels", titles, maps, looks, "input (dBFS)", "output (dBFS)", "Levels",
              "median level of the output where the input has a level, in windows of 0.1 s; "
              "the band holds half of the recording's. The dotted line is a gain of 1.", unity=True),
        _grid("response", titles, responses, looks, "frequency (Hz)", "gain (dB)", "Frequency response",
              "estimated from programme material, wherever a linear filter explains at least half of the output.",
              logarithmic=True),
    ]  # fmt: skip
    text = (
        "The device cannot be run here, so its recordings stand beside what the models make of the same input, "
        "12 s of each setting. The lower panels show the model minus the device. "
        f"{CUT} A new setting is one that was never trained on."
    )
    return Section("devices", "Beside the recordings", text, figures)


class _Lines:
    """Lines of the device and of each model, one for each setting; `bands` are the device's quartiles."""

    def __init__(
        self, target: list[Line], models: dict[str, list[Line]], bands: Sequence[LevelMap] | None = None
    ) -> None:
        self.target, self.models, self.bands = target, models, bands


def _grid(
    name: str,
    titles: Sequence[str],
    lines: _Lines,
    looks: Mapping[str, Look],
    x: str,
    y: str,
    title: str,
    caption: str,
    unity: bool = False,
    error: bool = True,
    logarithmic: bool = False,
) -> Chart:
    """A column for each setting: the lines, and below them the models' less the device's."""
    rows = 2 if error else 1
    size = (WIDE, 4.4 if error else 2.8)
    shown, errors = _cut(lines) if error else (lines.models, {})
    canvas = Canvas(f"device-{name}", rows, len(titles), size, True, "row", [1.7, 1][:rows])
    for column, heading in enumerate(titles):
        axes = canvas.panels[column]
        canvas.heading(axes, heading)
        at, device = lines.target[column]
        if unity:
            axes.plot(at, at, color=canvas.ink(INPUT), linestyle=":", linewidth=0.8)
        if lines.bands:
            band = lines.bands[column]
            axes.fill_between(band.input_db, band.lower_db, band.upper_db, color=canvas.ink(TARGET), alpha=0.2, lw=0)
        axes.plot(*thinned(at, device), color=canvas.ink(TARGET), linewidth=3)
        for label, of_model in shown.items():
            look = looks[label]
            style: dict[str, Any] = {"color": canvas.ink(look), "linewidth": 1.1, "linestyle": look.dashes}
            axes.plot(*thinned(*of_model[column], 240), **style)
            if error:
                below = canvas.panels[len(titles) + column]
                below.plot(*thinned(at, errors[label][column], 240), **style)
        _finish(canvas, axes, column, len(titles), x, y, error, logarithmic)
    if name == "gain":
        device_and_models = [values for group in (lines.target, *shown.values()) for _, values in group]
        _zoom(canvas.panels[0], device_and_models)
        _zoom(canvas.panels[len(titles)], [values for of_model in errors.values() for values in of_model])
    if not error:
        values = [values for group in (lines.target, *lines.models.values()) for _, values in group]
        scale(canvas.panels[0], "y", np.concatenate(values))
    _legend(canvas, list(lines.models), looks)
    return Chart(canvas.svg(f"{title} of the device and of each model"), f"{title}: {caption}")


def _finish(
    canvas: Canvas, axes: Axes, column: int, columns: int, x: str, y: str, error: bool, logarithmic: bool
) -> None:
    """Labels and scales of one column."""
    lowest = axes
    if error:
        lowest = canvas.panels[columns + column]
        lowest.axhline(0, color=canvas.ink(TARGET), linewidth=1)
    if logarithmic:
        lowest.set_xscale("log")
        lowest.set_xticks([20, 100, 1000, 10_000], ["20", "100", "1k", "10k"])
        lowest.minorticks_off()
    lowest.set_xlabel(x)
    if column == 0:
        axes.set_ylabel(y)
        if error:
            lowest.set_ylabel("error (dB)")


def _cut(lines: _Lines) -> tuple[dict[str, list[Line]], dict[str, list[NDArray[np.float64]]]]:
    """Lines of the models, and their errors, no further from the device's than the figure shows."""
    low, high = bounds(np.concatenate([values for _, values in lines.target]), BEYOND_DB)
    shown, errors = {}, {}
    for label, of_model in lines.models.items():
        pairs = list(zip(of_model, lines.target, strict=True))
        shown[label] = [(x, np.clip(values, low, high)) for x, values in of_model]
        errors[label] = [np.clip(values - device, -BEYOND_DB, BEYOND_DB) for (_, values), (_, device) in pairs]
    return shown, errors


def _zoom(axes: Axes, lines: Sequence[NDArray[np.float64]]) -> None:
    """Limits that hold all but the peaks of a few ms where the tone steps: these are cut off."""
    if lines:
        ends = [np.nanquantile(line, (0.01, 0.99)) for line in lines]
        axes.set_ylim(float(np.min(ends)) - 1, float(np.max(ends)) + 1)


def _times(found: Driven, titles: Sequence[str], looks: Mapping[str, Look]) -> Chart:
    """Attack and release: a row for each setting, the device a bar, each model a marker."""
    canvas = Canvas("device-times", 1, 2, (WIDE, 0.9 + 0.55 * len(titles)), sharey=True)
    labels = list(found.models)
    for axes, name, heading in zip(canvas.panels, ("attack_ms", "release_ms"), ("attack", "release"), strict=True):
        values = []
        for row, of_target in enumerate(found.target.settings):
            values.append(getattr(of_target, name))
            axes.plot([values[-1]] * 2, [row - 0.36, row + 0.36], color=canvas.ink(TARGET), linewidth=4)
            for number, label in enumerate(labels):
                look = looks[label]
                values.append(getattr(found.models[label].settings[row], name))
                height = row + 0.6 * ((number + 0.5) / len(labels) - 0.5)
                axes.plot(values[-1], height, look.marker, color=canvas.ink(look), linestyle="none")
        axes.set_yticks(range(len(titles)), titles)
        axes.set_ylim(len(titles) - 0.5, -0.5)
        scale(axes, "x", values)
        axes.set_xlabel(f"{heading} (ms)")
    _legend(canvas, labels, looks, markers=True)
    caption = (
        "Attack and release: attack until the gain stays within 1 dB of the settled one, release until half of the "
        "way back. None is shown where the gain moves less than 2 dB, or does not get there in 1 s."
    )
    return Chart(canvas.svg("Attack and release times of the device and of each model"), caption)


def _legend(canvas: Canvas, labels: Sequence[str], looks: Mapping[str, Look], markers: bool = False) -> None:
    handles = [Line2D([], [], color=canvas.ink(TARGET), linewidth=3, label="device")]
    for label in labels:
        look = looks[label]
        style: dict[str, Any] = {"marker": look.marker, "linestyle": "none"} if markers else {"linestyle": look.dashes}
        handles.append(Line2D([], [], color=canvas.ink(look), label=plain(label), **style))
    canvas.legend(handles, columns=min(8, len(handles)))


def _title(setting: Setting, trained: bool) -> str:
    switch, peak_reduction = setting
    return f"{MODES[str(switch)]} {peak_reduction:g}{'' if trained else ' (new)'}"


def _median(levels: LevelMap) -> Line:
    return levels.input_db, levels.median_db


def _response(estimate: Transfer) -> Line:
    """From 20 Hz on, without what is not coherent, smoothed by the median of 1/6 octave."""
    centres = 20 * 2 ** (np.arange(60) / 6)
    centres = centres[centres < estimate.frequencies[-1]]
    magnitudes = np.full(len(centres), np.nan)
    for number, centre in enumerate(centres):
        near = np.abs(np.log2(np.maximum(estimate.frequencies, 1e-9) / centre)) <= 1 / 12
        near &= estimate.coherence >= COHERENT
        if near.any():
            magnitudes[number] = np.median(estimate.magnitude_db[near])
    return centres, magnitudes
