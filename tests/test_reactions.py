"""What docs/losses.md says that a loss hears and is blind to, measured; and the scale of the picture beside it."""

from __future__ import annotations

import math
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from auraloss.base import Loss
from auraloss.freq import (
    ChromaSTFTLoss,
    MelSTFTLoss,
    MultiResolutionSTFTLoss,
    SpectralConvergenceLoss,
    STFTLoss,
    STFTMagnitudeLoss,
    SumAndDifferenceSTFTLoss,
)
from auraloss.perceptual import FIRFilter, PreEmphasis, SumAndDifferenceLoss
from auraloss.time import ESRLoss, L1Loss, LogCoshLoss, MSELoss, SDSDRLoss, SISDRLoss, SNRLoss
from scripts import reactions
from scripts.reactions import Change, Rating, like, noisy, one_flipped, shifted, without_octave

LOSSES = reactions.losses()
WAVEFORM = ("L1", "MSE", "ESR", "ESR, pre-emphasis", "log-cosh", "SNR", "SD-SDR")
MAGNITUDES = ("STFT", "STFT, A-weighted", "MR", "RR, one draw", "mel", "multi-scale mel", "chroma")
LEVELS = ("gain reduction", "loudness", "cumulative energy")


@cache
def whole() -> Tensor:
    """The picture's signal."""
    return reactions.signal()


@pytest.fixture
def signal() -> Tensor:
    return middle()


def middle() -> Tensor:
    """A typical part, loud and quiet, that is as long as the longest FFT asks for."""
    return whole()[..., 60_000:80_000]


@cache
def rated(name: str) -> Rating:
    """The rating by a loss on a coarse scale, which costs as much as eleven losses and is therefore made once."""
    return Rating(LOSSES[name], middle(), np.arange(-60, 21, 8))


def cost(loss: Loss, x: Tensor, y: Tensor) -> float:
    bound = loss.bind(y)
    return bound(x).item() - bound(y).item()


def offset(x: Tensor) -> Tensor:
    return x + 0.03


def tone(frequency: float, harmonics: int = 6) -> Tensor:
    """A steady tone, its harmonics at 1/k, or a sine."""
    time = torch.arange(2**15, dtype=torch.float64) / reactions.SAMPLE_RATE
    parts = [torch.sin(2 * torch.pi * k * frequency * time + k * k) / k for k in range(1, harmonics + 1)]
    return 0.1 * torch.stack(parts).sum(0)[None, None]


# Polarity, gain, offset


@pytest.mark.parametrize("name", [*MAGNITUDES, *LEVELS, "transport", "MR, sum & difference"])
def test_blind_to_polarity(signal: Tensor, name: str) -> None:
    assert LOSSES[name](-signal, signal) == LOSSES[name](signal, signal)


@pytest.mark.parametrize("name", [*WAVEFORM, "STFT with phase", "complex STFT"])
def test_hear_a_flipped_polarity_more_than_noise_as_loud_as_the_signal(signal: Tensor, name: str) -> None:
    assert cost(LOSSES[name], -signal, signal) > cost(LOSSES[name], signal + like(signal), signal) > 0


@pytest.mark.parametrize("change", [0.01, 0.5, -1.0, 2.0, -30.0])
def test_si_sdr_is_blind_to_any_gain_and_to_polarity(signal: Tensor, change: float) -> None:
    x = noisy(signal, 20)
    assert SISDRLoss()(change * x, signal).item() == pytest.approx(SISDRLoss()(x, signal).item(), abs=1e-3)


def test_a_scale_invariant_stft_is_blind_to_gain_and_the_others_are_not(signal: Tensor) -> None:
    louder = 1.1 * signal
    assert cost(STFTLoss(scale_invariance=True), louder, signal) < 1e-3 * cost(STFTLoss(), louder, signal)
    for name in set(LOSSES) - {"DC", "SI-SDR", "transport"}:
        bound = LOSSES[name].bind(signal)
        assert bound(louder) > bound(signal + 0.01 * like(signal))


