"""Losses made for a sample rate: the sizes of the literature, which are for 44.1 kHz, kept in seconds.

A window of 600 samples lasts 13.6 ms at 44.1 kHz and 37.5 ms at 16 kHz, where it is another loss.
"""

import math
from collections.abc import Callable
from typing import Any

from auraloss.freq import MultiResolutionSTFTLoss, RandomResolutionSTFTLoss, STFTLoss
from auraloss.perceptual import FIRFilter

REFERENCE_RATE = 44_100  # Hz, of the sizes below
RESOLUTIONS = ((120, 600), (240, 1200), (50, 240))  # hop and window
MEL_RESOLUTIONS = ((32, 5), (64, 10), (128, 20), (256, 40), (512, 80), (1024, 160), (2048, 320))  # window, bands


def stft(sample_rate: float, **options: Any) -> STFTLoss:
    """`STFTLoss` with a window of 23.2 ms, a quarter of it as hop.

    Args:
        sample_rate: in Hz.
        **options: arguments of `STFTLoss` other than sizes.

    >>> stft(48_000)
    STFTLoss(fft_size=2048, hop_size=279, win_length=1115, sample_rate=48000)
    """
    samples = _samples_at(sample_rate)
    win_length = samples(1024)
    return STFTLoss(_power_of_two(win_length), samples(256), win_length, sample_rate=sample_rate, **options)


def multi_resolution_stft(sample_rate: float, **options: Any) -> MultiResolutionSTFTLoss:
    """`MultiResolutionSTFTLoss` with windows of 13.6, 27.2 and 5.4 ms, FFTs of one and a half windows or more.

    Args:
        sample_rate: in Hz.
        **options: arguments of `MultiResolutionSTFTLoss` other than sizes.

    Source: Steinmetz & Reiss, auraloss, 2020, for 44.1 kHz; Yamamoto et al., Parallel WaveGAN, 2020, had the same
    sizes at 24 kHz.

    >>> multi_resolution_stft(44_100).fft_sizes, multi_resolution_stft(16_000).win_lengths
    ((1024, 2048, 512), (218, 435, 87))
    """
    samples = _samples_at(sample_rate)
    hop_sizes, win_lengths = zip(*((samples(hop), samples(window)) for hop, window in RESOLUTIONS), strict=True)
    fft_sizes = [_power_of_two(1.5 * length) for length in win_lengths]
    return MultiResolutionSTFTLoss(fft_sizes, hop_sizes, win_lengths, sample_rate=sample_rate, **options)


def random_resolution_stft(sample_rate: float, **options: Any) -> RandomResolutionSTFTLoss:
    """`RandomResolutionSTFTLoss` with FFTs of 0.36 ms to 0.74 s, to the nearest power of two.

    Args:
        sample_rate: in Hz.
        **options: arguments of `RandomResolutionSTFTLoss` other than sizes.

    >>> random_resolution_stft(96_000).max_fft_size
    65536
    """
    smallest, largest = (2 ** round(math.log2(_samples_at(sample_rate)(size))) for size in (16, 32_768))
    return RandomResolutionSTFTLoss(
        min_fft_size=max(smallest, 4), max_fft_size=largest, sample_rate=sample_rate, **options
    )


def multi_resolution_mel(sample_rate: float, **options: Any) -> MultiResolutionSTFTLoss:
    """Log-magnitude distance of mel spectra at seven resolutions, from 0.7 ms and 5 bands to 46 ms and 320 bands.

    Args:
        sample_rate: in Hz.
        **options: arguments of `MultiResolutionSTFTLoss` other than sizes, bands and weights.

    Windows and bands are those of Kumar et al., High-fidelity audio compression with improved RVQGAN, 2023; their loss
    itself is `auraloss.freq.MultiScaleMelLoss`.

    >>> multi_resolution_mel(44_100).n_bins
    (5, 10, 20, 40, 80, 160, 320)
    """
    samples = _samples_at(sample_rate)
    windows, bands = zip(*MEL_RESOLUTIONS, strict=True)
    win_lengths = [samples(window) for window in windows]
    fft_sizes = [_power_of_two(length) for length in win_lengths]
    hop_sizes = [max(1, length // 4) for length in win_lengths]
    return MultiResolutionSTFTLoss(
        fft_sizes, hop_sizes, win_lengths, w_sc=0.0, sample_rate=sample_rate, scale="mel", n_bins=bands, **options
    )


def pre_emphasis(sample_rate: float, filter_type: str = "hp") -> FIRFilter:
    """`FIRFilter` whose response over Hz is that of `coef=0.85` at 44.1 kHz, `coef = 0.85^(44100 Hz / sample_rate)`.

    Args:
        sample_rate: in Hz.
        filter_type: `"hp"`, `"fd"` or `"aw"`.

    Source: Wright & Välimäki, Perceptual loss function for neural modelling of audio systems, 2020.

    >>> pre_emphasis(88_200).coef == 0.85**0.5
    True
    """
    _samples_at(sample_rate)
    return FIRFilter(filter_type, coef=0.85 ** (REFERENCE_RATE / sample_rate), fs=sample_rate)


def _samples_at(sample_rate: float) -> Callable[[int], int]:
    """Converts samples at 44.1 kHz."""
    if not 0 < sample_rate < math.inf:
        raise ValueError(f"sample_rate={sample_rate} must be a positive number of Hz.")
    return lambda samples: max(1, round(samples * sample_rate / REFERENCE_RATE))


def _power_of_two(at_least: float) -> int:
    return 1 << math.ceil(math.log2(max(at_least, 4)))
