"""Recursive (IIR) filters without a loop over samples: as a product of spectra.

A recursive filter rings on, but not for ever: after some thousands of samples nothing of its impulse response is left.
A transform that is longer than the signal by as much holds all of it.
"""

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

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
    spectrum = torch.fft.rfft(signal, size)
    response = torch.as_tensor(_response(tuple(sections), size)).to(spectrum)
    return torch.fft.irfft(spectrum * response, size)[..., :samples]


@lru_cache(maxsize=2)  # to compute it takes longer than both transforms; to keep it, as much memory as a signal
def _response(sections: tuple[Section, ...], size: int) -> Any:
    """The filters' response at the frequencies of a transform over `size` samples, an array of complex128."""
    angles = 2 * math.pi * scipy.fft.rfftfreq(size)
    return math.prod(scipy.signal.freqz(*section, worN=angles)[1] for section in sections)


def _ringing(section: Section) -> int:
    """Samples until the impulse response has ended."""
    slowest = max((abs(pole) for pole in scipy.signal.tf2zpk(*section)[1]), default=0.0)
    if not slowest < 1:
        raise ValueError(f"b={section[0]}, a={section[1]} is no stable filter: a pole has the magnitude {slowest}.")
    return math.ceil(math.log(FORGOTTEN) / math.log(slowest)) if slowest > 0 else len(section[0])
