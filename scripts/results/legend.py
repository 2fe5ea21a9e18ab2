"""What stands beside the figures of a table: labels of rows, intervals, and what the marks mean."""

from __future__ import annotations

from scripts.results.scores import UNPROCESSED
from scripts.results.significance import ALPHA
from scripts.results.table import Cell, Table, rounded

TIED = "≈"  # before a figure that cannot be told apart from the best


def legend(table: Table) -> list[str]:
    """What means, intervals and marks of a table stand for; plain text, a sentence or two each."""
    trained = [row for row in table.rows if row in table.runs and row != UNPROCESSED]
    if not trained:
        return []
    runs = sorted({table.runs[row] for row in trained})
    if runs == [1]:
        lines = ["One run of each model."]
    elif len(runs) == 1:
        lines = [f"Mean of {runs[0]} runs of each model, which differ in the seed."]
    else:
        lines = ["Mean of the runs of each model, which differ in the seed."]
    intervals: dict[str, list[str]] = {}
    for column in table.columns:
        covered = {table.rows[row][column.name].over for row in trained} - {""}
        intervals.setdefault(" or ".join(sorted(covered)), []).append(column.name)
    for over, names in intervals.items():
        where = "" if len(intervals) == 1 else f" ({', '.join(names)})"
        only = "" if " and " in over else " only"
        lines.append(f"In brackets: 95 % interval over {over}{only}{where}." if over else f"No intervals{where}.")
    if len(trained) < 2:
        return lines
    tests: dict[str, list[str]] = {}
    for column in table.columns:
        tests.setdefault(column.tested_over, []).append(column.name)
    for over, names in tests.items():
        where = "" if len(tests) == 1 else f" ({', '.join(names)})"
        if over:
            lines.append(
                f"Bold: the best trained model. {TIED}: cannot be told apart from it (p > {ALPHA}, tested over {over}, "
                f"corrected for all pairs of the column){where}."
            )
        else:
            lines.append(f"Bold: the best trained model. Too few runs and segments to test differences{where}.")
    untested: dict[str, list[str]] = {}
    for column in table.columns:
        if column.tested_over:
            for row in trained:
                cell = table.rows[row][column.name]
                if cell.p is None and not cell.best:
                    untested.setdefault(row, []).append(column.name)
    for row, names in untested.items():
        lines.append(f"Not compared with the best, for want of runs or of numbers: {row} in {', '.join(names)}.")
    return lines


def label(table: Table, row: str) -> str:
    """The row's name, with the number of its runs where the rows differ in it."""
    runs = {count for name, count in table.runs.items() if name != UNPROCESSED}
    count = table.runs.get(row, 1)
    if len(runs) < 2 or row == UNPROCESSED:
        return row
    return f"{row} ({count} run{'s' if count > 1 else ''})"


def bounds(column: str, cell: Cell) -> str:
    """The interval in brackets, with a decimal less than the mean; "" without one."""
    if cell.interval is None:
        return ""
    return f"[{rounded(column, cell.interval.low, 1)}, {rounded(column, cell.interval.high, 1)}]"


def probability(p: float) -> str:
    """As papers print it.

    >>> probability(0.0004), probability(0.0234), probability(1.0)
    ('p < 0.001', 'p = 0.023', 'p = 1')
    """
    return "p < 0.001" if p < 0.001 else f"p = {p:.2g}"
