"""Table 1 from the scores: rows the training losses, columns the metrics, one table for each convention.

A cell is the mean over the test split, each segment weighted by its samples, then over the runs of a model that differ
in the seed; with its 95 % interval. The best trained model of each column is marked, and so is every other one that
cannot be told apart from it: see docs/statistics.md.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np

from scripts.results import significance
from scripts.results.scores import UNPROCESSED, Evaluation, Values

# Columns of the paper's table, and its names of the rows by the name of the loss's file in configs/loss.
COLUMNS = ("L1", "ESR", "Logcosh", "STFT", "MR", "RR")
ROWS = {"l1": "L1", "esr": "ESR", "logcosh": "Logcosh", "stft": "STFT", "mrstft": "MR", "rrstft": "RR"}
KNOWN = (*COLUMNS, "DC", "SI-SDR", "Mel", "MR-mel", "Loudness", "GR")  # metrics of configs/metrics
PAPER = Path(__file__).with_name("paper_table1.csv")

CONVENTIONS = {  # what each is; {length}: of a block, in samples
    "standard": "Each metric per block of {length} samples, then the mean; definitions of the published package 0.4.0, "
    "with spectral convergence per block, and a target of less than 10⁻⁹ in mean square taken as that by ESR and DC.",
    "paper2020": "As the paper's numbers were computed: ratios over groups of 128 blocks of {length} samples, STFT "
    "1024/120/600; RR: one draw of three resolutions for each group, hops a share of the window (in 2020: of the FFT "
    "size).",
    "further": "Further measures of an emulated device, each metric per block, then the mean.",
}
# Where the footnotes apply in the paper's table, by row and column; the whole row without a column.
MARKS = {("RR", "Logcosh"): "¹", ("ESR", ""): "² ³", ("Logcosh", ""): "²"}
FOOTNOTES = (
    "RR / Logcosh is printed as 7.05e-3; the authors' released metrics have 7.05e-4, which agrees with the ratio of "
    "Logcosh to ESR in every other row. The printed value is a slip of the exponent.",
    "The printed ESR row equals the released row of the Logcosh model, and the printed Logcosh row the released row of "
    "the ESR + DC model, to within 2–5 %: one of the two sources has these labels swapped.",
    "In the authors' released code the model called ESR was trained with ESR + DC; ours with ESR alone "
    "(loss=esr_dc has both).",
    "The paper has one run of each loss on the SignalTrain LA2A recordings; its figures compare with ours on that data "
    "only.",
)


@dataclass(frozen=True)
class Cell:
    """A mean, and what it allows to say."""

    mean: float
    interval: significance.Interval | None = None
    best: bool = False  # of the trained models in its column
    tied: bool = False  # cannot be told apart from the best
    p: float | None = None  # of the difference from the best, corrected for the comparisons of the column

    @property
    def low(self) -> float | None:
        return self.interval.low if self.interval else None

    @property
    def high(self) -> float | None:
        return self.interval.high if self.interval else None

    @property
    def over(self) -> str:
        """What the interval covers; "" without one."""
        return self.interval.over if self.interval else ""


@dataclass(frozen=True)
class Column:
    """A metric, and how its rows compare."""

    name: str
    unit: str = ""
    higher_is_better: bool = False
    # Corrected p by pair of rows; what could not be tested is not there.
    p: Mapping[significance.Pair, float] = field(default_factory=dict)
    tested_over: str = ""  # "segments and seeds", "segments" or "seeds"; "" where nothing could be tested with the best

    @property
    def heading(self) -> str:
        """With the unit, and an arrow to where better is."""
        unit = f" ({self.unit})" if self.unit else ""
        return f"{self.name}{unit} {'↑' if self.higher_is_better else '↓'}"


@dataclass(frozen=True)
class Table:
    """Cells by row and column, rows in the order of the paper."""

    title: str
    description: str
    columns: tuple[Column, ...]
    rows: Mapping[str, Mapping[str, Cell]]
    runs: Mapping[str, int]  # how many runs each row is the mean of; empty for the paper's table
    losses: Mapping[str, str]  # name of the training loss of each row; empty for the paper's table
    marks: Mapping[tuple[str, str], str] = field(default_factory=dict)  # footnotes by row and column, "" for the row

    def column(self, name: str) -> Column:
        return next(column for column in self.columns if column.name == name)

    def best(self, column: str) -> str | None:
        """The row of the best trained model; None if no model has a number."""
        return next((row for row, cells in self.rows.items() if cells[column].best), None)

    def part(self, *names: str) -> Table:
        """Some columns of it."""
        return Table(
            self.title,
            self.description,
            tuple(column for column in self.columns if column.name in names),
            self.rows,
            self.runs,
            self.losses,
            self.marks,
        )


@lru_cache(maxsize=1)
def tables(evaluation: Evaluation) -> tuple[Table, ...]:
    """One table for each convention.

    Raises:
        ValueError: if the runs were not scored on the same segments.
    """
    return tuple(_table(evaluation, convention) for convention in evaluation.conventions)


def paper_table() -> Table:
    """Table 1 as printed."""
    with PAPER.open(newline="", encoding="utf-8") as stream:
        printed = {
            row.pop("training_loss"): {key: float(x) for key, x in row.items()} for row in csv.DictReader(stream)
        }
    rows: dict[str, dict[str, Cell]] = {row: {} for row in printed}
    for name in COLUMNS:
        best = _best({row: values[name] for row, values in printed.items()}, False)
        for row, values in printed.items():
            rows[row][name] = Cell(values[name], best=row == best)
    columns = tuple(Column(name) for name in COLUMNS)
    return Table("Table 1 of the paper", "As printed; SignalTrain LA2A, one run of each.", columns, rows, {}, {}, MARKS)


def rounded(column: str, value: float, digits: int = 2) -> str:
    """As the paper prints: L1, Logcosh and DC in exponent form, ESR with four decimals, others with three.

    A metric that the project does not know is in exponent form below 0.01, where three decimals would say little.

    Args:
        column: name of the metric.
        value: to be printed.
        digits: decimals of an exponent form; one less than 2 takes one from the other forms as well.
    """
    if not math.isfinite(value):
        return "–" if math.isnan(value) else f"{value:.0f}".replace("-", "−").replace("inf", "∞")
    if column in ("L1", "Logcosh", "DC") or (column not in KNOWN and 0 < abs(value) < 0.01):
        return f"{'−' if value < 0 else ''}{abs(value):.{digits}e}"
    text = f"{value:.{(4 if column == 'ESR' else 3) + digits - 2}f}"
    return text.replace("-", "−")


def _table(evaluation: Evaluation, convention: str) -> Table:
    labels = row_labels(evaluation)
    rows: dict[str, dict[str, Cell]] = {label: {} for label in labels.values()}
    runs: dict[str, int] = {}
    columns = {}
    for metric in evaluation.metrics(convention):
        values = evaluation.values(convention, metric)
        runs = {label: len(values.by_model[model]) for model, label in labels.items()}
        higher = evaluation.higher_is_better(metric)
        means = {label: significance.mean(values.by_model[model], values.samples) for model, label in labels.items()}
        trained = {label: mean for label, mean in means.items() if label != UNPROCESSED}
        best = _best(trained, higher)
        p, tested_over = _compare(values, labels, higher, best)
        columns[metric] = Column(metric, evaluation.unit(metric), higher, p, tested_over)
        for model, label in labels.items():
            ratio = not higher and bool((values.by_model[model] > 0).all())
            interval = significance.interval(
                values.by_model[model],
                values.samples,
                values.units,
                ratio=ratio,
                unit="groups" if values.pooled else "recordings",
            )
            to_best = p.get(frozenset((label, best))) if best and label in trained else None
            tied = to_best is not None and to_best > significance.ALPHA
            rows[label][metric] = Cell(means[label], interval, label == best, tied, to_best)
    ordered = [name for name in COLUMNS if name in columns] + [name for name in columns if name not in COLUMNS]
    losses = {label: evaluation.losses[model] for model, label in labels.items()}
    about = CONVENTIONS.get(convention, "").format(length=f"{evaluation.info['eval_length']:,}")
    return Table(convention, about, tuple(columns[name] for name in ordered), rows, runs, losses)


def row_labels(evaluation: Evaluation) -> dict[str, str]:
    """The label of each model, in the order of the rows: the paper's, others, the unprocessed input."""
    rank = [*ROWS, UNPROCESSED]
    models = sorted(evaluation.models, key=lambda m: rank.index(m) if m in rank else len(ROWS) - 0.5)
    return {model: model if ROWS.get(model) in models else ROWS.get(model, model) for model in models}


def _compare(
    values: Values, labels: Mapping[str, str], higher_is_better: bool, best: str | None
) -> tuple[dict[significance.Pair, float], str]:
    """Corrected p of all pairs of trained models, and over what those with the best were tested.

    All pairs count as comparisons, as the best of a column is known after looking only.
    """
    trained = {label: values.by_model[model] for model, label in labels.items() if label != UNPROCESSED}
    seeds = {label: values.seeds[model] for model, label in labels.items()}
    ratio = not higher_is_better and all(bool((of_model > 0).all()) for of_model in trained.values())
    compared = significance.compare(trained, seeds, values.samples, ratio=ratio)
    kinds = sorted({comparison.over for pair, comparison in compared.items() if best in pair}, key=len, reverse=True)
    return significance.holm({pair: comparison.p for pair, comparison in compared.items()}), " or ".join(kinds)


def _best(means: Mapping[str, float], higher_is_better: bool) -> str | None:
    """The row of the best number; none if there is no number."""
    numbers = {row: mean for row, mean in means.items() if not np.isnan(mean)}
    if not numbers:
        return None
    return (max if higher_is_better else min)(numbers, key=lambda row: numbers[row])
