"""The scores that evaluate.py has written, the one source of every table, chart and finding.

A results folder holds ``scores.csv``, one row for each run, segment, convention and metric, and ``evaluation.json``,
what was scored and how.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from models.digest import digest_files

FILES = ("scores.csv", "evaluation.json")
TEXT = ("run", "model", "loss", "seed", "recording", "switch", "peak_reduction", "convention", "metric")
NUMBERS = ("segment", "start", "samples", "value")
INFO: dict[str, type] = {
    "root": str,
    "sample_rate": int,
    "channels": int,
    "eval_length": int,
    "checkpoint": str,
    "trained_settings": list,
    "runs": list,
    "left_out": list,
    "notes": list,
    "metrics": dict,
}
FORMAT = 1  # of the two files; an evaluation.json that does not tell is of the first
UNPROCESSED = "unprocessed"
AGAIN = "run evaluate.py again"


@dataclass(frozen=True)
class Values:
    """The scores of all runs by one metric of one convention.

    Shape:
        by_model ``(runs, segments)`` each; samples and units ``(segments,)``.
    """

    by_model: dict[str, NDArray[np.float64]]
    seeds: dict[str, list[str]]  # of the runs of each model
    samples: NDArray[np.float64]  # of each segment
    units: NDArray[np.int64]  # number of the recording that a segment belongs to; of the group, if pooled
    pooled: bool  # a value stands for a group of segments of several recordings


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The rows of scores.csv, and what evaluation.json says of them.

    Not to be changed: tables are computed once and kept.
    """

    rows: pd.DataFrame  # text columns are "" where empty; start is <NA> there
    info: dict[str, Any]
    source: str = "scores.csv"  # for messages

    @property
    def models(self) -> list[str]:
        """In the order of the file, the unprocessed input included."""
        return list(self.rows["model"].unique())

    @property
    def losses(self) -> dict[str, str]:
        """Name of the training loss by model; "" for the unprocessed input."""
        return dict(self.rows.drop_duplicates("model").set_index("model")["loss"])

    @property
    def conventions(self) -> list[str]:
        return list(self.rows["convention"].unique())

    def metrics(self, convention: str) -> list[str]:
        """Of a convention, in the order of the file."""
        return list(self.rows["metric"][self.rows["convention"] == convention].unique())

    def higher_is_better(self, metric: str) -> bool:
        return bool(self.info["metrics"].get(metric, {}).get("higher_is_better", False))

    def unit(self, metric: str) -> str:
        return str(self.info["metrics"].get(metric, {}).get("unit", ""))

    @property
    def notes(self) -> list[str]:
        """The notes of the evaluation, and one for every run that was left out."""
        left_out = [f"{run['run']} is left out: {run['reason']}" for run in self.info["left_out"]]
        return [*(note for note in left_out if note not in self.info["notes"]), *self.info["notes"]]

    def values(self, convention: str, metric: str) -> Values:
        """One metric of one convention.

        Raises:
            ValueError: if the runs were not scored on the same segments.
        """
        rows = self.rows[(self.rows["convention"] == convention) & (self.rows["metric"] == metric)]
        keys = rows["segment"].astype(str) + " " + rows["recording"]
        position, segments = pd.factorize(keys)
        run, runs = pd.factorize(rows["run"])
        first = rows.iloc[np.unique(position, return_index=True)[1]]
        where = f"{self.source}: {convention}.{metric}"
        counts = np.zeros((len(runs), len(segments)), int)
        np.add.at(counts, (run, position), 1)
        every = list(self.rows["run"].unique())
        if missing := [name for name in every if name not in set(runs)]:
            raise ValueError(f"{where} has no value of run {missing[0]}; {AGAIN}")
        if (counts != 1).any():
            i, j = (int(k) for k in np.argwhere(counts != 1)[0])
            segment, _, recording = segments[j].partition(" ")
            raise ValueError(
                f"{where} has {counts[i, j]} values of run {runs[i]} for segment {segment} of recording "
                f"{recording or '(pooled)'}, not 1: all runs have to be scored on the same segments; {AGAIN}"
            )
        samples = first["samples"].to_numpy(float)
        if (rows["samples"].to_numpy(float) != samples[position]).any():
            raise ValueError(f"{where}: segments differ in their samples between runs; {AGAIN}")
        table = np.empty((len(runs), len(segments)))
        table[run, position] = rows["value"]
        of_run = rows.drop_duplicates("run")
        model = of_run["model"].to_numpy()
        seed = of_run["seed"].to_numpy()
        pooled = bool((first["recording"] == "").all())
        units = np.arange(len(first)) if pooled else pd.factorize(first["recording"])[0]
        return Values(
            {name: table[model == name] for name in of_run["model"].unique()},
            {name: list(seed[model == name]) for name in of_run["model"].unique()},
            samples,
            units.astype(np.int64),
            pooled,
        )


