"""Picture of Table 1, ours beside the paper's.

python -m scripts.results.picture runs/quick/results docs/table1.png
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Rectangle

from models.atomic import replacing
from scripts.results import scores
from scripts.results.legend import TIED
from scripts.results.table import COLUMNS, Table, paper_table, rounded, tables

WORST = 10  # ratio to the best of a column at which the colour ends


def draw(ours: Table, file: Path) -> None:
    """Two heat maps; the colour of a cell is its ratio to the best model of the column.

    The best is framed and bold, what cannot be told apart from it has a sign; of the metrics, those of the paper.

    Raises:
        ValueError: if the table has none of the paper's metrics, or no model has a number in one.
    """
    names = [column.name for column in ours.columns if column.name in COLUMNS]
    if not names:
        raise ValueError(f"convention {ours.title} has none of the metrics {', '.join(COLUMNS)}")
    if empty := [name for name in names if ours.best(name) is None]:
        raise ValueError(f"no model has a number in column {empty[0]}")
    models = sum(row in ours.runs and ours.losses[row] != "" for row in ours.rows)
    picture = Figure(figsize=(11, 1.5 + 0.36 * max(models, 6)), layout="constrained")
    panels = picture.subplots(1, 2)
    tied = any(cell.tied for cells in ours.rows.values() for name, cell in cells.items() if name in names)
    said = f" ({TIED} cannot be told apart from the best)" if tied else ""
    titles = (f"test error, ours{said}", "test error, the paper's")
    for panel, table, title in zip(panels, (ours, paper_table()), titles, strict=True):
        image = _panel(panel, table, names)
        panel.set_title(title, fontsize=11)
    label = "ratio to the best of the column"
    picture.colorbar(image, ax=panels, label=label, ticks=[1, 2, 5, 10], format="%g×")
    with replacing(file) as partial:
        picture.savefig(partial, dpi=150, format=file.suffix[1:] or "png")


def _panel(panel: Axes, table: Table, names: list[str]) -> AxesImage:
    models = [row for row in table.rows if table.losses.get(row, row) != ""]  # without the unprocessed input
    cells = [[table.rows[row][name] for name in names] for row in models]
    values = np.array([[cell.mean for cell in line] for line in cells])
    ratios = values / np.nanmin(values, axis=0)
    image = panel.imshow(ratios, cmap="cividis_r", norm=LogNorm(1, WORST), aspect="auto")
    for i, j in np.ndindex(*values.shape):
        cell = cells[i][j]
        panel.text(
            j,
            i,
            f"{TIED if cell.tied else ''}{rounded(names[j], cell.mean)}",
            ha="center",
            va="center",
            fontsize=8,
            weight="bold" if cell.best else "normal",
            color="white" if ratios[i, j] > WORST**0.5 else "black",
        )
        if cell.best:
            panel.add_patch(Rectangle((j - 0.47, i - 0.46), 0.94, 0.92, fill=False, edgecolor="black", linewidth=1.4))
    panel.set_xticks(range(len(names)), names)
    panel.set_yticks(range(len(models)), models, parse_math=False)
    panel.set(xlabel="error metric (smaller is better)", ylabel="training loss")
    panel.tick_params(length=0)
    return image


def main() -> None:
    parser = argparse.ArgumentParser(description="Draws Table 1 from the scores that evaluate.py has written.")
    parser.add_argument("results", type=Path, help="folder that evaluate.py wrote")
    parser.add_argument("picture", type=Path, help="file to write; its suffix (.png, .svg, .pdf) is the format")
    parser.add_argument("--convention", default="standard", help="standard (default) or paper2020")
    options = parser.parse_args()
    try:
        ours = {table.title: table for table in tables(scores.read(options.results))}
        if options.convention not in ours:
            raise ValueError(f"--convention {options.convention}: {options.results} holds {', '.join(ours)}")
        draw(ours[options.convention], options.picture)
    except (ValueError, OSError) as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
