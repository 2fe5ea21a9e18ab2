"""The embedded data set: programme material through the LA-2A model, in SignalTrain's layout.

    <root>/{Train,Val,Test}/input_<id>_.wav
    <root>/{Train,Val,Test}/target_<id>_LA2A_synth__<switch>__<peak reduction>.wav
    <root>/dataset.json       what the set was made with; there only once the set is complete

A recording is drawn from (seed, split, its number in the split): the splits share no material, and equal
options give equal bytes.
"""

import glob
import json
import math
import shutil
import uuid
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import partial
from itertools import chain
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from data import audio, signaltrain
from data.la2a import la2a
from data.synthesis import programme

CONTROLS = signaltrain.CONTROLS
FORMAT = 3  # to be raised whenever the same options give other samples
SETTINGS_FILE = "dataset.json"

RECORDING_SECONDS = (8.0, 60.0)
TRAIN_RECORDINGS = 48  # sought for the sake of many settings, before recordings grow beyond 10 s
HELD_OUT_SHARE = 0.15  # length of Val and of Test, relative to Train
VAL_RECORDINGS = 8
VAL_SECONDS = 16.0  # at least: two recordings that hold an evaluation segment each (6 s)
TEST_RECORDINGS = 16
TEST_SECONDS = 144.0  # at least, for 16 recordings of 9 s; or less, if that is more than TEST_SHARE of Train
TEST_SHARE = 0.3
TEST_SECONDS_LEAST = 24.0  # three recordings, one of each kind of setting

# Settings (switch, peak reduction) in the order of use. Train has the multiples of 5, 5 … 95, that are not held out.
VAL_SETTINGS = ((0, 90), (1, 80), (1, 40), (0, 70), (0, 30), (1, 95), (1, 25), (0, 55))
SEEN = ((0, 85), (1, 75), (0, 65), (1, 90), (0, 50), (1, 60))  # in Train as well, with other material
BETWEEN = ((1, 55), (0, 75), (1, 70), (0, 45), (1, 85), (0, 60))  # never in Train, which has their neighbours
EXTREME = ((0, 100), (1, 100), (1, 0), (0, 0))  # never in Train, which ends before them
TEST_SETTINGS = (*chain(*zip(SEEN, BETWEEN, EXTREME, strict=False)), *chain(*zip(SEEN[4:], BETWEEN[4:], strict=True)))
HELD_OUT = (*VAL_SETTINGS[::2], *BETWEEN, *EXTREME)


class Planned(NamedTuple):
    """A recording to be written."""

    id: int
    split: str  # "train", "val" or "test"
    number: int  # within its split, from 0
    seconds: float
    setting: tuple[int, int]  # switch 0/1, peak reduction 0…100

    def files(self, root: Path) -> tuple[Path, Path]:
        """Input and target."""
        folder = root / signaltrain.SPLITS[self.split]
        switch, peak_reduction = self.setting
        target = f"target_{self.id}_LA2A_synth__{switch}__{peak_reduction}.wav"
        return folder / f"input_{self.id}_.wav", folder / target


def recordings(
    root: str | Path,
    minutes: float = 40,
    seed: int = 0,
    sample_rate: int = 44100,
    channels: int = 1,
    processes: int = 1,
) -> dict[str, list[signaltrain.Recording]]:
    """The recordings of the embedded data set, which is written first if it is not there.

    It is written into a folder beside `root` that is renamed at the end: what lies at `root` is complete.

    Args:
        root: folder of the data set.
        minutes: length of Train. Val and Test have 15 % of it each, but Val at least two recordings of 8 s, and Test
            16 recordings of 9 s (in a set below 8 minutes, as many as make 30 % of Train, and at least three of 8 s).
        seed: of everything random.
        sample_rate: Hz.
        channels: 1; the set is mono.
        processes: that write; the files are the same for any number.

    Returns:
        the recordings of "train", "val" and "test", as `data.signaltrain.recordings` does.

    Raises:
        ValueError: an option out of range, or a folder that holds something else, or a set of other options.
    """
    if not (math.isfinite(minutes) and minutes > 0):
        raise ValueError(f"minutes is the length of Train and must be > 0, got {minutes}")
    if seed < 0:
        raise ValueError(f"seed must be a whole number >= 0, got {seed}")
    if channels != 1:
        raise ValueError(f"the embedded data set is mono, got channels={channels}; bring stereo recordings of your own")
    if sample_rate < 16000:
        raise ValueError(f"sample_rate is in Hz and must be at least 16000, got {sample_rate}")
    if processes < 1:
        raise ValueError(f"processes must be at least 1, got {processes}")
    root = Path(root).expanduser().absolute()
    settings = {"format": FORMAT, "minutes": float(minutes), "seed": seed, "sample_rate": sample_rate}
    planned = plan(minutes)
    if not root.exists() or (root.is_dir() and not any(root.iterdir())):
        _write(root, planned, settings, processes)
    _check(root, planned, settings)
    return signaltrain.recordings(root, sample_rate=sample_rate)