@pytest.mark.parametrize(
    "change",
    [
        lambda x: -2 * x,
        lambda x: shifted(x, 10),
        lambda x: without_octave(x, 500),
        lambda x: noisy(x, 0),
        lambda x: x.flip(-2),
    ],
    ids=["gain and polarity", "shift", "octave", "noise", "swapped"],
)
def test_dc_is_blind_to_all_but_an_offset(signal: Tensor, change: Change) -> None:
    centred = signal - signal.mean(-1, keepdim=True)
    assert cost(LOSSES["DC"], change(centred), centred) == pytest.approx(0, abs=1e-20)
    assert cost(LOSSES["DC"], offset(centred), centred) > 1e-3


@pytest.mark.parametrize("loss", [SNRLoss, SISDRLoss, SDSDRLoss])
def test_ratios_in_db_are_blind_to_an_offset_unless_told(signal: Tensor, loss: type[SNRLoss]) -> None:
    assert cost(loss(), offset(signal), signal) == pytest.approx(0, abs=1e-9)
    assert cost(loss(zero_mean=False), offset(signal), signal) > 50


# Level and the size of errors


def test_log_cosh_is_half_of_mse_for_small_errors_and_l1_for_large_ones(signal: Tensor) -> None:
    faint = signal + 1e-3 * like(signal)
    assert LogCoshLoss()(faint, signal).item() == pytest.approx(MSELoss()(faint, signal).item() / 2, rel=1e-4)
    far = signal + 50
    assert LogCoshLoss()(far, signal).item() == pytest.approx(L1Loss()(far, signal).item() - math.log(2))


def test_l1_and_mse_care_for_loud_items_and_ratios_for_all_alike(signal: Tensor) -> None:
    x = noisy(signal, 20)
    for loss, expected in ((L1Loss(), 0.1), (MSELoss(), 0.01), (ESRLoss(), 1.0)):
        assert loss(0.1 * x, 0.1 * signal).item() == pytest.approx(expected * loss(x, signal).item(), rel=1e-3)
    assert SNRLoss()(0.1 * x, 0.1 * signal).item() == pytest.approx(SNRLoss()(x, signal).item(), abs=1e-3)


def test_sd_sdr_takes_a_loss_of_level_for_worse_than_a_gain(signal: Tensor) -> None:
    """SNR the other way round."""
    quieter, louder = 0.5 * signal, 2 * signal
    assert cost(SDSDRLoss(), quieter, signal) > cost(SDSDRLoss(), louder, signal)
    assert cost(SNRLoss(), quieter, signal) < cost(SNRLoss(), louder, signal)


def test_ratios_in_db_let_one_perfect_channel_hide_a_broken_one(signal: Tensor) -> None:
    """The mean of dB: noise as loud as the signal in one channel costs less than faint noise in both."""
    one = signal + like(signal) * torch.tensor([[0.0], [1.0]])
    both = signal + 10 ** (-40 / 20) * like(signal)
    assert cost(SNRLoss(), one, signal) < cost(SNRLoss(), both, signal)
    assert cost(SNRLoss(pool="batch"), one, signal) > cost(SNRLoss(pool="batch"), both, signal) + 30
    assert cost(ESRLoss(), one, signal) > 1000 * cost(ESRLoss(), both, signal)


def test_spectra_below_the_floor_are_not_heard(signal: Tensor) -> None:
    """Noise at −140 dBFS is below the default floor, −106 dBFS for a Hann window of 1024; ESR hears it."""
    faint = 1e-7 * torch.randn(signal.shape, generator=torch.Generator().manual_seed(0), dtype=signal.dtype)
    assert STFTLoss()(2 * faint, faint) == 0
    assert STFTLoss(eps=1e-20)(2 * faint, faint) > 1
    assert ESRLoss(floor_db=None, eps=0)(2 * faint, faint).item() == pytest.approx(1)
    assert 10 * math.log10(1e-8 / torch.hann_window(1024).square().sum()) == pytest.approx(-106, abs=0.5)


# Time


def test_spectra_hardly_hear_a_fraction_of_a_sample_that_the_waveform_does(signal: Tensor) -> None:
    late = shifted(signal, 0.25)
    for name in ("STFT", "MR", "mel"):
        assert rated(name)(lambda _: late) < -35
    for name in ("L1", "ESR", "SI-SDR"):
        assert rated(name)(lambda _: late) > -25


def test_phase_and_pre_emphasis_hear_a_sample_of_delay_as_if_it_were_another_signal() -> None:
    for name in ("STFT with phase", "ESR, pre-emphasis"):
        assert rated(name)(lambda x: shifted(x, 1)) > -6


