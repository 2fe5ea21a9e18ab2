"""Recursive (IIR) filters without a loop over samples: as a product of spectra.

A recursive filter rings on, but not for ever: after some thousands of samples nothing of its impulse response is left.
A transform that is longer than the signal by as much holds all of it.
"""

import math
from collections.abc import Sequence

import scipy.fft
import scipy.signal
import torch
from torch import Tensor

Section = tuple[tuple[float, ...], tuple[float, ...]]
"""Coefficients `b` and `a` of `Σ aₖ·y[n−k] = Σ bₖ·x[n−k]`."""
FORGOTTEN = 1e-12
"""What is left of an impulse where its response is taken to have ended."""


def recursive_filter(signal: Tensor, sections: Sequence[Section]) -> Tensor:
    """Filters in a row, each from `b` and `a` of `Σ aₖ·y[n−k] = Σ bₖ·x[n−k]`; before the first sample is silence.

    Shape:
        - signal, output: `[*, T]`, floating point, not half.

    Raises:
        ValueError: for a filter that is not stable.

    >>> recursive_filter(torch.tensor([1.0, 0.0, 0.0]), [((1.0,), (1.0, -0.5))])
    tensor([1.0000, 0.5000, 0.2500])
    """
    samples = signal.shape[-1]
    size = scipy.fft.next_fast_len(samples + max(map(_ringing, sections)), real=True)
    angles = torch.linspace(0, math.pi * (size // 2) / (size / 2), size // 2 + 1, dtype=torch.float64)
    back = torch.polar(torch.ones_like(angles), -angles)  # z⁻¹
    response = torch.ones_like(back)
    for b, a in sections:
        response = response * _polynomial(b, back) / _polynomial(a, back)
    spectrum = torch.fft.rfft(signal, size)
    return torch.fft.irfft(spectrum * response.to(spectrum), size)[..., :samples]


def _ringing(section: Section) -> int:
    """Samples until the impulse response has ended."""
    slowest = max((abs(pole) for pole in scipy.signal.tf2zpk(*section)[1]), default=0.0)
    if not slowest < 1:
        raise ValueError(f"b={section[0]}, a={section[1]} is no stable filter: a pole has the magnitude {slowest}.")
    return math.ceil(math.log(FORGOTTEN) / math.log(slowest)) if slowest > 0 else len(section[0])


def _polynomial(coefficients: Sequence[float], x: Tensor) -> Tensor:
    total = torch.zeros_like(x)
    for coefficient in reversed(coefficients):
        total = total * x + coefficient
    return total
