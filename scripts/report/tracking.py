"""Which metric tracks the device: what `python -m scripts.tracking` has found, if it was run on these results."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from scripts.report.charts import TEXT, WIDE, Canvas, Chart, Section, plain
from scripts.results import scores

FILE = "tracking.csv"
NAME = "tracking"


def section(folder: Path) -> tuple[Section | None, list[str]]:
    """A panel for each error of the device, a line for each metric; none without the file.

    Returns:
        the section, and a note where the file belongs to other results than those in the folder.

    Raises:
        ValueError: for a file that is not what scripts.tracking writes.
    """
    file, again = folder / FILE, f"run python -m scripts.tracking {folder} again"
    if not file.is_file():
        return None, []
    try:
        table = pd.read_csv(file).astype({"correlation": float, "low": float, "high": float})
        panels = list(table.groupby("error", sort=False))
        metrics = list(dict.fromkeys(table["metric"]))
    except (ValueError, KeyError) as error:
        raise ValueError(f"{file} cannot be read: {error}; {again}") from error
    if set(table.get("results", ())) != {scores.word(folder)}:
        return None, [f"Which metric tracks the device is left out: {file} is of other results than these; {again}."]
    canvas = Canvas(NAME, 1, len(panels), (WIDE, 0.9 + 0.24 * len(metrics)), sharey=True)
    first = table[table["error"] == table["error"].iloc[0]].sort_values("correlation")
    places = {metric: place for place, metric in enumerate(first["metric"])}
    for axes, (title, rows) in zip(canvas.panels, panels, strict=True):
        at = rows["metric"].map(places)
        axes.axvline(0, color=TEXT, linewidth=0.6)
        axes.hlines(at, rows["low"], rows["high"], color=TEXT, linewidth=1)
        axes.plot(rows["correlation"], at, "o", color=TEXT, markersize=5)
        axes.set_xlim(-0.35, 1.05)
        axes.set_xlabel("rank correlation")
        canvas.heading(axes, str(title))
    canvas.panels[0].set_yticks(list(places.values()), [plain(metric) for metric in places])
    text = (
        "On each test segment the runs are ranked by a metric, and by an error of the device itself: of its gain over "
        "time, its static curve, its attack and release. 1: the metric puts them in the order of their errors. 0: it "
        "says nothing of it. Lines are 95 % intervals over recordings and runs."
    )
    caption = "Rank correlation of each metric with four errors, mean of the test segments; best for the gain on top."
    chart = Chart(canvas.svg("Metrics and the device"), caption)
    return Section(NAME, "Which metric tracks the device", text, [chart]), []
