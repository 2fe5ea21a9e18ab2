"""Table 1 in LaTeX: tables of booktabs, to be input in a document with ``\\usepackage{booktabs}``."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from scripts.results.legend import label, legend
from scripts.results.table import Cell, Column, Table, rounded

# Characters with a meaning in LaTeX, and those of our own texts that pdfLaTeX does not know without further packages.
SIGNS = {
    "\\": r"\textbackslash{}",
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': "''",
    "−": "$-$",
    "×": r"$\times$",
    "≈": r"$\approx$",
    "∞": r"$\infty$",
    "–": "--",
    "…": r"\ldots{}",
    **{sign: f"$^{digit}$" for sign, digit in zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-", strict=True)},
    "±": r"$\pm$",
    "µ": r"$\mu$",
    "Δ": r"$\Delta$",
}
COLUMNS_A_TABLE = 6  # as many as fit the width of a page


def latex(tables: Sequence[Table], footnotes: Sequence[str] = ()) -> str:
    """All tables; those of many columns in parts. The interval stands under its mean."""
    parts = [r"% Table 1; the document needs \usepackage{booktabs}."]
    for table in tables:
        names = [column.name for column in table.columns]
        for start in range(0, len(names), COLUMNS_A_TABLE):
            parts.append(_table(table.part(*names[start : start + COLUMNS_A_TABLE]), legend(table), start))
    parts.append("\n\n".join(rf"\noindent\textsuperscript{{{n}}} {text(note)}" for n, note in enumerate(footnotes, 1)))
    return "\n".join(parts) + "\n"


def text(plain: str) -> str:
    r"""Escaped; a character that pdfLaTeX cannot set is given by its number.

    >>> text("l1_a & 50 %")
    'l1\\_a \\& 50 \\%'
    """
    made = []
    for sign in plain:
        if sign in SIGNS:
            made.append(SIGNS[sign])
        elif sign.isspace():
            made.append(" ")
        elif sign.isascii() or "À" <= sign <= "ÿ":
            made.append(sign if sign.isprintable() else "")
        else:
            made.append(f"U+{ord(sign):04X}")
    return "".join(made)


def _table(table: Table, notes: Sequence[str], start: int) -> str:
    caption = f"{table.title}. {table.description}" + "".join(f" {line}" for line in notes)
    lines = [
        r"\begin{table}",
        r"\centering\footnotesize\setlength{\tabcolsep}{2pt}",
        rf"\caption{{{text(caption)}}}",
        rf"\label{{tab:{re.sub('[^a-z0-9]+', '-', table.title.lower())}{'-further' if start else ''}}}",
        rf"\begin{{tabular}}{{l{'r' * len(table.columns)}}}",
        r"\toprule",
        " & ".join(["training loss", *map(_heading, table.columns)]) + r" \\",
        r"\midrule",
    ]
    for row, cells in table.rows.items():
        name = text(f"{label(table, row)} {table.marks.get((row, ''), '')}".strip())
        shown = [_value(c.name, cells[c.name]) + text(table.marks.get((row, c.name), "")) for c in table.columns]
        lines.append(" & ".join([name, *shown]) + r" \\")
        between = [_interval(c.name, cells[c.name]) for c in table.columns]
        if any(between):
            lines.append(" & ".join(["", *between]) + r" \\[2pt]")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", r"\end{table}", ""])


def _heading(column: Column) -> str:
    arrow = r"$\uparrow$" if column.higher_is_better else r"$\downarrow$"
    return f"{text(column.heading[:-2])} {arrow}"


def _value(column: str, cell: Cell) -> str:
    number = _number(rounded(column, cell.mean))
    if cell.best:
        return rf"$\mathbf{{{number}}}$"
    return rf"$\approx {number}$" if cell.tied else f"${number}$"


def _interval(column: str, cell: Cell) -> str:
    """In the exponent of the mean, if that has one."""
    if cell.interval is None:
        return ""
    _, e, exponent = rounded(column, cell.mean).partition("e")
    if e:
        low, high = (_two_digits(bound / 10 ** int(exponent)) for bound in cell.interval[:2])
        return rf"\scriptsize$[{low}, {high}]\!\cdot\!10^{{{int(exponent)}}}$"
    low, high = (_number(rounded(column, bound, 1)) for bound in cell.interval[:2])
    return rf"\scriptsize$[{low}, {high}]$"


def _two_digits(value: float) -> str:
    """Two significant digits, or all those before the point.

    >>> [_two_digits(value) for value in (0.041, 5.83, 23.9)]
    ['0.041', '5.8', '24']
    """
    decimals = max(0, 1 - math.floor(math.log10(abs(value)))) if value else 0
    return f"{value:.{decimals}f}"


def _number(text: str) -> str:
    """As in mathematics: ``8.59e-03`` is 8.59 · 10⁻³."""
    text = text.replace("−", "-").replace("∞", r"\infty").replace("–", r"\mbox{--}")
    mantissa, e, exponent = text.partition("e")
    return rf"{mantissa}\!\cdot\!10^{{{int(exponent)}}}" if e else text
