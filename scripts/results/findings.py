"""What the scores say: does training on a metric minimise it, which kind of loss wins, which segments are worst."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from scripts.results import table
from scripts.results.legend import probability
from scripts.results.scores import UNPROCESSED, Evaluation
from scripts.results.significance import ALPHA
from scripts.results.table import Column, Table, rounded

SPECTRAL = ("stft", "mrstft", "rrstft", "linstft", "mel", "sdstft", "dac")
ESR = ("esr", "esr_dc", "esr_hp", "esr_fd", "esr_aw", "wright", "4a2a")
WAVEFORM = ("l1", "mse", *ESR, "dc", "logcosh", "snr", "sisdr")
BOTH = ("s4", "nablafx", "pyneuralfx", "micro_tcn", "nam")  # they take no side
KINDS = {True: "spectra", False: "the waveform"}
# The metric that each loss of configs/loss minimises.
OWN = {**table.ROWS, "dc": "DC", "sisdr": "SI-SDR", "mel": "Mel"}


@dataclass(frozen=True)
class Finding:
    """The answer of one column to the paper's question."""

    convention: str
    column: str
    winner: str  # row of the best trained model; "" if none has a number
    own: str  # best row of those trained on the metric itself; "" if there is none
    own_wins: bool | None  # None if there is no such row, or none of another loss to compare it with
    significant: bool  # the winner is told apart from the own row, or from the best of another loss
    sentence: str


@dataclass(frozen=True)
class Worst:
    """A segment on which a run fails."""

    run: str
    model: str
    label: str  # of the model in the tables
    recording: str
    setting: str  # switch__peak reduction
    segment: int
    start: int  # samples
    samples: int
    metric: str
    value: float
    ratio: float  # to the run's median over all segments


def question(table: Table) -> list[Finding]:
    """For each column: which loss gives the best value, is it the metric's own, is the difference significant."""
    return [_finding(table, column.name) for column in table.columns]


def overall(findings: Sequence[Finding]) -> str:
    """The answer in one or two sentences; "" if no model was trained on a metric of the columns."""
    asked = [finding for finding in findings if finding.own_wins is not None]
    if not asked:
        return ""
    won = [finding for finding in asked if finding.own_wins]
    lost = [finding for finding in asked if not finding.own_wins]
    text = f"In {len(won)} of {len(asked)} columns training on the metric itself minimises it"
    text += f", {_significantly(won)}." if won else "."
    if lost:
        which = f"the other{f' {len(lost)}' if len(lost) > 1 else ''}" if won else "all of them" if lost[1:] else "it"
        text += f" In {which} another loss is better, {_significantly(lost)}."
    return text


def _significantly(found: Sequence[Finding]) -> str:
    """In how many of some columns the difference is significant."""
    held = sum(finding.significant for finding in found)
    if len(found) == 1:
        return "significantly" if held else "not significantly"
    return "each time significantly" if held == len(found) else f"significantly in {held or 'none'} of these"


def _finding(table: Table, name: str) -> Finding:
    column, winner = table.column(name), table.best(name)
    if winner is None:
        return Finding(table.title, name, "", "", None, False, f"{name}: no model has a number.")
    values = {row: cells[name].mean for row, cells in table.rows.items() if row != UNPROCESSED}
    ranked = sorted(
        (row for row in values if not np.isnan(values[row])),
        key=lambda row: (row != winner, -values[row] if column.higher_is_better else values[row]),
    )
    own = next((row for row in ranked if OWN.get(table.losses.get(row, "")) == name), "")
    others = [row for row in ranked[1:] if table.losses.get(row, "") != table.losses.get(winner, "")]
    rival = own if own and own != winner else next(iter(others), "")
    own_wins = own == winner if own and rival else None
    best = "largest" if column.higher_is_better else "smallest"

    def value(row: str) -> str:
        return f"{rounded(name, values[row])}{' ' + column.unit if column.unit else ''}"

    if not rival:
        sentence = (
            f"{name}: the {best} is that of {winner} ({value(winner)}); there is no other loss to compare it with."
        )
        return Finding(table.title, name, winner, own, own_wins, False, sentence)
    subject = (
        f"{name}: training on {winner}{', the metric itself,' if own_wins else ''} gives the {best} ({value(winner)})"
    )
    p = column.p.get(frozenset((winner, rival)))
    significant = p is not None and p <= ALPHA
    next_best = "the next best" if rival == ranked[1] else "the best of another loss"
    whom = f"{'training on the metric itself' if own_wins is False else f'{next_best} is {rival}'} ({value(rival)})"
    joined = f"{subject}, not {whom}" if own_wins is False else f"{subject}; {whom}"
    if p is None:
        held = "whether the difference is more than chance cannot be tested"
    elif significant:
        held = f"the difference is significant ({probability(p)})"
    else:
        held = f"the two cannot be told apart ({probability(p)})"
    return Finding(table.title, name, winner, own, own_wins, significant, f"{joined}; {held}.")


