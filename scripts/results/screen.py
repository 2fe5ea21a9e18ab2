"""What evaluate.py prints: one screen with the table, the answer, the scores by kind of setting, and what to know."""

from __future__ import annotations

import textwrap
from pathlib import Path

from scripts.results import findings, setting_tables, table
from scripts.results.legend import TIED, label, legend
from scripts.results.markdown import bullets, grid
from scripts.results.scores import Evaluation
from scripts.results.setting_tables import SHOWN, Line
from scripts.results.table import COLUMNS, Table, rounded

WIDTH = 118  # of running text; a note stays on one line, for those who search for it
NOTES = 5  # shown; all are in table1.md


def text(folder: Path, evaluation: Evaluation) -> str:
    """The results in a folder on some 35 lines, for six models; everything else is in its files.

    Raises:
        ValueError: if the runs were not scored on the same segments.
    """
    ours = table.tables(evaluation)
    main = next((one for one in ours if one.title == "standard"), ours[0])
    names = [column.name for column in main.columns]
    main = main.part(*([name for name in names if name in COLUMNS] or names[: len(COLUMNS)]))
    answers = (
        findings.overall(findings.question(main)),
        findings.waveform_or_spectra(main),
        findings.no_better_than_the_input(main),
    )
    answer = " ".join(filter(None, answers))
    parts = [
        textwrap.fill(_head(main), WIDTH),
        _table(main),
        textwrap.fill(answer, WIDTH),
    ]
    if of_kinds := [line for line in setting_tables.lines(evaluation, main.title) if line.metric in SHOWN]:
        parts += [textwrap.fill(setting_tables.legend(evaluation), WIDTH), _by_kind(of_kinds)]
    notes = evaluation.notes[:NOTES]
    if more := len(evaluation.notes) - len(notes):
        notes.append(f"… and {more} more in table1.md")
    parts += [
        bullets(notes),
        f"Intervals, all conventions, the paper's table: {folder / 'table1.md'} (.csv, .json, .tex, .html)\n"
        f"Every score: {folder / 'scores.csv'}",
    ]
    return "\n\n".join(part for part in parts if part)


def _head(table: Table) -> str:
    """What the table shows, and what its marks stand for."""
    over = " or ".join(dict.fromkeys(column.tested_over for column in table.columns if column.tested_over))
    tied = f"{TIED}: cannot be told apart from it, tested over {over}" if over else "differences cannot be tested"
    untested = [column.name for column in table.columns if not column.tested_over] if over else []
    but = f" (not tested: {', '.join(untested)})" if untested else ""
    return " ".join(
        [f"Test error, convention {table.title}.", *legend(table)[:1], f"*: the best of its column; {tied}{but}."]
    )


def _table(table: Table) -> str:
    """Means with their marks."""
    lines = [["training loss", *(column.heading for column in table.columns)]]
    for row, cells in table.rows.items():
        line = [label(table, row)]
        for column in table.columns:
            cell = cells[column.name]
            line.append(f"{'* ' if cell.best else f'{TIED} ' if cell.tied else ''}{rounded(column.name, cell.mean)}")
        lines.append(line)
    return grid(lines)


def _by_kind(lines: list[Line]) -> str:
    """Rows are the models, as in the table above."""
    made = [["training loss", *(f"{line.heading} {line.kind}" for line in lines)]]
    for row in lines[0].values:
        made.append([row, *(rounded(line.metric, line.values[row]) for line in lines)])
    return grid(made)
