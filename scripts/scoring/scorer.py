"""Scores networks on a test split with all metrics; what was scored before is read from the run's folder.

A file of scores counts for one checkpoint, test split (files, and controls as a network is given them), length of
segments and state of the code. Of these it answers every metric whose options are the same; the network is run again
for the others alone.
"""

from __future__ import annotations

import logging
import math
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from inspect import getfile, unwrap
from pathlib import Path
from typing import Any

import torch
from hydra.utils import get_object, instantiate
from omegaconf import DictConfig, OmegaConf
from torch import Tensor
from tqdm import tqdm

from data.segments import Block, Blocks
from models.digest import digest
from models.net import Net
from models.rendering import Rendering
from scripts.scoring import cache, depends
from scripts.scoring.cache import Name, Place, Scored
from scripts.scoring.held_out import HeldOut
from scripts.scoring.metrics import Metric, MetricOfRate
from scripts.scoring.rows import GROUP, Score, score

log = logging.getLogger(__name__)

SHORTEST_SEGMENT = 65_536  # samples; a shorter rest of a recording joins the segment before it: every metric has to fit
BATCH_SECONDS = 60.0
LARGEST_BATCH = 8  # networks; more make scoring hardly faster
FAULTS = (ValueError, RuntimeError, ArithmeticError)  # of one network, which cost the others nothing


class Scorer:
    """Metrics, data and device, the same for all networks.

    Args:
        conventions: options of the metrics by name, by name of the convention
        split: what to score on
        eval_length: output samples of a segment
        device: "auto", "cpu", "cuda", …

    Raises:
        ValueError: if there is no such device; if two conventions have a metric of one name that differs in its
            direction or unit.
    """

    def __init__(self, conventions: DictConfig, split: HeldOut, eval_length: int, device: str) -> None:
        torch.backends.cudnn.allow_tf32 = False  # a score is that of float32 on every device
        self.device = _device(device)
        self.split = split
        self.length = eval_length
        self.metrics: dict[Name, Metric | MetricOfRate] = {}
        self.keys: dict[Name, str] = {}
        for convention, metrics in conventions.items():
            for name, options in metrics.items():
                metric = instantiate(options).to(self.device)
                plain = OmegaConf.to_container(options, resolve=True)
                code = depends.of_metric([Path(getfile(type(metric))), *_code(plain)])
                self.metrics[str(convention), str(name)] = metric
                self.keys[str(convention), str(name)] = digest(plain, code)
        self.description = _description(self.metrics)  # of each which direction is better, and its unit
        blocks = Blocks(split.recordings, eval_length, minimum=SHORTEST_SEGMENT).blocks
        self.shortest = min(block.frames for block in blocks)
        self.places = {name: _places(blocks, getattr(m, "pool", "") == "batch") for name, m in self.metrics.items()}
        read = [(r.id, r.sample_rate, r.channels, r.frames, r.controls) for r in split.recordings]
        self._subject = (split.fingerprint, read, eval_length, SHORTEST_SEGMENT)

    def job(self, label: str, folder: Path, checkpoint: str, weights: str, code: Path, load: Callable[[], Net]) -> Job:
        """A network to be scored, with what is known of it already.

        Args:
            label: its name
            folder: where its scores are kept
            checkpoint: its name
            weights: a word for them
            code: the file of the network
            load: gives the network; called if anything is missing
        """
        data = re.sub(r"[^A-Za-z0-9._]+", "-", Path(self.split.source.root).name)
        file = folder / f"{checkpoint}-{data}.json"
        subject = digest(weights, depends.of_network(code), *self._subject)
        job = self.look_up(Job(label, file, subject, Scored(), (), None))
        return replace(job, net=load()) if job.missing else job

    def look_up(self, job: Job) -> Job:
        """A job with what is known of its network by now, also from other processes."""
        known = cache.load(job.file, job.subject, self.keys, self.places)
        return replace(job, known=known, missing=tuple(name for name in self.metrics if name not in known.scores))

    def score(self, jobs: list[Job]) -> list[Scored]:
        """Scores the networks of jobs at once, so that what the metrics make of the target is made once for all.

        Returns:
            for each job what was known and what was missing; the latter is kept in its file

        Raises:
            ValueError, RuntimeError, ArithmeticError: if one of them cannot be run or scored; nothing is kept then.
        """
        wanted: dict[str, dict[str, Metric | MetricOfRate]] = {}
        for convention, name in jobs[0].missing:
            wanted.setdefault(convention, {})[name] = self.metrics[convention, name]
        levels = [_Levels() for _ in jobs]
        fresh: list[dict[Name, list[Score]]] = [{name: [] for name in jobs[0].missing} for _ in jobs]
        for item in score(_rendered(self, jobs, levels), wanted, self.shortest):
            fresh[item.model][item.convention, item.metric].append(item)
        found = [Scored(level.difference_db, level.correlation, s) for level, s in zip(levels, fresh, strict=True)]
        return [self._kept(job, of_job) for job, of_job in zip(jobs, found, strict=True)]

    def _kept(self, job: Job, fresh: Scored) -> Scored:
        """All scores of a job, of which the new ones are kept."""
        try:
            cache.save(job.file, job.subject, self.keys, fresh)
        except OSError as error:
            log.warning("%s cannot be written (%s): it will be scored again.", job.file, error.strerror)
        both = job.known.scores | fresh.scores
        return replace(fresh, scores={name: both[name] for name in self.metrics})


