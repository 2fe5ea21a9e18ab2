"""Measures the exported step of a network in ONNX Runtime against `Net.step` in PyTorch, on one thread.

python -m scripts.benchmark export                    the paper's network
python -m scripts.benchmark export --channels 8       the same with 8 channels
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnxruntime
import torch

from models.net import Net
from models.tcn import TCN
from scripts.benchmark.cells import line, number, rule
from scripts.export import graphs

SAMPLE_RATE = 44_100  # Hz
BLOCKS = (64, 128, 512, 2048, 4096)  # samples
COLUMNS = ("block", "ONNX Runtime, of real time", "PyTorch, of real time", "times as fast", "quartiles")
CONTROLS = (0.0, 0.5)

Step = Callable[[], Any]
"""Runs the next block; returns the output."""


def onnx_step(model: bytes, samples: int) -> Step:
    """A step as a plugin would run it: two buffers for each part of the state, one read and one written, in turn."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    inputs, outputs = session.get_inputs(), session.get_outputs()
    value = onnxruntime.OrtValue.ortvalue_from_numpy
    block, controls = value(_noise(samples)), value(np.array([CONTROLS], np.float32))
    output = value(np.zeros((1, outputs[0].shape[1], samples), np.float32))
    states = [[value(np.zeros(part.shape, np.float32)) for part in inputs[2:]] for _ in range(2)]
    bindings = []
    for before, after in (states, states[::-1]):
        binding = session.io_binding()
        for part, bound in zip(inputs, (block, controls, *before), strict=True):
            binding.bind_ortvalue_input(part.name, bound)
        for part, bound in zip(outputs, (output, *after), strict=True):
            binding.bind_ortvalue_output(part.name, bound)
        bindings.append(binding)

    def step() -> Any:
        session.run_with_iobinding(bindings[0])
        bindings.reverse()
        return output

    return step


def torch_step(net: Net, samples: int) -> Step:
    """`Net.step`, which keeps its state."""
    block, controls = torch.from_numpy(_noise(samples)), torch.tensor([CONTROLS])
    state: list[Any] = [net.start(controls)]

    @torch.inference_mode()
    def step() -> Any:
        output, state[0] = net.step(block, state[0], controls)
        return output

    return step


def _noise(samples: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    return (0.1 * np.random.default_rng(0).standard_normal((1, 1, samples))).astype(np.float32)


def seconds(step: Step) -> float:
    start = time.perf_counter()
    step()
    return time.perf_counter() - start


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(
        "python -m scripts.benchmark export", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--channels", type=int, default=32, help="of the network (default: %(default)s)")
    parser.add_argument("--causal", action="store_true", help="a network without look-ahead")
    parser.add_argument("--repeats", type=int, default=50, help="steps of each (default: %(default)s)")
    chosen = parser.parse_args(arguments)
    if min(chosen.channels, chosen.repeats) < 1:
        parser.error("--channels and --repeats must be at least 1.")

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        net = TCN(channels=chosen.channels, causal=chosen.causal).eval()
        model = graphs.to_onnx(graphs.trace_step(net, len(CONTROLS))).SerializeToString()
        print(
            f"**{platform.machine()}, {os.cpu_count()} cores, one thread, ONNX Runtime {onnxruntime.__version__}, "
            f"torch {torch.__version__}, {chosen.channels} channels, {SAMPLE_RATE} Hz**\n"
        )
        print(f"{line(COLUMNS)}\n{rule(COLUMNS)}", flush=True)
        for samples in BLOCKS:
            exported, eager = onnx_step(model, samples), torch_step(net, samples)
            times = [(seconds(exported), seconds(eager)) for _ in range(chosen.repeats + 3)][3:]  # the first are warm
            print(line(cells(samples, times)), flush=True)
        print("\nOf real time: seconds of the clock for a second of audio; below 1 it keeps up. Medians of the steps.")
    finally:
        torch.set_num_threads(threads)


def cells(samples: int, times: Sequence[tuple[float, float]]) -> list[str]:
    """The row of a block: times of the two in turn, in seconds for each step."""
    of_onnx, of_torch = (statistics.median(of_runtime) for of_runtime in zip(*times, strict=True))
    low, high = np.quantile([b / a for a, b in times], (0.25, 0.75))
    per_second = SAMPLE_RATE / samples
    ratio = number(of_torch / of_onnx)
    return [f"{samples:,}", number(of_onnx * per_second), number(of_torch * per_second), ratio, f"{low:.2f}–{high:.2f}"]
