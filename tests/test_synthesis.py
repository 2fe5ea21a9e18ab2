"""Programme material: levels, spectra, and where it comes from."""

import numpy as np
import pytest
from scipy.signal import welch

from data.instruments import INSTRUMENTS, pink_noise, plucked, speech, sweep
from data.synthesis import programme

RATE = 44100


def rng(*seed):
    return np.random.default_rng(seed)


def frames_db(x, seconds=0.05):
    """RMS of short frames, dBFS."""
    n = round(seconds * RATE)
    frames = x[: len(x) // n * n].reshape(-1, n).astype(float)
    return 20 * np.log10(np.sqrt(np.mean(frames**2, axis=1)) + 1e-9)


@pytest.fixture(scope="module")
def minutes():
    return np.concatenate([programme(rng(0, i), 40) for i in range(3)])


def test_levels_span_what_a_compressor_meets(minutes):
    levels = frames_db(minutes)
    silent = np.mean(levels < -100)
    assert np.abs(minutes).max() <= 0.99
    assert 0.03 < silent < 0.3
    low, high = np.percentile(levels[levels > -100], [5, 99])
    assert low < -45
    assert -10 < high < 0
    for floor in range(-45, -10, 5):  # no gap in between
        assert np.mean((levels >= floor) & (levels < floor + 5)) > 0.02


def test_the_music_of_this_format_stays_what_it_is(minutes):
    """Where this changes, so does every data set: raise `data.embedded.FORMAT`."""
    rms = np.sqrt(np.mean(minutes.reshape(6, -1).astype(float) ** 2, axis=1))
    np.testing.assert_allclose(rms, (0.128476, 0.244871, 0.085254, 0.030989, 0.081877, 0.169842), rtol=1e-4)


def test_programme_has_transients_and_steady_parts(minutes):
    jumps = np.diff(frames_db(minutes, 0.01))
    assert np.mean(np.abs(jumps) < 1) > 0.2
    assert np.sum(jumps > 20) > 2 * 10  # ten attacks a minute at least


def test_spectrum_is_that_of_music(minutes):
    """Most energy in bass and middle, falling towards the treble, which is there; nothing at 0 Hz."""
    f, power = welch(minutes, RATE, nperseg=8192)
    share = {name: power[(f >= a) & (f < b)].sum() / power.sum() for name, (a, b) in BANDS.items()}
    assert share["rumble"] < 0.01
    assert share["bass"] + share["middle"] > 0.6
    assert 0.001 < share["treble"] < share["middle"]
    assert abs(minutes.mean()) < 1e-3


BANDS = {"rumble": (0, 15), "bass": (15, 300), "middle": (300, 3000), "treble": (6000, 20000)}


def test_same_generator_same_samples():
    a, b = programme(rng(7), 8), programme(rng(7), 8)
    assert a.dtype == np.float32
    assert a.shape == (8 * RATE,)
    assert a.tobytes() == b.tobytes()


def test_longer_programme_begins_like_the_shorter():
    np.testing.assert_array_equal(programme(rng(7), 12)[: 5 * RATE], programme(rng(7), 5))


def test_different_generators_share_no_material():
    """The normalised cross-correlation of any second of one with any part of the other stays far from 1."""
    a, b = programme(rng(0, 0), 8), programme(rng(0, 1), 8)
    # Noise-like whitening, so that two tones of equal pitch do not count as the same material.
    a, b = np.diff(a, 2), np.diff(b, 2)
    size = 1 << 19  # as long as both together, so that nothing wraps around
    spectrum = np.fft.rfft(b, size)
    energy = np.concatenate([[0], np.cumsum(b**2)])
    for start in range(0, len(a) - RATE, RATE):
        window = a[start : start + RATE]
        norm = np.sqrt(np.sum(window**2))
        if norm < 1e-3:
            continue
        correlation = np.fft.irfft(np.conj(np.fft.rfft(window, size)) * spectrum, size)[: len(b) - RATE]
        local = np.sqrt(energy[RATE : len(b)] - energy[: len(b) - RATE])
        loud = local > 0.01 * local.max()
        assert np.max(np.abs(correlation[loud]) / (norm * local[loud])) < 0.9


@pytest.mark.parametrize("instrument", INSTRUMENTS, ids=lambda f: f.__name__)
@pytest.mark.parametrize("rate", [16000, 44100, 96000])
def test_instruments_sound_at_every_rate(instrument, rate):
    for seed in range(3):
        x = instrument(rng(seed), round(1.5 * rate), rate)
        assert x.shape == (round(1.5 * rate),)
        assert np.all(np.isfinite(x))
        assert np.std(x) > 1e-4
        assert abs(np.mean(x)) < 0.1 * np.abs(x).max()


def test_pink_noise_falls_by_3_db_per_octave():
    f, power = welch(pink_noise(rng(0), 30 * RATE, RATE), RATE, nperseg=16384)
    band = (f > 50) & (f < 15000)
    slope = np.polyfit(np.log2(f[band]), 10 * np.log10(power[band]), 1)[0]
    assert slope == pytest.approx(-3.01, abs=0.1)


def test_sweep_is_one_sine_over_many_octaves():
    x = sweep(rng(1), 4 * RATE, RATE)
    assert np.sqrt(np.mean(x**2)) == pytest.approx(np.sqrt(0.5), rel=0.01)
    pieces = np.abs(np.fft.rfft(x.reshape(40, -1) * np.hanning(RATE // 10)))
    peaks = np.argmax(pieces, axis=1) * 10  # Hz
    assert max(peaks) / min(peaks) > 16
    assert np.all(np.diff(peaks) >= 0) or np.all(np.diff(peaks) <= 0)


def test_plucked_strings_die_away_and_lose_their_treble():
    x = plucked(rng(3), 4 * RATE, RATE)
    onsets = frames_db(x, 0.01)
    assert np.max(np.diff(onsets)) > 6  # attacks
    assert np.median(np.diff(onsets)) < 0  # decay between them


def test_speech_pauses_between_words():
    levels = frames_db(speech(rng(5), 6 * RATE, RATE), 0.05)
    assert 0.05 < np.mean(levels < levels.max() - 40) < 0.7


@pytest.mark.parametrize(("seconds", "rate"), [(0, 44100), (-1, 44100), (float("nan"), 44100), (1, 8000)])
def test_wrong_options_are_refused(seconds, rate):
    with pytest.raises(ValueError, match="seconds must be > 0"):
        programme(rng(0), seconds, rate)
