"""Tables, lists and text in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def grid(lines: Sequence[Sequence[str]]) -> str:
    """A table of aligned columns, the first to the left; the first line is its head."""
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    made = []
    for line in [lines[0], rule, *lines[1:]]:
        cells = [line[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(line[1:], widths[1:], strict=True))]
        made.append(f"| {' | '.join(cells)} |")
    return "\n".join(made)


def bullets(items: Iterable[str]) -> str:
    """A list."""
    return "\n".join(f"- {item}" for item in items)


def escaped(text: str) -> str:
    """Text that Markdown shows as it is, in a table too."""
    for sign in "\\|<*`[":
        text = text.replace(sign, f"\\{sign}" if sign != "<" else "&lt;")
    return " ".join(text.split())
