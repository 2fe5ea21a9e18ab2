"""Recorded input and output of a network, and the replay of the input by an exported graph."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.export import ExportedProgram

from data import audio
from data.controls import Control
from data.synthesis import programme
from models.net import Net

Array = NDArray[np.float32]
Runner = Callable[..., Sequence[Array]]
"""A graph as a function: its inputs in their order → its outputs in theirs."""

BLOCK = 65_536  # samples in which the network itself renders
LONGEST = 8192  # samples of a block in a replay
LOWEST_RATE = 16_000  # Hz; the programme material has none below


@dataclass(frozen=True)
class Pair:
    """What went into a network, and what came out of it.

    Shape:
        input ``(in_channels, T)``, output ``(out_channels, T)``.
    """

    name: str
    input: Array
    output: Array
    controls: list[tuple[int, tuple[float, ...]]]  # (first input sample, values), from sample 0 on

    def write(self, folder: Path, sample_rate: int) -> dict[str, Any]:
        """Writes input and output as WAV of float32; returns what `model.json` says of them."""
        files = {"input": f"{self.name}_input.wav", "output": f"{self.name}_output.wav"}
        audio.write(folder / files["input"], self.input, sample_rate)
        audio.write(folder / files["output"], self.output, sample_rate)
        return files | {"controls": [{"sample": sample, "values": list(values)} for sample, values in self.controls]}


def record(net: Net, controls: Sequence[Control], seconds: float, sample_rate: int) -> list[Pair]:
    """Programme material through a network: a long pair with a change of all controls in its middle, for the step, and
    a short one at a single setting, for both graphs: at once, the paper's network takes 1.5 kB for each sample.

    Args:
        net: in evaluation mode.
        controls: of the network.
        seconds: length of the long pair; the short one is a sixth of it.
        sample_rate: Hz.

    Raises:
        ValueError: if the output is not finite.
    """
    high, low = _setting(controls, 0.7), _setting(controls, 0.3)
    signals = []
    for number, length in enumerate((seconds, seconds / 6)):
        rngs = [np.random.default_rng([number, channel]) for channel in range(net.in_channels)]
        signals.append(np.stack([programme(rng, length, max(sample_rate, LOWEST_RATE)) for rng in rngs]))
    long, short = signals
    return [
        _rendered(net, "long", long, [(0, high), (long.shape[-1] // 2, low)]),
        _rendered(net, "short", short, [(0, high)]),
    ]


def _setting(controls: Sequence[Control], share: float) -> tuple[float, ...]:
    """Each control at a share of its range, moved to the nearest value it can take."""
    values = []
    for control in controls:
        value = share * (control.highest - control.lowest)
        if control.step:
            value = round(value / control.step) * control.step
        values.append(round(control.lowest + value, 6))
    return tuple(values)


@torch.inference_mode()
def _rendered(net: Net, name: str, input: Array, controls: list[tuple[int, tuple[float, ...]]]) -> Pair:
    state, outputs = net.start(torch.tensor([controls[0][1]])), []
    for block, setting in blocks(input, controls, net.lookahead, repeat(BLOCK)):
        rendered, state = net.step(torch.from_numpy(block), state, torch.from_numpy(setting))
        outputs.append(rendered)
    output: Array = torch.cat(outputs, dim=-1)[0, :, net.lookahead :].numpy()
    if not np.isfinite(output).all():
        raise ValueError("the network's output is not finite. Train it again, with a smaller optimizer.lr")
    return Pair(name, input, output, controls)


def blocks(
    input: Array, controls: Sequence[tuple[int, Sequence[float]]], latency: int, sizes: Iterable[int]
) -> Iterator[tuple[Array, Array]]:
    """The input, and `latency` zeros after it, in blocks of the sizes given, each with its controls.

    A block ends where the controls change; the sizes have to be enough.
    """
    padded = np.pad(input, ((0, 0), (0, latency)))[None]
    changes = iter([*controls[1:], (padded.shape[-1], ())])
    values, (until, following) = controls[0][1], next(changes)
    start = 0
    for size in sizes:
        stop = min(start + size, until)
        yield padded[..., start:stop], np.array([values], np.float32)
        start = stop
        if start == padded.shape[-1]:
            return
        if start == until:
            values, (until, following) = following, next(changes)


def stream(step: Runner, about: dict[str, Any], pair: Pair, sizes: Iterable[int]) -> Array:
    """The output for a pair's input, block by block and as `model.json` (`about`) says: see docs/export.md."""
    state = [np.zeros(part["shape"], np.float32) for part in about["state"]]
    silence = np.zeros((1, len(pair.input), about["receptive_field"] - 1), np.float32)
    outputs: list[Array] = []
    for block, setting in blocks(pair.input, pair.controls, about["latency"], sizes):
        if not outputs and silence.size:
            _, *state = step(silence, setting, *state)
        output, *state = step(block, setting, *state)
        outputs.append(output)
    return np.concatenate(outputs, axis=-1)[0, :, about["latency"] :]


def random_sizes(seed: int = 0) -> Iterator[int]:
    """Sizes of blocks from 1 to `LONGEST` samples."""
    rng = np.random.default_rng(seed)
    while True:
        yield int(rng.integers(1, LONGEST, endpoint=True))


def deviations(step: Runner, whole: Runner, about: dict[str, Any], pairs: Sequence[Pair]) -> dict[str, float]:
    """The largest magnitude of the difference from each pair's output, block by block and (at one setting) whole."""
    found = {}
    for pair in pairs:
        found[f"{pair.name}, in blocks"] = _largest(stream(step, about, pair, random_sizes()) - pair.output)
        if len(pair.controls) == 1:
            (output,) = whole(pair.input[None], np.array([pair.controls[0][1]], np.float32))
            found[f"{pair.name}, whole"] = _largest(output[0] - pair.output)
    return found


def _largest(difference: Array) -> float:
    return float(np.abs(difference).max(initial=0))


def onnx_runner(file: Path) -> Runner:
    """An ONNX file as a function, in ONNX Runtime."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    names = [entry.name for entry in session.get_inputs()]
    return lambda *inputs: session.run(None, dict(zip(names, inputs, strict=True)))


def torch_runner(program: ExportedProgram) -> Runner:
    """A program of torch.export as a function of arrays."""
    module = program.module()

    @torch.inference_mode()
    def run(*inputs: Array) -> list[Array]:
        outputs = module(*(torch.from_numpy(np.ascontiguousarray(x)) for x in inputs))
        return [y.numpy() for y in (outputs if isinstance(outputs, tuple) else (outputs,))]

    return run
