"""Cells and rows of the report's tables."""

from __future__ import annotations

import math
from collections.abc import Iterable

from markupsafe import Markup


def cell(value: float, text: str) -> Markup:
    """A number as it is shown, sorted by its value; last without one."""
    return Markup('<td data-value="{}">{}</td>').format(f"{value:.6g}" if math.isfinite(value) else "", text)


def row(label: str, cells: Iterable[Markup]) -> Markup:
    """The row of a model."""
    return Markup('<tr><th scope="row">{}</th>{}</tr>').format(label, Markup("").join(cells))
