"""Tables of the scores by setting and by kind of setting, as Markdown, CSV and HTML: columns are the models."""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Any, NamedTuple

import pandas as pd
from markupsafe import Markup

from data.settings import KINDS, numbers
from scripts.results.markdown import escaped, grid
from scripts.results.scores import Evaluation
from scripts.results.setting_scores import by_kind, by_setting
from scripts.results.table import COLUMNS, Column, rounded

TITLE = "By kind of setting"
SHOWN = ("ESR", "MR")  # of the tables by setting: a metric of the waveform, and one of the spectrum


class Line(NamedTuple):
    """One metric at the settings of one kind."""

    metric: str
    heading: str  # of the metric, with unit and arrow
    kind: str
    values: dict[str, float]  # by label of the model


def lines(evaluation: Evaluation, convention: str) -> list[Line]:
    """By metric, those of Table 1 first, then by kind; empty if all recordings are of one kind."""
    rows = by_kind(evaluation)
    rows = rows[rows["convention"] == convention]
    names = list(rows["metric"].unique())
    made = []
    for metric in (*(name for name in COLUMNS if name in names), *(name for name in names if name not in COLUMNS)):
        heading = Column(metric, evaluation.unit(metric), evaluation.higher_is_better(metric)).heading
        for kind, group in rows[rows["metric"] == metric].groupby("kind", sort=False):
            values = dict(zip(group["label"], group["value"], strict=True))
            made.append(Line(metric, heading, str(kind), values))
    return made


def legend(evaluation: Evaluation) -> str:
    """What the tables by kind show; "" if there are none."""
    rows = by_kind(evaluation)
    if rows.empty:
        return ""
    counts = rows.groupby("kind", sort=False)["recordings"].max().to_dict()
    kinds = "; ".join(f"{KINDS[str(kind)]} ({count})" for kind, count in counts.items())
    return f"Means by kind of setting, not tested; in brackets the number of recordings: {kinds}."


def markdown_by_kind(evaluation: Evaluation) -> str:
    """All metrics whose values belong to a recording, a table for each convention; "" if there are none."""
    parts = []
    for convention in evaluation.conventions:
        if found := lines(evaluation, convention):
            head = [f"metric, {escaped(convention)}", *map(escaped, found[0].values)]
            rows = [[escaped(f"{line.heading}, {line.kind}"), *_values(line)] for line in found]
            parts.append(grid([head, *rows]))
    return "\n\n".join([f"## {TITLE}", legend(evaluation), *parts]) if parts else ""


def html_by_kind(evaluation: Evaluation, without: Collection[tuple[str, str]] = ()) -> Markup:
    """A table for each convention; names are text. Empty if there are none.

    Args:
        without: pairs of convention and metric that stand elsewhere.
    """
    tables = []
    for convention in evaluation.conventions:
        if kept := [line for line in lines(evaluation, convention) if (convention, line.metric) not in without]:
            tables.append(_html(convention, kept))
    return Markup("\n").join(tables)


def html_section(evaluation: Evaluation) -> Markup:
    """The same under a heading, to be pasted into a page."""
    if tables := html_by_kind(evaluation):
        return Markup("<h2>{}</h2>\n<p>{}</p>\n{}\n").format(TITLE, legend(evaluation), tables)
    return tables


def _html(convention: str, found: list[Line]) -> Markup:
    models = Markup("").join(Markup('<th scope="col">{}</th>').format(label) for label in found[0].values)
    rows = []
    for line in found:
        values = Markup("").join(Markup("<td>{}</td>").format(text) for text in _values(line))
        rows.append(Markup('<tr><th scope="row">{}, {}</th>{}</tr>').format(line.heading, line.kind, values))
    return Markup(
        '<table class="scores">\n<thead><tr><th scope="col">metric, {}</th>{}</tr></thead>\n<tbody>{}</tbody>\n</table>'
    ).format(convention, models, Markup("\n").join(rows))


def csv_by_kind(evaluation: Evaluation) -> str:
    """A row for each model, metric and kind; the head alone if there are none."""
    return by_kind(evaluation).to_csv(index=False, lineterminator="\n")


def json_by_kind(evaluation: Evaluation) -> list[dict[str, Any]]:
    """The same in plain values; a number that JSON does not have is null."""
    records = by_kind(evaluation).to_dict("records")
    return [{**row, "value": row["value"] if math.isfinite(row["value"]) else None} for row in records]  # type: ignore[dict-item]


def markdown_by_setting(evaluation: Evaluation) -> str:
    """A metric of the waveform and one of the spectrum at each setting, convention ``standard``; "" without them."""
    rows = by_setting(evaluation)
    rows = rows[rows["convention"] == "standard"]
    parts = []
    for metric in SHOWN:
        if not (of_metric := rows[rows["metric"] == metric]).empty:
            parts += [f"{metric}:", settings(of_metric)]
    what = "amounts" if rows["peak_reduction"].isna().any() else "peak reduction"
    return "\n\n".join(["## By setting", f"Switch / {what}, convention `standard`.", *parts]) if parts else ""


def settings(rows: pd.DataFrame) -> str:
    """One metric of `by_setting` in Markdown: rows the settings with their kinds, columns the models."""
    labels = list(rows["label"].unique())
    metric = str(rows["metric"].iloc[0])
    made = [["setting", *map(escaped, labels)]]
    for (setting, kind), group in rows.groupby(["setting", "kind"], sort=False):
        values = dict(zip(group["label"], group["value"], strict=True))
        place = " / ".join(f"{number:g}" for number in numbers(str(setting)))
        made.append([f"{place}, {kind}", *(rounded(metric, values[label]) for label in labels)])
    return grid(made)


def _values(line: Line) -> list[str]:
    return [rounded(line.metric, value) for value in line.values.values()]
