"""Optimal transport between spectra: how far energy has to be moved along the frequency axis."""

import torch
from torch import Tensor

from auraloss.base import Loss
from auraloss.magnitude import root
from auraloss.spectrum import Window, check_length, check_sizes, make_window, spectrum
from auraloss.stft import audible


class SpectralTransportLoss(Loss):
    """Spectral optimal transport: mean over frames of the Wasserstein distance between two power spectra.

    `mean_t (∫₀¹ |F⁻¹(r) − G⁻¹(r)|^order dr)^(1/order)`

    with `F` and `G` the cumulative power of a frame of input and target over frequency, each divided by its total, and
    frequency from 0 to 1 at half the sample rate. Between two tones it is their distance in frequency, however far they
    are apart: where magnitudes no longer overlap and other spectral losses lose their slope, this one leads there. It
    is blind to level.

    Args:
        fft_size, hop_size, win_length: in samples, `win_length <= fft_size`.
        window: see `STFTLoss`; one with low side lobes keeps what is far away from a tone out of its distance.
        order: 1 or 2, of the distance.
        eps: floor of the power in a bin; a frame of silence is flat.
        reduction, pool: see `auraloss.base.Loss`.

    Shape:
        - input, target: `[*, T]`, `T > fft_size // 2`.
        - output: a scalar, or `[*]` for `reduction="none"`.

    Raises:
        ValueError: for sizes that do not fit, another `order`, an `eps` that is not positive, too short signals.

    Source: Torres et al., Unsupervised harmonic parameter estimation using differentiable DSP and spectral optimal
    transport, 2024.

    >>> tones = torch.sin(torch.pi * torch.tensor([[0.25], [0.5]]) * torch.arange(8192))
    >>> SpectralTransportLoss()(tones[0], tones[1])  # 0.25 and 0.5 of half the sample rate
    tensor(0.2502)
    """

    size = 2
    window_values: Tensor

    def __init__(
        self,
        fft_size: int = 2048,
        hop_size: int = 512,
        win_length: int = 2048,
        window: Window = "flattop",
        order: int = 2,
        eps: float = 1e-8,
        reduction: str = "mean",
        pool: str = "item",
    ) -> None:
        super().__init__(reduction, pool)
        check_sizes("SpectralTransportLoss", fft_size, hop_size, win_length)
        if order not in (1, 2):
            raise ValueError(f"SpectralTransportLoss: order={order} is neither 1 nor 2.")
        if not eps > 0:
            raise ValueError(f"SpectralTransportLoss: eps={eps} must be positive.")
        self.fft_size = fft_size
        self.hop_size = hop_size
        self.win_length = win_length
        self.window = window
        self.order = order
        self.eps = eps
        self.register_buffer("window_values", make_window(window, win_length))

    def _statistics(self, input: Tensor, target: Tensor) -> tuple[Tensor, ...]:
        return self._against(input, self._prepared(target))

    def _prepared(self, target: Tensor) -> tuple[Tensor, Tensor]:
        check_length("SpectralTransportLoss", self.fft_size, target.shape[-1])
        return target, self._cumulated(target)

    def _against(self, input: Tensor, prepared: tuple[Tensor, Tensor]) -> tuple[Tensor, ...]:
        target, of_target = prepared
        distance = _distance(self._cumulated(audible(input, target)), of_target, self.order)
        total = distance.sum(-1).view(input.shape[:-1])
        return total, torch.full_like(total, distance.shape[-1])

    def _cumulated(self, signal: Tensor) -> Tensor:
        """Share of the power up to each bin, `[*, T]` → `(rows, frames, bins)`."""
        rows = signal.reshape(-1, signal.shape[-1])
        _, magnitude = spectrum(rows, self.window_values.to(rows), self.fft_size, self.hop_size, self.eps)
        power = magnitude.square()
        return (power / power.sum(-1, keepdim=True)).cumsum(-1)

    def _value(self, total: Tensor, count: Tensor) -> Tensor:
        return total / count


def _distance(x: Tensor, y: Tensor, order: int) -> Tensor:
    """Wasserstein distance of distributions over equally spaced places from 0 to 1, `(rows, frames, bins)` each.

    Between two neighbours of all the values of `F` and `G` both inverses are constant: the integral is a sum.
    """
    last = x.shape[-1] - 1
    levels = torch.cat([x, y], -1).sort(-1).values
    places = [torch.searchsorted(curve.detach(), levels.detach()).clamp(max=last) for curve in (x, y)]
    apart = (places[0] - places[1]).abs().to(levels) / last
    steps = torch.diff(levels, prepend=torch.zeros_like(levels[..., :1]))
    moved = (steps * apart**order).sum(-1)
    return moved if order == 1 else root(moved)
