"""Programme material as a compressor meets it, made from random numbers alone.

`programme` strings passages together: an instrument or test signal each, at a level of its own between
−45 dBFS and just under full scale, with fades, steps of level and silences. Everything is drawn from the
generator that is handed in: the same seed gives the same samples, different seeds share none.
"""

import numpy as np
from numpy.typing import NDArray

from data.instruments import INSTRUMENTS, Audio, Instrument, gain

PEAK_DB = (-45.0, -0.2)  # range of a passage's peak, dBFS
NOISE_DB = (-75.0, -60.0)  # range of the RMS of a microphone's and preamplifier's white noise, dB re 1
LOUD_DB = -12.0  # where a compressor works
LOUD_SHARE = 0.75  # share of the passages whose peak lies above it
PASSAGE_SECONDS = (1.5, 6.0)
SILENCE_SECONDS = (0.2, 1.5)
SILENCE_SHARE = 0.3  # share of the passages with a silence after them
EDGE_SECONDS = 0.004  # ramp at both ends of a passage: no clicks


def programme(rng: np.random.Generator, seconds: float, sample_rate: int = 44100) -> NDArray[np.float32]:
    """Passages of all instruments one after another.

    Args:
        rng: source of everything random.
        seconds: length.
        sample_rate: Hz.

    Shape:
        result `(round(seconds * sample_rate),)`, mono, within ±0.99.

    Raises:
        ValueError: a length that is not positive, or a sample rate below 16 kHz.
    """
    if not seconds > 0 or sample_rate < 16000:
        raise ValueError(f"seconds must be > 0 and sample_rate >= 16000, got {seconds} and {sample_rate}")
    total = round(seconds * sample_rate)
    parts: list[Audio] = []
    order: list[Instrument] = []
    made = 0
    while made < total:
        order = order or [INSTRUMENTS[i] for i in rng.permutation(len(INSTRUMENTS))]
        n = round(rng.uniform(*PASSAGE_SECONDS) * sample_rate)
        parts.append(_passage(rng, order.pop(), n, sample_rate))
        if rng.random() < SILENCE_SHARE:
            parts.append(np.zeros(round(rng.uniform(*SILENCE_SECONDS) * sample_rate)))
        made = sum(map(len, parts))
    return np.concatenate(parts)[:total].astype(np.float32)


def _passage(rng: np.random.Generator, instrument: Instrument, n: int, sample_rate: int) -> Audio:
    """An instrument brought to a level, with a fade, a swell or a step of level in a third of the cases.

    As every recording it has noise in the bands where the instrument has nothing. It lies above that of the compressor,
    so what a spectral loss compares there is what the compressor makes of its input.
    """
    x = instrument(rng, n, sample_rate)
    shape = rng.random()
    if shape < 0.1:
        x *= np.linspace(0, 1, n) ** 2
    elif shape < 0.2:
        x *= np.linspace(1, 0, n) ** 2
    elif shape < 0.35:
        x[rng.integers(n // 4, 3 * n // 4) :] *= gain(rng.uniform(-24, 24))
    loud = rng.random() < LOUD_SHARE
    peak_db = rng.uniform(LOUD_DB, PEAK_DB[1]) if loud else rng.uniform(PEAK_DB[0], LOUD_DB)
    x *= gain(peak_db) / np.abs(x).max()
    x += gain(rng.uniform(*NOISE_DB)) * rng.standard_normal(n)
    edge = round(EDGE_SECONDS * sample_rate)
    ramp = np.linspace(0, 1, edge)
    x[:edge] *= ramp
    x[-edge:] *= ramp[::-1]
    return x
