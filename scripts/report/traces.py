"""Gain reduction over time: what the compressor did, and what each model did instead, on the same passage."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.lines import Line2D

from scripts.gain import gain_reduction_trace
from scripts.report.charts import BEYOND_DB, WIDE, Canvas, Chart, Section, bounds, thinned
from scripts.report.colours import TARGET, Look
from scripts.report.passages import Passage, title

COLUMNS = 3  # of models
POINTS = 400  # of a line


def section(passages: Sequence[Passage], looks: Mapping[str, Look]) -> Section | None:
    """A figure for each passage, with a panel for each model and its error below it."""
    figures = [_figure(f"trace-{number}", passage, looks) for number, passage in enumerate(passages) if passage.outputs]
    if not figures:
        return None
    text = (
        "Level of the input minus that of the output, in windows of 20 ms, wherever the input is above −60 dBFS. "
        "Below each model: its gain reduction minus the target's. More reduction points down, as on a meter. "
        "The passages can be heard in the player."
    )
    return Section("traces", "Gain reduction", text, figures)


def _figure(name: str, passage: Passage, looks: Mapping[str, Look]) -> Chart:
    rate = passage.place.recording.sample_rate
    times, target = gain_reduction_trace(passage.input, passage.target, rate)
    traces = {model: gain_reduction_trace(passage.input, y, rate)[1] for model, y in passage.outputs.items()}
    columns = min(COLUMNS, len(traces))
    rows = math.ceil(len(traces) / columns)
    size = (WIDE, 0.4 + 2.6 * rows)
    canvas = Canvas(name, 2 * rows, columns, size, sharex=True, height_ratios=[2.4, 1] * rows)
    nearby = bounds(target, BEYOND_DB)
    shown = {model: np.clip(trace, *nearby) for model, trace in traces.items()}
    highest = np.nanmax([target, *shown.values()]) if np.isfinite(target).any() else 1.0
    lowest = np.nanmin([target, *shown.values()]) if np.isfinite(target).any() else 0.0
    error = min(BEYOND_DB, max(1.0, *(_typical(trace - target) for trace in traces.values())))
    for number, (model, trace) in enumerate(traces.items()):
        row, column = divmod(number, columns)
        upper = canvas.panels[2 * row * columns + column]
        lower = canvas.panels[(2 * row + 1) * columns + column]
        ink = canvas.ink(looks[model])
        upper.plot(*thinned(times, target, POINTS), color=canvas.ink(TARGET), linewidth=2.2)
        upper.plot(*thinned(times, shown[model], POINTS), color=ink, linewidth=1)
        lower.axhline(0, color=canvas.ink(TARGET), linewidth=1)
        lower.plot(*thinned(times, np.clip(trace - target, -error, error), POINTS), color=ink, linewidth=0.8)
        canvas.heading(upper, model, ink)
        upper.set_ylim(highest + 0.5, lowest - 0.5)  # downwards, as a meter falls
        lower.set_ylim(error, -error)
        if column == 0:
            upper.set_ylabel("gain reduction (dB)")
            lower.set_ylabel("error (dB)")
        if number >= len(traces) - columns:
            lower.set_xlabel("time (s)")
            lower.tick_params(labelbottom=True)
    for number in range(len(traces), rows * columns):
        row, column = divmod(number, columns)
        for panel in (2 * row * columns + column, (2 * row + 1) * columns + column):
            canvas.panels[panel].remove()
    canvas.legend([Line2D([], [], color=canvas.ink(TARGET), linewidth=2.2, label="target")])
    what = title(passage.place)
    return Chart(canvas.svg(f"Gain reduction of the target and of each model. {what}"), f"{what}.")


def _typical(error: np.ndarray) -> float:
    """What the size of an error exceeds for 1 % of the time: single clicks do not decide on the scale."""
    sizes = np.abs(error[np.isfinite(error)])
    return float(np.quantile(sizes, 0.99)) * 1.1 if len(sizes) else 1.0
