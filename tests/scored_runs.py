"""Runs with networks of random weights and a small data set, for the tests of evaluate.py."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import scipy.signal
import torch

from data import audio
from models import run_files
from models.build import build_net

MODEL = {"_target_": "models.tcn.TCN", "blocks": 2, "kernel_size": 5, "channels": 2}
CONTEXT = 6  # samples of input on each side of an output sample: 4·(1 + 2) in all
LENGTH = 65536  # output samples of a segment
FRAMES = {"3": 24_000, "12": 140_000}  # of the test recordings, by id; one ends in a segment longer than the others
BLOCKS = [("3", 0, 24_000), ("12", 0, LENGTH), ("12", LENGTH, 140_000 - LENGTH)]
METRICS = ("L1", "ESR", "Logcosh", "STFT", "MR", "RR", "DC")
# As on the command line, but for what has tests of its own.
OPTIONS = (f"eval_length={LENGTH}", "device=cpu", "report=false", "~metrics@conventions.further")
# The metrics that cost nothing, for tests in which it does not matter which there are.
LIGHT = (
    *OPTIONS,
    "~metrics@conventions.paper2020",
    *(f"~conventions.standard.{name}" for name in ("STFT", "MR", "RR")),
)
LIGHT_METRICS = ("L1", "ESR", "Logcosh", "DC")

Row = dict[str, str]


def write_data(root: Path, seed: int = 0, sample_rate: int = 44100, channels: int = 1) -> Path:
    """Noise that swells, and the same through a soft limiter with an offset, in SignalTrain's layout."""
    rng = np.random.default_rng(seed)
    lengths = {"Train": {"1": 9000}, "Val": {"2": 9000}, "Test": FRAMES}
    for split, of_split in lengths.items():
        (root / split).mkdir(parents=True, exist_ok=True)
        for number, (id, frames) in enumerate(of_split.items()):
            swell = 0.02 + 0.3 * np.sin(np.arange(frames) / 9000) ** 2
            x = swell * scipy.signal.lfilter([0.3], [1, -0.7], rng.standard_normal((channels, frames)))
            y = 0.7 * np.tanh(x) + 0.01
            audio.write(root / split / f"input_{id}_.wav", x.astype(np.float32), sample_rate)
            name = f"target_{id}_limiter__{number % 2}__{40 + 25 * number}.wav"
            audio.write(root / split / name, y.astype(np.float32), sample_rate)
    return root


def save_net(folder: Path, checkpoint: str, seed: int, gain: float = 1.0, model: dict[str, Any] = MODEL) -> None:
    """A checkpoint of a network with random weights."""
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):  # or the tests before would decide on the weights
        torch.manual_seed(seed)
        net = build_net(model)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))
        for parameter in net.mix.parameters():  # type: ignore[union-attr]
            parameter.mul_(gain)
    weights = {f"net.{name}": value for name, value in net.state_dict().items()}
    torch.save({"state_dict": weights}, folder / "checkpoints" / f"{checkpoint}.ckpt")


def make_run(
    folder: Path, root: Path, seed: int = 0, gain: float = 1.0, model: dict[str, Any] = MODEL, **data: Any
) -> Path:
    """A run as training leaves it, with a network of random weights; `data` changes that section."""
    (folder / "checkpoints").mkdir(parents=True)
    save_net(folder, "best", seed, gain, model)
    save_net(folder, "last", seed + 100, 1.0, model)
    of_data = {"_target_": "data.datamodule.AudioDataModule", "root": str(root), "sample_rate": 44100, "channels": 1}
    choices = {"loss": folder.name.split("-")[0]}
    run_files.write_config(folder, {"seed": seed, "choices": choices, "model": model, "data": of_data | data})
    run_files.write_status(folder, "finished")
    return folder


def read(out: Path) -> list[Row]:
    with (out / "scores.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


def of(rows: list[Row], name: str) -> list[Row]:
    """The rows of a run, which is named by its folder's name."""
    return [row for row in rows if Path(row["run"]).name == name]


def names(out: Path) -> list[str]:
    """The runs that have scores, by their folders' names."""
    return list(dict.fromkeys(Path(row["run"]).name for row in read(out)))


def info(out: Path) -> dict[str, Any]:
    return dict(json.loads((out / "evaluation.json").read_text(encoding="utf-8")))
