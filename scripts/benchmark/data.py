"""Measures what a training waits for before the network: crops read, against a reader that takes them one by one.

python -m scripts.benchmark data                                      the embedded data set of 8 minutes
python -m scripts.benchmark data --root datasets/la2a-40min-seed0
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from data import audio, embedded, signaltrain
from data.datamodule import AudioDataModule, EpochSampler
from data.la2a import la2a
from data.segments import Chunks, Segment
from data.synthesis import programme
from scripts.benchmark.cells import line, rule

SAMPLE_RATE = 44_100  # Hz
CROP = 32_768  # samples
BATCH = 128  # crops
MINUTES = 8  # of the embedded data set
PASSES = 3  # of each measurement; the median counts
AT_LEAST = 20.0  # seconds of audio made for a measurement
COLUMNS = ("training crops a second", "one by one", "ours", "× as fast", "seconds of audio a second")


class OneByOne(Dataset[Segment]):
    """The plain way: each item opens its two files, and the loader joins the items to a batch."""

    def __init__(self, chunks: Chunks) -> None:
        self.chunks = chunks

    def __len__(self) -> int:
        return len(self.chunks)

    def __getitem__(self, key: tuple[int, int]) -> Segment:
        recording, start = self.chunks.place(*key)
        input, target = (audio.read(path, start, self.chunks.length) for path in (recording.input, recording.target))
        return Segment(torch.from_numpy(input), torch.from_numpy(target), torch.tensor(recording.controls))


def module(root: str, workers: int, preload: bool) -> AudioDataModule:
    made = AudioDataModule(
        signaltrain.recordings,
        root,
        segment_length=CROP,
        batch_size=BATCH,
        num_workers=workers,
        preload=preload,
        check=False,
    )
    made.setup()
    return made


def crops(root: str) -> list[tuple[str, list[float], list[float]]]:
    """Crops a second, ours and one by one, of each pass; in turn."""
    rows = []
    for workers, preload in ((0, False), (2, False), (0, True), (2, True)):
        ours = module(root, workers, preload).train_dataloader()
        sampler = EpochSampler(ours.dataset, 0)  # type: ignore[arg-type]
        plain: DataLoader[Segment] = DataLoader(OneByOne(ours.dataset), BATCH, sampler=sampler, num_workers=workers)  # type: ignore[arg-type]
        passes = [[_crops_a_second(loader) for loader in (ours, plain)] for _ in range(PASSES + 1)][
            1:
        ]  # the first warms
        place = "memory" if preload else "files"
        rows.append((f"from {place}, {workers} workers", [pair[0] for pair in passes], [pair[1] for pair in passes]))
    return rows


def _crops_a_second(loader: Iterable[Any]) -> float:
    start = time.perf_counter()
    number = sum(len(batch.input) for batch in loader)
    return number / (time.perf_counter() - start)


def made() -> list[tuple[str, float]]:
    """Seconds of audio made for each second of the clock."""
    material = programme(np.random.default_rng(0), AT_LEAST, SAMPLE_RATE)
    return [
        ("programme material, one core", _rate(lambda: programme(np.random.default_rng(0), AT_LEAST, SAMPLE_RATE))),
        ("LA-2A, one recording, one core", _rate(lambda: la2a(material, 70))),
    ]


def _rate(work: Callable[[], np.ndarray]) -> float:
    """Median over the passes."""
    rates = []
    for _ in range(PASSES):
        start = time.perf_counter()
        samples = len(work())
        rates.append(samples / SAMPLE_RATE / (time.perf_counter() - start))
    return statistics.median(rates)


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(
        "python -m scripts.benchmark data", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--root", help="data set in SignalTrain's layout (default: the embedded one of 8 minutes)")
    root = parser.parse_args(arguments).root
    if root is None:
        root = f"datasets/la2a-{MINUTES}min-seed0"
        embedded.recordings(root, MINUTES)
    print(
        f"**{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, "
        f"torch {torch.__version__}, NumPy {np.__version__}, batches of {BATCH} crops of {CROP:,} samples with "
        f"their targets**\n"
    )
    print(f"{line(COLUMNS)}\n{rule(COLUMNS)}", flush=True)
    for name, ours, plain in crops(root):
        fast, slow = statistics.median(ours), statistics.median(plain)
        audio_a_second = f"{fast * CROP / SAMPLE_RATE:,.0f}"
        print(line([name, f"{slow:,.0f}", f"{fast:,.0f}", f"{fast / slow:.2f}", audio_a_second]), flush=True)
    columns = ("made", "seconds of audio a second")
    print(f"\n{line(columns)}\n{rule(columns)}")
    for name, rate in made():
        print(line([name, f"{rate:,.0f}"]))
