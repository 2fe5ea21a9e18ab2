"""Measures the losses against the published package, 0.4.0: forward and backward, time and peak memory.

python -m scripts.benchmark losses                                       all, about 3 minutes on two cores
python -m scripts.benchmark losses --only MR STFT                        some of them
python -m scripts.benchmark losses --relative                            also what each costs relative to L1
python -m scripts.benchmark losses --device cuda --autocast              in mixed precision, as in training
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import os
import platform
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import ModuleType

import torch
from torch import Tensor

import auraloss
from scripts.benchmark.cells import line, number, rule
from scripts.benchmark.clock import median, milliseconds
from scripts.benchmark.memory import peak_bytes
from scripts.benchmark.published import published_package

SAMPLE_RATE = 44_100  # Hz
LEVEL = 0.1  # RMS of the target
DRAWS = 4  # of RR; they differ in cost
SHAPES = {"cpu": (8, 131_072), "cuda": (128, 18_446)}  # batch, samples; on cuda the paper's crops
COLUMNS = ("loss", "published ms", "ours ms", "faster by ×", "published MB", "ours MB", "memory ratio")

Evaluate = Callable[[Tensor, Tensor], Tensor]
Make = Callable[[ModuleType, int], list[torch.nn.Module]]
"""The losses of one row, made from a package for signals of so many samples; of several the mean counts."""


def _one(path: str, **options: object) -> Make:
    module, name = path.split(".")
    return lambda package, samples: [getattr(getattr(package, module), name)(**options)]


def _torch(name: str) -> Make:
    """The published package has none of its own: torch's stands in its place."""
    return lambda package, samples: [getattr(package.time, name, getattr(torch.nn, name))()]


def _random(package: ModuleType, samples: int) -> list[torch.nn.Module]:
    """The packages draw differently: the published one gets what ours drew."""
    losses: list[torch.nn.Module] = []
    for seed in range(DRAWS):
        drawn = auraloss.freq.RandomResolutionSTFTLoss(seed=0).draw(seed, samples)
        if package is auraloss:
            losses.append(drawn)
            continue
        loss = package.freq.MultiResolutionSTFTLoss(drawn.fft_sizes, drawn.hop_sizes, drawn.win_lengths)
        for resolution, window in zip(loss.stft_losses, drawn.window, strict=True):
            resolution.window = getattr(torch, window)(resolution.win_length)
        losses.append(loss)
    return losses


_RESOLUTIONS = {"fft_sizes": [1024, 2048, 512], "hop_sizes": [120, 240, 50], "win_lengths": [600, 1200, 240]}
CASES: dict[str, Make] = {
    "L1": _torch("L1Loss"),
    "MSE": _torch("MSELoss"),
    "ESR": _one("time.ESRLoss"),
    "DC": _one("time.DCLoss"),
    "log-cosh": _one("time.LogCoshLoss"),
    "SNR": _one("time.SNRLoss"),
    "SI-SDR": _one("time.SISDRLoss"),
    "SD-SDR": _one("time.SDSDRLoss"),
    "STFT": _one("freq.STFTLoss"),
    "MR": _one("freq.MultiResolutionSTFTLoss"),
    "RR": _random,
    "mel": _one("freq.MelSTFTLoss", sample_rate=SAMPLE_RATE),
    "complex STFT": _one("freq.ComplexSTFTLoss", w_phase=1.0),
    "transport": _one("freq.SpectralTransportLoss"),
    "multi-scale mel": _one("freq.MultiScaleMelLoss", sample_rate=SAMPLE_RATE),
    "A-weighted": _one("freq.STFTLoss", perceptual_weighting=True, sample_rate=SAMPLE_RATE),
    "sum-difference": _one("freq.SumAndDifferenceSTFTLoss", **_RESOLUTIONS),
    "scale-invariant": _one("freq.STFTLoss", scale_invariance=True),
    "gain reduction": _one("level.GainReductionLoss", sample_rate=SAMPLE_RATE),
    "loudness": _one("level.LoudnessLoss", sample_rate=SAMPLE_RATE),
    "cumulative energy": _one("level.CumulativeEnergyLoss"),
}
STEREO = {"sum-difference"}  # half as many items of two channels, so that every row has as many samples
ONLY_OURS = {  # the published package has none, or one that fails for a batch of more than one
    *("scale-invariant", "multi-scale mel", "complex STFT", "transport"),
    *("gain reduction", "loudness", "cumulative energy"),
}


