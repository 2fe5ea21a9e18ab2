"""Measures a training step: the network against the same one in torch's own modules, and each switch by itself.

python -m scripts.benchmark train                                        four networks, some minutes on two cores
python -m scripts.benchmark train --channels 32 --batch 8 --losses       one network; the share of each loss
python -m scripts.benchmark train --device cuda                          each switch of a GPU by itself
"""

from __future__ import annotations

import argparse
import contextlib
import os
import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf
from torch import Tensor, nn

from models.product import ProductTCN
from models.tcn import TCN
from scripts.benchmark import step_count
from scripts.benchmark.cells import line, number, rule
from scripts.benchmark.clock import median, milliseconds
from scripts.benchmark.memory import peak_bytes
from scripts.benchmark.plain_tcn import PlainTCN

SAMPLE_RATE = 44_100  # Hz
SAMPLES = 32_768  # of a crop
CHANNELS = (32, 16, 8)  # the first is the paper's network
BATCHES = {"cpu": 4, "cuda": 128}
LOSSES = ("l1", "esr", "logcosh", "stft", "mrstft", "rrstft")
CONFIGS = Path(__file__).parents[2] / "configs" / "loss"
MATRIX = {"cpu": 1536, "cuda": 8192}  # rows and columns of the products that show the limit of the arithmetic
H200 = (790e12, 4.8e12)  # operations a second in dense bfloat16 products, as far as they are reached; bytes a second
WANTED = 2340  # seconds of training audio a second: what the project aims at on an H200

COLUMNS = ("network", "ms (quartiles)", "× as fast", "MB", "memory", "audio s/s", "arithmetic", "memory traffic")


@dataclass(frozen=True)
class Variant:
    """A way to make the same step. Each switch is one that a training has."""

    name: str
    plain: bool = False  # torch's own modules
    bfloat16: bool = False  # trainer.precision=bf16-mixed
    tf32: bool = False  # torch's own choice for the convolutions of a GPU in float32
    benchmark: bool = False  # trainer.benchmark=true
    compiled: bool = False  # compile.backend=inductor
    fused: bool = False  # optimizer.fused=true
    recompute: bool = False  # recompute=true


AGAINST_PLAIN = (
    Variant("plain modules", plain=True),
    Variant("ours", fused=True),
    Variant("ours, recompute", fused=True, recompute=True),
)
SWITCHES = (
    Variant("plain modules, float32", plain=True),
    Variant("ours, float32"),
    Variant("ours, TF32", tf32=True),
    Variant("plain modules, bfloat16", plain=True, bfloat16=True),
    Variant("ours, bfloat16", bfloat16=True),
    Variant("ours, bfloat16, cuDNN's choice", bfloat16=True, benchmark=True),
    Variant("trainer=gpu: and fused Adam", bfloat16=True, benchmark=True, fused=True),
    Variant("trainer=gpu, recompute", bfloat16=True, benchmark=True, fused=True, recompute=True),
)
COMPILED = (Variant("compiled, bfloat16, cuDNN's choice, fused Adam", False, True, False, True, True, True),)


@dataclass(frozen=True)
class Setting:
    """What all rows share."""

    device: str
    batch: int
    samples: int
    repeats: int
    backend: str  # of the compiled variants

    def batch_of_noise(self) -> tuple[Tensor, Tensor, Tensor]:
        """Input, target and controls."""
        generator = torch.Generator().manual_seed(0)
        input, target = 0.1 * torch.randn(2, self.batch, 1, self.samples, generator=generator)
        controls = torch.rand(self.batch, 2, generator=generator)
        return input.to(self.device), target.to(self.device), controls.to(self.device)


class Step:
    """A training step of a variant with L1, that can be made again and again; as `models.system` makes it."""

    def __init__(self, variant: Variant, net: TCN, setting: Setting) -> None:
        self.variant, self.setting = variant, setting
        self.net: Any = (PlainTCN(net) if variant.plain else net).to(setting.device)
        self.net.recompute = variant.recompute
        self.forward: Callable[[Tensor, Tensor], Tensor] = self.net
        if variant.compiled:
            self.forward = torch.compile(self.net.forward, fullgraph=True, dynamic=False, backend=setting.backend)
        self.optimizer = torch.optim.Adam(self.net.parameters(), fused=variant.fused or None)
        self.input, target, self.controls = setting.batch_of_noise()
        self.target = net.align(target)
        self.loss: nn.Module = nn.L1Loss()

    def __call__(self) -> Tensor:
        with precision(self.variant, self.setting.device):
            with torch.autocast(self.setting.device, torch.bfloat16, enabled=self.variant.bfloat16):
                output = self.forward(self.input, self.controls)
            loss = self.loss(output.float(), self.target)
            loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad()
        return loss.detach()

    def milliseconds(self) -> float:
        return milliseconds(self, self.setting.device)


