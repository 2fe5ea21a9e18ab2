"""The whole way: from the results of evaluate.py to the table of metrics and errors."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from data import signaltrain
from models.atomic import write_text
from scripts.measure.comparison import la2a_behaviour
from scripts.measure.devices import is_embedded
from scripts.results import markdown, scores
from scripts.results.scored_run import scored_run
from scripts.results.scores import UNPROCESSED, Evaluation
from scripts.tracking.errors import ERRORS, Heard, floor, of_net
from scripts.tracking.ranks import Correlation, correlations

LEFT_OUT = "paper2020"  # the convention whose values belong to batches, not to segments
FILE = "tracking"


def write(folder: Path) -> str:
    """Writes ``tracking.csv`` and ``tracking.md``, and returns the latter.

    The column ``results`` of the former is the word of the results (`scores.word`) that it belongs to.

    Raises:
        ValueError: if the folder does not hold results, or those of another data set than the embedded one, or of too
            few models.
    """
    evaluation, results = scores.read(folder), scores.word(folder)
    heard = recordings(evaluation)
    errors = of_runs(evaluation, heard, folder)
    found = {name: tracked(evaluation, errors[errors["error"] == name]) for name in ERRORS}
    rows = [
        (metric, ERRORS[name], *correlation)
        for name, of_metric in found.items()
        for metric, correlation in of_metric.items()
    ]
    table = pd.DataFrame(rows, columns=["metric", "error", "correlation", "low", "high"]).assign(results=results)
    text = page(found, evaluation, floor(heard.values()))
    write_text(folder / f"{FILE}.csv", table.to_csv(index=False, lineterminator="\n", float_format="%.6g"))
    write_text(folder / f"{FILE}.md", text + "\n")
    return text


def recordings(evaluation: Evaluation) -> dict[str, Heard]:
    """The recordings that were scored, with their segments, by id."""
    root = Path(evaluation.info["root"])
    if not is_embedded(root):
        raise ValueError(
            f"{root} is not the embedded data set: what its device does inside is not known. Evaluate runs that were "
            "trained on the embedded one, or look at the report's gain reduction over time"
        )
    rows = evaluation.rows.dropna(subset=["start"]).drop_duplicates(["recording", "segment"])
    found = {
        recording.id: recording for recording in signaltrain.recordings(root, evaluation.info["sample_rate"])["test"]
    }
    return {
        str(name): Heard(
            found[str(name)],
            {
                int(n): (int(start), int(length))
                for n, start, length in zip(group["segment"], group["start"], group["samples"], strict=True)
            },
        )
        for name, group in rows.groupby("recording", sort=False)
    }


def of_runs(evaluation: Evaluation, heard: Mapping[str, Heard], folder: Path) -> pd.DataFrame:
    """The errors of all runs, as `errors.of_net` has them, and a column of the run."""
    rate = evaluation.info["sample_rate"]
    targets = la2a_behaviour(sorted({recording.setting for recording in heard.values()}), rate)
    tables = []
    for item in tqdm(evaluation.info["runs"], desc="Listening", unit="run", leave=False, file=sys.stderr):
        net = scored_run(item, folder, evaluation.info["checkpoint"]).net()
        tables.append(of_net(net, heard, targets).assign(run=item["run"]))
    return pd.concat(tables)


def tracked(evaluation: Evaluation, errors: pd.DataFrame) -> dict[str, Correlation]:
    """The correlation of each metric with one error, by the name of the metric."""
    wanted = errors.pivot(index="run", columns=["recording", "segment"], values="value").dropna(axis=1)
    if wanted.empty:
        return {}
    rows = evaluation.rows
    rows = rows[(rows["run"] != UNPROCESSED) & (rows["convention"] != LEFT_OUT)]
    metrics = {}
    for metric, group in rows.groupby("metric", sort=False):
        values = group.pivot(index="run", columns=["recording", "segment"], values="value")
        if set(wanted.columns) <= set(values.columns):  # else it is pooled
            values = values.loc[wanted.index, wanted.columns]
            metrics[str(metric)] = values.to_numpy() * (-1 if evaluation.higher_is_better(str(metric)) else 1)
    numbers = np.unique(wanted.columns.get_level_values("recording"), return_inverse=True)[1]
    return correlations(metrics, wanted.to_numpy(), numbers)


def page(found: Mapping[str, Mapping[str, Correlation]], evaluation: Evaluation, least: float) -> str:
    """The table, best first, and how to read it."""
    names = [name for name, of_metric in found.items() if of_metric]
    metrics = sorted(found["gain"], key=lambda metric: -found["gain"][metric].mean)
    lines = [["metric", *(ERRORS[name] for name in names)]]
    lines += [[metric, *(cell(found[name][metric]) for name in names)] for metric in metrics]
    runs = len(evaluation.info["runs"])
    return (
        f"Which metric tracks the device? Rank correlation over {runs} runs on each segment, mean of the segments; in "
        "brackets the 95 % interval over recordings and runs.\n\n"
        f"{markdown.grid(lines)}\n\n"
        f"The target's own error of the gain is {least:.2f} dB: that of tube and noise."
    )


def cell(found: Correlation) -> str:
    """
    >>> cell(Correlation(0.8049, 0.7, 0.9))
    '0.80 [0.70, 0.90]'
    """
    return f"{found.mean:.2f} [{found.low:.2f}, {found.high:.2f}]"
