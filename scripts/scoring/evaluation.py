"""What evaluate.py does once its configuration is composed: from runs to scores, tables and report.

The runs are data: of each, only a network of models/ and plain values are used (see `models.run`). A run that cannot be
scored is named in the notes and left out, and the exit status is 1. What was scored before is not scored again.
"""

from __future__ import annotations

import csv
import io
import json
import logging
import math
from collections.abc import Iterator, Mapping, Sized
from contextlib import contextmanager
from pathlib import Path

from omegaconf import DictConfig

from models.atomic import write_text
from models.net import Unprocessed
from models.run import RunError, find_runs
from scripts import extras
from scripts.results import formats, scores, screen
from scripts.results.scores import UNPROCESSED
from scripts.scoring import candidates, held_out
from scripts.scoring.cache import Scored
from scripts.scoring.candidates import Candidate
from scripts.scoring.held_out import HeldOut
from scripts.scoring.scorer import FAULTS, Bench, Job, complete

log = logging.getLogger(__name__)

OF_RUN = ("run", "model", "loss", "seed")
OF_PART = ("recording", "switch", "peak_reduction", "segment", "start", "samples")
COLUMNS = (*OF_RUN, *OF_PART, "convention", "metric", "value")  # of scores.csv
SILENT_DB = -60.0  # an output this far below its target is called silent
INVERTED = -0.5  # an output of a smaller correlation with its target is called inverted


def evaluate(cfg: DictConfig) -> bool:
    """Writes scores.csv, evaluation.json, the tables and the report; false if anything had to be left out."""
    folders = find_runs(cfg.runs)
    out = Path(cfg.out) if cfg.out else results_folder(folders)
    left_out: dict[Path, str] = {}

    found: list[Candidate] = []
    for folder in folders:
        with leaving_out(folder, left_out):
            found.append(candidates.candidate(folder, cfg.checkpoint, source_needed=not cfg.get("data")))
    require(found, left_out)
    if cfg.get("data"):
        split = held_out.named(cfg.data)
    else:
        split = held_out.of(held_out.most_common(c.source for c in found if c.source is not None))

    bench = Bench(cfg.conventions, split, cfg.eval_length, cfg.device)
    jobs: dict[Path, tuple[Candidate, Job]] = {}
    for c in found:
        with leaving_out(c.folder, left_out):
            candidates.check_data(c, split)
            job = bench.job(str(c.folder), c.folder / "scores", cfg.checkpoint, c.run.weights)
            job.net = candidates.load(c, split) if job.missing else None
            jobs[c.folder] = c, job
    require(jobs, left_out)

    unprocessed = bench.job(UNPROCESSED, out / "scores", UNPROCESSED, "")
    unprocessed.net = Unprocessed()
    faults = complete(bench, [unprocessed, *(job for _, job in jobs.values())])
    if UNPROCESSED in faults:  # not a run's fault, but that of the data or a metric
        raise ValueError(f"the unprocessed input cannot be scored: {faults[UNPROCESSED]}")
    scored: list[tuple[Candidate, Scored]] = []
    for c, job in jobs.values():
        with leaving_out(c.folder, left_out):
            if job.label in faults:
                raise faults[job.label]
            scored.append((c, job.scored))
    require(scored, left_out)
    labels = candidates.labels([c for c, _ in scored])
    for folder, earlier in candidates.repeated([c for c, _ in scored], labels).items():
        with leaving_out(folder, left_out):
            raise RunError(
                f"its model and seed are those of {earlier}, and tests take every run for a training of its own. "
                "Evaluate them apart, or train one with another seed."
            )
    scored = [(c, of_run) for c, of_run in scored if c.folder not in left_out]

    write_scores(out, scored, labels, unprocessed.scored)
    write_evaluation(out, cfg, bench, scored, labels, left_out)
    evaluation = scores.read(out)
    formats.write(out, evaluation)
    print(screen.text(out, evaluation))
    return (not cfg.report or write_report(out)) and not left_out


@contextmanager
def leaving_out(folder: Path, left_out: dict[Path, str]) -> Iterator[None]:
    """Notes why a run cannot be scored, so that it does not cost the others their scores."""
    try:
        yield
    except FAULTS as error:
        reason = str(error) or type(error).__name__
        left_out[folder] = reason.encode(errors="backslashreplace").decode()  # it may quote what is no text
        log.warning("%s is left out: %s", folder, left_out[folder])


def require(rest: Sized, left_out: dict[Path, str]) -> None:
    """Raises a ValueError that names the faults of all runs if none is left."""
    if not rest:
        reasons = "\n".join(f"{folder}: {reason}" for folder, reason in left_out.items())
        raise ValueError(f"none of the runs can be scored:\n{reasons}")


def results_folder(folders: list[Path]) -> Path:
    """``results`` in the study that all runs belong to, or in the working directory if there are several."""
    studies = {folder.parent.resolve() for folder in folders}
    return folders[0].parent / "results" if len(studies) == 1 else Path("results")


def write_scores(
    out: Path, scored: list[tuple[Candidate, Scored]], labels: Mapping[Path, str], unprocessed: Scored
) -> None:
    """Writes scores.csv: one row for each run, part of the audio, convention and metric."""
    models = [([UNPROCESSED, UNPROCESSED, "", ""], unprocessed)]
    models += [([str(c.folder), labels[c.folder], c.loss, c.seed], of_run) for c, of_run in scored]
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


def write_evaluation(
    out: Path,
    cfg: DictConfig,
    bench: Bench,
    scored: list[tuple[Candidate, Scored]],
    labels: Mapping[Path, str],
    left_out: dict[Path, str],
) -> None:
    """Writes evaluation.json: what was scored, on what, and what to know of it."""
    split = bench.split
    document = {
        "root": split.source.root,
        "sample_rate": split.source.sample_rate,
        "channels": split.source.channels,
        "eval_length": cfg.eval_length,
        "checkpoint": cfg.checkpoint,
        "trained_settings": split.trained_settings,
        "runs": [
            dict(zip(OF_RUN, [str(c.folder), labels[c.folder], c.loss, c.seed], strict=True))
            | {"weights": c.run.weights}
            for c, _ in scored
        ],
        "left_out": [{"run": str(folder), "reason": reason} for folder, reason in left_out.items()],
        "notes": notes(cfg.checkpoint, split, scored, left_out),
        "metrics": bench.description(),
    }
    write_text(out / "evaluation.json", json.dumps(document, indent=2, ensure_ascii=False) + "\n")


def notes(
    checkpoint: str, split: HeldOut, scored: list[tuple[Candidate, Scored]], left_out: dict[Path, str]
) -> list[str]:
    """What a reader of the tables has to know."""
    said = [f"{folder} is left out: {reason}" for folder, reason in left_out.items()]
    said += [split.note, *split.note_on_training(c.source for c, _ in scored)]
    explained = " A loss on magnitudes cannot tell; those on the waveform count it as an error."  # once
    for c, of_run in scored:
        if (state := c.run.status["state"]) != "finished":
            said.append(f"{c.folder} is {state}: its {checkpoint} checkpoint so far is scored.")
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


def write_report(out: Path) -> bool:
    """Makes the report of the results, unless it is there already; false if it cannot be made of them."""
    try:
        extras.require("report", "report.html")
    except ValueError as error:
        log.warning("No report: %s. To do without, report=false", error)
        return True
    from scripts.report import build

    try:
        log.info("The report is %s", out / build.PAGE if build.is_current(out) else build.write(out))
    except (ValueError, OSError) as error:
        log.error("The report could not be made: %s", error)
        return False
    return True
