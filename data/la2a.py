"""A model of the Teletronix LA-2A, the optical levelling amplifier of the study.

A feedback compressor in the dB domain. The level of the output lights a panel; the photocell beside it turns
light into gain reduction, and has a memory: the longer and harder it was lit, the slower it lets go. A gentle
tube stage follows.

    e  = one-pole(|x|, 1 ms)                      brightness of the panel;  Lx = 20·log10(π/2 · e)
    Ls = Lx − (1 − β)·r                           level at the side chain, with r of the step before
    u  = min(γ·W·softplus((Ls − T) / W), 40 dB)   gain reduction that the cell is driven to
    rs → w·u                                      slow part
    rf → max(u − rs, 0)                           fast part
    m  → min(r / 20 dB, 1)                        memory
    r  = rf + rs                                  gain reduction in dB
    y  = HP(tube(HP(x) · 10^(−r/20))) + noise

`a → b` with the time constant τ is `a += (1 − exp(−h/τ))·(b − a)` at every control step h. All levels are in
dB relative to a full-scale sine, which stands for +16 dBm. Published figures: attack 10 ms; half of the
release in 40…80 ms and the rest in 0.5…10 s; THD below 0.35 % at +10 dBm and 0.75 % at +16 dBm; ±0.1 dB from
30 Hz to 15 kHz; noise 75 dB below +10 dBm. As in the unit of the SignalTrain data set, the make-up gain is
unity, little happens below a peak reduction of 30, and Limit is only slightly stiffer than Compress.
"""

from collections.abc import Iterable
from math import exp, log1p

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.interpolate import PchipInterpolator
from scipy.signal import butter, lfilter

# Threshold of the side chain (dB) at peak reduction 0, 10, … 100, monotone cubic between them.
THRESHOLD_DB = (60.0, 14.0, 3.0, -6.5, -13.1, -15.3, -16.9, -19.8, -24.0, -31.5, -35.3)

GAMMA = 2.6  # side-chain gain, dB per dB; Compress tends to the ratio 1 + γ = 3.6
LIMIT_RATIO = 10.0  # R: what Limit tends to
# In Limit the side chain sees the share β of the input before the gain cell. That makes the slope of the gain
# reduction, dr/dLx = γ / (1 + γ·(1 − β)), equal to 1 − 1/R.
BETA = 1 - (GAMMA / (1 - 1 / LIMIT_RATIO) - 1) / GAMMA  # 0.2735
KNEE_DB = 2.5  # W
MAX_REDUCTION_DB = 40.0

CONTROL_PERIOD = 16 / 44100  # s, rounded to whole samples at other rates
LEVEL_TIME = 1e-3  # s
FAST_ATTACK_TIME = 0.1  # s, divided by 1 + u / 2 dB: 10 ms at 18 dB
FAST_ATTACK_DB = 2.0
FAST_RELEASE_TIME = 0.045  # s
SLOW_SHARE = 0.35  # w
SLOW_CHARGE_TIME = 0.5  # s
SLOW_DISCHARGE_TIME = 0.6  # s, times 1 + 6·m: up to 4.2 s
SLOW_DISCHARGE_MEMORY = 6.0
MEMORY_FULL_DB = 20.0
MEMORY_UP_TIME = 4.0  # s
MEMORY_DOWN_TIME = 12.0  # s

COUPLING_HZ = 3.0  # first-order high-pass before and after the tube; the two lose 0.09 dB at 30 Hz
TUBE_DRIVE = 0.205
TUBE_BIAS = 0.0586  # sets the second harmonic, 0.6 % at full scale
NOISE_DB = -81.0  # below a full-scale sine


def threshold(peak_reduction: ArrayLike) -> NDArray[np.float64]:
    """Threshold of the side chain in dB for the knob `peak_reduction`, 0…100.

    >>> threshold([0, 80, 100]).tolist()
    [60.0, -24.0, -35.3]
    """
    return PchipInterpolator(np.linspace(0, 100, len(THRESHOLD_DB)), THRESHOLD_DB)(peak_reduction)


