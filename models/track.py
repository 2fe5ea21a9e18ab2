"""A signal's past for compiled loops: `models.line.Line` with the samples of a channel side by side."""

from __future__ import annotations

from torch import Tensor

from models.compiled import arrays
from models.kernels import SLACK


class Track:
    """A delay line, ``samples`` ``(B, channels, …)``: the last `span` samples, and the newest block behind them.

    Where the room ends, the last `span` samples move to the front.

    Args:
        past: the sample that fills the line at first, ``(B, channels)``.
        span: samples to remember besides a block.
        longest: samples of the longest block.
    """

    def __init__(self, past: Tensor, span: int, longest: int) -> None:
        self.room = 2 * span + longest
        (self.samples,) = arrays(past.unsqueeze(-1).repeat(1, 1, self.room + SLACK))
        self.span = self.end = span

    def slot(self, count: int) -> int:
        """Where the newest block of `count` samples has to be written."""
        start = self.end
        if start + count > self.room:
            self.samples[..., : self.span] = self.samples[..., start - self.span : start]  # never overlap
            start = self.span
        self.end = start + count
        return start
