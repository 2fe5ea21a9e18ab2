"""Every metric against peak reduction, for each mode: where a model is good, and whether it learned the knob."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence

import pandas
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from data.signaltrain import MODES
from scripts.report.charts import Canvas, Chart, Section, Sheet, plain, scale
from scripts.report.colours import INPUT, Look
from scripts.results import setting_tables
from scripts.results.scores import UNPROCESSED, Evaluation
from scripts.results.setting_scores import by_setting

LABEL = 0.12  # of a panel that a number below it takes


def section(
    evaluation: Evaluation, looks: Mapping[str, Look], elsewhere: Collection[tuple[str, str]] = ()
) -> tuple[Section | None, list[str]]:
    """A figure for each metric with a value for each segment, below the means by kind of setting.

    Args:
        elsewhere: convention and metric of means that another section shows.

    Returns:
        the section, if there is anything to show, and a note if figures are left out: where settings are not a mode
        of `MODES` and one amount.
    """
    table = by_setting(evaluation)
    other = table["setting"][table["peak_reduction"].isna() | ~table["switch"].isin(list(MODES))]
    figures, notes, text = [], [], "Means of the test segments."
    if not other.empty:
        notes.append(
            f"No metric is drawn against the settings: that takes a switch at {' or '.join(MODES)} and one amount, as "
            f"in 0__65, but there is {other.iloc[0]}. table1.md has the means by setting."
        )
    elif not table.empty:
        for number, ((_, metric), rows) in enumerate(table.groupby(["convention", "metric"], sort=False)):
            figures.append(_figure(f"setting-{number}", str(metric), evaluation, rows, looks))
        text = "Mean of the test segments at each setting; hollow markers are settings that were never trained on."
        if (table["runs"] > 1).any():
            text += " Bars reach from the lowest to the highest seed."
    html = setting_tables.html_by_kind(evaluation, elsewhere)
    legend = setting_tables.legend(evaluation)
    if elsewhere:
        legend += f" For {' and '.join(metric for _, metric in elsewhere)} see the knob certificate."
    sheet = Sheet(html, legend) if html else None
    shown = Section("settings", "By setting", text, figures, sheet) if figures or sheet else None
    return shown, notes


def _figure(name: str, metric: str, evaluation: Evaluation, rows: pandas.DataFrame, looks: Mapping[str, Look]) -> Chart:
    modes = [mode for mode in MODES if (rows["switch"] == mode).any()]
    canvas = Canvas(name, 1, len(modes), sharey=True)
    labels = [label for label in (*looks, UNPROCESSED) if (rows["label"] == label).any()]
    handles = []
    for label in labels:
        look = INPUT if label == UNPROCESSED else looks[label]
        ink = canvas.ink(look)
        handles.append(Line2D([], [], label=plain(label), color=ink, marker=look.marker, linewidth=1.2))
        for axes, mode in zip(canvas.panels, modes, strict=True):
            _line(axes, rows[(rows["label"] == label) & (rows["switch"] == mode)], look, ink)
    for axes, mode in zip(canvas.panels, modes, strict=True):
        canvas.heading(axes, MODES[mode])
        axes.set_xlabel("peak reduction")
        known = sorted(rows["peak_reduction"][rows["switch"] == mode].unique())
        axes.set_xticks(known, apart(known))
        axes.margins(x=0.15)
    higher, unit = evaluation.higher_is_better(metric), evaluation.unit(metric)
    heading = f"{metric} ({unit})" if unit else metric
    canvas.panels[0].set_ylabel(plain(f"{heading} {'↑' if higher else '↓'}"))
    scale(canvas.panels[0], "y", pandas.concat([rows["lowest"], rows["highest"]]))
    canvas.legend(handles, columns=4)
    return Chart(
        canvas.svg(f"{metric} against peak reduction"),
        f"{heading} against peak reduction; {'larger' if higher else 'smaller'} is better.",
    )


def apart(knobs: Sequence[float]) -> list[str]:
    """Labels of rising positions, without those that would touch the one before or the last.

    >>> apart([0, 45, 50, 60, 65, 95, 100]), apart([40, 45, 50])
    (['0', '45', '', '60', '', '', '100'], ['40', '45', '50'])
    """
    labels: list[str] = []
    room, least = LABEL * (knobs[-1] - knobs[0]), -math.inf
    for knob in knobs:
        is_free = knob >= least and (knob == knobs[-1] or knobs[-1] - knob >= room)
        labels.append(f"{knob:g}" if is_free else "")
        least = knob + room if is_free else least
    return labels


def _line(axes: Axes, rows: pandas.DataFrame, look: Look, ink: str) -> None:
    knob, value = rows["peak_reduction"], rows["value"]
    axes.vlines(knob, rows["lowest"], rows["highest"], color=ink, linewidth=0.8)
    axes.plot(knob, value, color=ink, linewidth=1.2)
    for seen, fill in ((True, ink), (False, "none")):
        at = (rows["kind"] == "seen") == seen
        axes.plot(knob[at], value[at], look.marker, color=ink, markerfacecolor=fill, markersize=5, linestyle="none")