def control_hop(sample_rate: int) -> int:
    """Samples in a control step: 16 at 44.1 kHz."""
    return round(sample_rate * CONTROL_PERIOD)


def gain_reduction(
    x: ArrayLike, peak_reduction: ArrayLike, limit: ArrayLike = 0, sample_rate: int = 44100
) -> NDArray[np.float64]:
    """Gain reduction in dB at samples 0, hop, 2·hop, …, with hop = `control_hop(sample_rate)`.

    Args:
        x: recordings, full scale ±1.
        peak_reduction: knob, 0…100; one for all, one for each recording, or one for each sample of `x`: a knob that
            moves, and is read at each control step.
        limit: switch, 0 = Compress, 1 = Limit; one for all or one for each recording.
        sample_rate: Hz.

    Shape:
        x `(samples,)` or `(n, samples)`; result `(ceil(samples / hop),)` or `(n, ceil(samples / hop))`.

    Raises:
        ValueError: a setting outside its range, or settings that do not match the recordings.
    """
    recordings, knobs, switches = _check(x, peak_reduction, limit, sample_rate)
    hop = control_hop(sample_rate)
    period = hop / sample_rate
    reduction = np.empty((len(recordings), -(-recordings.shape[1] // hop)))
    for row, recording, knob, switch in zip(reduction, recordings, knobs, switches, strict=True):
        keep = exp(-1 / (LEVEL_TIME * sample_rate))
        brightness = lfilter([1 - keep], [1, -keep], np.abs(recording))[::hop]
        level_db = 20 * np.log10(np.pi / 2 * brightness + 1e-15)
        row[:] = _photocell((level_db - threshold(knob[::hop])).tolist(), BETA if switch else 0.0, period)
    return reduction.reshape(*np.shape(x)[:-1], -1)


def la2a(
    x: ArrayLike,
    peak_reduction: ArrayLike,
    limit: ArrayLike = 0,
    sample_rate: int = 44100,
    seed: int | np.random.Generator | None = 0,
) -> NDArray[np.float64]:
    """Recordings through the LA-2A.

    Input and output are aligned to the sample. The device is causal: the gain glides to a control value
    during the step that follows it (0.36 ms), without looking ahead.

    Args:
        x: recordings, full scale ±1.
        peak_reduction: knob, 0…100; one for all, one for each recording, or one for each sample of `x`: a knob that
            moves, and is read at each control step.
        limit: switch, 0 = Compress, 1 = Limit; one for all or one for each recording.
        sample_rate: Hz.
        seed: of the noise, or the generator to draw it from; None for a device without noise.

    Shape:
        x and result `(samples,)` or `(n, samples)`.

    Raises:
        ValueError: a setting outside its range, or settings that do not match the recordings.
    """
    recordings, knobs, switches = _check(x, peak_reduction, limit, sample_rate)
    high_pass = butter(1, COUPLING_HZ, "high", fs=sample_rate)
    rng = None if seed is None else np.random.default_rng(seed)
    y = np.empty_like(recordings)
    for out, recording, knob, switch in zip(y, recordings, knobs, switches, strict=True):
        reduction = gain_reduction(recording, knob, switch, sample_rate)
        gain = _interpolate(10 ** (-reduction / 20), control_hop(sample_rate))[: len(out)]
        out[:] = lfilter(*high_pass, _tube(lfilter(*high_pass, recording) * gain))
        if rng is not None:
            out += 10 ** (NOISE_DB / 20) / np.sqrt(2) * rng.standard_normal(len(out))
    return y.reshape(np.shape(x))


def _photocell(over_db: Iterable[float], beta: float, period: float) -> list[float]:
    """Gain reduction in dB for the input's level over the threshold, step by step of `period` seconds.

    Plain floats on purpose: a step costs half a microsecond, as much as one call of NumPy; `min` and `max` would make
    that 1.7 times as much. A loop over the steps of all recordings at once is faster only for many recordings.
    """
    charge = 1 - exp(-period / SLOW_CHARGE_TIME)
    fall = 1 - exp(-period / FAST_RELEASE_TIME)
    learn = 1 - exp(-period / MEMORY_UP_TIME)
    forget = 1 - exp(-period / MEMORY_DOWN_TIME)
    slow = fast = memory = r = 0.0
    reduction = []
    for over in over_db:
        v = (over - (1 - beta) * r) / KNEE_DB
        softplus = v + log1p(exp(-v)) if v > 0 else log1p(exp(v))
        u = GAMMA * KNEE_DB * softplus
        u = MAX_REDUCTION_DB if u > MAX_REDUCTION_DB else u

        aim = SLOW_SHARE * u
        if aim > slow:
            slow += charge * (aim - slow)
        else:
            time = SLOW_DISCHARGE_TIME * (1 + SLOW_DISCHARGE_MEMORY * memory)
            slow += (1 - exp(-period / time)) * (aim - slow)

        aim = 0.0 if u < slow else u - slow
        if aim > fast:
            fast += (1 - exp(-period * (1 + u / FAST_ATTACK_DB) / FAST_ATTACK_TIME)) * (aim - fast)
        else:
            fast += fall * (aim - fast)

        r = fast + slow
        aim = 1.0 if r > MEMORY_FULL_DB else r / MEMORY_FULL_DB
        memory += (learn if aim > memory else forget) * (aim - memory)
        reduction.append(r)
    return reduction


def _interpolate(gain: NDArray[np.float64], hop: int) -> NDArray[np.float64]:
    """Lines from one control value to the next, the step k from value k − 1 to value k: no look-ahead."""
    before = np.concatenate([gain[:1], gain[:-1]])
    return (before[:, None] + (gain - before)[:, None] * (np.arange(hop) / hop)).ravel()


def _tube(v: NDArray[np.float64]) -> NDArray[np.float64]:
    """Soft, slightly lopsided saturation with slope 1 at 0."""
    rest = np.tanh(TUBE_BIAS)
    return (np.tanh(TUBE_DRIVE * v + TUBE_BIAS) - rest) / (TUBE_DRIVE * (1 - rest**2))


def _check(
    x: ArrayLike, peak_reduction: ArrayLike, limit: ArrayLike, sample_rate: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Recordings `(n, samples)`, for each a knob `(1,)` or `(samples,)`, and a switch."""
    recordings = np.atleast_2d(np.asarray(x, dtype=np.float64))
    if recordings.ndim != 2 or recordings.shape[1] == 0:
        raise ValueError(f"recordings must be (samples,) or (n, samples) and not empty, got {np.shape(x)}")
    if sample_rate < 8000:
        raise ValueError(f"sample_rate is in Hz and at least 8000, got {sample_rate}")
    settings = []
    for name, value, highest in (("peak_reduction", peak_reduction, 100), ("limit", limit, 1)):
        found = np.asarray(value, dtype=np.float64)
        moves = name == "peak_reduction" and found.shape == np.shape(x)
        if not moves and (found.ndim > 1 or found.size not in (1, len(recordings))):
            raise ValueError(f"{name} has shape {found.shape} for {len(recordings)} recordings")
        if not np.all((found >= 0) & (found <= highest)):
            raise ValueError(f"{name} must lie in 0…{highest}, got {value!r}")
        width = recordings.shape[1] if moves else 1
        settings.append(np.broadcast_to(found.reshape(-1, width), (len(recordings), width)))
    knobs, switches = settings[0], settings[1][:, 0]
    if not np.all(np.isin(switches, (0, 1))):
        raise ValueError(f"limit is a switch, 0 or 1, got {limit!r}")
    return recordings, knobs, switches
