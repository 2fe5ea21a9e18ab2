"""The knob certificate: how well each model knows its knob, in one table and one file.

Errors at settings that were seen in training, between them and beyond them are from the scores; what a model does while
the knob turns is measured where the device can be run.
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter

import pandas as pd
from markupsafe import Markup

from data.la2a import NOISE_DB
from scripts.measure import knob_music, knob_steps
from scripts.measure.knob_sweep import BLOCK, KNOB, LEVEL_DB
from scripts.report.cells import cell, row
from scripts.report.charts import Section, Sheet
from scripts.report.device_table import DEVICE
from scripts.report.knob import SECONDS, Knob, Knobs
from scripts.results.scores import UNPROCESSED, Evaluation
from scripts.results.setting_scores import by_kind
from scripts.results.setting_tables import SHOWN
from scripts.results.table import rounded

FILE = "knob.csv"
MOVING = "moving"
MONOTONE_DB = 0.1  # of rise that counts as none
AUDIBLE_DB = 0.5  # of rise that may be heard: about the least difference of level
SMOOTH_DB = NOISE_DB - LEVEL_DB  # zipper noise below the noise that the device makes itself, re the tone
SETTINGS = {
    "seen": "of the training, with other material",
    "between": "between those of the training",
    "extreme": "beyond those of the training",
}
STAIRCASE_DB = -62.0  # zipper noise of a gain that follows every step at once; see `knob_sweep`

Column = tuple[str, str]  # metric, and kind of setting or `MOVING`


@dataclass(frozen=True)
class Certificate:
    """What is known of the knob; rows are the device, if it was measured, then the models, then the input."""

    errors: dict[str, dict[Column, float]]  # by label of the model
    measured: dict[str, Knob]
    knobs: Knobs | None
    counts: dict[str, int]  # recordings of each kind of setting

    @property
    def columns(self) -> list[Column]:
        return list(dict.fromkeys(column for row in self.errors.values() for column in row))

    @property
    def labels(self) -> list[str]:
        return list(dict.fromkeys([*list(self.measured)[:1], *self.errors, *self.measured]))


def shown(evaluation: Evaluation) -> list[tuple[str, str]]:
    """Convention and metric of the means by kind of setting that it shows: no other table has to."""
    first = by_kind(evaluation).drop_duplicates("metric").set_index("metric")["convention"]
    return [(str(first[metric]), metric) for metric in SHOWN if metric in first]


def gather(evaluation: Evaluation, knobs: Knobs | None) -> Certificate | None:
    """All that is known; None if that is nothing.

    Args:
        knobs: what was measured, of a device that can be run.
    """
    rows = by_kind(evaluation)
    certified = pd.DataFrame(shown(evaluation), columns=["convention", "metric"])
    rows = rows.merge(certified, on=["convention", "metric"])
    moving = {label: knob.errors for label, knob in knobs.models.items()} if knobs else {}
    if knobs:
        moving[UNPROCESSED] = knobs.unprocessed
    errors: dict[str, dict[Column, float]] = {str(label): {} for label in rows["label"]}
    for metric in SHOWN:
        of_metric = rows[rows["metric"] == metric]
        for label, kind, value in zip(of_metric["label"], of_metric["kind"], of_metric["value"], strict=True):
            errors[label][metric, kind] = value
        for label, while_moving in moving.items():
            if metric in while_moving:
                errors.setdefault(label, {})[metric, MOVING] = while_moving[metric]
    measured = {DEVICE: knobs.device, **knobs.models} if knobs and knobs.models else {}
    if not errors and not measured:
        return None
    counts = rows.groupby("kind", sort=False)["recordings"].max()
    return Certificate(errors, measured, knobs, {str(kind): int(count) for kind, count in counts.items()})


def section(known: Certificate) -> Section:
    """The table, and a sentence for each of its columns."""
    rows = []
    for label in known.labels:
        knob = known.measured.get(label)
        cells = _error_cells(known.errors.get(label, {}), known.columns)
        if known.measured:
            cells = [_verdict_cell(label, knob), *cells, *_knob_cells(knob)]
        rows.append(row(label, cells))
    html = Markup('<table class="scores certificate">\n<thead>{}</thead>\n<tbody>{}</tbody>\n</table>').format(
        _head(known), Markup("\n").join(rows)
    )
    text = (
        "How well each model knows the knob: its error at settings that it was trained on and at others, "
        "while the knob turns, and whether it turns the right way."
    )
    caption = "All numbers are in knob.csv."
    if known.counts:
        caption = f"Errors get no verdict: each kind of setting has recordings of its own, and few. {caption}"
    return Section("knob", "Knob certificate", text, [], Sheet(html, caption, tuple(_terms(known))))


def file(known: Certificate) -> dict[str, str]:
    """``knob.csv``: the same numbers, a row for each model."""
    names = [f"{metric.lower()}_{kind}" for metric, kind in known.columns]
    names += ["zipper_db", "step_db", "backwards_db", "rise_db", "switch", "from", "to", "level_db"] * bool(
        known.measured
    )
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["model", *names])
    for label in known.labels:
        values = [known.errors.get(label, {}).get(column, math.nan) for column in known.columns]
        if knob := known.measured.get(label):
            sweep, rise = knob.sweep, knob.rise
            values += [sweep.zipper_db, sweep.step_db, sweep.backwards_db]
            values += [rise.gain_db, rise.switch, rise.start, rise.stop, rise.level_db]
        values += [math.nan] * (len(names) - len(values))
        writer.writerow([label, *("" if math.isnan(value) else f"{value:.6g}" for value in values)])
    return {FILE: stream.getvalue()}


def verdict(knob: Knob) -> list[tuple[str, bool]]:
    """What the measurements allow to say, and whether it is good."""
    said = []
    if knob.rise.gain_db <= MONOTONE_DB:
        said.append(("monotone", True))
    elif knob.rise.gain_db >= AUDIBLE_DB:
        said.append(("turns back", False))
    if knob.sweep.zipper_db <= SMOOTH_DB:
        said.append(("smooth", True))
    elif knob.sweep.zipper_db >= STAIRCASE_DB:
        said.append(("zipper noise", False))
    return said


def _head(known: Certificate) -> Markup:
    """Two rows: what belongs together, and the columns."""
    verdict = bool(known.measured)
    above = Markup("<td></td>") * (1 + verdict)
    names = Markup('<th scope="col">model</th>') + Markup('<th scope="col" class="text">verdict</th>') * verdict
    groups = [(metric, [kind for _, kind in of_metric]) for metric, of_metric in groupby(known.columns, itemgetter(0))]
    if known.measured:
        groups += [("moving, dB", ["zipper", "step"]), ("wrong way", ["dB"])]
    for title, columns in groups:
        above += Markup('<th scope="colgroup" colspan="{}">{} ↓</th>').format(len(columns), title)
        names += Markup("").join(Markup('<th scope="col">{}</th>').format(column) for column in columns)
    return Markup('<tr class="groups">{}</tr>\n<tr>{}</tr>').format(above, names)


def _error_cells(errors: Mapping[Column, float], columns: Iterable[Column]) -> list[Markup]:
    return [
        cell(value, rounded(column[0], value)) if (value := errors.get(column)) is not None else cell(math.nan, "–")
        for column in columns
    ]


def _knob_cells(knob: Knob | None) -> list[Markup]:
    if knob is None:
        return [cell(math.nan, "–")] * 3
    sweep, rise = knob.sweep, knob.rise
    text = Markup("{:.2f}").format(rise.gain_db)
    if rise.gain_db > MONOTONE_DB:
        settings, _, level = rise.where.partition(", ")
        text += Markup(' <span class="interval">{},<br>{}</span>').format(settings, level)
    zipper = f"{sweep.zipper_db:.0f}".replace("-", "−")
    return [cell(sweep.zipper_db, zipper), cell(sweep.step_db, f"{sweep.step_db:.2f}"), cell(rise.gain_db, text)]


def _verdict_cell(label: str, knob: Knob | None) -> Markup:
    said = verdict(knob) if knob and label != DEVICE else []
    marks = [Markup('<span class="mark {}">{}</span>').format("yes" if good else "no", text) for text, good in said]
    return Markup('<td class="text">{}</td>').format(Markup(" ").join(marks) or "–")


def _terms(known: Certificate) -> Iterator[tuple[str, str]]:
    """A sentence for each column."""
    if known.measured:
        said = (
            f"Monotone: it goes the wrong way by at most {MONOTONE_DB:g} dB; turns back: by {AUDIBLE_DB:g} dB or more. "
            f"Smooth: zipper noise lies below the noise of the device itself ({SMOOTH_DB:.0f} dB); zipper noise: it is "
            f"that of a gain which follows every step of the knob at once ({STAIRCASE_DB:.0f} dB)."
        )
        yield "verdict", _with_minus(said)
    for kind, count in known.counts.items():
        yield kind, f"Mean test error at settings {SETTINGS[kind]} ({count} recording{'s' * (count != 1)})."
    if known.knobs and any(kind == MOVING for _, kind in known.columns):
        low, high = knob_music.KNOB
        said = (
            f"The same errors over the first {SECONDS:g} s of {known.knobs.passages} passages of the player while peak "
            f"reduction goes from {low:g} to {high:g} and back, set anew every {knob_music.BLOCK} samples, for model "
            "and device alike."
        )
        yield MOVING, said
    if known.measured:
        low, high = KNOB
        first, second, *_, last = knob_steps.POSITIONS
        levels = ", ".join(f"{level:g}" for level in knob_steps.LEVELS_DB)
        said = (
            "Noise beside a steady tone, its modulation and its harmonics, relative to the tone, while peak reduction "
            f"goes from {low:g} to {high:g} and back in Compress, 1 s each way, set anew every {BLOCK} samples."
        )
        yield "zipper", said
        yield "step", "The largest jump of the gain within a millisecond meanwhile."
        said = (
            f"The most by which the gain of a steady tone rises while peak reduction goes up from {first} to {last} "
            f"in steps of {second - first}, in both modes, at {levels} dBFS; below it, where that may matter."
        )
        yield "wrong way", _with_minus(said)


def _with_minus(text: str) -> str:
    """
    >>> _with_minus("a knob-wise -3 dB (-5)")
    'a knob-wise −3 dB (−5)'
    """
    return re.sub(r"(?<!\w)-(?=\d)", "−", text)
