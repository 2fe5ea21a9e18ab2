"""Measures what a training waits for before the network: recordings read, and recordings made.

python -m scripts.benchmark data --root datasets/la2a-40min-seed0
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from data import signaltrain
from data.datamodule import AudioDataModule
from data.la2a import la2a
from data.synthesis import programme

SAMPLE_RATE = 44_100  # Hz
CROP = 32_768  # samples
PASSES = 3  # of each measurement; the median counts
AT_LEAST = 20.0  # seconds of audio made for a measurement


def data(root: str) -> list[tuple[str, float]]:
    """Seconds of audio for each second of the clock: crops and blocks read, programme material and LA-2A made."""
    rows = []
    for workers, preload in ((0, False), (2, False), (0, True), (2, True)):
        module = AudioDataModule(
            signaltrain.recordings,
            root,
            segment_length=CROP,
            batch_size=128,
            num_workers=workers,
            preload=preload,
            check=False,
        )
        module.setup()
        place = "memory" if preload else "files"
        for name, loader in (("training crops", module.train_dataloader()), ("test blocks", module.test_dataloader())):
            rows.append((f"{name} from {place}, input and target, {workers} workers", _rate(partial(_read, loader))))
    material = programme(np.random.default_rng(0), AT_LEAST, SAMPLE_RATE)
    rows.append(("programme material, one core", _rate(lambda: _make(programme))))
    rows.append(("LA-2A, one recording, one core", _rate(lambda: len(la2a(material, 70)) / SAMPLE_RATE)))
    return rows


def _read(loader: object) -> float:
    """Reads an epoch; returns its seconds of input (and as many of target)."""
    return sum(batch.input.numel() for batch in loader) / SAMPLE_RATE  # type: ignore[attr-defined]


def _make(make: Callable[..., np.ndarray]) -> float:
    return len(make(np.random.default_rng(0), AT_LEAST, SAMPLE_RATE)) / SAMPLE_RATE


def _rate(work: Callable[[], float]) -> float:
    """Median over the passes of the seconds of audio that `work` returns by the seconds that it takes."""
    rates = []
    for _ in range(PASSES):
        start = time.perf_counter()
        seconds = work()
        rates.append(seconds / (time.perf_counter() - start))
    return statistics.median(rates)


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(
        "python -m scripts.benchmark data", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--root", required=True, help="data set in SignalTrain's layout")
    rows = data(parser.parse_args(arguments).root)
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, NumPy {np.__version__}\n")
    print(f"| | seconds of audio a second | crops of {CROP:,} samples a second |\n|---|---:|---:|")
    for name, rate in rows:
        crops = f"{rate * SAMPLE_RATE / CROP:,.0f}" if "crops" in name else "–"
        print(f"| {name} | {rate:,.0f} | {crops} |")
