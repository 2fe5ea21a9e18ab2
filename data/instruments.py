"""Sounds from random numbers: instruments, a voice and test signals.

Each is a function `(rng, n, sample_rate)` that returns n samples of any level, drawn from `rng` alone.
"""

from collections.abc import Callable
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.fft import next_fast_len
from scipy.signal import butter, lfilter

Audio = NDArray[np.float64]
Instrument = Callable[[np.random.Generator, int, int], Audio]

_TABLE = 8192  # samples of a wavetable
_SCALE = np.array([0, 2, 4, 5, 7, 9, 11, 12, 14, 16])  # semitones of a major scale
# First three formants of five vowels (Hz), after Peterson and Barney (1952), and their bandwidths.
_VOWELS = ((730, 1090, 2440), (530, 1840, 2480), (270, 2290, 3010), (570, 840, 2410), (300, 870, 2240))
_BANDWIDTHS = (80, 100, 150)


def plucked(rng: np.random.Generator, n: int, sample_rate: int) -> Audio:
    """Chords and runs of plucked strings (Karplus and Strong, 1983)."""
    x = np.zeros(n)
    root = rng.uniform(80, 250)
    for start in _beats(rng, n, sample_rate):
        chord = rng.choice(_SCALE, size=rng.choice([1, 1, 3]), replace=False)
        velocity = gain(rng.uniform(-15, 0))
        for semitones in chord:
            note = _string(rng, root * 2 ** (semitones / 12), min(n - start, 3 * sample_rate), sample_rate)
            x[start : start + len(note)] += velocity * note
    return x


