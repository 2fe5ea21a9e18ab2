"""A folder of results as evaluate.py writes it, with scores that are made up."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from scripts.results import scores
from scripts.results.scores import Evaluation

LOSSES = {"L1": "l1", "ESR": "esr", "Logcosh": "logcosh", "STFT": "stft", "MR": "mrstft", "RR": "rrstft"}
METRICS: dict[str, dict[str, Any]] = {
    **{name: {"higher_is_better": False, "unit": ""} for name in (*LOSSES, "DC")},
    "SI-SDR": {"higher_is_better": True, "unit": "dB"},
    "GR": {"higher_is_better": False, "unit": "dB"},
    "Loudness": {"higher_is_better": False, "unit": "LU"},
}
HEAD = ["run", "model", "loss", "seed", "recording", "switch", "peak_reduction", "segment", "start", "samples"]

Row = dict[str, Any]


def row(
    model: str,
    metric: str,
    value: float,
    *,
    seed: str = "1",
    recording: str = "1",
    setting: str = "0__75",
    segment: int = 0,
    samples: int = 100,
    convention: str = "standard",
    loss: str | None = None,
) -> Row:
    """A row of scores.csv; a pooled one with an empty recording."""
    of_input = model == scores.UNPROCESSED
    switch, _, amount = setting.partition("__") if recording else ("", "", "")
    return {
        "run": model if of_input else f"runs/made/{model}-seed{seed}",
        "model": model,
        "loss": "" if of_input else model if loss is None else loss,
        "seed": "" if of_input else seed,
        "recording": recording,
        "switch": switch,
        "peak_reduction": amount,
        "segment": segment,
        "start": segment * 100 if recording else "",
        "samples": samples,
        "convention": convention,
        "metric": metric,
        "value": value,
    }


def write(folder: Path, rows: Iterable[Row], **info: Any) -> Path:
    """scores.csv and evaluation.json."""
    rows = list(rows)
    with (folder / "scores.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, [*HEAD, "convention", "metric", "value"])
        writer.writeheader()
        writer.writerows(rows)
    about = {
        "root": "datasets/made",
        "sample_rate": 44100,
        "channels": 1,
        "eval_length": 262144,
        "checkpoint": "best",
        "trained_settings": ["0__75", "1__55"],
        "runs": [],
        "left_out": [],
        "notes": [],
        "metrics": METRICS,
    }
    (folder / "evaluation.json").write_text(json.dumps(about | info), encoding="utf-8")
    return folder


def evaluation(folder: Path, rows: Iterable[Row], **info: Any) -> Evaluation:
    """Written and read."""
    return scores.read(write(folder, rows, **info))


# How good each loss is, relative to the others, in the metrics of the waveform and of spectra.
WAVEFORM = {"l1": 1.0, "esr": 1.05, "logcosh": 0.95, "stft": 1.6, "mrstft": 1.5, "rrstft": 1.4}
SPECTRUM = {"l1": 1.25, "esr": 1.15, "logcosh": 1.25, "stft": 1.02, "mrstft": 1.0, "rrstft": 1.0}
SCALES = {"L1": 8e-3, "ESR": 0.3, "Logcosh": 1e-4, "STFT": 1.3, "MR": 1.25, "RR": 1.27, "DC": 1e-4}
SETTINGS = ("0__75", "1__55", "0__90", "1__100")


def study(seeds: Sequence[str] = ("1", "2", "3"), settings: Sequence[str] = SETTINGS, segments: int = 3) -> list[Row]:
    """Six losses and the input, both conventions and further metrics, drawn from one generator."""
    generator = np.random.default_rng(0)
    hard = {(r, s): math.exp(0.4 * generator.standard_normal()) for r in range(len(settings)) for s in range(segments)}
    of_seed = {seed: math.exp(0.08 * generator.standard_normal()) for seed in seeds}
    rows = []
    runs = [(loss, seed) for loss in WAVEFORM for seed in seeds] + [(scores.UNPROCESSED, "")]
    for loss, seed in runs:
        own = of_seed.get(seed, 1.0) * math.exp(0.03 * generator.standard_normal())
        for metric in (*SCALES, "SI-SDR", "GR"):
            convention = "standard" if metric in SCALES else "further"
            values = {}
            for (recording, segment), difficulty in hard.items():
                noise = math.exp(0.1 * generator.standard_normal())
                value = _quality(loss, metric) * own * difficulty * noise
                values[recording, segment] = -10 * math.log10(value) if metric == "SI-SDR" else value
                place = {"recording": str(recording + 29), "setting": settings[recording], "segment": segment}
                rows.append(row(loss, metric, values[recording, segment], seed=seed, convention=convention, **place))
            if metric in SCALES:
                pooled = float(np.mean(list(values.values())))
                samples = 100 * len(values)
                more = {"convention": "paper2020", "recording": "", "samples": samples}
                rows.append(row(loss, metric, pooled, seed=seed, **more))
    return rows


def _quality(loss: str, metric: str) -> float:
    means: Mapping[str, float] = SPECTRUM if metric in ("STFT", "MR", "RR") else WAVEFORM
    return means.get(loss, 3.5) * SCALES.get(metric, 0.3)
