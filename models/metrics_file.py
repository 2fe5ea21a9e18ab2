"""``metrics.csv``: what a training logged, a row an epoch."""

from __future__ import annotations

import csv
from pathlib import Path

Row = dict[str, str]


def read(file: Path) -> list[Row]:
    """The rows of a metrics.csv; none if there is no such file.

    Raises:
        ValueError: if it is damaged: its rows are no epochs, or cannot be read at all.
    """
    if not file.exists():
        return []
    try:
        with file.open(newline="", encoding="utf-8") as stream:
            rows = list(csv.DictReader(stream))
        for row in rows:
            int(row["epoch"])
    except (ValueError, KeyError, TypeError, csv.Error) as error:
        raise ValueError(
            f"{file} is damaged ({error}). Delete it, and the training goes on without its earlier rows."
        ) from error
    return rows