def _string(rng: np.random.Generator, frequency: float, n: int, sample_rate: int) -> Audio:
    """A string, period by period: each is the one before, averaged over two neighbours and damped."""
    period = round(sample_rate / frequency)
    periods = np.empty((-(-n // period), period))
    bright = rng.uniform(0.1, 0.7)
    burst = lfilter([1 - bright], [1, -bright], rng.uniform(-1, 1, period))
    periods[0] = burst - burst.mean()
    damping = 10 ** (-3 / (rng.uniform(0.5, 4) * frequency))  # down by 60 dB after 0.5 to 4 s
    mix = rng.uniform(0.1, 0.5)
    last = 0.0  # the sample before the period that is read
    for before, now in pairwise(periods):
        now[:] = (1 - mix) * before
        now[1:] += mix * before[:-1]
        now[0] += mix * last
        now *= damping
        last = before[-1]
    return periods.ravel()[:n]


def bowed(rng: np.random.Generator, n: int, sample_rate: int) -> Audio:
    """Legato melody of a bowed string: saw-like, with vibrato, swells and the noise of the bow."""
    starts = _beats(rng, n, sample_rate)
    lengths = np.diff([*starts, n])
    tones = rng.uniform(196, 440) * 2 ** (rng.choice(_SCALE, len(starts)) / 12)
    frequency = _smooth(np.repeat(tones, lengths), 0.01, sample_rate)
    frequency *= 1 + 0.006 * np.sin(2 * np.pi * rng.uniform(4.5, 6.5) * np.arange(n) / sample_rate)
    amplitude = _smooth(np.repeat(gain(rng.uniform(-14, 0, len(starts))), lengths), 0.08, sample_rate)
    x = _oscillator(rng, frequency, 1 / np.arange(1, 25), sample_rate) + 0.03 * rng.standard_normal(n)
    for f in (300, 460, 1200):  # the body's resonances
        x = x + 0.7 * _resonator(x, f * rng.uniform(0.9, 1.1), f / 4, sample_rate)
    return x * amplitude


def bass(rng: np.random.Generator, n: int, sample_rate: int) -> Audio:
    """Bass line: a low tone with few harmonics that dies away from every beat on."""
    starts = _beats(rng, n, sample_rate)
    lengths = np.diff([*starts, n])
    tones = rng.uniform(40, 70) * 2 ** (rng.choice(_SCALE, len(starts)) / 12)
    x = _oscillator(rng, np.repeat(tones, lengths), 1 / np.arange(1, 13) ** rng.uniform(1, 2), sample_rate)
    since = np.concatenate([np.arange(length) for length in lengths]) / sample_rate
    velocity = np.repeat(gain(rng.uniform(-9, 0, len(starts))), lengths)
    return x * velocity * np.exp(-since / rng.uniform(0.15, 1.0)) * np.minimum(since / 0.005, 1)


def drums(rng: np.random.Generator, n: int, sample_rate: int) -> Audio:
    """Kick, snare and hi-hat on a grid of sixteenths."""
    x = np.zeros(n)
    step = round(60 / rng.uniform(80, 150) / 4 * sample_rate)
    t = np.arange(round(0.4 * sample_rate)) / sample_rate
    noise = rng.standard_normal((2, len(t)))
    low, drop = rng.uniform(40, 60), rng.uniform(0.02, 0.05)
    kick = np.sin(2 * np.pi * (low * t + 150 * drop * (1 - np.exp(-t / drop)))) * np.exp(-t / 0.12)
    tone = np.sin(2 * np.pi * rng.uniform(160, 220) * t) * np.exp(-t / 0.06)
    snare = 0.5 * tone + 0.3 * noise[0] * np.exp(-t / rng.uniform(0.04, 0.12))
    hat = 0.15 * lfilter(*butter(2, 7000, "high", fs=sample_rate), noise[1]) * np.exp(-t / rng.uniform(0.02, 0.08))
    for hit, chances in (
        (kick, (0.95, 0.1, 0.2, 0.2, 0.1, 0.1, 0.4, 0.1)),
        (snare, (0.05, 0.05, 0.1, 0.1, 0.95, 0.1, 0.1, 0.2)),
        (hat, (0.9, 0.3, 0.9, 0.3, 0.9, 0.3, 0.9, 0.3)),
    ):
        for k, start in enumerate(range(0, n, step)):
            if rng.random() < chances[k % len(chances)]:
                end = min(start + len(t), n)
                x[start:end] += gain(rng.uniform(-8, 0)) * hit[: end - start]
    return x


def pad(rng: np.random.Generator, n: int, sample_rate: int) -> Audio:
    """A chord of slowly beating tones that swells and falls."""
    x = np.zeros(n)
    root = rng.uniform(110, 220)
    for semitones in rng.choice(_SCALE, size=3, replace=False):
        for detune in rng.uniform(-0.004, 0.004, 2):
            frequency = np.full(n, root * 2 ** (semitones / 12) * (1 + detune))
            x += _oscillator(rng, frequency, 1 / np.arange(1, 17) ** 1.5, sample_rate)
    x *= 1 - 0.5 * np.cos(2 * np.pi * rng.uniform(0.1, 0.6) * np.arange(n) / sample_rate)
    return x * np.minimum(1, np.arange(n) / (rng.uniform(0.05, 0.6) * sample_rate))


def speech(rng: np.random.Generator, n: int, sample_rate: int) -> Audio:
    """Syllables, a hiss and a vowel each, in words with pauses between."""
    x = np.zeros(n)
    pitch = rng.uniform(85, 230)
    start = 0
    while start < n:
        hiss, vowel = (round(rng.uniform(*s) * sample_rate) for s in ((0.03, 0.12), (0.08, 0.3)))
        glide = pitch * np.linspace(rng.uniform(0.9, 1.2), rng.uniform(0.8, 1.1), vowel)
        voice = _oscillator(rng, glide, 1 / np.arange(1, 41) ** 0.8, sample_rate, phases=False)
        formants = zip(_VOWELS[rng.integers(len(_VOWELS))], _BANDWIDTHS, (1, 0.6, 0.3), strict=True)
        voiced = sum(g * _resonator(voice, f, b, sample_rate) for f, b, g in formants)
        noise = _resonator(rng.standard_normal(hiss), rng.uniform(2500, 7000), 1500, sample_rate)
        noise *= rng.uniform(0, 0.3)
        syllable = np.concatenate([noise * np.hanning(hiss), voiced * np.hanning(vowel)])
        end = min(start + len(syllable), n)
        x[start:end] += gain(rng.uniform(-10, 0)) * syllable[: end - start]
        pause = rng.uniform(0.15, 0.8) if rng.random() < 0.25 else rng.uniform(0, 0.04)
        start = end + round(pause * sample_rate)
    return x


def sustained(rng: np.random.Generator, n: int, sample_rate: int) -> Audio:
    """One steady tone, from a sine to a dozen harmonics."""
    frequency = np.full(n, 2 ** rng.uniform(np.log2(50), np.log2(3000)))
    return _oscillator(rng, frequency, 1 / np.arange(1, rng.integers(2, 13)), sample_rate)


def sweep(rng: np.random.Generator, n: int, sample_rate: int) -> Audio:
    """A sine from 20–200 Hz to 5–18 kHz or back, exponential in time."""
    low, high = rng.uniform(20, 200), min(rng.uniform(5000, 18000), 0.45 * sample_rate)
    frequency = np.geomspace(low, high, n)
    return _oscillator(rng, frequency if rng.random() < 0.5 else frequency[::-1], [1.0], sample_rate)


def bursts(rng: np.random.Generator, n: int, sample_rate: int) -> Audio:
    """Bursts of a tone or of noise, on and off at once: attack and release laid open."""
    lengths = rng.uniform(0.02, 0.6, 2 * n // (sample_rate // 10)) * sample_rate
    on = np.repeat(np.arange(len(lengths)) % 2 == 0, lengths.astype(int))[:n]
    return np.where(on, _steady(rng, n, sample_rate), 0.0)


def steps(rng: np.random.Generator, n: int, sample_rate: int) -> Audio:
    """A tone or noise whose level jumps every 0.2 to 1 s, by up to 30 dB."""
    lengths = rng.uniform(0.2, 1.0, n // (sample_rate // 5) + 1) * sample_rate
    levels = gain(rng.uniform(-30, 0, len(lengths)))
    return np.repeat(levels, lengths.astype(int))[:n] * _steady(rng, n, sample_rate)


def pink_noise(rng: np.random.Generator, n: int, sample_rate: int) -> Audio:
    """Noise of −3 dB per octave from 20 Hz up."""
    size = next_fast_len(n, real=True)
    spectrum = np.fft.rfft(rng.standard_normal(size))
    f = np.fft.rfftfreq(size, 1 / sample_rate)
    return np.fft.irfft(spectrum * np.where(f < 20, 0, 1 / np.sqrt(np.maximum(f, 20))), size)[:n]


INSTRUMENTS: tuple[Instrument, ...] = (
    plucked,
    bowed,
    bass,
    drums,
    pad,
    speech,
    sustained,
    sweep,
    bursts,
    steps,
    pink_noise,
)


def gain(db: ArrayLike) -> Audio:
    """Factor of a level in dB."""
    return 10 ** (np.asarray(db) / 20)


def _beats(rng: np.random.Generator, n: int, sample_rate: int) -> list[int]:
    """Onsets of notes, 0 among them: quarters and eighths of a tempo."""
    eighth = 30 / rng.uniform(70, 150) * sample_rate
    gaps = rng.choice([1, 1, 2, 2, 4], size=int(n / eighth) + 1) * eighth
    onsets = np.concatenate([[0], np.cumsum(gaps)]).astype(int)
    return onsets[onsets < n].tolist()


def _steady(rng: np.random.Generator, n: int, sample_rate: int) -> Audio:
    """A steady sound: as often a tone as pink noise."""
    return sustained(rng, n, sample_rate) if rng.random() < 0.5 else pink_noise(rng, n, sample_rate)


def _oscillator(
    rng: np.random.Generator, frequency: Audio, harmonics: ArrayLike, sample_rate: int, phases: bool = True
) -> Audio:
    """Harmonics of given amplitudes over a gliding fundamental, below Nyquist, read from a wavetable.

    Phases are random, or zero for a pulse.
    """
    amplitudes = np.asarray(harmonics, dtype=np.float64)
    amplitudes = amplitudes[: max(1, int(0.45 * sample_rate / frequency.max()))]
    spectrum = np.zeros(_TABLE // 2 + 1, dtype=complex)
    angle = rng.uniform(0, 2 * np.pi, len(amplitudes)) if phases else np.zeros(len(amplitudes))
    spectrum[1 : len(amplitudes) + 1] = amplitudes * np.exp(1j * angle) * _TABLE / 2
    table = np.fft.irfft(spectrum)
    position = np.cumsum(frequency / sample_rate * _TABLE) + rng.uniform(0, _TABLE)
    return np.interp(position % _TABLE, np.arange(_TABLE + 1), np.append(table, table[0]))


def _resonator(x: Audio, frequency: float, bandwidth: float, sample_rate: int) -> Audio:
    """Two-pole resonance with a gain of about 1 at its peak."""
    radius = np.exp(-np.pi * bandwidth / sample_rate)
    denominator = [1, -2 * radius * np.cos(2 * np.pi * frequency / sample_rate), radius**2]
    return lfilter([(1 - radius**2) / 2, 0, -(1 - radius**2) / 2], denominator, x)


def _smooth(x: Audio, time: float, sample_rate: int) -> Audio:
    """One-pole low-pass with the time constant `time` in seconds, at rest on the first value."""
    keep = np.exp(-1 / (time * sample_rate))
    return lfilter([1 - keep], [1, -keep], x, zi=[keep * x[0]])[0]