def test_the_phase_term_is_blind_to_level(signal: Tensor) -> None:
    phase = STFTLoss(w_sc=0.0, w_log_mag=0.0, w_phs=1.0, eps=1e-12)  # no bin is below the floor
    assert phase(1.5 * signal, signal) < 1e-9
    assert phase(-signal, signal).item() == pytest.approx(math.pi**2)


# Frequency


def test_the_waveform_hears_what_is_loud_and_the_log_spectrum_what_is_missing() -> None:
    """The octaves at 125 Hz and 8 kHz."""
    for name in ("L1", "MSE", "ESR", "log-cosh"):
        rating = rated(name)
        assert rating(lambda x: without_octave(x, 125)) > rating(lambda x: without_octave(x, 8000)) + 6
    for name in ("STFT", "MR", "RR, one draw", "mel", "ESR, pre-emphasis"):
        rating = rated(name)
        assert rating(lambda x: without_octave(x, 125)) < rating(lambda x: without_octave(x, 8000)) - 6


def test_a_weighting_hears_less_of_the_bass() -> None:
    weighted, plain = rated("STFT, A-weighted"), rated("STFT")
    assert weighted(lambda x: without_octave(x, 125)) < plain(lambda x: without_octave(x, 125)) - 6
    assert weighted(lambda x: without_octave(x, 2000)) > plain(lambda x: without_octave(x, 2000))


def test_the_filter_of_101_taps_follows_the_a_weighting_in_the_middle_only() -> None:
    """The curve of IEC 61672 is −39.4 dB at 31.5 Hz and −6.6 dB at 16 kHz."""
    taps = FIRFilter("aw").taps.double().numpy()
    frequencies = np.array([31.5, 125, 250, 500, 1000, 2000, 4000, 8000, 16000])
    waves = np.exp(-2j * np.pi * np.outer(frequencies / 44_100, np.arange(len(taps))))
    levels = 20 * np.log10(np.abs(waves @ taps))
    np.testing.assert_allclose(levels[1:-1], [-16.1, -8.6, -3.2, 0, 1.2, 1.0, -1.1], atol=2)
    np.testing.assert_allclose(levels[[0, -1]], [-20, -15], atol=0.5)


def test_mel_bands_hide_a_mistuned_tone_among_the_highest() -> None:
    options = {"fft_size": 1024, "w_log_mag": 0.0}
    linear, mel = STFTLoss(**options), MelSTFTLoss(44100, **options)
    assert mel(tone(10_043, 1), tone(10_000, 1)) < linear(tone(10_043, 1), tone(10_000, 1)) / 3
    assert mel(tone(1043, 1), tone(1000, 1)) > linear(tone(1043, 1), tone(1000, 1)) * 0.9


@pytest.mark.parametrize("frequency", [220.0, 440.0, 880.0])
def test_chroma_hears_a_semitone_several_times_as_loud_as_an_octave(frequency: float) -> None:
    """And a spectrum does not: it is only approximately blind to the octave, mainly by its convergence."""
    chroma, linear = LOSSES["chroma"], STFTLoss(4096, 1024, 4096)
    target, octave, semitone = tone(frequency), tone(2 * frequency), tone(frequency * 2 ** (1 / 12))
    assert 0 < chroma(octave, target) < chroma(semitone, target) / 2.5
    assert linear(octave, target) > 0.8 * linear(semitone, target)


def test_chroma_of_short_frames_does_not_tell_low_notes_apart() -> None:
    short, long = ChromaSTFTLoss(44100), LOSSES["chroma"]
    assert short(tone(110 * 2 ** (1 / 12)), tone(110)) < short(tone(220), tone(110))
    assert long(tone(110 * 2 ** (1 / 12)), tone(110)) > long(tone(220), tone(110))


def test_convergence_hears_the_loud_bin_and_the_log_magnitude_all_alike() -> None:
    target = torch.tensor([[[10.0], [0.01]]])
    loud, faint = target * torch.tensor([[2.0], [1.0]]), target * torch.tensor([[1.0], [2.0]])
    assert SpectralConvergenceLoss()(faint, target) < 0.002 * SpectralConvergenceLoss()(loud, target)
    torch.testing.assert_close(STFTMagnitudeLoss()(faint, target), STFTMagnitudeLoss()(loud, target))


