"""The TCN on a CPU equals plain modules in output, gradients and running moments, with either function."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from models import compiled, fused
from models.fused import FusedBlock, Layout
from models.tcn import TCN
from tests.test_tcn import randomised


@pytest.fixture(params=["compiled", "fused"])
def function(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The function of all blocks, however many channels they have."""
    monkeypatch.setattr(compiled, "CHANNELS", 64 if request.param == "compiled" else 0)
    return request.param


def plain(net: TCN, x: Tensor, controls: Tensor) -> Tensor:
    """The network written out with the library's functions, on its parameters."""
    condition = net.conditioning(controls) if net.conditioning is not None else controls
    outputs = []
    block: Any
    for block in net.blocks:
        y = block.film.norm(F.conv1d(x, block.conv.weight, dilation=block.dilation))
        if block.film.modulation is not None:
            scale, shift = block.film.modulation(condition)[..., None].split(y.shape[1], dim=1)
            y = y * scale + shift
        kept = x[..., block.span - block.lookahead :][..., : y.shape[-1]]
        x = F.prelu(y, block.activation.weight) + F.conv1d(kept, block.residual.weight, groups=block.residual.groups)
        outputs.append(x)
    samples = outputs[-1].shape[-1]
    total = torch.zeros_like(outputs[-1])
    for n, output in enumerate(outputs):
        first = sum(later.span - later.lookahead for later in net.blocks[n + 1 :])  # type: ignore[union-attr, misc]
        total = total + output[..., first : first + samples]
    return torch.tanh(net.mix(total))


def both(net: TCN, batch: int, samples: int, dtype: torch.dtype) -> tuple[list[Tensor], list[Tensor], tuple[TCN, TCN]]:
    """Output and all gradients, the input's first, of the network and of the plain one."""
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(batch, net.in_channels, samples, generator=generator, dtype=dtype)
    controls = torch.rand(batch, net.controls, generator=generator, dtype=dtype)
    results: list[list[Tensor]] = []
    nets = copy.deepcopy(net).to(dtype), copy.deepcopy(net).to(dtype)
    for each, run in zip(nets, (lambda *given: nets[0](*given), lambda *given: plain(nets[1], *given)), strict=True):
        input = x.clone().requires_grad_()
        output = run(input, controls)
        direction = torch.randn(output.shape, generator=torch.Generator().manual_seed(2), dtype=dtype)
        results.append([output, *torch.autograd.grad(output, (input, *each.parameters()), direction)])
    return results[0], results[1], nets


SHAPES = [
    {"blocks": 6, "kernel_size": 5, "channels": 8},  # dilations below and above 16
    {"blocks": 6, "kernel_size": 4, "channels": 7, "causal": True, "in_channels": 2, "out_channels": 3},
    {"blocks": 3, "kernel_size": 3, "channels": 6, "dilation_growth": 6, "in_channels": 6, "controls": 0},
    {"blocks": 2, "kernel_size": 1, "channels": 1},
    {"blocks": 2, "kernel_size": 15, "channels": 64, "dilation_growth": 20},
]


@pytest.mark.parametrize(("training", "recompute"), [(True, False), (True, True), (False, True)])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.usefixtures("function")
def test_equals_plain_modules(
    shape: dict[str, Any], training: bool, recompute: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fused, "PART", 2000)  # several parts, the last of which is shorter
    net = randomised(TCN(**shape)).train(training)
    net.recompute = recompute
    ours, theirs, nets = both(net, 3, net.receptive_field + 600, torch.float64)
    for mine, reference in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, reference, rtol=1e-10, atol=1e-12)
    for mine, reference in zip(nets[0].buffers(), nets[1].buffers(), strict=True):
        torch.testing.assert_close(mine, reference, rtol=1e-12, atol=1e-14)
    moved = any(not torch.equal(a, b) for a, b in zip(net.buffers(), nets[0].buffers(), strict=True))
    assert moved is training


@pytest.mark.parametrize(("function", "causal"), [("compiled", False), ("fused", True)], indirect=["function"])
def test_gradients_of_the_papers_network_in_single_precision(function: str, causal: bool) -> None:
    """With slopes of 1, as rounding can put a sample on either side of a PReLU's kink, in plain modules as in ours."""
    net = randomised(TCN(causal=causal))
    with torch.no_grad():
        for block in net.blocks:
            block.activation.weight.fill_(1.0)  # type: ignore[union-attr, operator]
    ours, theirs, _ = both(net, 1, net.receptive_field + 1000, torch.float32)
    for mine, reference in zip(ours, theirs, strict=True):
        assert (mine - reference).norm() <= 1e-5 * reference.norm()


