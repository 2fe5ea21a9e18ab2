"""Scores of networks on recordings, as a tidy table: one row for each part of the audio, convention and metric.

A metric is a loss that has ``statistics(output, target)``, sums over the samples of each item and channel, and
``value(sums)``. Its ``pool`` says what a row stands for: for ``"item"`` one block; for ``"batch"`` a group of 128
blocks, whose sums are added first, as in the paper's evaluation with its batches of 128. It may have

- ``score_sign``: −1 for a loss that is the negative of a score; a row is the score itself.
- ``draw(seed, samples, device)`` (random resolutions): drawn for each row by the row's number, so that every network
  meets the same draws.
- ``at(sample_rate)``: the metric for recordings of this rate in Hz.

Blocks are scored one at a time and sums kept in float64, so that no score depends on a batch size or on what came
before, nor on which other networks are scored with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from auraloss import together
from data.segments import Block
from scripts.scoring import spectra

GROUP = 128  # blocks in a row of a pooled metric: the batch size of the paper's evaluation


@dataclass(frozen=True)
class Score:
    """A row. Those of a pooled metric span several recordings and leave recording, setting and start empty."""

    convention: str
    metric: str
    recording: str
    setting: str
    segment: int
    start: int | None  # samples
    samples: int
    value: float
    model: int = 0  # number of the output, where several are scored at once


@torch.inference_mode()
def score(
    pairs: Iterable[tuple[Block, Tensor, Tensor]], conventions: Mapping[str, Mapping[str, Any]], shortest: int
) -> Iterator[Score]:
    """Scores outputs against their targets.

    Args:
        pairs: block, output and target in the order of the split. The output has shape ``(models, channels, samples)``,
            for every block as many models; the target ``(1, channels, samples)``.
        conventions: metrics by name, by name of the convention.
        shortest: samples of the shortest block; random resolutions are drawn to fit it.

    Raises:
        ValueError: if a metric is none that can be scored, or a block is too short for it.
    """
    metrics = {(convention, name): m for convention, named in conventions.items() for name, m in named.items()}
    for (convention, name), metric in metrics.items():
        needed = ("at", "pool") if hasattr(metric, "at") else ("statistics", "value", "pool")
        if not all(hasattr(metric, attribute) for attribute in needed):
            raise ValueError(
                f"{convention}.{name}: a metric needs statistics, value and pool, as auraloss.base.Loss has"
            )
    groups: dict[tuple[str, str], _Group] = {}
    for index, (block, output, target) in enumerate(pairs):
        samples = output.shape[-1]
        number = {key: index // GROUP if metric.pool == "batch" else index for key, metric in metrics.items()}
        frozen = {
            key: _frozen(metric, number[key], shortest, block.recording.sample_rate, output.device)
            for key, metric in metrics.items()
        }
        try:
            named = {".".join(key): metric for key, metric in frozen.items()}
            found = together.statistics(named, output, target, spectra.distances)
        except ValueError as error:
            raise ValueError(f"{block.recording.target}, {samples} samples: {error}") from error
        for key, metric in metrics.items():
            sums = found[".".join(key)]
            if metric.pool == "batch":
                if key in groups and number[key] != groups[key].number:
                    yield from groups.pop(key).scores(*key)
                groups.setdefault(key, _Group(number[key])).add(frozen[key], sums, samples)
                continue
            recording, place = block.recording, (block.number, block.start, samples)
            for model, value in enumerate(_natural(metric, frozen[key].value(sums).flatten(1).mean(1))):
                yield Score(*key, recording.id, recording.setting, *place, value, model)
    for key, group in groups.items():
        yield from group.scores(*key)


def _frozen(metric: Any, number: int, shortest: int, sample_rate: int, device: torch.device) -> Any:
    """The metric for one row."""
    if hasattr(metric, "at"):
        metric = metric.at(sample_rate)
    return metric.draw(number, shortest, device) if hasattr(metric, "draw") else metric


def _natural(metric: Any, values: Tensor) -> list[float]:
    """Scores from losses: a loss that is the negative of a score changes its sign."""
    sign = getattr(metric, "score_sign", 1)
    return [sign * value for value in values.tolist()]


class _Group:
    """The sums of the blocks of one row of a pooled metric, for each model."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.samples = 0
        self.sums: Tensor | None = None

    def add(self, metric: Any, sums: Tensor, samples: int) -> None:
        total = sums.flatten(1, -2).sum(1)
        self.sums = total if self.sums is None else self.sums + total
        self.metric = metric
        self.samples += samples

    def scores(self, convention: str, name: str) -> Iterator[Score]:
        for model, value in enumerate(_natural(self.metric, self.metric.value(self.sums))):
            yield Score(convention, name, "", "", self.number, None, self.samples, value, model)