def test_levels_are_blind_to_the_spectrum_and_to_time_within_a_frame(signal: Tensor) -> None:
    """A tone is as loud an octave higher."""
    for name in ("gain reduction", "cumulative energy"):
        rating = Rating(LOSSES[name], tone(500, 1))
        assert rating(lambda _: tone(1000, 1)) < -30
    assert cost(LOSSES["gain reduction"], shifted(signal, 10), signal) < 0.5
    assert LOSSES["loudness"](shifted(whole(), 1000), whole()) < 0.05


def test_transport_is_blind_to_level_and_hears_how_far_a_tone_is_off() -> None:
    transport, linear = LOSSES["transport"], STFTLoss()
    assert transport(0.1 * tone(1000), tone(1000)) < 1e-3
    near, far = (tone(f, 1) for f in (1500, 8000))
    assert transport(far, tone(1000, 1)) > 10 * transport(near, tone(1000, 1))
    assert linear(far, tone(1000, 1)) < 1.5 * linear(near, tone(1000, 1))


# Stereo


def test_each_channel_for_itself_does_not_hear_one_of_them_flipped(signal: Tensor) -> None:
    assert cost(MultiResolutionSTFTLoss(), one_flipped(signal), signal) == 0
    assert cost(SumAndDifferenceSTFTLoss(), one_flipped(signal), signal) > 1


def test_sum_and_difference_hear_swapped_channels_only_if_the_inner_loss_hears_polarity(signal: Tensor) -> None:
    swapped = signal.flip(-2)
    for inner in (MultiResolutionSTFTLoss(), STFTLoss(), MelSTFTLoss(44100)):
        assert cost(SumAndDifferenceLoss(inner), swapped, signal) == pytest.approx(0, abs=1e-9)
        assert cost(inner, swapped, signal) > 0.1
    for inner in (L1Loss(), ESRLoss(), STFTLoss(w_phs=1.0)):
        assert cost(SumAndDifferenceLoss(inner), swapped, signal) > 1e-3


# The scale


@pytest.mark.parametrize("name", [name for name in LOSSES if name != "DC"])
def test_a_noise_is_rated_by_its_own_level(signal: Tensor, name: str) -> None:
    noise = 10 ** (-26 / 20) * like(signal)
    rating = Rating(LOSSES[name], signal, reactions.LEVELS_DB[18:20])  # of the scale, the steps around it
    assert rating(lambda x: x + noise) == pytest.approx(-26, abs=0.3)


@pytest.mark.parametrize("db", [-6, 1])
def test_mse_and_snr_rate_a_change_by_the_level_of_the_error(signal: Tensor, db: float) -> None:
    expected = 20 * math.log10(abs(10 ** (db / 20) - 1))
    for loss in (MSELoss(), PreEmphasis(FIRFilter("hp"), MSELoss()), SNRLoss()):
        assert Rating(loss, signal)(lambda x: 10 ** (db / 20) * x) == pytest.approx(expected, abs=0.2)


def test_nothing_is_not_heard_and_the_loudest_is_beyond_the_scale(signal: Tensor) -> None:
    rating = Rating(MSELoss(), signal)
    assert rating(lambda x: x) == -math.inf
    assert rating(lambda x: 1e3 * x) == math.inf


def test_shift_and_band_stop_do_what_they_say() -> None:
    impulse = torch.zeros(1, 2, 1000, dtype=torch.float64)
    impulse[..., 5] = 1
    torch.testing.assert_close(shifted(impulse, 3), impulse.roll(3))
    torch.testing.assert_close(
        shifted(shifted(impulse, 0.5), 0.5)[..., 1:-1], impulse.roll(1)[..., 1:-1], atol=0.01, rtol=0
    )
    assert without_octave(tone(1000, 1), 1000).square().mean() < 1e-3 * tone(1000, 1).square().mean()
    torch.testing.assert_close(without_octave(tone(1000, 1), 4000), tone(1000, 1), atol=5e-3, rtol=0)


@pytest.mark.slow
def test_the_picture_is_drawn(tmp_path: Path) -> None:
    reactions.draw(tmp_path / "reactions.png")
    assert (tmp_path / "reactions.png").stat().st_size > 50_000
