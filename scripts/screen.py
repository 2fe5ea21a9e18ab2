"""What evaluate.py prints: one screen with the table, the answer, the scores by kind of setting, and what to know."""

from __future__ import annotations

import textwrap
from pathlib import Path

from scripts import findings, table
from scripts.scores import Evaluation
from scripts.table import COLUMNS, Table, figure
from scripts.table_formats import grid, kinds
from scripts.table_legend import TIED, label

WIDTH = 110  # of running text; a note stays on one line, for those who search for it
NOTES = 5  # shown; all are in table1.md


def screen(folder: Path, evaluation: Evaluation) -> str:
    """The results of a folder in some thirty lines; everything else is in its files."""
    ours = table.tables(evaluation)
    main = next((of for of in ours if of.title == "standard"), ours[0])
    shown = [column.name for column in main.columns if column.name in COLUMNS] or [c.name for c in main.columns[:6]]
    part = main.part(*shown)
    answer = f"{findings.overall(findings.question(part))} {findings.other_kind(part)}".strip()
    parts = [
        f"Test error, convention {main.title}: * the best of a column, {TIED} what cannot be told apart from it",
        _table(part),
        textwrap.fill(answer, WIDTH),
    ]
    rows = findings.by_kind(evaluation)
    rows = rows[rows["convention"] == main.title]
    if rows["kind"].nunique() > 1:
        parts += [f"{metric} by kind of setting\n{kinds(rows, metric)}" for metric in ("ESR", "MR") if metric in shown]
    notes = list(evaluation.notes)
    if len(notes) > NOTES:
        notes = [*notes[:NOTES], f"… and {len(notes) - NOTES} more notes in table1.md"]
    parts.append("\n".join(f"- {note}" for note in notes))
    parts.append(
        f"With intervals, all conventions and the paper's table: {folder / 'table1.md'} (.csv, .json, .tex, .html)\n"
        f"Every score: {folder / 'scores.csv'}"
    )
    return "\n\n".join(part for part in parts if part)


def _table(of: Table) -> str:
    lines = [["training loss", *(column.heading for column in of.columns)]]
    for row, cells in of.rows.items():
        line = [label(of, row)]
        for column in of.columns:
            cell = cells[column.name]
            mark = "* " if cell.best else f"{TIED} " if cell.tied else ""
            line.append(mark + figure(column.name, cell.mean))
        lines.append(line)
    return grid(lines)
