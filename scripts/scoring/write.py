"""Writes what evaluate.py has found: scores.csv, and evaluation.json with what to know of it."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from models.atomic import write_text
from scripts.results.scores import FORMAT, UNPROCESSED
from scripts.scoring.cache import Scored
from scripts.scoring.candidates import Candidate
from scripts.scoring.held_out import HeldOut

OF_RUN = ("run", "model", "loss", "seed")
OF_PART = ("recording", "switch", "peak_reduction", "segment", "start", "samples")
COLUMNS = (*OF_RUN, *OF_PART, "convention", "metric", "value")  # of scores.csv
SILENT_DB = -60.0  # an output this far below its target is called silent
INVERTED = -0.5  # an output of a smaller correlation with its target is called inverted


class ScoredRun(NamedTuple):
    """A run and its scores."""

    candidate: Candidate
    label: str
    scored: Scored

    @property
    def columns(self) -> list[str]:
        """The values of `OF_RUN`."""
        return [str(self.candidate.folder), self.label, self.candidate.loss, self.candidate.seed]


class Results(NamedTuple):
    """All that was scored."""

    unprocessed: Scored
    runs: list[ScoredRun]
    metrics: dict[str, dict[str, Any]]  # of each which direction is better, and its unit


def scores(out: Path, results: Results) -> None:
    """Writes scores.csv: one row for each run, part of the audio, convention and metric."""
    models = [([UNPROCESSED, UNPROCESSED, "", ""], results.unprocessed)]
    models += [(run.columns, run.scored) for run in results.runs]
    stream = io.StringIO()
    writer = csv.writer(stream)
    writer.writerow(COLUMNS)
    for model, of_model in models:
        for score in (score for of_metric in of_model.scores.values() for score in of_metric):
            switch, _, peak_reduction = score.setting.partition("__")
            place = [score.recording, switch, peak_reduction, score.segment, score.start, score.samples]
            writer.writerow([*model, *place, score.convention, score.metric, score.value])
    out.mkdir(parents=True, exist_ok=True)
    write_text(out / "scores.csv", stream.getvalue())


def evaluation(
    out: Path, results: Results, split: HeldOut, eval_length: int, checkpoint: str, left_out: Mapping[Path, str]
) -> None:
    """Writes evaluation.json: what was scored, on what, and what to know of it."""
    document = {
        "format": FORMAT,
        "root": split.source.root,
        "sample_rate": split.source.sample_rate,
        "channels": split.source.channels,
        "eval_length": eval_length,
        "checkpoint": checkpoint,
        "trained_settings": split.trained_settings,
        "runs": [
            dict(zip(OF_RUN, run.columns, strict=True)) | {"weights": run.candidate.run.weights} for run in results.runs
        ],
        "left_out": [{"run": str(folder), "reason": reason} for folder, reason in left_out.items()],
        "notes": notes(checkpoint, split, results.runs, left_out),
        "metrics": results.metrics,
    }
    write_text(out / "evaluation.json", json.dumps(document, indent=2, ensure_ascii=False) + "\n")


def notes(checkpoint: str, split: HeldOut, runs: Sequence[ScoredRun], left_out: Mapping[Path, str]) -> list[str]:
    """What a reader of the tables has to know."""
    said = [f"{folder} is left out: {reason}" for folder, reason in left_out.items()]
    said += [split.note, *split.note_on_training(c.source for c, _, _ in runs)]
    explained = " A loss on magnitudes cannot tell; those on the waveform count it as an error."  # once
    for c, _, of_run in runs:
        if (state := c.run.status["state"]) != "finished":
            said.append(f"{c.folder} is {state}: its {checkpoint} checkpoint so far is scored.")
        trainer = c.run.config.get("trainer")
        if isinstance(trainer, dict) and (few := trainer.get("overfit_batches")):
            said.append(f"{c.folder} was trained on a few crops only, to learn them by heart: overfit_batches={few}.")
        if of_run.level_db < SILENT_DB:
            said.append(f"{c.folder} has collapsed to silence: {-of_run.level_db:.0f} dB below the target.")
        if of_run.correlation < INVERTED:
            said.append(
                f"{c.folder} is inverted in polarity: its correlation with the target is {of_run.correlation:.2f}."
                + explained
            )
            explained = ""
        for (convention, metric), of_metric in of_run.scores.items():
            if bad := sum(not math.isfinite(score.value) for score in of_metric):
                said.append(f"{c.folder}: {convention}.{metric} is not finite in {bad} of {len(of_metric)} rows.")
    return said
