"""Learning curves: what a training logged at the end of each epoch."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from models.run import RunError
from scripts.report.charts import WIDE, Canvas, Chart, Section, plain, scale
from scripts.report.colours import Look
from scripts.results.scored_run import folder_of

Curves = dict[str, list[pandas.DataFrame]]  # one table a seed, by the model's label


def read(runs: Sequence[Mapping[str, str]], results: Path, checkpoint: str = "best") -> tuple[Curves, list[str]]:
    """metrics.csv of each run, with the epoch as index, and a note for each that cannot be read.

    Of an epoch that was logged twice, as by a training that went on from an earlier one, the last counts.
    """
    curves: Curves = {}
    notes = []
    for item in runs:
        try:
            table = _table(folder_of(item, results, checkpoint) / "metrics.csv")
        except (RunError, OSError, ValueError, KeyError) as error:
            notes.append(f"{item['run']} is missing among the learning curves: {error}.")
            continue
        curves.setdefault(item["model"], []).append(table)
    return curves, notes


def _table(file: Path) -> pandas.DataFrame:
    rows = pandas.read_csv(file)
    for column in rows:
        try:
            rows[column] = pandas.to_numeric(rows[column])
        except ValueError as error:
            raise ValueError(f"{file}, column {column}: {error}") from error
    if not np.isfinite(rows["epoch"]).all():
        raise ValueError(f"{file}: a row has no epoch")
    return rows.drop_duplicates("epoch", keep="last").set_index("epoch").sort_index()


def section(curves: Curves, looks: Mapping[str, Look]) -> Section | None:
    """A figure for each validation metric, and one with a panel for each training loss."""
    tables = [table for of_model in curves.values() for table in of_model]
    columns = dict.fromkeys(c for table in tables for c in table.columns if table[c].notna().any())
    metrics = [column for column in columns if column.startswith("val/")]
    figures = [_over_epochs(column, number, curves, looks) for number, column in enumerate(metrics)]
    if "train/loss" in columns:
        figures.append(_losses(curves, looks))
    if not figures:
        return None
    text = "Each run after each epoch."
    if any(len(of_model) > 1 for of_model in curves.values()):
        text = "Each run after each epoch: thin lines are single seeds, thick ones their mean."
    if "val/score" in columns:
        text += " A ring marks the epoch with the best val/score, whose weights are kept as “best”."
    return Section("learning", "Learning curves", text, figures)


def mean(tables: Sequence[pandas.DataFrame], column: str) -> pandas.Series:
    """Mean over the seeds, for the epochs that all of them have."""
    return pandas.concat([table[column] for table in tables if column in table], axis=1, join="inner").mean(axis=1)


def _draw(canvas: Canvas, panel: int, tables: Sequence[pandas.DataFrame], column: str, look: Look) -> None:
    axes, ink = canvas.panels[panel], canvas.ink(look)
    with_column = [table for table in tables if column in table]
    several = len(with_column) > 1
    for table in with_column:
        axes.plot(table.index, table[column], color=ink, linewidth=0.8 if several else 1.5, alpha=0.5 if several else 1)
        if column.startswith("val/") and "val/score" in table and table["val/score"].notna().any():
            best = int(table["val/score"].fillna(np.inf).argmin())
            axes.plot(
                table.index[best],
                table[column].iloc[best],
                "o",
                color=ink,
                markersize=4.5,
                fillstyle="none",
                markeredgewidth=1,
            )
    if several:
        average = mean(with_column, column)
        axes.plot(average.index, average, color=ink, linewidth=1.9)


def _over_epochs(column: str, number: int, curves: Curves, looks: Mapping[str, Look]) -> Chart:
    canvas = Canvas(f"learning-{number}")
    axes = canvas.panels[0]
    values = [table[column] for tables in curves.values() for table in tables if column in table]
    for model, tables in curves.items():
        _draw(canvas, 0, tables, column, looks[model])
    axes.set(xlabel="epoch", ylabel=plain(column))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    scale(axes, "y", pandas.concat(values))
    canvas.legend(Line2D([], [], color=canvas.ink(looks[model]), label=plain(model)) for model in curves)
    return Chart(
        canvas.svg(f"{column} over epochs"), f"{column}: validation error after each epoch; smaller is better."
    )


def _losses(curves: Curves, looks: Mapping[str, Look]) -> Chart:
    """Small multiples: each loss has a scale of its own."""
    curves = {model: tables for model, tables in curves.items() if any("train/loss" in table for table in tables)}
    columns = min(3, len(curves))
    rows = math.ceil(len(curves) / columns)
    canvas = Canvas("learning-loss", rows, columns, size=(WIDE, 1.9 * rows + 0.3), sharex=True)
    for number, (model, tables) in enumerate(curves.items()):
        axes = canvas.panels[number]
        _draw(canvas, number, tables, "train/loss", looks[model])
        canvas.heading(axes, model, canvas.ink(looks[model]))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=5))
        scale(axes, "y", pandas.concat([table["train/loss"] for table in tables if "train/loss" in table]))
        if number >= len(curves) - columns:
            axes.set_xlabel("epoch")
            axes.tick_params(labelbottom=True)
    for axes in canvas.panels[len(curves) :]:
        axes.remove()
    caption = "Training loss: each model's own, each on its own scale. Only the shapes compare."
    return Chart(canvas.svg("Training loss over epochs"), caption)
