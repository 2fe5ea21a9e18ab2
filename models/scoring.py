"""Scores of networks on recordings, as a tidy table: one row for each part of the audio, convention and metric.

A metric is a loss that has ``statistics(output, target)``, sums over the samples of each item and channel, and
``value(sums)``. Its ``pool`` says what a row stands for: for ``"item"`` one block; for ``"batch"`` a group of 128
blocks, whose sums are added first, as in the paper's evaluation with its batches of 128. A metric with ``draw`` (random
resolutions) is drawn for each row by the row's number, so that every network meets the same draws.

Blocks are scored one at a time and sums kept in float64, so that no score depends on a batch size or on what came
before.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from models.net import Net

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


class Unprocessed(Net):
    """The network that does nothing: its score says what a trained one has to beat."""

    receptive_field = 1
    lookahead = 0

    def forward(self, x: Tensor, controls: Tensor) -> Tensor:
        return x


@torch.inference_mode()
def render(net: Net, segment: Any, device: torch.device | str = "cpu") -> tuple[Tensor, Tensor]:
    """The network's output for one segment, and the samples of the target that belong to it.

    Shape:
        segment.input, segment.target ``(channels, T)`` → twice ``(1, channels, T − receptive_field + 1)``.
    """
    output = net(segment.input[None].to(device), segment.controls[None].to(device))
    return output.float(), net.align(segment.target[None]).to(device)


@torch.inference_mode()
def score(
    pairs: Iterable[tuple[Any, Tensor, Tensor]], conventions: Mapping[str, Mapping[str, Any]], shortest: int
) -> Iterator[Score]:
    """Scores outputs against their targets.

    Args:
        pairs: ``(block, output, target)`` in the order of the split; a block has ``recording`` (with ``id`` and
        ``setting``),
            ``number`` and ``start``; output and target have shape ``(1, channels, samples)``.
        conventions: metrics by name, by name of the convention.
        shortest: samples of the shortest block; random resolutions are drawn to fit it.

    Raises:
        ValueError: if a metric is none that can be scored, or a block is too short for it.
    """
    metrics = [(convention, name, m) for convention, of in conventions.items() for name, m in of.items()]
    for convention, name, metric in metrics:
        if not all(hasattr(metric, needed) for needed in ("statistics", "value", "pool")):
            raise ValueError(
                f"{convention}.{name}: a metric needs statistics, value and pool, as auraloss.base.Loss has"
            )
    groups: dict[tuple[str, str], _Group] = {}
    for index, (block, output, target) in enumerate(pairs):
        samples = output.shape[-1]
        for convention, name, metric in metrics:
            pooled = metric.pool == "batch"
            number = index // GROUP if pooled else index
            group = groups.setdefault((convention, name), _Group(number))
            if pooled and number != group.number:
                yield group.score(convention, name)
                group = groups[convention, name] = _Group(number)
            frozen = metric.draw(number, shortest, output.device) if hasattr(metric, "draw") else metric
            try:
                sums = frozen.statistics(output, target).double().cpu()
            except ValueError as error:
                raise ValueError(
                    f"{block.recording.target}, {samples} samples: {convention}.{name}: {error}"
                ) from error
            if pooled:
                group.add(frozen, sums, samples)
            else:
                value = float(frozen.value(sums).mean())
                recording = block.recording
                yield Score(
                    convention,
                    name,
                    recording.id,
                    recording.setting,
                    block.number,
                    block.start,
                    samples,
                    value,
                )
    for (convention, name), group in groups.items():
        if group.samples:
            yield group.score(convention, name)


class _Group:
    """The sums of the blocks of one row of a pooled metric."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.samples = 0
        self.sums: Tensor | None = None

    def add(self, metric: Any, sums: Tensor, samples: int) -> None:
        total = sums.flatten(0, -2).sum(0)
        self.sums = total if self.sums is None else self.sums + total
        self.metric = metric
        self.samples += samples

    def score(self, convention: str, name: str) -> Score:
        value = float(self.metric.value(self.sums))
        return Score(convention, name, "", "", self.number, None, self.samples, value)
