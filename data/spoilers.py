"""What would spoil a training though it can be read: pairs out of time, clipped, silent, out of reach, there twice."""

import hashlib
import math
import os
from collections import defaultdict
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np

from data import audio
from data.levels import dbfs
from data.signaltrain import Recording

_FRAMES = 1 << 20  # samples looked at at a time, and of the excerpt by which the offset is found
_FLAT = 4  # samples in a row at the very peak are clipped; music touches its peak with one or two
_CLIPS = 3  # such places; one may be chance
_LOUD = 0.1  # a peak below it is not clipped: few steps of an integer format are flat too
_SILENT = 10 ** (-70 / 20)  # RMS of a target that holds nothing but noise
_SAME_SECONDS = 1.0  # shorter recordings may be alike by chance
_ALIKE = 0.2  # correlation of input and target at the offset; below it there is none to be found


class _Look(NamedTuple):
    """What a look at a file from end to end tells."""

    lowest: float
    highest: float
    rms: float
    clips: int  # places where the peak is held
    first_clip: int  # sample of the first
    clip_level: float  # that is held there
    digest: str  # of the samples
    loudest: int  # start of the block with most energy


def spoilers(found: dict[str, list[Recording]]) -> list[str]:
    """One line for each fault, with file, number and remedy; the content has to be finite (`check_content`)."""
    recordings = [recording for split in found.values() for recording in split]
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        looks = list(pool.map(lambda r: (_look(r.input), _look(r.target)), recordings))
        lags = list(pool.map(lambda pair: _lag(pair[0], pair[1][1].loudest), zip(recordings, looks, strict=True)))
    lines = []
    for recording, (sound, processed), lag in zip(recordings, looks, lags, strict=True):
        lines += _of_pair(recording, sound, processed, lag)
    return lines + _twice(zip(recordings, (sound for sound, _ in looks), strict=True))


def _of_pair(recording: Recording, sound: _Look, processed: _Look, lag: int) -> list[str]:
    lines = []
    for path, look in ((recording.input, sound), (recording.target, processed)):
        if look.clips >= _CLIPS:
            lines.append(
                f"{path} is clipped in {look.clips} places, first at {look.clip_level:.4g} from sample "
                f"{look.first_clip} on ({look.first_clip / recording.sample_rate:.3f} s). Record it at less level."
            )
    target = recording.target
    peak = max(-processed.lowest, processed.highest)
    if peak > 1:
        lines.append(
            f"{target} goes up to {peak:.4g}: a network that ends in tanh reaches ±1. Scale all targets of the set "
            f"down by {1 / peak:.3g} or less, or train with model=product."
        )
    if processed.highest == processed.lowest:
        kind = "silent" if peak == 0 else f"constant at {processed.highest:.4g}"
        lines.append(f"{target} is {kind}. Record it again, or leave the pair out.")
    elif processed.rms < _SILENT < sound.rms / 10:
        lines.append(
            f"{target} is as good as silent: {dbfs(processed.rms):.0f} dBFS, and "
            f"{dbfs(sound.rms):.0f} dBFS in {recording.input}. Record it again, or leave the pair out."
        )
    if lag:
        late = "late" if lag > 0 else "early"
        side = recording.target if lag > 0 else recording.input
        lines.append(
            f"{target} is {abs(lag)} sample(s) {late} against {recording.input}. Cut as many off the start of "
            f"{side.name}, and off the end of the other."
        )
    return lines


def _twice(looks: Iterable[tuple[Recording, _Look]]) -> list[str]:
    """Inputs that more than one split holds."""
    places: dict[str, list[Recording]] = defaultdict(list)
    for recording, look in looks:
        if recording.seconds >= _SAME_SECONDS and look.highest > look.lowest:
            places[look.digest].append(recording)
    return [
        f"{same[0].input} and {other.input} are the same recording, in {same[0].split} and in {other.split}: the score "
        f"would be that of what was learned. Leave one of the pairs out."
        for same in places.values()
        for other in same[1:]
        if other.split != same[0].split
    ]


def _look(path: Path) -> _Look:
    header = audio.info(path)
    frames = header.frames
    lowest, highest = [math.inf] * header.channels, [-math.inf] * header.channels
    energy, loudest, most = 0.0, 0, -1.0
    digest = hashlib.sha256()
    flat: list[tuple[int, float, int, int]] = []  # channel, level, places and first of each that a block's peak is flat
    for start in range(0, frames, _FRAMES):
        block = audio.read(path, start, min(_FRAMES, frames - start))
        digest.update((block + 0.0).tobytes())  # −0 and 0 are one
        of_block = float(np.square(block, dtype=np.float64).sum())
        energy += of_block
        if of_block > most:
            loudest, most = start, of_block
        for number, channel in enumerate(block):
            low, high = float(channel.min()), float(channel.max())
            lowest[number], highest[number] = min(lowest[number], low), max(highest[number], high)
            for level in (low, high):
                places, first = _flat(channel, level)
                if places:
                    flat.append((number, level, places, start + first))
    rms = math.sqrt(energy / max(frames * header.channels, 1))
    clipped = [
        (first, level, places)
        for number, level, places, first in flat
        if lowest[number] < highest[number] and level in (lowest[number], highest[number]) and abs(level) >= _LOUD
    ]
    first, level, _ = min(clipped, default=(0, 0.0, 0))
    places = sum(places for _, _, places in clipped)
    return _Look(min(lowest), max(highest), rms, places, first, level, digest.hexdigest(), loudest)


def _flat(channel: np.ndarray, level: float) -> tuple[int, int]:
    """How often a channel holds a level, and where first."""
    at = np.flatnonzero(channel == level)
    if len(at) < _FLAT:
        return 0, 0
    runs = np.split(at, np.flatnonzero(np.diff(at) > 1) + 1)
    long = [int(run[0]) for run in runs if len(run) >= _FLAT]
    return len(long), long[0] if long else 0


def _lag(recording: Recording, start: int) -> int:
    """By how many samples the target is late, from where the two are most alike; 0 if they are alike nowhere.

    Each channel is correlated with its own and the magnitudes are added: the mean of channels in antiphase is silent.
    """
    frames = min(_FRAMES, recording.frames - start)
    sound, processed = (
        np.diff(audio.read(path, start, frames), prepend=0.0) for path in (recording.input, recording.target)
    )
    size = 1 << (2 * frames - 1).bit_length()
    alike, norm = np.zeros(size), 0.0
    for x, y in zip(sound, processed, strict=True):
        norm += math.sqrt(float(np.square(x).sum()) * float(np.square(y).sum()))
        alike += np.abs(np.fft.irfft(np.fft.rfft(y, size) * np.conj(np.fft.rfft(x, size)), size))
    if norm < 1e-9:
        return 0
    alike /= norm
    best = int(np.argmax(alike))
    if alike[best] < _ALIKE or alike[best] < 1.02 * alike[0]:
        return 0
    return best if best < size // 2 else best - size
