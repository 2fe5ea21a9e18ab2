"""Table 1 as Markdown, CSV, JSON, LaTeX and HTML; `write` makes all five in a results folder."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from data.settings import KINDS
from scripts import findings, table
from scripts.scores import Evaluation
from scripts.table import COLUMNS, Cell, Table, figure
from scripts.table_html import html, page
from scripts.table_latex import latex
from scripts.table_legend import TIED, bounds, label, legend

__all__ = ["document", "html", "latex", "legend", "markdown", "settings", "tidy", "write"]


def write(folder: Path, evaluation: Evaluation) -> str:
    """Writes table1.md, .csv, .json, .tex and .html; returns the first.

    Raises:
        ValueError: if the runs were not scored on the same segments.
    """
    ours = table.tables(evaluation)
    text = document(ours, evaluation)
    files = {
        "md": text,
        "csv": tidy([*ours, table.paper_table()]),
        "json": json.dumps(_json(ours, evaluation), indent=2, ensure_ascii=False, allow_nan=False) + "\n",
        "tex": latex([*ours, table.paper_table()], table.FOOTNOTES),
        "html": page([*ours, table.paper_table()]),
    }
    for suffix, content in files.items():
        (Path(folder) / f"table1.{suffix}").write_text(content, encoding="utf-8", newline="")
    return text


def document(ours: Sequence[Table], evaluation: Evaluation) -> str:
    """All in Markdown: our tables, the paper's, the answer to its question, what to know of them."""
    parts = ["# Test error of models trained with different losses"]
    for of in ours:
        main = [column.name for column in of.columns if column.name in COLUMNS]
        further = [column.name for column in of.columns if column.name not in COLUMNS]
        parts += [f"## {of.title}", of.description]
        parts += [markdown(of.part(*main))] if main else []
        parts += ["Further metrics:"] if main and further else []
        parts += [markdown(of.part(*further))] if further else []
        parts.append(_list(map(_markdown_text, legend(of))))
    paper = table.paper_table()
    parts += [f"## {paper.title}", paper.description, markdown(paper)]
    parts.append("\n".join(f"{n}. {text}" for n, text in enumerate(table.FOOTNOTES, 1)))
    parts.append("## Does training on a metric minimise it?")
    for of in ours:
        found = findings.question(of)
        summary = f"`{_markdown_text(of.title)}`: {findings.overall(found)}".rstrip()
        parts += [summary, findings.other_kind(of), _list(_markdown_text(finding.sentence) for finding in found)]
    parts += _kinds(evaluation)
    parts += _settings(evaluation)
    parts += ["## Notes", _list(map(_markdown_text, evaluation.notes))] if evaluation.notes else []
    return "\n\n".join(part for part in parts if part) + "\n"


def markdown(of: Table) -> str:
    """A table in Markdown, the best of each column in bold."""
    lines = [["training loss", *(_markdown_text(column.heading) for column in of.columns)]]
    for row, cells in of.rows.items():
        line = [_markdown_text(f"{label(of, row)} {of.marks.get((row, ''), '')}".strip())]
        for column in of.columns:
            line.append(
                f"{_markdown_cell(column.name, cells[column.name])} {of.marks.get((row, column.name), '')}".strip()
            )
        lines.append(line)
    return grid(lines)


def tidy(tables: Iterable[Table]) -> str:
    """CSV with a row for each cell."""
    rows = []
    for of in tables:
        for row, cells in of.rows.items():
            for column in of.columns:
                cell = cells[column.name]
                of_row = {"source": of.title, "training_loss": row, "runs": of.runs.get(row, "")}
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
    text = figure(column, cell.mean)
    text = f"**{text}**" if cell.best else f"{TIED} {text}" if cell.tied else text
    return f"{text} {bounds(column, cell)}".strip()


