"""Picture of Table 1, ours beside the paper's.

python -m scripts.picture runs/quick/results/scores.csv docs/table1.png
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from scripts.table import COLUMNS, UNPROCESSED, Table, figure, paper_table, tables

WORST = 10  # ratio to the best of a column at which the colour ends


def draw(ours: Table, file: Path) -> None:
    """Two heat maps; the colour of a cell is its ratio to the best model of the column, the best is framed."""
    picture = Figure(figsize=(11, 3.6), layout="constrained")
    panels = picture.subplots(1, 2)
    for panel, table, title in zip(panels, (ours, paper_table()), ("ours", "the paper's"), strict=True):
        image = _panel(panel, table)
        panel.set_title(f"test error, {title}", fontsize=11)
    picture.colorbar(image, ax=panels, label="ratio to the best of the column", ticks=[1, 2, 5, 10], format="%g×")
    picture.savefig(file, dpi=150)


def _panel(panel: Axes, table: Table) -> AxesImage:
    models = [row for row in table.rows if row != UNPROCESSED]
    values = np.array([[table.rows[row][column] for column in COLUMNS] for row in models])
    ratios = values / values.min(axis=0)
    image = panel.imshow(ratios, cmap="cividis_r", norm=LogNorm(1, WORST), aspect="auto")
    for i, j in np.ndindex(*values.shape):
        best = values[i, j] == values[:, j].min()
        panel.text(
            j,
            i,
            figure(COLUMNS[j], float(values[i, j])),
            ha="center",
            va="center",
            fontsize=8.5,
            weight="bold" if best else "normal",
            color="white" if ratios[i, j] > WORST**0.5 else "black",
        )
    panel.set_xticks(range(len(COLUMNS)), COLUMNS)
    panel.set_yticks(range(len(models)), models)
    panel.set(xlabel="error metric (smaller is better)", ylabel="training loss")
    panel.tick_params(length=0)
    return image


def main() -> None:
    parser = argparse.ArgumentParser(description="Draws Table 1 from the scores that evaluate.py has written.")
    parser.add_argument("scores", type=Path, help="scores.csv")
    parser.add_argument("picture", type=Path, help="file to write; its suffix (.png, .svg, .pdf) is the format")
    parser.add_argument("--convention", default="standard", help="standard (default) or paper2020")
    options = parser.parse_args()
    with options.scores.open(newline="") as stream:
        ours = {table.title: table for table in tables(csv.DictReader(stream))}
    if options.convention not in ours:
        parser.error(f"--convention {options.convention}: {options.scores} holds {', '.join(ours)}")
    draw(ours[options.convention], options.picture)


if __name__ == "__main__":
    main()
