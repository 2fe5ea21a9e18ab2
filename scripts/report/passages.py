"""Passages of the test split for the player: input, target, every model and the anchor of a listening test.

A passage is where the device works most: where the level of its output over that of its input moves most. Models hear
the recording as they do in scoring, so that their signals are sample for sample those that were scored.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from markupsafe import Markup
from numpy.typing import NDArray
from scipy.signal import fftconvolve, firwin

from auraloss.level import GATE_LUFS, LoudnessLoss
from data import audio
from data.segments import Segment
from data.signaltrain import CONTROLS, Recording
from models.net import Net
from models.rendering import Rendering
from scripts.measure.recorded import FLOOR_DB
from scripts.report.colours import ANCHOR, INPUT, TARGET, Look
from scripts.report.side_by_side import each

Audio = NDArray[np.float64]

HOP_SECONDS = 0.05  # of the levels that say where the gain moves
FADE_SECONDS = 0.005
ANCHOR_HZ = (3500, 4000)  # pass and stop band of the low-pass, as in ITU-R BS.1534
_SCAN_SECONDS = 60.0  # read at a time
_PART = 2**20  # samples that a network is given at a time


@dataclass(frozen=True)
class Place:
    """Some samples of a recording."""

    recording: Recording
    start: int  # first sample
    frames: int


@dataclass
class Passage:
    """What is heard at a place, as mono signals of equal length."""

    place: Place
    input: Audio
    target: Audio
    outputs: dict[str, Audio] = field(default_factory=dict)  # by the model's label
    failed: dict[str, str] = field(default_factory=dict)  # why a model has no output, by its label
    gains_db: dict[str, Audio] = field(default_factory=dict)  # of models that tell their gain; see `inner_gain`
    reduction_db: Audio | None = None  # the device's own gain reduction, where it is known


def title(place: Place) -> str:
    """
    >>> from pathlib import Path
    >>> title(Place(Recording("7", "test", Path(), Path(), 0, 8000, 1, (1.0, 0.55), "1__55"), 12_000, 8000))
    'Limit, peak reduction 55, recording 7 from 1.5 s'
    """
    mode, peak_reduction = (control.shown(x) for control, x in zip(CONTROLS, place.recording.controls, strict=True))
    start = place.start / place.recording.sample_rate
    return f"{mode.capitalize()}, peak reduction {peak_reduction}, recording {place.recording.id} from {start:.1f} s"


def choose(
    recordings: Iterable[Recording], trained_settings: Collection[str], count: int, seconds: float
) -> list[Place]:
    """Places in up to `count` recordings: of each setting the one where the gain moves most.

    Settings that were never trained on come first, each kind in the order of how much the gain moves.
    """
    best: dict[str, tuple[float, Place]] = {}
    for recording in recordings:
        movement, start = _most_moving(recording, seconds)
        frames = min(round(seconds * recording.sample_rate), recording.frames)
        if recording.setting not in best or movement > best[recording.setting][0]:
            best[recording.setting] = movement, Place(recording, start, frames)
    order = sorted(best, key=lambda setting: (setting in trained_settings, -best[setting][0], setting))
    return [best[setting][1] for setting in order[:count]]


def _most_moving(recording: Recording, seconds: float) -> tuple[float, int]:
    """Largest movement of the gain in dB over `seconds`, and the sample where these start."""
    hop = max(1, round(HOP_SECONDS * recording.sample_rate))
    step = hop * max(1, round(_SCAN_SECONDS / HOP_SECONDS))
    levels = []
    for start in range(0, recording.frames, step):
        frames = min(step, recording.frames - start)
        pair = (audio.read(file, start, frames) for file in (recording.input, recording.target))
        levels.append(np.stack([_level_db(sound, hop) for sound in pair]))
    before, after = np.concatenate(levels, axis=1)
    gain = np.where(before > FLOOR_DB, after - before, np.nan)
    moved = np.concatenate([np.nan_to_num(np.abs(np.diff(gain))), [0.0]])  # from each hop to the next
    hops = max(1, round(seconds * recording.sample_rate / hop) - 1)
    sums = np.convolve(moved, np.ones(min(hops, len(moved))), mode="valid")
    place = int(np.argmax(np.round(sums, 6)))  # rounded, so that equal places are equal on every machine
    frames = min(round(seconds * recording.sample_rate), recording.frames)
    return float(sums[place]), min(place * hop, recording.frames - frames)


def _level_db(sound: NDArray[np.float32], hop: int) -> Audio:
    """Level of each `hop` samples over all channels, dBFS; the last may be shorter."""
    energy = np.square(sound, dtype=np.float64).mean(axis=0)
    edges = np.arange(0, len(energy), hop)
    counts = np.diff(edges, append=len(energy))
    return 10 * np.log10(2 * np.add.reduceat(energy, edges) / counts + 1e-12)


def span(recording: Recording, start: int, stop: int) -> Segment:
    """Samples start … stop − 1 of a recording; those outside it are zero."""
    first, last = max(start, 0), min(stop, recording.frames)
    beyond = ((0, 0), (first - start, stop - last))
    pair = (audio.read(file, first, last - first) for file in (recording.input, recording.target))
    sound, processed = (torch.from_numpy(np.pad(samples, beyond)) for samples in pair)
    return Segment(sound, processed, torch.tensor(recording.controls, dtype=torch.float32))


def output(net: Net, place: Place, device: torch.device | str = "cpu") -> Audio:
    """What a network makes of the input there, hearing the recording as in scoring; mean of the channels.

    Raises:
        ValueError: if it is not as long as the place, or not finite.
    """
    rendering, stop = Rendering(net, device), place.start + place.frames
    first, (before, after) = 0 if rendering.endless else place.start, rendering.context
    parts = [
        rendering.block(span(place.recording, start - before, min(start + _PART, stop) + after))[0]
        for start in range(first, stop, _PART)
    ]
    rendered = torch.cat(parts, dim=-1)[..., place.start - first :]
    heard = rendered[0].cpu().double().mean(dim=0).numpy()
    if heard.shape != (place.frames,):
        raise ValueError(f"the network returned {len(heard)} samples for {place.frames}")
    if bad := int((~np.isfinite(heard)).sum()):
        raise ValueError(f"the network returned {bad} samples that are not finite")
    return heard


def hear(place: Place, nets: Mapping[str, Net], device: torch.device | str = "cpu") -> Passage:
    """All signals at a place; a model that fails there has no output, and the reason is kept."""
    segment = span(place.recording, place.start, place.start + place.frames)
    sound, processed = (signal.double().mean(dim=0).numpy() for signal in (segment.input, segment.target))
    return Passage(place, sound, processed, *each(nets, lambda net: output(net, place, device)))


def worst_part(whole: Passage, seconds: float) -> Passage:
    """The `seconds` of a passage with one output where the error of that has the most energy."""
    place, (label, output) = whole.place, next(iter(whole.outputs.items()))
    rate = place.recording.sample_rate
    frames = min(round(seconds * rate), place.frames)
    sums = np.concatenate([[0.0], np.cumsum(np.square(output - whole.target))])
    starts = np.arange(0, place.frames - frames + 1, max(1, rate // 20))
    start = int(starts[np.argmax(sums[starts + frames] - sums[starts])])
    part = slice(start, start + frames)
    kept = Place(place.recording, place.start + start, frames)
    return Passage(kept, whole.input[part], whole.target[part], {label: output[part]})


def anchor(target: Audio, sample_rate: int) -> Audio | None:
    """The target without what lies above 3.5 kHz (−60 dB from 4 kHz on), linear phase; None below 8.1 kHz of rate."""
    low, high = ANCHOR_HZ
    if sample_rate < 2.02 * high:
        return None
    taps = 2 * math.ceil((60 - 7.95) / (2.285 * 2 * math.pi * (high - low) / sample_rate) / 2) + 1  # Kaiser's estimate
    low_pass = firwin(taps, (low + high) / 2, window=("kaiser", 5.65), fs=sample_rate)
    return fftconvolve(target, low_pass)[taps // 2 :][: len(target)]


def loudness(signal: Audio, sample_rate: int) -> float | None:
    """Integrated loudness in LUFS (ITU-R BS.1770-4); None if all of it lies below the gate or it is too short."""
    if len(signal) < 0.4 * sample_rate:  # one gating block
        return None
    value = LoudnessLoss(sample_rate).loudness(torch.from_numpy(signal)).item()
    return round(value, 2) if value > GATE_LUFS else None


def encoded(
    passage: Passage, id: str, title: str, looks: Mapping[str, Look], with_anchor: bool = True
) -> tuple[Markup, float]:
    """A passage as the JSON that the player reads, and the factor by which all its signals were scaled to fit ±1.

    ``{"id", "title", "sample_rate", "seconds", "signals": [{"id", "label", "kind", "lufs", "flac"}]}``
    """
    rate = passage.place.recording.sample_rate
    signals: list[tuple[str, Look, Audio]] = [("input", INPUT, passage.input), ("target", TARGET, passage.target)]
    signals += [("model", looks[label], output) for label, output in passage.outputs.items()]
    if with_anchor and (filtered := anchor(passage.target, rate)) is not None:
        signals.append(("anchor", ANCHOR, filtered))
    factor = min(1.0, 1 / max(float(np.abs(signal).max()) for _, _, signal in signals))
    fade = _fade(passage.place.frames, rate)
    entries = []
    for kind, look, signal in signals:
        heard = np.clip(factor * signal * fade, -1, 1)  # rounding alone is clipped
        flac = base64.b64encode(audio.encode_flac(heard, rate)).decode()
        entries.append({"id": look.id, "label": look.label, "kind": kind, "lufs": loudness(heard, rate), "flac": flac})
    content = {
        "id": id,
        "title": title,
        "sample_rate": rate,
        "seconds": round(passage.place.frames / rate, 4),
        "signals": entries,
    }
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
    return Markup(text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")), factor


def _fade(frames: int, sample_rate: int) -> Audio:
    """Half cosines of 5 ms at both ends, so that a passage begins and loops without a click."""
    fade = np.ones(frames)
    length = min(round(FADE_SECONDS * sample_rate), frames // 2)
    rise = 0.5 - 0.5 * np.cos(np.pi * np.arange(length) / max(length, 1))
    fade[:length] = rise
    fade[frames - length :] = rise[::-1]
    return fade


def budget(signals: int, sample_rate: int, count: int, seconds: float, megabytes: float) -> float:
    """Seconds of each passage, at most `seconds`, for which all of them take about `megabytes` on the page.

    FLAC takes some 70 % of 16 bits, and base64 a third more than that.
    """
    each = signals * sample_rate * 2 * 0.7 * 4 / 3 / 1e6  # MB a second of a passage
    return min(seconds, megabytes / (each * max(count, 1)))