@contextlib.contextmanager
def precision(variant: Variant, device: str) -> Any:
    """The convolutions of a GPU in float32 or TF32, by cuDNN's first guess or by its choice."""
    if device == "cpu":
        yield
        return
    with torch.backends.cudnn.flags(
        enabled=True, benchmark=variant.benchmark, deterministic=False, allow_tf32=variant.tf32
    ):
        yield


@dataclass(frozen=True)
class Limits:
    """What the machine reaches in the same process: operations a second of a matrix product, bytes of a copy."""

    operations: dict[torch.dtype, float]
    bytes: float


def limits(device: str, size: int) -> Limits:
    """The best of some products and copies."""
    operations = {}
    for dtype in (torch.float32,) if device == "cpu" else (torch.float32, torch.bfloat16):
        matrix = torch.randn(size, size, device=device, dtype=dtype)
        best = min(milliseconds(lambda m=matrix: m @ m, device) for _ in range(5))  # type: ignore[misc]
        operations[dtype] = 2e3 * size**3 / best
    much = torch.zeros(16 * size**2, device=device)
    copy = torch.empty_like(much)
    best = min(milliseconds(lambda: copy.copy_(much), device) for _ in range(5))
    return Limits(operations, 2e3 * much.numel() * much.element_size() / best)


def measure(
    variants: Sequence[Variant], name: str, make: Callable[[], TCN], setting: Setting, reached: Limits
) -> list[list[str]]:
    """The rows of a network: all variants in turn, each relative to the first."""
    torch.manual_seed(0)
    start = make()
    count = step_count.training_step(start, setting.samples)
    steps = []
    for variant in variants:
        net = make()
        net.load_state_dict(start.state_dict())
        steps.append(Step(variant, net, setting))
    for step in steps:
        step()  # compiles, and makes the state of the optimizer
    times: list[list[float]] = [[] for _ in steps]
    for _ in range(setting.repeats):
        for step, taken in zip(steps, times, strict=True):
            taken.append(step.milliseconds())
    peaks = [peak_bytes(step, setting.device) for step in steps]
    rows = []
    for variant, taken, peak in zip(variants, times, peaks, strict=True):
        dtype = torch.bfloat16 if variant.bfloat16 else torch.float32
        low, high = quartiles(taken)
        faster = [first / own for first, own in zip(times[0], taken, strict=True)]
        seconds = median(taken) / 1e3
        least = count.seconds(reached.operations.get(dtype, float("nan")), reached.bytes, dtype.itemsize)
        rows.append(
            [
                f"{name}, {variant.name}",
                f"{number(median(taken))} ({number(low)}–{number(high)})",
                f"{median(times[0]) / median(taken):.2f} ({quartiles(faster)[0]:.2f}–{quartiles(faster)[1]:.2f})",
                number(peak / 1e6),
                f"{peak / peaks[0]:.2f}",
                number(setting.batch * setting.samples / SAMPLE_RATE / seconds),
                *(f"{100 * setting.batch * part / seconds:.0f} %" for part in least),
            ]
        )
    return rows


def quartiles(values: Sequence[float]) -> tuple[float, float]:
    low, high = torch.tensor(values, dtype=torch.float64).quantile(torch.tensor([0.25, 0.75], dtype=torch.float64))
    return low.item(), high.item()


def shares_of_losses(channels: int, setting: Setting) -> list[list[str]]:
    """Forward and backward of each loss of Table 1 on the network's output, beside the step with L1."""
    net = TCN(channels=channels)
    step = Step(Variant("ours", fused=True), net, setting)
    output = step.target.clone().add_(0.01).requires_grad_()
    losses = {name: instantiate(OmegaConf.load(CONFIGS / f"{name}.yaml")).to(setting.device) for name in LOSSES}
    works: dict[str, Callable[[], object]] = {
        name: partial(lambda loss: loss(output, step.target).backward(), loss) for name, loss in losses.items()
    }
    times: dict[str, list[float]] = {name: [] for name in works}
    whole = []
    for repeat in range(setting.repeats + 1):  # the first one is for warming up
        taken = {name: milliseconds(work, setting.device) for name, work in works.items()}
        with_l1 = step.milliseconds()
        if repeat:
            whole.append(with_l1)
            for name in works:
                times[name].append(taken[name])
    rest = median(whole) - median(times["l1"])
    own = {name: median(taken) for name, taken in times.items()}
    return [[name, number(cost), f"{100 * cost / (rest + cost):.1f} %"] for name, cost in own.items()]


