"""Gain reduction over time: what the compressor did, and what each model did instead, on the same passage."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.lines import Line2D

from scripts.measure.recorded import gain_reduction_trace, mean_error
from scripts.report.charts import BEYOND_DB, TEXT, WIDE, Canvas, Chart, Section, bounds, thinned
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
    if any(passage.reduction_db is not None for passage in passages):
        text += " The thin line in the colour of the text is the device's own gain reduction."
    if any(passage.gains_db for passage in passages):
        text += " Dotted lines show the gain by which a model multiplies its input, for models that do; below, minus "
        text += "the device's own gain reduction, or the target's where that is not known."
    return Section("traces", "Gain reduction", text, figures)


def _figure(name: str, passage: Passage, looks: Mapping[str, Look]) -> Chart:
    rate = passage.place.recording.sample_rate
    times, target = gain_reduction_trace(passage.input, passage.target, rate)
    traces = {model: gain_reduction_trace(passage.input, y, rate)[1] for model, y in passage.outputs.items()}
    columns = min(COLUMNS, len(traces))
    rows = math.ceil(len(traces) / columns)
    size = (WIDE, 0.4 + 2.6 * rows)
    canvas = Canvas(name, 2 * rows, columns, size, sharex=True, height_ratios=[2.4, 1] * rows)
    at = np.round(times * rate).astype(int)
    own = None if passage.reduction_db is None else np.where(np.isnan(target), np.nan, passage.reduction_db[at])
    inner = {model: np.where(np.isnan(target), np.nan, -gain[at]) for model, gain in passage.gains_db.items()}
    errors = {model: trace - target for model, trace in traces.items()}
    inner_errors = {model: trace - (target if own is None else own) for model, trace in inner.items()}
    nearby = bounds(target, BEYOND_DB)
    shown = {model: np.clip(trace, *nearby) for model, trace in traces.items()}
    shown_inner = {model: np.clip(trace, *nearby) for model, trace in inner.items()}
    lines = [target, *shown.values(), *shown_inner.values()]
    highest = np.nanmax(lines) if np.isfinite(target).any() else 1.0
    lowest = np.nanmin(lines) if np.isfinite(target).any() else 0.0
    error = min(BEYOND_DB, max(1.0, *map(_typical, errors.values()), *map(_typical, inner_errors.values())))
    for number, model in enumerate(traces):
        row, column = divmod(number, columns)
        upper = canvas.panels[2 * row * columns + column]
        lower = canvas.panels[(2 * row + 1) * columns + column]
        ink = canvas.ink(looks[model])
        upper.plot(*thinned(times, target, POINTS), color=canvas.ink(TARGET), linewidth=2.2)
        if own is not None:
            upper.plot(*thinned(times, own, POINTS), color=TEXT, linewidth=0.6)
        upper.plot(*thinned(times, shown[model], POINTS), color=ink, linewidth=1)
        lower.axhline(0, color=canvas.ink(TARGET), linewidth=1)
        lower.plot(*thinned(times, np.clip(errors[model], -error, error), POINTS), color=ink, linewidth=0.8)
        if model in inner:
            upper.plot(*thinned(times, shown_inner[model], POINTS), color=ink, linewidth=1.2, linestyle=":")
            below = np.clip(inner_errors[model], -error, error)
            lower.plot(*thinned(times, below, POINTS), color=ink, linewidth=1, linestyle=":")
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
    handles = [Line2D([], [], color=canvas.ink(TARGET), linewidth=2.2, label="target")]
    if own is not None:
        handles.append(Line2D([], [], color=TEXT, linewidth=0.6, label="device's own"))
    if inner:
        handles.append(Line2D([], [], color=TEXT, linewidth=1.2, linestyle=":", label="model's inner gain"))
    canvas.legend(handles)
    what = title(passage.place)
    caption = f"{what}. Mean error of the gain reduction: {_errors(errors, inner_errors)}."
    return Chart(canvas.svg(f"Gain reduction of the target and of each model. {what}"), caption)


def _errors(errors: Mapping[str, np.ndarray], inner_errors: Mapping[str, np.ndarray]) -> str:
    """The mean error of each model, and of its inner gain."""
    return "; ".join(
        f"{model} {mean_error(error):.2f} dB"
        + (f" (inner gain {mean_error(inner_errors[model]):.2f} dB)" if model in inner_errors else "")
        for model, error in errors.items()
    )


def _typical(error: np.ndarray) -> float:
    """What the size of an error exceeds for 1 % of the time: single clicks do not decide on the scale."""
    sizes = np.abs(error[np.isfinite(error)])
    return float(np.quantile(sizes, 0.99)) * 1.1 if len(sizes) else 1.0
