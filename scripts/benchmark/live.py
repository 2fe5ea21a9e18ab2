"""Measures trained networks as they would be used live, on one thread: accuracy against cost.

python -m scripts.benchmark live models/trained/mr models/trained/live-mr

Speed as a multiple of real time at blocks of 64 and 512 samples, in `models.stream.Stream` and as an exported graph in
ONNX Runtime, in turn, some blocks in a row each: beside another program a block finds less of what it needs in the
caches. ESR and MR are those of the model's card, if it has one.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import statistics
from collections.abc import Sequence
from pathlib import Path

import onnxruntime
import torch

from models.net import Net
from models.run import Run, RunError
from models.stream import Stream
from scripts.benchmark.cells import line, number, rule
from scripts.benchmark.export import SAMPLE_RATE, Step, onnx_step, seconds
from scripts.export import graphs

BLOCKS = (64, 512)  # samples
IN_A_ROW = 16  # blocks
COLUMNS = (
    "model",
    "multiplications a sample",
    "latency",
    *(f"{where}, {block}" for where in ("Stream", "ONNX Runtime") for block in BLOCKS),
    "ESR",
    "MR",
)


def stream_step(net: Net, samples: int) -> Step:
    stream, block = Stream(net, [0.5] * _controls(net)), 0.1 * torch.randn(1, net.in_channels, samples)
    return lambda: stream.feed(block)


def scores(folder: Path) -> tuple[str, str]:
    """ESR and MR of all settings, of a model's card."""
    card = folder / "card.md"
    found = re.search(r"^\| all \| (\S+) \| (\S+) \|$", card.read_text(encoding="utf-8") if card.exists() else "", re.M)
    return (found[1], found[2]) if found else ("–", "–")


def row(folder: Path, repeats: int) -> list[str]:
    """A network's figures: medians of rows of blocks in turn."""
    net = Run.read(folder).net()
    model = graphs.to_onnx(graphs.trace_step(net, _controls(net))).SerializeToString()
    steps = [stream_step(net, samples) for samples in BLOCKS] + [onnx_step(model, samples) for samples in BLOCKS]
    times = [[_in_a_row(step) for step in steps] for _ in range(repeats + 1)][1:]  # the first are warm
    speeds = [
        samples / SAMPLE_RATE / statistics.median(taken)
        for samples, taken in zip(BLOCKS * 2, zip(*times, strict=True), strict=True)
    ]
    latency = f"{1000 * net.lookahead / SAMPLE_RATE:.0f} ms"
    return [folder.name, f"{net.multiplications():,.0f}", latency, *map(number, speeds), *scores(folder)]


def _in_a_row(step: Step) -> float:
    """Seconds for a block."""
    return seconds(lambda: [step() for _ in range(IN_A_ROW)]) / IN_A_ROW


def _controls(net: Net) -> int:
    return int(getattr(net, "controls", 2))


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(
        "python -m scripts.benchmark live", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", type=Path, nargs="+", help="folders of runs")
    parser.add_argument("--repeats", type=int, default=30, help=f"rows of {IN_A_ROW} blocks (default: %(default)s)")
    chosen = parser.parse_args(arguments)
    if chosen.repeats < 1:
        parser.error("--repeats must be at least 1")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        rows = [row(folder, chosen.repeats) for folder in chosen.runs]
    except RunError as error:
        parser.error(str(error))
    finally:
        torch.set_num_threads(threads)
    print(f"**{platform.machine()}, {os.cpu_count()} cores, one thread, torch {torch.__version__}, ", end="")
    print(f"ONNX Runtime {onnxruntime.__version__}; speeds are multiples of real time**\n")
    print(line(COLUMNS), rule(COLUMNS), *map(line, rows), sep="\n")