def plan(minutes: float) -> list[Planned]:
    """Recordings of a set with `minutes` of Train: lengths, ids and settings.

    >>> [(p.id, p.split, p.seconds, p.setting) for p in plan(minutes=8) if p.split == "test"][:3]
    [(57, 'test', 9.0, (0, 85)), (58, 'test', 9.0, (1, 55)), (59, 'test', 9.0, (0, 100))]
    """
    planned: list[Planned] = []
    train = 60.0 * minutes
    test_at_least = max(min(TEST_SECONDS, TEST_SHARE * train), TEST_SECONDS_LEAST)
    for split, total, wanted in (
        ("train", train, TRAIN_RECORDINGS),
        ("val", max(HELD_OUT_SHARE * train, VAL_SECONDS), VAL_RECORDINGS),
        ("test", max(HELD_OUT_SHARE * train, test_at_least), TEST_RECORDINGS),
    ):
        count = max(2, round(total / np.clip(total / wanted, *RECORDING_SECONDS)))
        for number in range(count):
            setting = _setting(split, number)
            planned.append(Planned(len(planned) + 1, split, number, total / count, setting))
    return planned


def _setting(split: str, number: int) -> tuple[int, int]:
    """Setting of a recording.

    Train alternates between the modes and walks over the peak reductions by the golden ratio: any number of
    recordings covers them evenly, those from 30 up three times as densely.
    """
    if split == "val":
        return VAL_SETTINGS[number % len(VAL_SETTINGS)]
    if split == "test":
        return TEST_SETTINGS[number % len(TEST_SETTINGS)]
    switch = number % 2
    allowed = [pr for pr in range(5, 100, 5) if (switch, pr) not in HELD_OUT]
    ladder = [pr for pr in allowed for _ in range(3 if pr >= 30 else 1)]
    position = (0.5 + number * (math.sqrt(5) - 1) / 2) % 1
    return switch, ladder[int(position * len(ladder))]


def _write(root: Path, planned: list[Planned], settings: dict[str, float], processes: int) -> None:
    """Write the set beside `root`, then rename it. Of processes that write at once, the first to end wins."""
    unfinished = root.with_name(f"{root.name}.partial-{uuid.uuid4().hex[:8]}")
    try:
        _write_recordings(unfinished, planned, int(settings["seed"]), int(settings["sample_rate"]), processes)
        (unfinished / SETTINGS_FILE).write_text(json.dumps(settings, indent=2) + "\n")
        unfinished.rename(root)
    except Exception:
        if not (root / SETTINGS_FILE).exists():  # else another process was first, which the caller checks
            raise
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    # What killed processes left behind, and the work of those that are late: they take this set instead.
    for leftover in root.parent.glob(f"{glob.escape(root.name)}.partial-*"):
        shutil.rmtree(leftover, ignore_errors=True)


def _write_recordings(root: Path, planned: list[Planned], seed: int, sample_rate: int, processes: int) -> None:
    """All recordings, each by one of the processes: what is drawn depends on no other."""
    bar = partial(tqdm, total=len(planned), desc=f"writing {root.name.partition('.partial-')[0]}", unit="recording")
    if processes == 1:
        for p in bar(planned):
            _write_recording(root, p, seed, sample_rate)
        return
    with ProcessPoolExecutor(processes, get_context("spawn")) as pool:
        jobs = [pool.submit(_write_recording, root, p, seed, sample_rate) for p in planned]
        try:
            for job in bar(as_completed(jobs)):
                job.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _write_recording(root: Path, p: Planned, seed: int, sample_rate: int) -> None:
    sequence = np.random.SeedSequence([seed, list(signaltrain.SPLITS).index(p.split), p.number])
    rng = np.random.Generator(np.random.PCG64(sequence))
    x = programme(rng, p.seconds, sample_rate)
    y = la2a(x, p.setting[1], p.setting[0], sample_rate, seed=rng)
    input, target = p.files(root)
    audio.write(input, x, sample_rate)
    audio.write(target, y, sample_rate)


def _check(root: Path, planned: list[Planned], settings: dict[str, float]) -> None:
    """Raise if `root` does not hold the set that was asked for."""
    remedy = "Choose another folder for the set, or delete this one to have it written again."
    try:
        found = dict(json.loads((root / SETTINGS_FILE).read_text()))
    except (OSError, ValueError, TypeError) as error:
        raise ValueError(f"{root} is not an embedded data set: it has no readable {SETTINGS_FILE}. {remedy}") from error
    if found != settings:
        names = [name for name in settings if found.get(name) != settings[name]]
        there = ", ".join(f"{name}={found.get(name)}" for name in names)
        asked = ", ".join(f"{name}={settings[name]}" for name in names)
        raise ValueError(f"{root} was made with {there}; asked for is {asked}. {remedy}")
    missing = [path for p in planned for path in p.files(root) if not path.exists()]
    if missing:
        raise ValueError(f"{root} lacks {len(missing)} of its files, {missing[0]} for one. {remedy}")
