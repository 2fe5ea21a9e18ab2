"""What every network here is: `receptive_field` and `lookahead`, and the alignment that follows from them."""

from __future__ import annotations

from torch import Tensor, nn


class Net(nn.Module):
    """A network without padding: ``forward(x, controls)`` turns T samples into T − receptive_field + 1.

    Shape:
        x ``(B, in_channels, T)``, controls ``(B, controls)`` → ``(B, out_channels, T − receptive_field + 1)``.
    """

    receptive_field: int
    """Input samples on which an output sample depends."""

    lookahead: int
    """How many of them are later than the output sample; 0 for a causal network."""

    @property
    def context(self) -> tuple[int, int]:
        """Input samples needed before and after the span of the output."""
        return self.receptive_field - 1 - self.lookahead, self.lookahead

    def align(self, signal: Tensor) -> Tensor:
        """Of a signal that spans the same samples as the input, those that belong to the output.

        Output sample 0 belongs to input sample ``receptive_field − 1 − lookahead``.
        """
        before, after = self.context
        return signal[..., before : signal.shape[-1] - after]
