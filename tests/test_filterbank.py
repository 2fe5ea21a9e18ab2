"""Mel and chroma filterbanks: equal to librosa's, and to what follows from their definitions."""

import itertools
import math
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from auraloss.filterbank import chroma_filterbank, mel_filterbank

SAMPLE_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000)
FFT_SIZES = (256, 257, 400, 512, 600, 1000, 1023, 1024, 2048, 4096, 4801, 8192)
N_MELS = (1, 2, 3, 5, 13, 20, 40, 64, 80, 128, 200, 256)
N_CHROMA = (1, 2, 7, 11, 12, 13, 24, 36)  # librosa wraps an odd number of classes in its own way
EITHER = pytest.mark.parametrize("filterbank", [mel_filterbank, chroma_filterbank])


@pytest.fixture(scope="module")
def filters() -> Any:
    import librosa  # here, as it takes a second

    return librosa.filters


def librosa_mel(filters: Any, sample_rate: float, fft_size: int, n_mels: int) -> Tensor:
    return torch.from_numpy(filters.mel(sr=sample_rate, n_fft=fft_size, n_mels=n_mels))


@pytest.mark.filterwarnings("ignore:Empty filters detected:UserWarning")
def test_mel_equals_librosa_without_exactly_its_rows_of_zeros(filters: Any) -> None:
    """A third of a Latin square: each size, sample rate and number of bands meets four of each of the others."""
    for turn, (place, fft_size) in itertools.product(range(2, 12, 3), enumerate(FFT_SIZES)):
        sample_rate, n_mels = SAMPLE_RATES[(place + turn) % 12], N_MELS[(2 * place + turn) % 12]
        expected = librosa_mel(filters, sample_rate, fft_size, n_mels)
        found = mel_filterbank(sample_rate, fft_size, n_mels)
        assert found.dtype == torch.float32
        torch.testing.assert_close(found, expected[expected.any(-1)], atol=1e-6, rtol=0)


def test_librosa_warns_of_the_bands_that_are_left_out(filters: Any) -> None:
    with pytest.warns(UserWarning, match="Empty filters"):
        expected = librosa_mel(filters, 44100, 512, 128)
    empty = int((~expected.any(-1)).sum())
    assert empty > 0
    assert len(mel_filterbank(44100, 512, 128)) == 128 - empty


@settings(deadline=None, max_examples=30, derandomize=True)
@given(st.integers(100, 400_000), st.integers(3, 3000), st.integers(1, 300))
@pytest.mark.filterwarnings("ignore:Empty filters detected:UserWarning")
def test_mel_equals_librosa_wherever_looked(filters: Any, sample_rate: int, fft_size: int, n_mels: int) -> None:
    expected = librosa_mel(filters, sample_rate, fft_size, n_mels)
    # Weights are up to 1 / spacing: at 100 Hz far above 1. What is left of a bin on an edge is rounding.
    peak = 2 * n_mels / sample_rate
    found = mel_filterbank(sample_rate, fft_size, n_mels)
    torch.testing.assert_close(found, expected[expected.amax(-1) > 1e-9 * peak], atol=1e-6 * max(1, peak), rtol=0)


@pytest.mark.parametrize("turn", range(3))
def test_chroma_equals_librosa(filters: Any, turn: int) -> None:
    """Each size with three sample rates, each of these with every number of classes."""
    for place, fft_size in enumerate((3, 4, 16, *FFT_SIZES)):
        sample_rate = (8000, 22050, 44100, 48000, 96000)[(place + turn) % 5]
        for n_chroma in N_CHROMA[turn::3] if fft_size <= 1024 else (12,):
            expected = torch.from_numpy(filters.chroma(sr=sample_rate, n_fft=fft_size, n_chroma=n_chroma))
            found = chroma_filterbank(sample_rate, fft_size, n_chroma)
            assert found.dtype == torch.float32
            torch.testing.assert_close(found, expected, atol=1e-6, rtol=0)


