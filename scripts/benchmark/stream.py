"""Measures a network that runs over a signal in blocks, on one thread: speed, the slowest block, memory.

python -m scripts.benchmark stream                    the paper's network, centred and causal
python -m scripts.benchmark stream --blocks 64 512    other lengths of a block

"again" is the plain way to run any network in blocks: over the last receptive field again for every block (`Net.step`).
"step" is the network's own `TCN.step`. All take turns, a round of blocks each, in one process.
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor

from models.net import Net
from models.stream import Stream
from models.tcn import TCN
from scripts.benchmark.cells import line, rule

SAMPLE_RATE = 44_100  # Hz
BLOCKS = (64, 128, 512, 2048, 16_384)  # samples
SECONDS = 2.5  # of measuring, for each network and length of a block
CONTROLS = (1.0, 0.65)
COLUMNS = ("network", "block", "× real time", "of the limit", "99.9 % of blocks within", "× step", "× again")


def network(channels: int, causal: bool) -> TCN:
    """The paper's with random weights: a new one is the identity, and hardly anything of it would be seen."""
    net = TCN(channels=channels, causal=causal)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.normal_(0, 0.1, generator=generator)
    return net.eval()


def limit(size: int = 1024, repeats: int = 9) -> float:
    """Multiplications a second of this machine's matrix product, at its best."""
    a = torch.randn(size, size)
    return size**3 / min(seconds(lambda: a @ a) for _ in range(repeats))


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def by_state(step: Callable[..., tuple[Tensor, tuple[Tensor, ...]]], start: tuple[Tensor, ...]) -> Callable[..., None]:
    """Blocks one after another through a function that hands its state on."""
    state, controls = start, torch.tensor([CONTROLS])

    def feed(block: Tensor) -> None:
        nonlocal state
        _, state = step(block, state, controls)

    return feed


def measure(net: TCN, length: int, duration: float) -> dict[str, list[float]]:
    """Seconds of each block; the three ways take turns until there is no time left, the stream for half of it."""
    controls = torch.tensor([CONTROLS])
    with torch.inference_mode():
        again = by_state(lambda *arguments: Net.step(net, *arguments), Net.start(net, controls))
        step = by_state(net.step, net.start(controls))
        ways: dict[str, Callable[[Tensor], object]] = {
            "stream": Stream(net, CONTROLS).feed,
            "step": step,
            "again": again,
        }
        block = 0.1 * torch.randn(1, 1, length, generator=torch.Generator().manual_seed(0))
        times: dict[str, list[float]] = {name: [] for name in ways}
        stop = time.perf_counter() + duration
        while not times["again"] or time.perf_counter() < stop:
            for name, feed in ways.items():
                feed(block)  # the others have filled the cache
                share = duration / (8 if name == "stream" else 16)
                until = time.perf_counter() + share
                times[name].append(seconds(partial(feed, block)))
                while time.perf_counter() < until:
                    times[name].append(seconds(partial(feed, block)))
    return times


def row(name: str, net: TCN, length: int, times: dict[str, list[float]], best: float) -> list[str]:
    medians = {way: statistics.median(seconds) for way, seconds in times.items()}
    rate = length / medians["stream"]
    slowest = torch.tensor(times["stream"]).quantile(0.999).item()
    return [
        name,
        f"{length:,}",
        f"{rate / SAMPLE_RATE:.2f}",
        f"{100 * rate * net.multiplications() / best:.0f} %",
        f"{1e3 * slowest:.2f} of {1e3 * length / SAMPLE_RATE:.2f} ms",
        f"{medians['step'] / medians['stream']:.2f}",
        f"{medians['again'] / medians['stream']:.1f}",
    ]


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(
        "python -m scripts.benchmark stream", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--blocks", type=int, nargs="+", default=BLOCKS, help="samples (default: %(default)s)")
    parser.add_argument("--channels", type=int, default=32, help="of the network (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="for each row (default: %(default)s)")
    chosen = parser.parse_args(arguments)
    if min(*chosen.blocks, chosen.channels) < 1 or not chosen.seconds > 0:
        parser.error("--blocks and --channels must be at least 1, --seconds above 0")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        best = limit()
        machine = f"{platform.machine()}, {os.cpu_count()} cores, 1 thread, torch {torch.__version__}, float32"
        print(f"**{machine}; at most {best / 1e9:.1f}e9 multiplications a second (matrix product)**\n")
        print(f"{line(COLUMNS)}\n{rule(COLUMNS)}", flush=True)
        before = _peak_megabytes()
        for causal in (False, True):
            net = network(chosen.channels, causal)
            name = f"{'causal' if causal else 'centred'}, {chosen.channels} channels"
            for length in chosen.blocks:
                times = measure(net, length, chosen.seconds)
                print(line(row(name, net, length, times, best)), flush=True)
    finally:
        torch.set_num_threads(threads)
    print(f"\nA sample takes {net.multiplications():,.0f} multiplications; × real time at {SAMPLE_RATE:,} Hz.")
    print(
        f"Resident set at its peak: {before:.0f} MB before, {_peak_megabytes():.0f} MB after, all three ways together."
    )


def _peak_megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