def word(folder: Path) -> str:
    """Stands for the two files in a folder: other results, another word. OSError if one cannot be read."""
    return digest_files(Path(folder) / name for name in FILES)


def read(folder: Path) -> Evaluation:
    """The results in a folder.

    Raises:
        ValueError: if a file is missing or cannot be read, naming the file, the line and column, and the remedy.
    """
    folder = Path(folder)
    table, about = (folder / name for name in FILES)
    for file in (table, about):
        if not file.is_file():
            raise ValueError(f"{file} does not exist; name the folder of results that evaluate.py wrote, or {AGAIN}")
    return Evaluation(_rows(table), _info(about), str(table))


def _rows(file: Path) -> pd.DataFrame:
    try:
        rows = pd.read_csv(file, dtype=str, keep_default_na=False, encoding="utf-8")
    except (ValueError, pd.errors.ParserError) as error:  # not a table, or not UTF-8
        raise ValueError(f"{file} cannot be read: {str(error).strip()}; {AGAIN}") from error
    if missing := [column for column in (*TEXT, *NUMBERS) if column not in rows]:
        raise ValueError(f"{file} has no column {', '.join(missing)}; {AGAIN}")
    if rows.empty:
        raise ValueError(f"{file} has no rows; {AGAIN}")
    for column in NUMBERS:
        rows[column] = _numbers(rows[column], f"{file}, line")
    models = rows.groupby("run")["model"].nunique()
    if (models > 1).any():
        raise ValueError(f"{file}: run {models.idxmax()} has several models; {AGAIN}")
    return rows


def _numbers(text: pd.Series, where: str) -> pd.Series:
    """A column as whole numbers, or as floating point for `value`, which may be nan or inf."""
    column = str(text.name)
    numbers = pd.to_numeric(text.mask(text == ""), errors="coerce").astype("float64")
    if column == "value":
        wrong, needed = numbers.isna() & (text.str.lower() != "nan"), "a number"
    elif column == "samples":
        wrong, needed = ~(numbers >= 1) | (numbers % 1 != 0), "a whole number above 0"
    else:
        wrong, needed = ~(numbers % 1 == 0), "a whole number"
    if column == "start":
        wrong &= text != ""  # of a pooled metric
    if wrong.any():
        line = int(np.flatnonzero(wrong)[0])
        raise ValueError(f"{where} {line + 2}, {column}: {text.iloc[line]!r} is not {needed}; {AGAIN}")
    if column == "value":
        return numbers
    return numbers.astype("Int64") if column == "start" else numbers.astype("int64")


def _info(file: Path) -> dict[str, Any]:
    try:
        info = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{file} cannot be read: {error}; {AGAIN}") from error
    for key, kind in INFO.items():
        if not isinstance(info, dict) or not isinstance(info.get(key), kind):
            raise ValueError(f"{file} has no {key} that is a {kind.__name__}; {AGAIN}")
    if (number := info.get("format", 1)) != FORMAT:
        raise ValueError(f"{file} is of format {number!r}, this version reads {FORMAT}; {AGAIN}")
    return info