def test_mel_bands_below_1_khz_are_equal_triangles() -> None:
    # 15 mel up to 1 kHz: five edges between six of 0, 200 … 1000 Hz, bins every 100 Hz, height 2 / 400 Hz.
    triangle = torch.tensor([0.0, 0.0025, 0.005, 0.0025, 0.0])
    expected = torch.zeros(4, 11)
    for band in range(4):
        expected[band, 2 * band : 2 * band + 5] = triangle
    torch.testing.assert_close(mel_filterbank(2000, 20, 4), expected)


def test_mel_bands_above_1_khz_are_spaced_by_a_constant_ratio() -> None:
    # Half the sample rate is 42 mel, so 41 bands peak at 1, 2 … 41 mel; 27 mel are a factor of 6.4.
    fft_size = 1 << 14
    peaks = mel_filterbank(12800, fft_size, 41).argmax(-1) * 12800 / fft_size
    expected = [mel * 200 / 3 for mel in range(1, 16)] + [1000 * 6.4 ** (mel / 27) for mel in range(1, 27)]
    torch.testing.assert_close(peaks, torch.tensor(expected), atol=12800 / fft_size, rtol=0)


@pytest.mark.parametrize("sample_rate", [8000, 44100, 96000])
def test_mel_triangles_have_unit_area(sample_rate: int) -> None:
    fft_size = 1 << 15
    areas = mel_filterbank(sample_rate, fft_size, 40).sum(-1) * sample_rate / fft_size
    torch.testing.assert_close(areas, torch.ones(40), atol=2e-3, rtol=0)


def test_neighbouring_mel_triangles_leave_no_gap() -> None:
    # Times half their width they are 1 at the peak; between two peaks, falling and rising slope add up to 1.
    edges = torch.arange(6) * 200.0
    bands = mel_filterbank(2000, 40, 4) * ((edges[2:] - edges[:-2]) / 2)[:, None]
    torch.testing.assert_close(bands.sum(0)[4:17], torch.ones(13))


@pytest.mark.parametrize(("sample_rate", "fft_size", "n_mels"), [(48000, 20, 177), (44100, 10, 71), (44100, 16, 128)])
def test_a_bin_at_half_the_sample_rate_makes_no_mel_band(sample_rate: int, fft_size: int, n_mels: int) -> None:
    # Rounding puts it 1e-16 inside the last triangle.
    bands = mel_filterbank(sample_rate, fft_size, n_mels)
    assert bands.amax(-1).min() > 1e-9 * bands.max()
    assert bands[:, -1].max() < 1e-12


@pytest.mark.parametrize("octave", [4, 5, 6])
def test_a_note_lands_in_its_pitch_class(octave: int) -> None:
    # C is nine semitones below A; A4 = 440 Hz is row 9.
    semitones = torch.arange(12)
    frequencies = 440 * 2 ** (octave - 4 + (semitones - 9) / 12)
    tones = torch.sin(2 * math.pi * frequencies[:, None] * torch.arange(8192) / 44100)
    chroma = torch.fft.rfft(torch.hann_window(8192) * tones).abs() @ chroma_filterbank(44100, 8192).mT
    assert torch.equal(chroma.argmax(-1), semitones)
    assert (chroma[semitones, semitones] > 2 * chroma[semitones, (semitones + 6) % 12]).all()


def test_chroma_of_440_hz_by_hand() -> None:
    # Bin 20 of 22 Hz is A4; a semitone is wider than a bin: exp(−2·d²) for d semitones, one octave below the centre.
    distance = torch.tensor([3.0, 4, 5, 6, 5, 4, 3, 2, 1, 0, 1, 2], dtype=torch.float64)
    bumps = torch.exp(-2 * distance**2)
    expected = bumps / bumps.square().sum().sqrt() * math.exp(-1 / 8)
    torch.testing.assert_close(chroma_filterbank(44000, 2000)[:, 20], expected.float())


