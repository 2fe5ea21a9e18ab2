"""The scores at each setting of the device, and at each kind of setting: seen in training, between, extreme."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import pandas as pd

from data.settings import KINDS, kind, numbers
from scripts.results import table
from scripts.results.scores import Evaluation


def by_setting(evaluation: Evaluation) -> pd.DataFrame:
    """Mean of each metric per model and setting, of all metrics whose values belong to a recording.

    Returns:
        Rows of convention, metric, model, label (in the tables), setting (text, as in the names of files), switch
        (text), peak_reduction (number; NaN if a setting has not one amount), kind (of setting, see `data.settings`),
        value (mean over segments weighted by their samples, then over runs), lowest and highest (of the runs), runs. By
        the numbers of the setting, then as the rows of the tables.
    """
    keys = ["convention", "metric", "model", "setting", "switch", "peak_reduction", "kind"]
    of_runs = _of_runs(_of_recordings(evaluation), keys).groupby(level=keys, sort=False)
    made = of_runs.agg(value=_mean, lowest="min", highest="max", runs="size").reset_index()
    made["peak_reduction"] = pd.to_numeric(made["peak_reduction"], errors="coerce").astype("float64")
    made = _labelled(made, evaluation)
    return made.sort_values("setting", key=lambda column: column.map(numbers), kind="stable").reset_index(drop=True)


@lru_cache(maxsize=1)
def by_kind(evaluation: Evaluation) -> pd.DataFrame:
    """The means of Table 1 over the recordings of each kind of setting alone.

    Returns:
        Rows of convention, metric, model, label (in the tables), kind (see `data.settings`), settings and recordings
        (how many), value (mean over segments weighted by their samples, then over runs). By kind, then as the rows of
        the tables. No rows if all recordings are of one kind: the tables tell those means already.
    """
    rows = _of_recordings(evaluation)
    if rows["kind"].nunique() < 2:
        rows = rows.iloc[:0]
    keys = ["convention", "metric", "model", "kind"]
    made = rows.groupby(keys, sort=False).agg(settings=("setting", "nunique"), recordings=("recording", "nunique"))
    made["value"] = _of_runs(rows, keys).groupby(level=keys, sort=False).agg(_mean)
    made = _labelled(made.reset_index(), evaluation)
    order = made["kind"].map(list(KINDS).index).to_numpy(int)
    return made.iloc[np.argsort(order, kind="stable")].reset_index(drop=True)


def _of_recordings(evaluation: Evaluation) -> pd.DataFrame:
    """The rows that belong to a recording, with its setting and kind."""
    rows = evaluation.rows[evaluation.rows["recording"] != ""]
    rows = rows.assign(setting=rows["switch"] + "__" + rows["peak_reduction"])
    trained = evaluation.info["trained_settings"]
    kinds = {setting: kind(setting, trained) for setting in rows["setting"].unique()}
    return rows.assign(kind=rows["setting"].map(kinds))


def _of_runs(rows: pd.DataFrame, keys: Sequence[str]) -> pd.Series:
    """The mean of each run over its segments, weighted by their samples."""
    weighted = rows.assign(sum=rows["value"] * rows["samples"])
    sums = weighted.groupby([*keys, "run"], sort=False)[["sum", "samples"]].agg(_sum)
    return sums["sum"] / sums["samples"]


# NaN if one is; pandas would leave it out.
def _sum(column: pd.Series) -> float:
    return float(column.to_numpy().sum())


def _mean(column: pd.Series) -> float:
    return float(column.to_numpy().mean())


def _labelled(rows: pd.DataFrame, evaluation: Evaluation) -> pd.DataFrame:
    """In the order of the tables' rows, with their labels beside the models."""
    labels = table.row_labels(evaluation)
    order = rows["model"].map(list(labels).index).to_numpy(int)
    rows = rows.iloc[np.argsort(order, kind="stable")].copy()
    rows.insert(list(rows.columns).index("model") + 1, "label", rows["model"].map(labels))
    return rows