@pytest.mark.parametrize("kind", ["gain", "matrix"])
@pytest.mark.parametrize("training", [True, False])
def test_gradients_of_a_block_against_finite_differences(training: bool, kind: str) -> None:
    generator = torch.Generator().manual_seed(0)

    def made(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    inputs = 5 if kind == "gain" else 2
    layout = Layout(dilation=2, span=4, start=3, samples=13, rows=14, skip=slice(2, 11))
    residual = made(5) if kind == "gain" else made(inputs, 5)
    signals = [made(2, 17, inputs), made(5, inputs, 3), made(2, 5), made(2, 5), made(5), residual, made(5, 2)]
    moments = (None, None) if training else (made(5), made(5).square())

    def outputs(*given: Tensor) -> tuple[Tensor, Tensor]:
        out, share, *_ = FusedBlock.apply(*given, *moments, 1e-5, layout, False)
        return out, share

    for signal in signals:
        signal.requires_grad_()
    # Along a random direction, and therefore near: a fault of one sample is small beside all others.
    assert torch.autograd.gradcheck(outputs, signals, fast_mode=True, atol=1e-9, rtol=1e-6)


def test_a_second_derivative_is_refused() -> None:
    net = TCN(blocks=2, kernel_size=3, channels=2)
    x = torch.randn(1, 1, 40, requires_grad=True)
    (gradient,) = torch.autograd.grad(net(x, torch.rand(1, 2)).sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.sum().backward()


def test_compilers_and_autocast_get_plain_modules(monkeypatch: pytest.MonkeyPatch) -> None:
    net = randomised(TCN(blocks=2, kernel_size=3, channels=4)).eval()
    x, controls = torch.randn(2, 1, 40), torch.rand(2, 2)
    expected = net(x, controls)
    monkeypatch.setattr(TCN, "_fused", lambda *_: pytest.fail("the functions for the CPU were called"))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(net(x, controls).float(), expected, rtol=0, atol=0.02)
    torch.testing.assert_close(torch.export.export(net, (x, controls)).module()(x, controls), expected)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_gradient_that_a_block_changes_in_place_is_held_by_nobody_else(shape: dict[str, Any], function: str) -> None:
    """In the graph each block's output has one user, the next block; and what that returns is not what it keeps."""
    net = randomised(TCN(**shape))
    x = torch.randn(2, net.in_channels, net.receptive_field + 50, requires_grad=True)
    output = net(x, torch.rand(2, net.controls))
    users: dict[tuple[Any, int], list[tuple[Any, int]]] = {}
    nodes, waiting = {output.grad_fn}, [output.grad_fn]
    while waiting:
        node: Any = waiting.pop()
        for place, edge in enumerate(node.next_functions):
            users.setdefault(edge, []).append((node, place))
            if edge[0] is not None and edge[0] not in nodes:
                nodes.add(edge[0])
                waiting.append(edge[0])
    name = {"compiled": "CompiledBlockBackward", "fused": "FusedBlockBackward"}[function]
    blocks = [node for node in nodes if node is not None and node.name() == name]
    assert len(blocks) == len(net.blocks)
    of_output = [users.get((node, 0), []) for node in blocks]
    assert [len(found) for found in of_output].count(0) == 1  # the last block's output goes nowhere
    assert all(place == 0 and user in blocks for found in of_output for user, place in found)
    assert all(len(found) <= 1 for found in of_output)

    places: list[set[int]] = []  # memory of the gradients that come out of a block's backward pass, and of what it kept
    for node in blocks:
        kept = {part.untyped_storage().data_ptr() for part in node.saved_tensors if part is not None}
        node.register_hook(lambda out, _, kept=kept: places.append({out[0].untyped_storage().data_ptr()} & kept))
    output.square().sum().backward()
    assert places == [set()] * len(blocks)


@pytest.mark.parametrize("recompute", [False, True])
@pytest.mark.usefixtures("function")
def test_keeps_two_signals_a_block_or_one(recompute: bool) -> None:
    from models.memory import saved_bytes

    channels, samples = 8, 8000
    net = TCN(blocks=3, kernel_size=3, channels=channels)
    net.recompute = recompute

    class Sum(torch.nn.Module):
        def forward(self, input: Tensor, target: Tensor) -> Tensor:
            return input.sum()

    kept = saved_bytes(net, Sum(), torch.zeros(1, 1, samples), torch.zeros(1, 2))
    signal = 4 * channels * samples
    assert kept / signal == pytest.approx(3 if recompute else 6, rel=0.1)
