"""What evaluate.py does once its configuration is composed: from runs to scores, tables and report.

The runs are data: of each, only a network of models/ and plain values are used (see `models.run`). A run that cannot be
scored is named in the notes and left out, and the exit status is 1. What was scored before is not scored again.
"""

from __future__ import annotations

import logging
from collections.abc import Sized
from functools import partial
from inspect import getfile
from pathlib import Path

from omegaconf import DictConfig

from models.build import file_of
from models.net import Unprocessed
from models.run import find_runs
from scripts import extras
from scripts.results import formats, scores, screen
from scripts.results.scores import UNPROCESSED
from scripts.scoring import candidates, held_out, share, write
from scripts.scoring.cache import Scored
from scripts.scoring.candidates import Candidate
from scripts.scoring.held_out import HeldOut
from scripts.scoring.scorer import FAULTS, Job, Scorer
from scripts.scoring.write import Results, ScoredRun

log = logging.getLogger(__name__)


class LeftOut(dict[Path, str]):
    """Why runs are left out, so that what is wrong with one does not cost the others their scores."""

    def leave_out(self, folder: Path, reason: Exception | str) -> None:
        text = str(reason) or type(reason).__name__
        self[folder] = text.encode(errors="backslashreplace").decode()  # it may quote what is no text
        log.warning("%s is left out: %s", folder, self[folder])

    def require(self, rest: Sized) -> None:
        """Raises a ValueError that names the faults of all runs if none is left."""
        if not rest:
            reasons = "\n".join(f"{folder}: {reason}" for folder, reason in self.items())
            raise ValueError(f"none of the runs can be scored:\n{reasons}")


def evaluate(cfg: DictConfig) -> bool:
    """Writes scores.csv, evaluation.json, the tables and the report; false if anything had to be left out."""
    folders = find_runs(cfg.runs)
    out = Path(cfg.out) if cfg.out else results_folder(folders)
    left_out = LeftOut()
    found, split = find(cfg, folders, left_out)
    results = score(cfg, found, split, out, left_out)
    if results is None:
        return not left_out
    write.scores(out, results)
    write.evaluation(out, results, split, cfg.eval_length, cfg.checkpoint, left_out)
    evaluation = scores.read(out)
    formats.write(out, evaluation)
    print(screen.text(out, evaluation))
    return (not cfg.report or write_report(out)) and not left_out


def find(cfg: DictConfig, folders: list[Path], left_out: LeftOut) -> tuple[list[Candidate], HeldOut]:
    """The runs that can be scored, and the test split to score them on."""
    readable = []
    for folder in folders:
        try:
            readable.append(candidates.candidate(folder, cfg.checkpoint, source_needed=not cfg.get("data")))
        except FAULTS as error:
            left_out.leave_out(folder, error)
    left_out.require(readable)
    if cfg.get("data"):
        split = held_out.named(cfg.data)
    else:
        split = held_out.of(held_out.most_common(c.source for c in readable if c.source is not None))
    found = []
    for c in readable:
        try:
            candidates.check_data(c, split)
            found.append(c)
        except FAULTS as error:
            left_out.leave_out(c.folder, error)
    left_out.require(found)
    return found, split


def score(cfg: DictConfig, found: list[Candidate], split: HeldOut, out: Path, left_out: LeftOut) -> Results | None:
    """The scores of the runs and of the unprocessed input, those that are known and those that are new.

    None if another process collects them.
    """
    scorer = Scorer(cfg.conventions, split, cfg.eval_length, cfg.device)
    code = Path(getfile(Unprocessed))
    jobs = [scorer.job(UNPROCESSED, out / "scores", UNPROCESSED, "", code, Unprocessed)]
    loadable = []
    for c in found:
        try:
            jobs.append(_job(scorer, c))
            loadable.append(c)
        except FAULTS as error:
            left_out.leave_out(c.folder, error)
    left_out.require(loadable)
    collects = share.collects(cfg.score_only)
    outcomes = share.complete(scorer, jobs, cfg.workers, score_only=not collects)
    if not collects:
        log.info("Scored: %d of %d.", len(outcomes), len(jobs))
        return None
    unprocessed = outcomes[UNPROCESSED]
    if isinstance(unprocessed, Exception):  # not a run's fault, but that of the data or a metric
        raise ValueError(f"the unprocessed input cannot be scored: {unprocessed}")
    scored: list[tuple[Candidate, Scored]] = []
    for c in loadable:
        outcome = outcomes[str(c.folder)]
        if isinstance(outcome, Exception):
            left_out.leave_out(c.folder, outcome)
        else:
            scored.append((c, outcome))
    left_out.require(scored)
    labels = candidates.labels([c for c, _ in scored])
    again = candidates.repeated([c for c, _ in scored], labels)
    for folder, earlier in again.items():
        left_out.leave_out(
            folder,
            f"its model and seed are those of {earlier}, and tests take every run for a training of its own. "
            "Evaluate them apart, or train one with another seed.",
        )
    runs = [ScoredRun(c, labels[c.folder], of_run) for c, of_run in scored if c.folder not in again]
    return Results(unprocessed, runs, scorer.description)


def _job(scorer: Scorer, c: Candidate) -> Job:
    code, load = file_of(c.run.config.get("model")), partial(candidates.load, c, scorer.split)
    return scorer.job(str(c.folder), c.folder / "scores", c.run.checkpoint, c.run.weights, code, load)


def results_folder(folders: list[Path]) -> Path:
    """``results`` in the study that all runs belong to, or in the working directory if there are several."""
    studies = {folder.parent.resolve() for folder in folders}
    return folders[0].parent / "results" if len(studies) == 1 else Path("results")


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
