"""A signal's past, to which new samples are appended, and which is read where it lies."""

from __future__ import annotations

from torch import Tensor


class Line:
    """A delay line: the last `span` samples, and the newest block.

    New samples are written behind the others. Where the room ends, the last `span` of them move to the front; as there
    is room for as many, each sample is moved about once, and memory never grows.

    Args:
        past: the sample that fills the line at first, ``(B, channels)``.
        span: samples to remember besides a block.
        longest: samples of the longest block.
    """

    def __init__(self, past: Tensor, span: int, longest: int) -> None:
        self.samples = past.repeat(2 * span + longest, 1, 1)
        self.span = span
        self.end = span

    def slot(self, count: int) -> Tensor:
        """Where the newest block of `count` samples has to be written, ``(count · B, channels)``."""
        if self.end + count > len(self.samples):
            self.samples[: self.span] = self.samples[self.end - self.span : self.end]  # never overlap
            self.end = self.span
        self.end += count
        return self.delayed(count, 0)

    def delayed(self, count: int, delay: int) -> Tensor:
        """The newest block as it was `delay` samples ago, at most `span`: ``(count · B, channels)``."""
        stop = self.end - delay
        return self.samples[stop - count : stop].flatten(0, 1)

    def past(self, count: int) -> Tensor:
        """The newest block and the `span` samples before it, ``((span + count) · B, channels)``."""
        return self.samples[self.end - count - self.span : self.end].flatten(0, 1)

    def side_by_side(self, count: int, taps: int, dilation: int) -> Tensor:
        """The newest block at every tap of a kernel, oldest first, ``(count · B, taps, channels)``; a view."""
        _, items, channels = self.samples.shape
        rows = (count * items, taps, channels)
        return self.past(count).as_strided(rows, (channels, dilation * items * channels, 1))
