"""Table 1 as Markdown, CSV, JSON, LaTeX and HTML; `write` makes all of them in a results folder."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from models.atomic import write_text
from scripts.results import findings, setting_tables, table
from scripts.results.html import html, page
from scripts.results.latex import latex
from scripts.results.legend import TIED, bounds, label, legend
from scripts.results.markdown import bullets, escaped, grid
from scripts.results.scores import Evaluation
from scripts.results.table import COLUMNS, Cell, Table, rounded

__all__ = ["document", "html", "latex", "legend", "markdown", "tidy", "write"]


def write(folder: Path, evaluation: Evaluation) -> str:
    """Writes table1.md, .csv, .json, .tex and .html, and table1_by_kind.csv (see `setting_tables`); returns the first.

    Raises:
        ValueError: if the runs were not scored on the same segments.
    """
    ours = table.tables(evaluation)
    text = document(ours, evaluation)
    files = {
        "table1.md": text,
        "table1.csv": tidy([*ours, table.paper_table()]),
        "table1_by_kind.csv": setting_tables.csv_by_kind(evaluation),
        "table1.json": json.dumps(_json(ours, evaluation), indent=2, ensure_ascii=False, allow_nan=False) + "\n",
        "table1.tex": latex([*ours, table.paper_table()], table.FOOTNOTES),
        "table1.html": page([*ours, table.paper_table()], setting_tables.html_section(evaluation)),
    }
    for name, content in files.items():
        write_text(Path(folder) / name, content)
    return text


def document(ours: Sequence[Table], evaluation: Evaluation) -> str:
    """All in Markdown: our tables, the paper's, the answer to its question, what to know of them."""
    parts = ["# Test error of models trained with different losses"]
    for one in ours:
        main = [column.name for column in one.columns if column.name in COLUMNS]
        further = [column.name for column in one.columns if column.name not in COLUMNS]
        parts += [f"## {one.title}", one.description]
        parts += [markdown(one.part(*main))] if main else []
        parts += ["Further metrics:"] if main and further else []
        parts += [markdown(one.part(*further))] if further else []
        parts.append(bullets(map(escaped, legend(one))))
    paper = table.paper_table()
    parts += [f"## {paper.title}", paper.description, markdown(paper)]
    parts.append("\n".join(f"{n}. {text}" for n, text in enumerate(table.FOOTNOTES, 1)))
    parts.append("## Does training on a metric minimise it?")
    for one in ours:
        found = findings.question(one)
        summary = f"`{escaped(one.title)}`: {findings.overall(found)}".rstrip()
        parts += [summary, findings.waveform_or_spectra(one), findings.no_better_than_the_input(one)]
        parts += [bullets(escaped(finding.sentence) for finding in found)]
    parts += [setting_tables.markdown_by_kind(evaluation), setting_tables.markdown_by_setting(evaluation)]
    parts += ["## Notes", bullets(map(escaped, evaluation.notes))] if evaluation.notes else []
    return "\n\n".join(part for part in parts if part) + "\n"


def markdown(table: Table) -> str:
    """A table in Markdown, the best of each column in bold."""
    lines = [["training loss", *(escaped(column.heading) for column in table.columns)]]
    for row, cells in table.rows.items():
        line = [escaped(f"{label(table, row)} {table.marks.get((row, ''), '')}".strip())]
        for column in table.columns:
            line.append(
                f"{_markdown_cell(column.name, cells[column.name])} {table.marks.get((row, column.name), '')}".strip()
            )
        lines.append(line)
    return grid(lines)


def tidy(tables: Iterable[Table]) -> str:
    """CSV with a row for each cell."""
    rows = []
    for one in tables:
        for row, cells in one.rows.items():
            for column in one.columns:
                cell = cells[column.name]
                of_row = {"source": one.title, "training_loss": row, "runs": one.runs.get(row, "")}
                metric = {"metric": column.name, "unit": column.unit, "higher_is_better": column.higher_is_better}
                interval = {"low": cell.low, "high": cell.high, "interval_over": cell.over}
                marks = {"best": cell.best, "tied": cell.tied, "p": cell.p, "tested_over": column.tested_over}
                rows.append({**of_row, **metric, "value": cell.mean, **interval, **marks})
    stream = io.StringIO(newline="")
    writer = csv.DictWriter(stream, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return stream.getvalue()


def _markdown_cell(column: str, cell: Cell) -> str:
    text = rounded(column, cell.mean)
    text = f"**{text}**" if cell.best else f"{TIED} {text}" if cell.tied else text
    return f"{text} {bounds(column, cell)}".strip()


def _json(ours: Sequence[Table], evaluation: Evaluation) -> dict[str, Any]:
    return {
        "tables": [
            {
                "convention": one.title,
                "description": one.description,
                "columns": {
                    column.name: {
                        "unit": column.unit,
                        "higher_is_better": column.higher_is_better,
                        "tested_over": column.tested_over,
                    }
                    for column in one.columns
                },
                "runs": dict(one.runs),
                "rows": {
                    row: {name: _json_cell(cell) for name, cell in cells.items()} for row, cells in one.rows.items()
                },
                "findings": [vars(finding) for finding in findings.question(one)],
                "answer": findings.overall(findings.question(one)),
                "waveform_or_spectra": findings.waveform_or_spectra(one),
            }
            for one in ours
        ],
        "paper": {row: {k: cell.mean for k, cell in cells.items()} for row, cells in table.paper_table().rows.items()},
        "kinds_of_settings": setting_tables.json_by_kind(evaluation),
        "footnotes": list(table.FOOTNOTES),
        "notes": evaluation.notes,
    }


def _json_cell(cell: Cell) -> dict[str, Any]:
    return {
        "value": cell.mean if math.isfinite(cell.mean) else None,
        "low": cell.low,
        "high": cell.high,
        "interval_over": cell.over,
        "best": cell.best,
        "tied": cell.tied,
        "p": cell.p,
    }
