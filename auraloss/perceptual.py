"""What comes before a loss: pre-emphasis, A-weighting, sum and difference of stereo, and the losses with these."""

import math
from functools import lru_cache
from itertools import chain
from typing import Any

import scipy.signal
import torch
from torch import Tensor

from auraloss.base import Constants, Loss, Output, check_choice
from auraloss.recursive import recursive_filter


class SumAndDifference(torch.nn.Module):
    """Sum and difference of the two channels of stereo audio.

    Shape:
        - input: `(batch, 2, samples)`.
        - output: two tensors `(batch, 1, samples)`: left + right, left − right.

    >>> SumAndDifference()(torch.tensor([[[1.0], [3.0]]]))
    (tensor([[[4.]]]), tensor([[[-2.]]]))

    Raises:
        ValueError: if there are not two channels.
    """

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        if x.ndim < 2 or x.shape[-2] != 2:
            raise ValueError(f"SumAndDifference: needs (batch, 2, samples), got {tuple(x.shape)}.")
        left, right = x.split(1, -2)
        return left + right, left - right


@lru_cache
def a_weighting_taps(sample_rate: float, ntaps: int) -> tuple[float, ...]:
    """Linear-phase FIR taps fitted by least squares to the A-weighting curve of IEC 61672.

    Four zeros at 0 Hz; poles at 20.6 Hz and 12,194 Hz (double), 107.7 Hz and 737.9 Hz; 0 dB at 1 kHz.
    """
    poles = [-2 * math.pi * f for f in (20.598997, 20.598997, 107.65265, 737.86223, 12194.217, 12194.217)]
    gain = poles[-1] ** 2 * 10 ** (1.9997 / 20)
    digital = scipy.signal.bilinear_zpk([0.0] * 4, poles, gain, sample_rate)
    frequencies, response = scipy.signal.freqz_zpk(*digital, worN=512, fs=sample_rate)
    taps = scipy.signal.firls(ntaps, frequencies, abs(response), fs=sample_rate)
    return tuple(float(tap) for tap in taps)


BLOCK = 128
"""Samples that the filter makes at once."""


