"""What the scores say: does training on a metric minimise it, which settings are hard, which segments are worst."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from data import settings
from scripts import table
from scripts.scores import UNPROCESSED, Evaluation
from scripts.significance import ALPHA
from scripts.table import Table, figure

SPECTRAL = ("stft", "mrstft", "rrstft", "linstft", "mel", "sdstft")
WAVEFORM = ("l1", "mse", "esr", "esr_dc", "esr_hp", "esr_fd", "esr_aw", "logcosh", "snr", "sisdr")
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


def question(of: Table) -> list[Finding]:
    """For each column: which loss gives the best value, is it the metric's own, is the difference significant."""
    return [_finding(of, column.name) for column in of.columns]


def overall(findings: Sequence[Finding]) -> str:
    """The answer in one or two sentences; "" if no model was trained on a metric of the columns."""
    asked = [finding for finding in findings if finding.own_wins is not None]
    if not asked:
        return ""
    won = [finding for finding in asked if finding.own_wins]
    lost = [finding for finding in asked if not finding.own_wins]
    text = f"In {len(won)} of {len(asked)} columns training on the metric itself minimises it"
    if won:
        held = sum(finding.significant for finding in won)
        text += (
            f"; in {held} of these {len(won)} the next best loss is significantly worse"
            if held
            else (", in none of them significantly better than the next best loss")
        )
    if lost:
        held = sum(finding.significant for finding in lost)
        text += (
            f". In {held or 'none'} of the other {len(lost)} the winner is significantly better than the metric's own"
        )
        text += " loss"
    return text + "."


def _finding(of: Table, name: str) -> Finding:
    column, winner = of.column(name), of.best(name)
    if winner is None:
        return Finding(of.title, name, "", "", None, False, f"{name}: no model has a number.")
    values = {row: cells[name].mean for row, cells in of.rows.items() if row != UNPROCESSED}
    ranked = sorted(
        (row for row in values if not np.isnan(values[row])),
        key=lambda row: (row != winner, -values[row] if column.higher_is_better else values[row]),
    )
    own = next((row for row in ranked if OWN.get(of.losses.get(row, "")) == name), "")
    others = [row for row in ranked[1:] if of.losses.get(row, "") != of.losses.get(winner, "")]
    rival = own if own and own != winner else next(iter(others), "")
    own_wins = own == winner if own and rival else None
    best = "largest" if column.higher_is_better else "smallest"

    def value(row: str) -> str:
        return f"{figure(name, values[row])}{' ' + column.unit if column.unit else ''}"

    if not rival:
        sentence = (
            f"{name}: the {best} is that of {winner} ({value(winner)}); there is no other loss to compare it with."
        )
        return Finding(of.title, name, winner, own, own_wins, False, sentence)
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
    return Finding(of.title, name, winner, own, own_wins, significant, f"{joined}; {held}.")


def probability(p: float) -> str:
    """As papers print it.

    >>> probability(0.0004), probability(0.0234), probability(1.0)
    ('p < 0.001', 'p = 0.023', 'p = 1')
    """
    return "p < 0.001" if p < 0.001 else f"p = {p:.2g}"


def by_setting(evaluation: Evaluation) -> pd.DataFrame:
    """Mean of each metric per model and setting, of all metrics whose values belong to a recording.

    Returns:
        Rows of convention, metric, model, label (in the tables), switch (text), peak_reduction (number), value (mean
        over segments weighted by their samples, then over runs), lowest and highest (of the runs), runs, and trained:
        whether the setting occurs in the Train split. By switch, then peak reduction, then as the rows of the tables.
    """
    rows = evaluation.rows[evaluation.rows["recording"] != ""]
    keys = ["convention", "metric", "model", "switch", "peak_reduction"]
    weighted = rows.assign(sum=rows["value"] * rows["samples"])
    of_run = weighted.groupby([*keys, "run"], sort=False)[["sum", "samples"]].agg(_sum)
    means = (of_run["sum"] / of_run["samples"]).groupby(level=keys, sort=False)
    made = means.agg(value="mean", lowest="min", highest="max", runs="size").reset_index()
    made["trained"] = (made["switch"] + "__" + made["peak_reduction"]).isin(evaluation.info["trained_settings"])
    made["peak_reduction"] = pd.to_numeric(made["peak_reduction"], errors="coerce").astype("float64")
    labels = table.row_labels(evaluation)
    made.insert(3, "label", made["model"].map(labels))
    made = made.iloc[np.argsort(made["model"].map(list(labels).index), kind="stable")]
    return made.sort_values(["switch", "peak_reduction"], kind="stable").reset_index(drop=True)


def by_kind(evaluation: Evaluation) -> pd.DataFrame:
    """Means of `by_setting` over the settings of a kind: those of Train, between them, beyond them.

    Returns:
        Rows of convention, metric, label, kind (see `data.settings`), settings (how many) and value.
    """
    rows = by_setting(evaluation)
    trained = evaluation.info["trained_settings"]
    names = rows["switch"] + "__" + rows["peak_reduction"].map("{:g}".format)
    rows = rows.assign(kind=[settings.kind(name, trained) for name in names])
    means = rows.groupby(["convention", "metric", "label", "kind"], sort=False)["value"]
    return means.agg(settings="size", value=lambda of: float(of.to_numpy().mean())).reset_index()


def other_kind(of: Table) -> str:
    """Which columns a loss on spectra wins and which one on the waveform, and where by more than chance; "" if there
    are not both."""
    trained = {row: loss in SPECTRAL for row, loss in of.losses.items() if loss in (*SPECTRAL, *WAVEFORM)}
    if len(set(trained.values())) < 2:
        return ""
    won: dict[bool, list[str]] = {True: [], False: []}
    for column in of.columns:
        winner = of.best(column.name)
        if winner not in trained:
            continue
        sign = -1 if column.higher_is_better else 1
        others = [row for row in trained if trained[row] != trained[winner]]
        rival = min(others, key=lambda row: np.nan_to_num(sign * of.rows[row][column.name].mean, nan=np.inf))
        p = column.p.get(frozenset((winner, rival)))
        won[trained[winner]].append(f"{column.name}{' *' if p is not None and p <= ALPHA else ''}")
    parts = [
        f"a loss on {what} is best in {', '.join(won[spectral])}"
        for spectral, what in ((True, "spectra"), (False, "the waveform"))
        if won[spectral]
    ]
    text = "; ".join(parts)
    return f"{text[:1].upper()}{text[1:]} (* significantly better than the best loss of the other kind)."


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


def _sum(of: pd.Series) -> float:
    return float(of.to_numpy().sum())  # NaN if one is; pandas would leave it out


def _worst(row: Mapping[str, object], labels: Mapping[str, str]) -> Worst:
    names = ("run", "model", "recording", "segment", "start", "samples", "metric", "value", "ratio")
    of_row = {name: row[name] for name in names}
    setting = f"{row['switch']}__{row['peak_reduction']}"
    return Worst(**of_row, label=labels[str(row["model"])], setting=setting)  # type: ignore[arg-type]
