"""Table 1 in HTML; names are text, whatever they hold."""

from __future__ import annotations

import math
from collections.abc import Sequence

from markupsafe import Markup

from scripts.results import table
from scripts.results.legend import TIED, bounds, label, legend, probability
from scripts.results.table import Cell, Table, rounded


def html(table: Table, kind: str = "scores sortable") -> Markup:
    """A table in HTML: ``data-value`` to sort by, marks as classes ``best`` and ``tied`` and as text."""
    heads = Markup("").join(
        Markup('<th scope="col">{} <span title="{} is better">{}</span></th>').format(
            column.heading[:-2], "larger" if column.higher_is_better else "smaller", column.heading[-1]
        )
        for column in table.columns
    )
    lines = []
    for row, cells in table.rows.items():
        name = Markup('<th scope="row">{}{}</th>').format(label(table, row), _sup(table.marks.get((row, ""), "")))
        values = Markup("").join(
            _cell(column.name, cells[column.name], table.marks.get((row, column.name), "")) for column in table.columns
        )
        lines.append(Markup("<tr>{}{}</tr>").format(name, values))
    return Markup(
        '<table class="{}">\n<thead><tr><th scope="col">training loss</th>{}</tr></thead>\n<tbody>{}</tbody>\n</table>'
    ).format(kind, heads, Markup("\n").join(lines))


def page(tables: Sequence[Table], *further: Markup) -> str:
    """The tables one after the other, then what else there is, to be pasted into a page."""
    parts = []
    for one in tables:
        lines = Markup("").join(Markup("<p>{}</p>\n").format(line) for line in legend(one))
        parts.append(Markup("<h2>{}</h2>\n<p>{}</p>\n{}\n{}").format(one.title, one.description, html(one), lines))
    parts += further
    notes = Markup("\n").join(Markup("<li>{}</li>").format(text) for text in table.FOOTNOTES)
    head = Markup('<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n<title>Table 1</title>\n')
    return str(head + Markup("\n").join(parts) + Markup('<ol class="footnotes">\n{}\n</ol>\n</html>\n').format(notes))


def _cell(column: str, cell: Cell, mark: str) -> Markup:
    kind = Markup(' class="best"') if cell.best else Markup(' class="tied"') if cell.tied else Markup("")
    said = "best of the column" if cell.best else "" if cell.p is None else f"against the best: {probability(cell.p)}"
    title = Markup(' title="{}"').format(said) if said else Markup("")
    value = Markup("<strong>{}</strong>" if cell.best else "{}").format(rounded(column, cell.mean))
    between = Markup(' <span class="interval">{}</span>').format(text) if (text := bounds(column, cell)) else Markup("")
    word = "best" if cell.best else f"{TIED} best" if cell.tied else ""
    word = Markup(' <span class="mark">{}</span>').format(word) if word else Markup("")
    number = repr(cell.mean) if math.isfinite(cell.mean) else ""  # sorted last
    return Markup('<td data-value="{}"{}{}>{}{}{}{}</td>').format(number, kind, title, value, _sup(mark), between, word)


def _sup(mark: str) -> Markup:
    return Markup(' <span class="footnote">{}</span>').format(mark) if mark else Markup("")