class FIRFilter(Constants):
    """FIR filter for input and target of a loss.

    - `"hp"`: first-order high-pass, `y[n] = x[n] − coef·x[n−1]`
    - `"fd"`: folded differentiator, `y[n] = x[n] − coef·x[n−2]`
    - `"aw"`: A-weighting, linear phase; its delay of `(ntaps − 1)/2` samples is taken back. 101 taps at 44.1 kHz
      are within 2 dB of IEC 61672 from 125 Hz to 8 kHz; at 31.5 Hz they take 20 dB instead of 39.

    Args:
        filter_type: `"hp"`, `"fd"` or `"aw"`.
        coef: coefficient of `"hp"` and `"fd"`; the default suits 44.1 kHz.
        fs: sample rate in Hz, for `"aw"`.
        ntaps: number of taps of `"aw"`, odd.
        plot: show the magnitude response (needs matplotlib).

    Shape:
        - input, target: `[*, T]`, any number of channels; both filtered alike.
        - output: two tensors `[*, T]`; samples before the first and after the last are zero.

    Raises:
        ValueError: for another `filter_type`, an even `ntaps`, or an `fs` that is not positive.

    Source: Wright & Välimäki, Perceptual loss function for neural modelling of audio systems, 2020.

    >>> impulse = torch.tensor([[[0.0, 1.0, 0.0, 0.0]]])
    >>> FIRFilter("fd", coef=0.5).filter(impulse)
    tensor([[[ 0.0000,  1.0000,  0.0000, -0.5000]]])
    """

    taps: Tensor

    def __init__(
        self, filter_type: str = "hp", coef: float = 0.85, fs: float = 44100, ntaps: int = 101, plot: bool = False
    ) -> None:
        super().__init__()
        check_choice("filter_type", filter_type, ("hp", "fd", "aw"))
        if ntaps < 1 or ntaps % 2 == 0:
            raise ValueError(f"FIRFilter: ntaps={ntaps} must be odd and positive.")
        if not 0 < fs < math.inf:
            raise ValueError(f"FIRFilter: fs={fs} must be a positive number of Hz.")
        self.filter_type = filter_type
        self.coef = coef
        self.fs = fs
        self.ntaps = ntaps
        if filter_type == "aw":
            taps = a_weighting_taps(fs, ntaps)
        else:
            taps = (1.0, -coef) if filter_type == "hp" else (1.0, 0.0, -coef)
        self.register_buffer("taps", torch.tensor(taps))
        if plot:
            self.plot_response()

    def filter(self, x: Tensor) -> Tensor:
        """Filter one signal, `[*, T]` → `[*, T]`."""
        signal = x.to(torch.promote_types(x.dtype, torch.float32)).reshape(-1, x.shape[-1])
        samples, count = x.shape[-1], self.taps.numel()
        blocks = -(-samples // BLOCK)
        before = (count - 1) // 2 if self.filter_type == "aw" else count - 1
        padded = torch.nn.functional.pad(signal, (before, blocks * BLOCK - samples + count - 1 - before))
        # A block of output is a product of the samples that reach it with one banded matrix: on a CPU several
        # times as fast as conv1d, in both directions, and just as exact.
        reach = BLOCK + count - 1
        taps = torch.nn.functional.pad(self.taps.to(signal).flip(0), (BLOCK - 1, BLOCK - 1))
        matrix = taps.unfold(0, reach, 1).flip(0).mT
        with torch.autocast(x.device.type, enabled=False):
            filtered = padded.unfold(-1, reach, BLOCK).reshape(-1, reach) @ matrix
        return filtered.view(len(signal), -1)[:, :samples].reshape(x.shape)

    def forward(self, input: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        return self.filter(input), self.filter(target)

    def plot_response(self) -> None:
        """Show the magnitude response, in dB over Hz (needs matplotlib)."""
        from matplotlib import pyplot

        frequencies, response = scipy.signal.freqz(self.taps.numpy(force=True), worN=2048, fs=self.fs)
        axes = pyplot.figure().add_subplot(
            xscale="log", xlabel="frequency / Hz", ylabel="magnitude / dB", title=repr(self)
        )
        axes.plot(frequencies[1:], 20 * torch.from_numpy(abs(response[1:])).log10())
        axes.grid()
        pyplot.show()

    def extra_repr(self) -> str:
        return f"{self.filter_type!r}, coef={self.coef}, fs={self.fs}, ntaps={self.ntaps}"


def a_weighting(sample_rate: float | None, device: torch.device | str | None = None) -> FIRFilter:
    """The filter of `perceptual_weighting=True`."""
    if sample_rate is None:
        raise ValueError("perceptual_weighting needs the sample_rate.")
    return FIRFilter("aw", fs=sample_rate).to(device)


class DCBlocker(torch.nn.Module):
    """First-order high-pass that takes 0 Hz away and leaves all else as it is, `y[n] = x[n] − x[n−1] + pole·y[n−1]`.

    It takes 3 dB at about `(1 − pole)·fs / 2π`: 35 Hz for the default at 44.1 kHz.

    Args:
        pole: from 0 to below 1; the nearer to 1, the lower the corner.

    Shape:
        - input, target: `[*, T]`, any number of channels; both filtered alike.
        - output: two tensors `[*, T]`; samples before the first are zero.

    Raises:
        ValueError: if `pole` is not from 0 to below 1.

    Source: Wright & Välimäki, Grey-box modelling of dynamic range compression, 2022; Yu & Fazekas, Sound matching an
    analogue levelling amplifier using the Newton-Raphson method, 2025.

    >>> DCBlocker(pole=0.5).filter(torch.tensor([1.0, 1.0, 1.0]))
    tensor([1.0000, 0.5000, 0.2500])
    """

    def __init__(self, pole: float = 0.995) -> None:
        super().__init__()
        if not 0 <= pole < 1:
            raise ValueError(f"DCBlocker: pole={pole} must be from 0 to below 1.")
        self.pole = pole

    def filter(self, x: Tensor) -> Tensor:
        """Filter one signal, `[*, T]` → `[*, T]`."""
        with torch.autocast(x.device.type, enabled=False):
            signal = x.to(torch.promote_types(x.dtype, torch.float32))
            return recursive_filter(signal, [((1.0, -1.0), (1.0, -self.pole))])

    def forward(self, input: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        return self.filter(input), self.filter(target)

    def extra_repr(self) -> str:
        return f"pole={self.pole}"


class PreEmphasis(Loss):
    """A loss of the filtered signals, e.g. ESR with a high-pass before it.

    Args:
        filter: applied to input and target alike; a `FIRFilter`, a `DCBlocker`, or any other module
            `(input, target) → (input, target)`.
        loss: any loss; its `reduction` and `pool` are used.

    >>> from auraloss.time import MSELoss
    >>> loss = PreEmphasis(FIRFilter("hp", coef=1.0), MSELoss())
    >>> loss(torch.tensor([[[1.0, 1.0]]]), torch.tensor([[[0.0, 0.0]]])).item()
    0.5
    """

    def __init__(self, filter: torch.nn.Module, loss: Loss) -> None:
        super().__init__(loss.reduction, loss.pool)
        self.filter = filter
        self.loss = loss
        self.size = loss.size

    def _statistics(self, input: Tensor, target: Tensor) -> tuple[Tensor, ...]:
        return self.loss._statistics(*self.filter(input, target))

    def _prepared(self, target: Tensor) -> Any:
        alone = self._alone()
        return target if alone is None else self.loss._prepared(alone.filter(target))

    def _against(self, input: Tensor, prepared: Any) -> tuple[Tensor, ...]:
        alone = self._alone()
        if alone is None:
            return self._statistics(input, prepared)
        return self.loss._against(alone.filter(input), prepared)

    def _alone(self) -> FIRFilter | DCBlocker | None:
        """The filter, if it is constant and takes one signal at a time; others may need both, or be trained."""
        filter: Any = self.filter
        return filter if type(filter) in (FIRFilter, DCBlocker) else None

    def _value(self, *statistics: Tensor) -> Tensor:
        return self.loss._value(*statistics)

    def _terms(self, *statistics: Tensor) -> dict[str, Tensor]:
        return self.loss._terms(*statistics)


class SumAndDifferenceLoss(Loss):
    """Any loss of sum and difference of two channels, `(w_sum·L₊ + w_diff·L₋) / 2`.

    Args:
        loss: any loss; its `reduction` and `pool` are used.
        w_sum, w_diff: weights of sum and difference.
        output: `"loss"`, or `"full"` for `(loss, loss of the sum, loss of the difference)`.

    Shape:
        - input, target: `(batch, 2, samples)`.
        - output: a scalar, or `(batch, 1)` for `reduction="none"`: an item has one value.

    Raises:
        ValueError: if there are not two channels.

    Source: Steinmetz et al., Automatic multitrack mixing with a differentiable mixing console, 2021.

    >>> from auraloss.time import L1Loss
    >>> stereo, swapped = torch.tensor([[[1.0], [3.0]]]), torch.tensor([[[3.0], [1.0]]])
    >>> SumAndDifferenceLoss(L1Loss(), output="full")(swapped, stereo)
    (tensor(2.), tensor(0.), tensor(4.))
    """

    def __init__(self, loss: Loss, w_sum: float = 1.0, w_diff: float = 1.0, output: str = "loss") -> None:
        super().__init__(loss.reduction, loss.pool)
        check_choice("output", output, ("loss", "full"))
        self.loss = loss
        self.w_sum = w_sum
        self.w_diff = w_diff
        self.output = output
        self.size = 2 * loss.size
        self.sd = SumAndDifference()

    def _statistics(self, input: Tensor, target: Tensor) -> tuple[Tensor, ...]:
        pairs = zip(self.sd(input), self.sd(target), strict=True)
        return tuple(chain.from_iterable(self.loss._statistics(x, y) for x, y in pairs))

    def _prepared(self, target: Tensor) -> Any:
        return [self.loss._prepared(signal) for signal in self.sd(target)]

    def _against(self, input: Tensor, prepared: Any) -> tuple[Tensor, ...]:
        pairs = zip(self.sd(input), prepared, strict=True)
        return tuple(chain.from_iterable(self.loss._against(x, y) for x, y in pairs))

    def _terms(self, *statistics: Tensor) -> dict[str, Tensor]:
        half = self.loss.size
        return {"sum": self.loss._value(*statistics[:half]), "difference": self.loss._value(*statistics[half:])}

    def _value(self, *statistics: Tensor) -> Tensor:
        terms = self._terms(*statistics)
        return (self.w_sum * terms["sum"] + self.w_diff * terms["difference"]) / 2

    def _result(self, *statistics: Tensor) -> Output:
        report = self._named(*statistics)
        return report["loss"] if self.output == "loss" else tuple(report.values())