@dataclass(frozen=True)
class Setting:
    """What all rows share."""

    batch: int
    samples: int
    repeats: int
    seconds: float
    device: str = "cpu"
    autocast: bool = False

    def signals(self, channels: int) -> tuple[Tensor, Tensor]:
        """An input that needs a gradient, 20 dB off the target; both noise."""
        generator = torch.Generator().manual_seed(0)
        shape = (self.batch // channels, channels, self.samples)
        target = LEVEL * torch.randn(shape, generator=generator)
        input = target + 0.1 * LEVEL * torch.randn(shape, generator=generator)
        input = input.to(self.device, torch.bfloat16 if self.autocast else torch.float32)
        return input.requires_grad_(), target.to(self.device)

    def precision(self) -> contextlib.AbstractContextManager[object]:
        return torch.autocast(self.device, torch.bfloat16, enabled=self.autocast)


@dataclass(frozen=True)
class Row:
    """Milliseconds of each pair of calls, and megabytes (10⁶ bytes); nothing of the published package if it fails."""

    name: str
    ours_ms: list[float]
    published_ms: list[float]
    ours_mb: float
    published_mb: float | None

    def cells(self) -> list[str]:
        if self.published_mb is None:
            return [self.name, "–", number(median(self.ours_ms)), "–", "–", number(self.ours_mb), "–"]
        ratios = [published / ours for published, ours in zip(self.published_ms, self.ours_ms, strict=True)]
        low, high = torch.tensor(ratios).quantile(torch.tensor([0.25, 0.75])).tolist()
        return [
            self.name,
            number(median(self.published_ms)),
            number(median(self.ours_ms)),
            f"{median(self.published_ms) / median(self.ours_ms):.2f} ({low:.2f}–{high:.2f})",
            number(self.published_mb),
            number(self.ours_mb),
            f"{self.ours_mb / self.published_mb:.2f}",
        ]


def step(loss: Evaluate, input: Tensor, target: Tensor) -> None:
    """Forward and backward, as in a step of training."""
    input.grad = None
    loss(input, target).backward()


def measure(name: str, published: ModuleType, setting: Setting) -> Row:
    """Time and memory of one loss, ours and the published one in turn."""
    make = CASES[name]
    packages = [auraloss] if name in ONLY_OURS else [auraloss, published]
    losses = [[loss.to(setting.device) for loss in make(package, setting.samples)] for package in packages]
    input, target = setting.signals(2 if name in STEREO else 1)
    # Freeing one block of 30 MiB tells glibc to keep smaller ones, as it does in a long training; else the first
    # losses, but not the later ones, get every tensor as fresh pages.
    torch.empty(30 << 20, dtype=torch.uint8)
    with setting.precision():
        for group in losses:
            _milliseconds(group, input, target)  # warm: plans of the FFT, constants, memory
        times: list[list[float]] = [[] for _ in losses]
        gc.collect()
        start = time.perf_counter()
        while len(times[0]) < setting.repeats or time.perf_counter() - start < setting.seconds:
            for group, taken in zip(losses, times, strict=True):
                taken.append(_milliseconds(group, input, target))
        megabytes = [_megabytes(group, input, target) for group in losses]
    return Row(name, times[0], times[-1], megabytes[0], megabytes[1] if len(megabytes) > 1 else None)


def _milliseconds(losses: Sequence[Evaluate], input: Tensor, target: Tensor) -> float:
    """The mean over the losses."""

    def work() -> None:
        for loss in losses:
            step(loss, input, target)

    return milliseconds(work, input.device.type) / len(losses)


def _megabytes(losses: Sequence[Evaluate], input: Tensor, target: Tensor) -> float:
    """The largest of the losses."""
    peaks = []
    for loss in losses:
        input.grad = None  # or its release would count
        peaks.append(peak_bytes(partial(step, loss, input, target), input.device.type))
    return max(peaks) / 1e6


def heading(setting: Setting) -> str:
    machine = f"{platform.machine()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads"
    if setting.device != "cpu":
        machine += f", {torch.cuda.get_device_name()}"
    dtype = "input bfloat16, target float32, under autocast" if setting.autocast else "float32"
    return f"**{machine}, torch {torch.__version__}, {setting.batch} × {setting.samples:,} samples, {dtype}**"


def footnotes(names: Sequence[str]) -> list[str]:
    notes = [
        "Forward and backward; the two in turn, medians; in brackets the quartiles of the ratio of neighbours. MB: 10⁶ "
        "bytes of tensors alive at the peak beyond input and target, the input's gradient included; ratio ours / "
        "published."
    ]
    if {"L1", "MSE"} & set(names):
        notes.append("L1, MSE: against torch.nn's.")
    if "RR" in names:
        notes.append(
            f"RR: {DRAWS} draws of ours, the same resolutions for both, without the drawing; the mean of their times, "
            f"the largest of their peaks."
        )
    if STEREO & set(names):
        notes.append("sum-difference: half as many items of two channels.")
    if ONLY_OURS & set(names):
        notes.append("–: the published package has none; its scale-invariant one fails for a batch of more than one.")
    return notes


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(
        "python -m scripts.benchmark losses", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--batch", type=int, help="items, an even number; 8, on cuda 128")
    parser.add_argument("--samples", type=int, help="samples of an item; 131,072, on cuda 18,446")
    parser.add_argument("--repeats", type=int, default=5, help="pairs of calls at least (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=5.0, help="of pairs at least (default: %(default)s)")
    parser.add_argument("--threads", type=int, help="torch's own choice if left out")
    parser.add_argument("--device", choices=tuple(SHAPES), default="cpu")
    parser.add_argument("--autocast", action="store_true", help="input in bfloat16, losses under autocast")
    parser.add_argument(
        "--only", nargs="+", choices=tuple(CASES), default=list(CASES), metavar="NAME", help=", ".join(CASES)
    )
    parser.add_argument("--relative", action="store_true", help="also the cost of ours relative to L1")
    parser.add_argument(
        "--published", type=Path, default=Path(sys.prefix) / "published", help="folder of auraloss 0.4.0"
    )
    chosen = parser.parse_args(arguments)
    batch, samples = SHAPES[chosen.device]
    batch, samples = chosen.batch or batch, chosen.samples or samples
    if batch < 2 or batch % 2:
        parser.error(f"--batch {batch} is not an even number: two channels take half as many items.")
    if chosen.device == "cuda" and not torch.cuda.is_available():
        parser.error("--device cuda: torch finds no GPU.")
    try:
        published = published_package(chosen.published)
    except FileNotFoundError as error:
        parser.error(str(error))
    if chosen.threads:
        torch.set_num_threads(chosen.threads)
    setting = Setting(batch, samples, max(1, chosen.repeats), chosen.seconds, chosen.device, chosen.autocast)
    names = [name for name in CASES if name in chosen.only or (chosen.relative and name == "L1")]

    print(f"{heading(setting)}\n\n{line(COLUMNS)}\n{rule(COLUMNS)}", flush=True)
    rows = []
    for name in names:
        rows.append(measure(name, published, setting))
        print(line(rows[-1].cells()), flush=True)
    print("\n" + "\n".join(footnotes(names)))
    if chosen.relative:
        columns = ("loss", "ours, L1 = 1")
        print(f"\n{line(columns)}\n{rule(columns)}")
        for row in rows:
            print(line([row.name, number(median(row.ours_ms) / median(rows[0].ours_ms))]))