def _json(ours: Sequence[Table], evaluation: Evaluation) -> dict[str, Any]:
    return {
        "tables": [
            {
                "convention": of.title,
                "description": of.description,
                "columns": {
                    column.name: {
                        "unit": column.unit,
                        "higher_is_better": column.higher_is_better,
                        "tested_over": column.tested_over,
                    }
                    for column in of.columns
                },
                "runs": dict(of.runs),
                "rows": {
                    row: {name: _json_cell(cell) for name, cell in cells.items()} for row, cells in of.rows.items()
                },
                "findings": [vars(finding) for finding in findings.question(of)],
                "answer": findings.overall(findings.question(of)),
            }
            for of in ours
        ],
        "paper": {row: {k: cell.mean for k, cell in cells.items()} for row, cells in table.paper_table().rows.items()},
        "kinds_of_settings": _records(findings.by_kind(evaluation)),
        "footnotes": list(table.FOOTNOTES),
        "notes": evaluation.notes,
    }


def _records(rows: pd.DataFrame) -> list[dict[str, Any]]:
    """Plain values; a number that JSON does not have is null."""
    records = rows.to_dict("records")
    return [
        {str(k): None if isinstance(v, float) and not math.isfinite(v) else v for k, v in of.items()} for of in records
    ]


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


def _kinds(evaluation: Evaluation) -> list[str]:
    """Tables by kind of setting, if there is more than one."""
    rows = findings.by_kind(evaluation)
    rows = rows[rows["convention"] == "standard"]
    if rows["kind"].nunique() < 2:
        return []
    means = "; ".join(f"{name}: {meaning}" for name, meaning in KINDS.items() if (rows["kind"] == name).any())
    parts = [f"{metric}:\n\n{kinds(rows, metric)}" for metric in ("ESR", "MR") if (rows["metric"] == metric).any()]
    return ["## Settings seen, between and beyond", f"Convention `standard`. {means}.", *parts] if parts else []


def kinds(rows: pd.DataFrame, metric: str) -> str:
    """One metric of `findings.by_kind` in Markdown: rows the kinds of setting, columns the models."""
    rows = rows[rows["metric"] == metric]
    labels = list(rows["label"].unique())
    lines = [["settings", *map(_markdown_text, labels)]]
    for name in (name for name in KINDS if (rows["kind"] == name).any()):
        of = rows[rows["kind"] == name]
        values = dict(zip(of["label"], of["value"], strict=True))
        lines.append([f"{name} ({of['settings'].max()})", *(figure(metric, values[label]) for label in labels)])
    return grid(lines)


def _settings(evaluation: Evaluation) -> list[str]:
    """Tables by setting of a metric of the waveform and one of the spectrum."""
    of_setting = findings.by_setting(evaluation)
    of_setting = of_setting[of_setting["convention"] == "standard"]
    parts = []
    for metric in ("ESR", "MR"):
        rows = of_setting[of_setting["metric"] == metric]
        if not rows.empty:
            parts += [f"{metric}:", settings(rows)]
    if not parts:
        return []
    new = "; * marks a setting that no model was trained on" if not of_setting["trained"].all() else ""
    return ["## By setting", f"Switch / peak reduction, convention `standard`{new}.", *parts]


def settings(rows: pd.DataFrame) -> str:
    """One metric of `findings.by_setting` in Markdown: rows the settings, columns the models."""
    labels = list(rows["label"].unique())
    lines = [["setting", *map(_markdown_text, labels)]]
    for (switch, amount, trained), of in rows.groupby(["switch", "peak_reduction", "trained"], sort=False):
        values = dict(zip(of["label"], of["value"], strict=True))
        name = f"{switch} / {amount:g}{'' if trained else ' *'}"
        metric = str(of["metric"].iloc[0])
        lines.append([name.replace("*", "\\*"), *(figure(metric, values[label]) for label in labels)])
    return grid(lines)


def grid(lines: Sequence[Sequence[str]]) -> str:
    """A Markdown table of aligned columns, the first to the left; the first line is its head."""
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    made = []
    for line in [lines[0], rule, *lines[1:]]:
        cells = [line[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(line[1:], widths[1:], strict=True))]
        made.append(f"| {' | '.join(cells)} |")
    return "\n".join(made)


def _list(items: Iterable[str]) -> str:
    return "\n".join(f"- {item}" for item in items)


def _markdown_text(text: str) -> str:
    """Text that Markdown shows as it is, in a table too."""
    for sign in "\\|<*`[":
        text = text.replace(sign, f"\\{sign}" if sign != "<" else "&lt;")
    return " ".join(text.split())