def waveform_or_spectra(table: Table) -> str:
    """Which columns go to a loss on the waveform, which to one on spectra, and where by more than chance; "" unless
    there are both, of the losses of configs/loss."""
    on_spectra = {row: loss in SPECTRAL for row, loss in table.losses.items() if loss in (*SPECTRAL, *WAVEFORM)}
    if len(set(on_spectra.values())) < 2:
        return ""
    parts = []
    for spectra in (False, True):
        won = [column for column in table.columns if on_spectra.get(table.best(column.name) or "") is spectra]
        if won:
            clear = [column.name for column in won if _beats(table, column, on_spectra)]
            better = f"significantly better than the best on {KINDS[not spectra]}"
            if 0 < len(clear) < len(won):
                better += f" in {_listed(clear)}"
            elif len(won) > 1:
                better = f"{'each time' if clear else 'never'} {better}"
            elif not clear:
                better = f"not {better}"
            names = _listed([column.name for column in won])
            parts.append(f"A loss on {KINDS[spectra]} is best in {names}, {better}.")
    return " ".join(parts)


def no_better_than_the_input(table: Table) -> str:
    """Which columns have no model that is better than the input as it is; "" if there are none."""
    if UNPROCESSED not in table.rows:
        return ""
    found = []
    for column in table.columns:
        winner = table.best(column.name)
        trained, input = (table.rows[row][column.name].mean if row else np.nan for row in (winner, UNPROCESSED))
        if trained <= input if column.higher_is_better else trained >= input:
            found.append(column.name)
    return f"In {_listed(found)} no model is better than the unprocessed input." if found else ""


def _beats(table: Table, column: Column, on_spectra: Mapping[str, bool]) -> bool:
    """Whether the best row of a column is told apart from the best of the other kind of loss."""
    winner = table.best(column.name) or ""
    sign = -1 if column.higher_is_better else 1
    means = {
        row: sign * table.rows[row][column.name].mean for row, kind in on_spectra.items() if kind != on_spectra[winner]
    }
    numbers = [row for row in means if not np.isnan(means[row])]
    p = column.p.get(frozenset((winner, min(numbers, key=means.__getitem__)))) if numbers else None
    return p is not None and p <= ALPHA


def _listed(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def worst(evaluation: Evaluation, count: int = 10) -> list[Worst]:
    """The segments on which a model fails worst, each segment once.

    Ranked by the ratio of a segment's error to the median of the same run over all segments, so that every model is
    held to its own standard: neither a model that is bad everywhere nor one metric's scale fills the list. A segment
    that is hard for all models is listed with the run that suffers most. The metric is MR of the convention `standard`,
    or the first of its errors without MR.
    """
    names = evaluation.metrics("standard")
    metric = next((name for name in ["MR", *names] if name in names and not evaluation.higher_is_better(name)), None)
    rows = evaluation.rows
    rows = rows[(rows["convention"] == "standard") & (rows["metric"] == metric) & (rows["recording"] != "")]
    rows = rows[(rows["model"] != UNPROCESSED) & np.isfinite(rows["value"])]
    medians = rows.groupby("run")["value"].transform("median")
    rows = rows.assign(ratio=rows["value"] / medians)[medians > 0]
    rows = rows.sort_values("ratio", ascending=False, kind="stable").drop_duplicates(["recording", "segment"])
    labels = table.row_labels(evaluation)
    return [_worst(row, labels) for row in rows.head(count).to_dict("records")]


def _worst(row: Mapping[str, object], labels: Mapping[str, str]) -> Worst:
    names = ("run", "model", "recording", "segment", "start", "samples", "metric", "value", "ratio")
    of_row = {name: row[name] for name in names}
    setting = f"{row['switch']}__{row['peak_reduction']}"
    return Worst(**of_row, label=labels[str(row["model"])], setting=setting)  # type: ignore[arg-type]
