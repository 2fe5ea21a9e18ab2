"""What 0.4.0 has not: chroma, which cannot be constructed there, and keywords of its repository's later version."""

import librosa
import numpy as np
import pytest
import torch
from torch import Tensor

import auraloss
from tests.material import MATERIALS, Array, music

NAMES = {"freq": auraloss.freq}


def magnitudes(signal: Tensor, fft_size: int, hop: int, window: Array) -> Array:
    """Reflected at both ends, framed, windowed, transformed, in float64: `(bins, frames)`, at least 1e-4."""
    padded = np.pad(signal[0, 0].double().numpy(), fft_size // 2, mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(padded, fft_size)[::hop]
    power: Array = np.abs(np.fft.rfft(frames * window)) ** 2
    return np.sqrt(np.maximum(power, 1e-8)).T


def hann(length: int) -> Array:
    """Periodic, as torch makes it."""
    return 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(length) / length)


@pytest.mark.parametrize("material", ["noise", "music"])
@pytest.mark.parametrize(
    ("call", "fft_size", "hop", "bands"),
    [
        ("freq.ChromaSTFTLoss(44100)", 1024, 256, 12),
        ("freq.ChromaSTFTLoss(44100, 2048, 300, 2048, n_chroma=24)", 2048, 300, 24),
        ("freq.STFTLoss(2048, 512, 2048, sample_rate=44100, scale='chroma', n_bins=12)", 2048, 512, 12),
    ],
)
def test_chroma_against_librosa(call: str, fft_size: int, hop: int, bands: int, material: str) -> None:
    signals = MATERIALS[material](1)
    filters = librosa.filters.chroma(sr=44100, n_fft=fft_size, n_chroma=bands).astype(np.float64)
    x, y = (filters @ magnitudes(signal, fft_size, hop, hann(fft_size)) for signal in signals)
    expected = np.linalg.norm(y - x) / np.linalg.norm(y) + np.abs(np.log(y) - np.log(x)).mean()
    assert eval(call, NAMES)(*signals).item() == pytest.approx(expected, rel=1e-5)


def test_chroma_takes_the_published_arguments_in_order() -> None:
    arguments = "44100, 1024, 200, 800, 'hamming_window', 0.5, 2.0, 0.3, 0.0"
    loss = eval(f"freq.ChromaSTFTLoss({arguments}, 24, eps=1e-6, mag_distance='L2')", NAMES)
    same = eval(
        f"freq.STFTLoss({arguments[7:]}, sample_rate=44100, scale='chroma', n_bins=24, eps=1e-6, mag_distance='L2')",
        NAMES,
    )
    assert loss(*music()) == same(*music())


@pytest.mark.parametrize("material", ["noise", "music"])
@pytest.mark.parametrize("distance", ["L1", "L2"])
@pytest.mark.parametrize(("log_eps", "log_fac"), [(0.0, 10.0), (1.0, 1.0), (0.5, 100.0)])
def test_later_keywords_against_numpy(material: str, distance: str, log_eps: float, log_fac: float) -> None:
    signals = MATERIALS[material](1)
    x, y = (magnitudes(signal, 512, 128, hann(512)) for signal in signals)
    difference = np.log(log_fac * y + log_eps) - np.log(log_fac * x + log_eps)
    log = (np.abs(difference) if distance == "L1" else difference**2).mean()
    keywords = {"log_eps": log_eps, "log_fac": log_fac}
    of_magnitudes = auraloss.freq.STFTMagnitudeLoss(distance=distance, **keywords)
    assert of_magnitudes(torch.tensor(x[None]), torch.tensor(y[None])).item() == pytest.approx(log, rel=1e-7)
    stft = auraloss.freq.STFTLoss(512, 128, 512, mag_distance=distance, **keywords)
    convergence = np.linalg.norm(y - x) / np.linalg.norm(y)
    assert stft(*signals).item() == pytest.approx(convergence + log, rel=1e-5)
    several = auraloss.freq.MultiResolutionSTFTLoss([512], [128], [512], mag_distance=distance, **keywords)
    assert several(*signals) == stft(*signals)
