"""Measures what scoring costs beyond running the networks, in processor time, and its memory.

python -m scripts.benchmark evaluate                                     made-up audio
python -m scripts.benchmark evaluate --root datasets/la2a-8min-seed0     the test split of a data set
python -m scripts.benchmark evaluate --models 1                          one network at a time
python -m scripts.benchmark evaluate --conventions standard paper2020    without the further metrics

What making the report costs, `python -m scripts.report` says.
"""

from __future__ import annotations

import argparse
import itertools
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf
from torch import Tensor

from data import signaltrain
from data.segments import Block, Blocks, Segment
from data.signaltrain import Recording
from models.net import Net
from models.product import ProductTCN
from models.rendering import Rendering
from models.tcn import TCN
from scripts.benchmark.cells import line, number, rule
from scripts.benchmark.memory import peak_bytes
from scripts.scoring.rows import Score, score
from scripts.scoring.scorer import SHORTEST_SEGMENT

SAMPLE_RATE = 44_100  # Hz, of made-up audio
CONVENTIONS = ("standard", "paper2020", "further")
NETS: dict[str, tuple[str, Callable[[], Net]]] = {
    "quick": ("quick study's", ProductTCN),
    "small": ("small, 8 channels", partial(TCN, channels=8)),
    "paper": ("paper's, 32 channels", TCN),
}
COLUMNS = ("network", "bare s", "with scoring s", "scoring costs", "quartiles")
CONFIGS = Path(__file__).parents[2] / "configs" / "metrics"


class MadeUp:
    """Noise as a split of one recording; each block is made when it is asked for."""

    def __init__(self, count: int, length: int, context: tuple[int, int]) -> None:
        recording = Recording(
            "0", "test", Path("noise"), Path("noise"), count * length, SAMPLE_RATE, 1, (0.0, 0.5), "0__50"
        )
        self.blocks = [Block(recording, n, n * length, length) for n in range(count)]
        self.samples = length + sum(context)

    def __getitem__(self, index: int) -> Segment:
        generator = torch.Generator().manual_seed(index)
        input = 0.1 * torch.randn(1, self.samples, generator=generator)
        return Segment(input, 0.5 * input, torch.tensor([0.0, 0.5]))


def shipped_metrics(conventions: Sequence[str] = CONVENTIONS) -> dict[str, dict[str, Any]]:
    """The metrics of these conventions; `evaluate.py` scores all."""
    return {
        convention: {
            str(name): instantiate(metric) for name, metric in OmegaConf.load(CONFIGS / f"{convention}.yaml").items()
        }
        for convention in conventions
    }


def rendered(nets: Sequence[Net], blocks: Any) -> Iterator[tuple[Block, Tensor, Tensor]]:
    """The outputs of all networks for each block, and its target."""
    renderings = [Rendering(net) for net in nets]
    for index, block in enumerate(blocks.blocks):
        segment = blocks[index]
        pairs = [rendering.block(segment) for rendering in renderings]
        yield block, torch.cat([output for output, _ in pairs]), pairs[0][1]


def scored(nets: Sequence[Net], blocks: Any, conventions: dict[str, dict[str, Any]]) -> Iterator[Score]:
    shortest = min(block.frames for block in blocks.blocks)
    return score(rendered(nets, blocks), conventions, shortest)


def networks(name: str, models: int) -> list[Net]:
    return [NETS[name][1]().eval() for _ in range(models)]


def seconds(work: Iterable[object]) -> float:
    """Of the processor, in all threads: what others do at the same time counts less than on a clock."""
    start = time.process_time()
    for _ in work:
        pass
    return time.process_time() - start


def peak_megabytes(count: int, length: int, models: int) -> float:
    """The most that scoring a made-up recording holds in tensors at once."""
    nets = networks("small", models)
    conventions = shipped_metrics()
    blocks = MadeUp(count, length, nets[0].context)
    list(scored(nets, MadeUp(1, length, nets[0].context), conventions))  # constants are made once
    return peak_bytes(lambda: seconds(scored(nets, blocks, conventions))) / 1e6


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(
        "python -m scripts.benchmark evaluate",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--root", help="data set in SignalTrain's layout, whose test split is scored")
    parser.add_argument("--blocks", type=int, default=3, help="at most (default: %(default)s)")
    parser.add_argument("--length", type=int, default=262_144, help="samples of a block (default: %(default)s)")
    parser.add_argument("--models", type=int, default=6, help="networks scored at once (default: %(default)s)")
    parser.add_argument("--repeats", type=int, default=3, help="(default: %(default)s)")
    parser.add_argument(
        "--conventions", choices=CONVENTIONS, nargs="+", default=CONVENTIONS, help="(default: %(default)s)"
    )
    parser.add_argument("--only", choices=tuple(NETS), action="append", help="one network")
    chosen = parser.parse_args(arguments)
    if min(chosen.blocks, chosen.models, chosen.repeats) < 1 or chosen.length < SHORTEST_SEGMENT:
        parser.error(f"--blocks, --models and --repeats must be at least 1, --length at least {SHORTEST_SEGMENT}.")

    conventions = shipped_metrics(chosen.conventions)
    count = f"{chosen.blocks} block{'s' * (chosen.blocks > 1)} of {chosen.length:,} samples"
    machine = f"{platform.machine()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads"
    print(
        f"**{machine}, torch {torch.__version__}, {count}, {chosen.models} models scored at once, "
        f"conventions {', '.join(conventions)}**\n"
    )
    print(f"{line(COLUMNS)}\n{rule(COLUMNS)}", flush=True)
    for name in chosen.only or NETS:
        nets = networks(name, chosen.models)
        blocks: Any = MadeUp(chosen.blocks, chosen.length, nets[0].context)
        if chosen.root:
            recordings = signaltrain.recordings(chosen.root, SAMPLE_RATE, 1)["test"]
            blocks = Blocks(recordings, chosen.length, nets[0].context, SHORTEST_SEGMENT)
            blocks.blocks = blocks.blocks[: chosen.blocks]
        seconds(itertools.islice(scored(nets, blocks, conventions), 1))  # warm
        bare, full = [], []
        for _ in range(chosen.repeats):  # in turn, so that both see the same machine
            bare.append(seconds(rendered(nets, blocks)))
            full.append(seconds(scored(nets, blocks, conventions)))
        costs = torch.tensor([100 * (b / a - 1) for a, b in zip(bare, full, strict=True)])
        low, high = costs.quantile(torch.tensor([0.25, 0.75])).tolist()
        cost = 100 * (statistics.median(full) / statistics.median(bare) - 1)
        cells = [NETS[name][0], number(statistics.median(bare)), number(statistics.median(full))]
        print(line([*cells, f"{cost:.0f} %", f"{low:.0f}–{high:.0f} %"]), flush=True)
    print(f"\n{line(('recording', 'peak MB'))}\n{rule(('', ''))}")
    for blocks_of in (2, 6):
        peak = peak_megabytes(blocks_of, SHORTEST_SEGMENT, chosen.models)
        print(line([f"{blocks_of} blocks of {SHORTEST_SEGMENT:,} samples", number(peak)]))
    print("\ns: of the processor, in all threads. MB: 10⁶ bytes of tensors alive at the peak, with the small network.")