def test_chroma_weighs_octaves_by_a_gaussian_around_880_hz() -> None:
    norms = chroma_filterbank(44000, 2000).norm(dim=0)
    for octaves in (-2, -1, 0, 1, 2, 3, 4):
        assert norms[round(40 * 2**octaves)].item() == pytest.approx(math.exp(-(octaves**2) / 8), rel=1e-6)


def test_0_hz_is_a_broad_bin_one_and_a_half_octaves_below_the_next() -> None:
    # Bin 1 at 880 Hz is an A: 0 Hz is half an octave, six semitones, from it; 18 semitones wide.
    distance = torch.tensor([3.0, 2, 1, 0, 1, 2, 3, 4, 5, 6, 5, 4], dtype=torch.float64)
    bumps = torch.exp(-((2 * distance / 18) ** 2) / 2)
    expected = bumps / bumps.square().sum().sqrt() * math.exp(-((1.5 / 2) ** 2) / 2)
    torch.testing.assert_close(chroma_filterbank(8800, 10)[:, 0], expected.float())


def test_octaves_of_a_bin_have_the_same_chroma() -> None:
    bands = chroma_filterbank(44100, 4096)
    classes = bands / bands.norm(dim=0)
    # From bin 17 on all bins are narrower than a semitone.
    torch.testing.assert_close(classes[:, 17:1025], classes[:, 34:2049:2])


@pytest.mark.parametrize("fft_size", [3, 16, 1024, 8192])
@pytest.mark.parametrize("sample_rate", [100, 44100, 1_000_000])
def test_no_pitch_class_is_empty(sample_rate: int, fft_size: int) -> None:
    for n_chroma in (1, 12, 100):
        bands = chroma_filterbank(sample_rate, fft_size, n_chroma)
        assert bands.shape == (n_chroma, fft_size // 2 + 1)
        assert bands.isfinite().all()
        assert bands.any(-1).all()


@EITHER
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, 1024, 12), "sample_rate=0 must be a positive number of Hz"),
        ((-44100, 1024, 12), "sample_rate=-44100 must be a positive"),
        ((math.nan, 1024, 12), "sample_rate=nan must be a positive"),
        ((math.inf, 1024, 12), "sample_rate=inf must be a positive"),
        ((44100, 2, 12), "fft_size=2 must be at least 3"),
        ((44100, 0, 12), "fft_size=0 must be at least 3"),
        ((44100, 1024, 0), r"n_(mels|chroma)=0 must be at least 1"),
        ((44100, 1024, -3), r"n_(mels|chroma)=-3 must be at least 1"),
    ],
)
def test_bad_arguments_are_refused(
    filterbank: Callable[..., Tensor], arguments: tuple[float, int, int], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        filterbank(*arguments)


@EITHER
def test_the_smallest_fft_has_one_bin_in_a_band(filterbank: Callable[..., Tensor]) -> None:
    for bands in (1, 2, 12, 256):
        found = filterbank(44100, 3, bands)
        assert 1 <= len(found) <= bands
        assert (found[:, 1] > 0).all()


@EITHER
def test_a_caller_may_change_its_filterbank(filterbank: Callable[..., Tensor]) -> None:
    first = filterbank(44100, 1024, 12)
    kept = deepcopy(first)
    first.zero_()
    torch.testing.assert_close(filterbank(44100, 1024, 12), kept, atol=0, rtol=0)


@EITHER
def test_a_filterbank_made_in_inference_mode_trains_later(filterbank: Callable[..., Tensor]) -> None:
    with torch.inference_mode():
        made = filterbank(16000, 64, 5)
    for bands in (made, filterbank(16000, 64, 5)):
        spectrum = torch.ones(33, 2, requires_grad=True)
        (bands @ spectrum).sum().backward()
        assert spectrum.grad is not None
        torch.testing.assert_close(spectrum.grad, bands.sum(0)[:, None].expand(33, 2))


@EITHER
def test_the_default_device_is_followed_and_not_remembered(filterbank: Callable[..., Tensor]) -> None:
    with torch.device("meta"):
        assert filterbank(22050, 128, 6).device.type == "meta"
    assert filterbank(22050, 128, 6).device.type == "cpu"
