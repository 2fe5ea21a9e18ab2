"""The two graphs of a network: one that streams block by block, one for whole signals. docs/export.md describes them.

    step     block (1, in_channels, n), controls (1, P), state… → output (1, out_channels, n), next state…    n ≥ 1
    whole    signal (1, in_channels, T), controls (1, P)        → output (1, out_channels, T)                 T ≥ 1

The state has tensors of its own for each block of the network, rather than one flat tensor for all: a flat one has to
be cut up and joined again, which made the paper's network 23 % slower in blocks of 128 samples, 13 % in blocks of
512 and 4 % in blocks of 2,048. A step returns the next state in the order in which it takes the state.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram
from torch.nn import functional as F

from models.net import Net, State

OPSET = 18  # of 2022, the oldest that PyTorch's exporter writes
IR_VERSION = 8  # of the file format; what opset 18 came with, so that readers of then take the file
SAMPLES = "samples"  # name of the dynamic dimension
TRACED = 2000  # samples of the signal that is traced; any length but 0 and 1, which would be taken for constants


class Graph(NamedTuple):
    """A traced network, and the names of what goes in and comes out."""

    program: ExportedProgram
    inputs: list[str]
    outputs: list[str]


class Step(nn.Module):
    """`Net.step` with the parts of its state as arguments; without those that hold nothing, as a causal net has."""

    def __init__(self, net: Net, start: State) -> None:
        super().__init__()
        self.net = net
        self.shapes = [part.shape for part in start]

    def forward(self, block: Tensor, controls: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        given = iter(state)
        parts = tuple(next(given) if shape.numel() else block.new_zeros(shape) for shape in self.shapes)
        output, after = self.net.step(block, parts, controls)
        return (output, *held(after))


class Whole(nn.Module):
    """The network with silence around the signal, so that the output spans the same samples."""

    def __init__(self, net: Net) -> None:
        super().__init__()
        self.net = net

    def forward(self, signal: Tensor, controls: Tensor) -> Tensor:
        return self.net(F.pad(signal, self.net.context), controls)


def held(state: State) -> list[Tensor]:
    """The parts of a state that hold anything."""
    return [part for part in state if part.numel()]


def state_names(count: int) -> tuple[list[str], list[str]]:
    """Names of the parts of a state that go into a step, and of those that come out."""
    names = [f"state_{n}" for n in range(count)]
    return names, [f"next_{name}" for name in names]


def trace(net: Net, controls: int) -> dict[str, Graph]:
    """The graphs ``"step"`` and ``"whole"`` of a network in evaluation mode, on the CPU.

    Args:
        net: the network.
        controls: how many it takes.
    """
    return {"step": trace_step(net, controls), "whole": trace_whole(net, controls)}


def trace_step(net: Net, controls: int) -> Graph:
    """The graph ``"step"`` alone; arguments as of `trace`."""
    setting = torch.zeros(1, controls)
    with torch.no_grad():
        start = net.start(setting)
    state = held(start)
    names, next_names = state_names(len(state))
    program = _traced(Step(net, start), setting, *state)
    return Graph(program, ["block", "controls", *names], ["output", *next_names])


def trace_whole(net: Net, controls: int) -> Graph:
    """The graph ``"whole"`` alone; arguments as of `trace`."""
    return Graph(_traced(Whole(net), torch.zeros(1, controls)), ["signal", "controls"], ["output"])


@torch.no_grad()
def _traced(module: Step | Whole, setting: Tensor, *state: Tensor) -> ExportedProgram:
    """A module's program for a signal of any length."""
    signal = torch.zeros(1, module.net.in_channels, TRACED)
    fixed = ((None,) * len(state),) if state else ()
    with quiet():
        program = torch.export.export(
            module.eval(), (signal, setting, *state), dynamic_shapes=({2: Dim(SAMPLES, min=1)}, None, *fixed)
        )
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)  # it names the folders of this machine
    program.example_inputs = None  # or a file would hold them
    return program


@torch.no_grad()
def to_onnx(graph: Graph) -> Any:
    """A graph as ``onnx.ModelProto``; constants are folded, batch norm is part of the convolutions."""
    import onnx

    with quiet():
        exported = torch.onnx.export(
            graph.program,
            dynamo=True,
            verbose=False,
            opset_version=OPSET,
            input_names=graph.inputs,
            output_names=graph.outputs,
        )
    assert exported is not None
    model = exported.model_proto
    model.ir_version = IR_VERSION
    del model.graph.value_info[:]  # shapes between the nodes, which every reader infers
    for entry in [model.graph, *model.graph.node, *model.graph.initializer, *model.graph.input, *model.graph.output]:
        del entry.metadata_props[:]  # how each node came about
        entry.doc_string = ""
    for value in [*model.graph.input, *model.graph.output]:
        for dimension in value.type.tensor_type.shape.dim:
            if dimension.dim_param:
                dimension.dim_param = SAMPLES
    onnx.checker.check_model(model, full_check=True)
    return model


@contextmanager
def quiet() -> Iterator[None]:
    """Without what PyTorch says of its own doings: operators of torchvision that are not there, a deprecated class, and
    weights read from a file without a copy."""
    log = logging.getLogger("torch.onnx._internal.exporter._registration")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*isinstance.treespec, LeafSpec.*", category=FutureWarning)
            warnings.filterwarnings("ignore", message="The given buffer is not writable", category=UserWarning)
            yield
    finally:
        log.setLevel(level)
