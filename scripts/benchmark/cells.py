"""Rows of a Markdown table that is printed while it is measured, and the numbers in it."""

from __future__ import annotations

from collections.abc import Sequence


def number(value: float) -> str:
    """Three digits or more, no exponent."""
    places = sum(value < limit for limit in (100, 10, 1))
    return f"{value:,.{places}f}"


def line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def rule(columns: Sequence[str]) -> str:
    return "|---|" + "---:|" * (len(columns) - 1)