@dataclass(frozen=True, eq=False)
class Job:
    """A network to be scored."""

    label: str
    file: Path  # where its scores are kept
    subject: str
    known: Scored  # from there
    missing: tuple[Name, ...]  # metrics
    net: Net | None  # None if nothing is missing


def _device(name: str) -> torch.device:
    """A device that can be computed on."""
    automatic = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(automatic if name == "auto" else name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0].rstrip(".")
        raise ValueError(f"device={name}: {reason}. Choose auto, cpu, cuda, cuda:1, …") from error
    return device


def complete(scorer: Scorer, jobs: list[Job]) -> dict[str, Scored | Exception]:
    """Scores all that is missing; returns all scores of each network by its label, or what went wrong with it.

    Networks are scored several at a time, as many as take about a minute, which is what an interruption costs.
    """
    found: dict[str, Scored | Exception] = {job.label: job.known for job in jobs}
    waiting = [job for job in jobs if job.missing]
    alone: set[str] = set()  # labels of a batch that failed: each by itself, to see which it was
    size = 2
    bar = tqdm(total=len(waiting), desc="Scoring", unit="model", disable=not waiting)
    while waiting:
        first = waiting[0]
        batch = [job for job in waiting if job.missing == first.missing and job.label not in alone][:size] or [first]
        started = time.monotonic()
        try:
            found |= {job.label: scored for job, scored in zip(batch, scorer.score(batch), strict=True)}
        except FAULTS as error:
            if len(batch) > 1:
                alone |= {job.label for job in batch}
                continue
            found[batch[0].label] = error
        size = min(max(int(len(batch) * BATCH_SECONDS / (time.monotonic() - started + 1e-3)), 1), LARGEST_BATCH)
        waiting = [job for job in waiting if job not in batch]
        bar.update(len(batch))
    bar.close()
    return found


def _description(metrics: Mapping[Name, Metric | MetricOfRate]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for (convention, name), metric in metrics.items():
        about = {"higher_is_better": getattr(metric, "score_sign", 1) < 0, "unit": getattr(metric, "unit", "")}
        if found.setdefault(name, about) != about:
            raise ValueError(
                f"{convention}.{name}: another convention has a metric of this name with another direction or unit: "
                f"{found[name]} there, {about} here. Give one of them another name."
            )
    return found


def _code(options: Any) -> Iterator[Path]:
    """The files of all that the options of a metric name."""
    if isinstance(options, dict) and "_target_" in options:
        with suppress(TypeError):  # of what is built in
            yield Path(getfile(unwrap(get_object(options["_target_"]))))
    if isinstance(options, dict | list):
        for value in options.values() if isinstance(options, dict) else options:
            yield from _code(value)


def _places(blocks: list[Block], pooled: bool) -> list[Place]:
    """The rows of a metric: one for each block, or for each group of blocks."""
    if not pooled:
        return [(b.recording.id, b.recording.setting, b.number, b.start, b.frames) for b in blocks]
    groups = [blocks[start : start + GROUP] for start in range(0, len(blocks), GROUP)]
    return [("", "", number, None, sum(block.frames for block in group)) for number, group in enumerate(groups)]


def _rendered(scorer: Scorer, jobs: list[Job], levels: list[_Levels]) -> Iterator[tuple[Block, Tensor, Tensor]]:
    """The outputs of all networks for every block of the recordings, with their target."""
    renderings = [Rendering(job.net, scorer.device) for job in jobs if job.net is not None]
    contexts = {rendering.context for rendering in renderings}
    of_context = {
        context: Blocks(scorer.split.recordings, scorer.length, context, SHORTEST_SEGMENT) for context in contexts
    }
    blocks = next(iter(of_context.values())).blocks
    label = jobs[0].label if len(jobs) == 1 else f"{jobs[0].label} and {len(jobs) - 1} more"
    for index, block in enumerate(tqdm(blocks, desc=label, unit="segment", leave=False)):
        segments = {context: split[index] for context, split in of_context.items()}
        outputs = []
        for rendering, level in zip(renderings, levels, strict=True):
            if not block.start:
                rendering.begin()
            output, target = rendering.block(segments[rendering.context])
            if output.shape != target.shape:
                raise ValueError(f"its output has shape {tuple(output.shape)}, the target {tuple(target.shape)}")
            if not level.add(output, target):
                raise ValueError(
                    f"its output for {block.recording.input} is not finite between samples {block.start} and "
                    f"{block.start + block.frames}. Train it again, with a smaller optimizer.lr or a gradient_clip_val"
                )
            outputs.append(output)
        yield block, torch.cat(outputs), target


class _Levels:
    """Energy of output and target over the test split, and what they have in common."""

    def __init__(self) -> None:
        self.output = self.target = self.product = 0.0

    def add(self, output: Tensor, target: Tensor) -> bool:
        """Adds a block; false if its output holds NaN or infinity."""
        x, y = output.double().flatten(), target.double().flatten()
        energy = float(x @ x)
        self.output += energy
        self.target += float(y @ y)
        self.product += float(x @ y)
        return math.isfinite(energy)

    @property
    def difference_db(self) -> float:
        return 10 * math.log10(max(self.output, 1e-30) / max(self.target, 1e-30))

    @property
    def correlation(self) -> float:
        return self.product / max((self.output * self.target) ** 0.5, 1e-30)
