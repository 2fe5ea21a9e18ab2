"""Scores of networks on recordings, as a tidy table: one row for each part of the audio, convention and metric.

A metric is one of `scripts.scoring.metrics`. Its ``pool`` says what a row stands for: for ``"item"`` one block; for
``"batch"`` a group of 128 blocks, whose sums are added first, as in the paper's evaluation with its batches of 128. Of
a loss that is the negative of a score, with a ``score_sign`` of −1, a row is the score itself. A metric that draws at
random draws for each row by the row's number, so that every network meets the same draws.

Blocks are scored one at a time and sums kept in float64, so that no score depends on a batch size or on what came
before, nor on which other networks are scored with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from auraloss import together
from data.segments import Block
from scripts.scoring import spectra
from scripts.scoring.metrics import Metric, MetricOfRate, RandomMetric

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
    pairs: Iterable[tuple[Block, Tensor, Tensor]],
    conventions: Mapping[str, Mapping[str, Metric | MetricOfRate]],
    shortest: int,
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
        if not isinstance(metric, Metric | MetricOfRate):
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
                groups.setdefault(key, _Group(number[key], frozen[key])).add(sums, samples)
                continue
            recording, place = block.recording, (block.number, block.start, samples)
            for model, value in enumerate(_natural(frozen[key], frozen[key].value(sums).flatten(1).mean(1))):
                yield Score(*key, recording.id, recording.setting, *place, value, model)
    for key, group in groups.items():
        yield from group.scores(*key)


def _frozen(
    metric: Metric | MetricOfRate, number: int, shortest: int, sample_rate: int, device: torch.device
) -> Metric:
    """The metric for one row."""
    of_rate = metric.at(sample_rate) if isinstance(metric, MetricOfRate) else metric
    return of_rate.draw(number, shortest, device) if isinstance(of_rate, RandomMetric) else of_rate


def _natural(metric: Metric, values: Tensor) -> list[float]:
    """Scores from losses: a loss that is the negative of a score changes its sign."""
    sign = getattr(metric, "score_sign", 1)
    return [sign * value for value in values.tolist()]


class _Group:
    """The sums of the blocks of one row of a pooled metric, for each model."""

    def __init__(self, number: int, metric: Metric) -> None:
        self.number = number
        self.metric = metric
        self.samples = 0
        self.sums = torch.zeros((), dtype=torch.float64)

    def add(self, sums: Tensor, samples: int) -> None:
        self.sums = self.sums + sums.flatten(1, -2).sum(1)
        self.samples += samples

    def scores(self, convention: str, name: str) -> Iterator[Score]:
        for model, value in enumerate(_natural(self.metric, self.metric.value(self.sums))):
            yield Score(convention, name, "", "", self.number, None, self.samples, value, model)