def wanted(count: step_count.Count) -> str:
    """What the aim takes of an H200's limits, by counting alone."""
    crops = WANTED * SAMPLE_RATE / SAMPLES
    operations, traffic = crops * count.operations, 2 * crops * count.elements
    return (
        f"{WANTED:,} s of audio a second of the network with {CHANNELS[0]} channels are {operations / 1e12:.0f} "
        f"TFLOP/s and, in bfloat16, at least {traffic / 1e12:.2f} TB/s: {100 * operations / H200[0]:.0f} % and "
        f"{100 * traffic / H200[1]:.0f} % of what an H200 has ({H200[0] / 1e12:.0f} TFLOP/s, "
        f"{H200[1] / 1e12:.1f} TB/s)."
    )


def notes(reached: Limits) -> str:
    products = ", ".join(
        f"{rate / 1e9:,.0f} GFLOP/s in {str(dtype).removeprefix('torch.')}"
        for dtype, rate in reached.operations.items()
    )
    return (
        "Forward, L1, backward, Adam; the variants in turn, medians; × as fast as the first, in brackets the quartiles "
        "of neighbours. MB: 10⁶ bytes of tensors alive at the peak beyond weights, optimizer and batch. Arithmetic: of "
        f"the convolutions, as a share of a matrix product's rate here ({products}). Memory traffic: what a step moves "
        "at least (`scripts/benchmark/step_count.py`), as a share of a copy's rate here "
        f"({reached.bytes / 1e9:,.0f} GB/s)."
    )


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(
        "python -m scripts.benchmark train", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", choices=tuple(BATCHES), default="cpu")
    parser.add_argument("--batch", type=int, help="crops; 4, on cuda 128")
    parser.add_argument("--samples", type=int, default=SAMPLES, help="of a crop (default: %(default)s)")
    parser.add_argument("--channels", type=int, nargs="+", help="networks (default: 32 16 8, and the quick study's)")
    parser.add_argument("--repeats", type=int, default=5, help="steps of each (default: %(default)s)")
    parser.add_argument("--threads", type=int, help="torch's own choice if left out")
    parser.add_argument("--losses", action="store_true", help="also the share of each loss")
    parser.add_argument("--switches", action="store_true", help="each switch by itself; always on cuda")
    parser.add_argument("--compiled", action="store_true", help="also torch.compile, which takes a minute to begin")
    parser.add_argument("--backend", default="inductor", help="of torch.compile (default: %(default)s)")
    chosen = parser.parse_args(arguments)
    if chosen.device == "cuda" and not torch.cuda.is_available():
        parser.error("--device cuda: torch finds no GPU.")
    channels: Sequence[int] = chosen.channels or CHANNELS
    networks: dict[str, Callable[[], TCN]] = {
        f"{number} channels": partial(TCN, channels=number) for number in channels
    }
    if not chosen.channels:
        networks["quick study"] = ProductTCN
    batch = chosen.batch or BATCHES[chosen.device]
    shortest = TCN(channels=1).receptive_field + 2048  # what the losses need
    if min(batch, chosen.repeats, *channels) < 1 or chosen.samples < shortest:
        parser.error(f"--batch, --channels and --repeats must be at least 1, --samples at least {shortest}.")
    if chosen.threads:
        torch.set_num_threads(chosen.threads)
    setting = Setting(chosen.device, batch, chosen.samples, chosen.repeats, chosen.backend)

    machine = f"{platform.machine()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads"
    if chosen.device == "cuda":
        machine += f", {torch.cuda.get_device_name()}"
    print(f"**{machine}, torch {torch.__version__}, a step of {batch} × {chosen.samples:,} samples**\n")
    reached = limits(chosen.device, MATRIX[chosen.device])
    print(f"{line(COLUMNS)}\n{rule(COLUMNS)}", flush=True)
    each = chosen.switches or chosen.device == "cuda"
    for name, make in networks.items():
        variants = (*SWITCHES, *(COMPILED if chosen.compiled else ())) if each else AGAINST_PLAIN
        for row in measure(variants, name, make, setting, reached):
            print(line(row), flush=True)
    print(f"\n{notes(reached)}\n")
    print(wanted(step_count.training_step(TCN(channels=CHANNELS[0]), SAMPLES)))
    if chosen.losses:
        for width in channels:
            columns = (f"loss, network of {width} channels", "ms", "of a step with it")
            print(f"\n{line(columns)}\n{rule(columns)}")
            for row in shares_of_losses(width, setting):
                print(line(row), flush=True)
