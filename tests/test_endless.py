"""Networks of endless memory: one rule of how they begin, in training, streams, graphs and scoring; turned knobs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor

from data.segments import Segment
from models.compressor import Compressor
from models.endless import Endless, glide
from models.lstm import LSTM
from models.rendering import Rendering
from models.statespace import S4D, StateSpace
from models.stream import Stream
from models.system import System
from scripts.export import graphs, replay
from tests.nets_as_trained import as_trained, knobs, noise, whole

NETS: dict[str, Callable[..., Endless]] = {
    "compressor": lambda **options: Compressor(**options),
    "lstm": lambda **options: LSTM(cells=6, **options),
    "s4d": lambda **options: S4D(depth=2, channels=3, states=3, **options),
}
every_net = pytest.mark.parametrize("name", NETS)


def net_of(name: str, warm_up: int = 1, **options: Any) -> Any:
    return as_trained(NETS[name], warm_up=warm_up, **options)


@every_net
@pytest.mark.parametrize("channels", [1, 2])
def test_blocks_of_any_size_give_the_whole(name: str, channels: int) -> None:
    net = net_of(name, in_channels=channels, out_channels=channels)
    x, controls = noise(3, channels, 1500), knobs(3)
    expected = whole(net, x, controls)
    assert expected.shape == x.shape
    assert (expected - x).std() > 1e-3
    for sizes in ([1] * 40 + [1460], 13, 64, 1500):
        stream = Stream(net, controls)
        output = torch.cat([stream.feed(block) for block in x.split(sizes, dim=-1)], dim=-1)  # type: ignore[no-untyped-call]
        torch.testing.assert_close(output, expected, rtol=0, atol=1e-12)


@every_net
def test_it_begins_at_rest_and_is_warmed(name: str) -> None:
    """The definition of the module's text, and that of docs/export.md: a state of zeros, then the warm-up."""
    net = net_of(name)
    x, controls = noise(1, 1, 1400), knobs(1)
    state = net.rest(controls)
    assert all(part.count_nonzero() == 0 for part in state)
    stepped, _ = net.step(x, state, controls)
    assert net.receptive_field == 1025
    torch.testing.assert_close(net(x, controls), stepped[..., 1024:], rtol=0, atol=1e-12)
    _, after_silence = net.step(torch.zeros(1, 1, 1024, dtype=x.dtype), state, controls)
    started = net.start(controls)
    for part, of_net in zip(after_silence, started, strict=True):
        torch.testing.assert_close(of_net, part)
    with torch.no_grad():
        started = net.start(controls)
    assert len({part.untyped_storage().data_ptr() for part in started}) == len(started)  # or they cannot be exported


@every_net
def test_without_a_gradient_it_is_the_same(name: str) -> None:
    """There some are computed by other means; also while controls move."""
    net = net_of(name)
    x, (first, second) = noise(2, 1, 1300), knobs(4).split(2)  # type: ignore[no-untyped-call]
    state = net.start(first)
    with_gradient, after = net.step(x, state, second)
    assert with_gradient.requires_grad
    with torch.no_grad():
        without, after_without = net.step(x, state, second)
    torch.testing.assert_close(without, with_gradient, rtol=0, atol=1e-12)
    for part, other in zip(after_without, after, strict=True):
        torch.testing.assert_close(part, other, rtol=0, atol=1e-12)


@every_net
def test_the_past_matters_without_end_and_the_future_never(name: str) -> None:
    net = net_of(name, warm_up=0)
    x = noise(1, 1, 500).requires_grad_()
    net(x, knobs(1))[..., 300].sum().backward()
    assert x.grad is not None
    assert x.grad[..., :16].abs().max() > 0
    assert x.grad[..., 301:].abs().max() < 1e-18  # a Fourier transform rounds


@every_net
def test_what_warms_it_gets_no_gradient_in_training(name: str) -> None:
    net = net_of(name).train()
    x = noise(1, 1, 1400).requires_grad_()
    net(x, knobs(1)).square().sum().backward()
    assert x.grad is not None
    assert x.grad[..., : 1024 - 15].count_nonzero() == 0
    assert x.grad[..., 1024:].abs().max() > 0
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in net.parameters())


@every_net
def test_the_gradient_is_that_of_small_differences(name: str) -> None:
    """Without warm-up, whose share in it is left out."""
    net = net_of(name, warm_up=0)
    x, controls = noise(2, 1, 100), knobs(2)
    first, *others = net.parameters()
    values = [parameter.detach().requires_grad_() for parameter in (first, *others)]
    names = [name for name, _ in net.named_parameters()]

    def output(*values: Tensor) -> Any:
        return torch.func.functional_call(net, dict(zip(names, values, strict=True)), (x, controls))

    assert torch.autograd.gradcheck(output, values, eps=1e-7, atol=1e-5, fast_mode=True)


@every_net
def test_turned_knobs_make_no_step(name: str) -> None:
    """A constant input: its output may move by no more from sample to sample than a tenth of the whole way."""
    net = net_of(name)
    stream, x = Stream(net, (0, 0.1)), torch.full((1, 1, 8000), 0.5, dtype=torch.float64)
    first = stream.feed(x)
    stream.controls = (1, 0.9)
    second = stream.feed(x)
    way = (second[..., -1] - first[..., -1]).abs()
    assert way > 1e-3
    steps = torch.cat((first[..., -1:], second), dim=-1).diff().abs()
    assert steps.max() < 0.1 * way
    fresh = Stream(net, (1, 0.9))
    assert (fresh.feed(x)[..., -1] - second[..., -1]).abs() < 0.02 * way


@every_net
def test_recordings_are_scored_as_a_stream_gives_them(name: str) -> None:
    """Block by block from the first sample on, and the next recording anew; what was before does not hang over."""
    net = net_of(name).float()
    rendering = Rendering(net)
    assert rendering.context == (0, 0)
    for x, controls in zip(noise(2, 1, 5000).float(), knobs(2).float(), strict=True):
        rendering.begin()
        pairs = [rendering.block((block, 2 * block, controls)) for block in x.split((3000, 1500, 500), dim=-1)]  # type: ignore[no-untyped-call]
        output, target = (torch.cat(parts, dim=-1) for parts in zip(*pairs, strict=True))
        torch.testing.assert_close(output, whole(net, x[None], controls[None]), rtol=0, atol=1e-5)
        assert torch.equal(target, 2 * x[None])


@every_net
def test_a_block_that_validates_is_heard_with_a_memory_of_what_was_before(name: str) -> None:
    net = net_of(name).float().eval()
    net.memory = 4000
    x, controls = noise(1, 1, 1024 + 4000 + 2000).float(), knobs(1).float()
    outputs: list[Tensor] = []

    class Kept(torch.nn.Module):
        def forward(self, output: Tensor, target: Tensor) -> Tensor:
            outputs.extend((output, target))
            return torch.tensor(0.0)

    system = System(net, torch.nn.L1Loss(), {"kept": Kept()}, torch.optim.Adam).eval()
    _, samples = system.validation_values(Segment(x, 2 * x, controls))
    assert samples == 2000
    torch.testing.assert_close(outputs[0], net(x, controls)[..., 4000:])
    assert torch.equal(outputs[1], 2 * x[..., 5024:])


@pytest.mark.parametrize(
    ("name", "onnx_too"),
    [("lstm", False), *(pytest.param(name, True, marks=pytest.mark.slow) for name in NETS)],
)
def test_exported_graphs_give_the_same(name: str, onnx_too: bool, tmp_path: Any) -> None:
    """Also in blocks shorter than a step of the side chain, and with turned knobs."""
    net = net_of(name).float()
    traced = graphs.trace(net, 2)
    if onnx_too:
        for part, graph in traced.items():
            onnx.save(graphs.to_onnx(graph), tmp_path / f"{part}.onnx")
        step, at_once = (replay.onnx_runner(tmp_path / f"{part}.onnx") for part in traced)
    else:
        step, at_once = (replay.torch_runner(graph.program) for graph in traced.values())
    x, settings = noise(1, 1, 300).float(), knobs(2).float()
    net_state = net.start(settings[:1])
    state = [part.detach().numpy() for part in net_state]
    for number, block in enumerate(x.split([1, 5, 100, 17, 177], dim=-1)):  # type: ignore[no-untyped-call]
        setting = settings[number // 3 : number // 3 + 1]
        with torch.no_grad():
            expected, net_state = net.step(block, net_state, setting)
        output, *state = step(block.numpy(), setting.numpy(), *state)
        np.testing.assert_allclose(output, expected, rtol=0, atol=1e-5)
    (output,) = at_once(x.numpy(), settings[:1].numpy())
    np.testing.assert_allclose(output, whole(net, x, settings[:1]), rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ["compressor", "s4d"])
def test_averages_keep_their_precision_under_autocast_and_half_of_it_is_refused(name: str) -> None:
    net, x, controls = net_of(name).float().train(), noise(1, 1, 1400).float(), knobs(1).float()
    expected = net(x, controls)
    with torch.autocast("cpu", torch.bfloat16):
        output = net(x, controls)
    assert torch.equal(output, expected)
    output.square().mean().backward()
    with pytest.raises(ValueError, match=r"computes in float32 or float64, got torch\.bfloat16"):
        Stream(net.eval().bfloat16(), (0, 0.5))


@every_net
def test_what_does_not_fit_is_refused(name: str) -> None:
    net = net_of(name)
    for x, controls, message in (
        (noise(1, 2, 1100), knobs(1), r"\(batch, 1, samples\), got \(1, 2, 1100\)"),
        (noise(1, 1, 1100), knobs(2), r"\(1, 2\), got \(2, 2\)"),
        (noise(1, 1, 1024), knobs(1), "1024 samples is shorter than .* 1025"),
    ):
        with pytest.raises(ValueError, match=message):
            net(x, controls)
    for options, message in (
        ({"in_channels": 2}, "2 input and 1 output channels"),
        ({"warm_up": -1}, "warm_up must be at least 0, got -1"),
        ({"controls": -1}, "controls must be at least 0, got -1"),
    ):
        with pytest.raises(ValueError, match=message):
            NETS[name](**options)  # type: ignore[arg-type]


def test_multiplications_by_hand() -> None:
    """Gates 4·32·(3 + 32), mix 32, three a cell; a step of the side chain is 16 samples, and each has two."""
    assert LSTM().multiplications() == 4480 + 32 + 96
    layer = 16 * 16 + 2 * 16 * 4 + 4 * 16
    assert S4D().multiplications() == (16 + 4 * layer + 16) / 16 + 2
    assert Compressor().multiplications() == 20 / 16 + 2


def test_averages_by_hand() -> None:
    """A state of length T after a step of height 1 is 1 − exp(−k/T); from h it falls to h·exp(−k/T)."""
    layer = StateSpace(channels=1, states=2).double()
    with torch.no_grad():
        layer.log_length.copy_(torch.tensor([[2.0, 50.0]]).log())
        layer.weight.copy_(torch.tensor([[3.0, -1.0]]))
        layer.direct.fill_(0.25)
    k, start = torch.arange(1, 21, dtype=torch.float64), torch.tensor([[[0.0, 4.0]]], dtype=torch.float64)
    y, after = layer(torch.ones(1, 1, 20, dtype=torch.float64), start)
    fast, slow = 1 - torch.exp(-k / 2), 1 + 3 * torch.exp(-k / 50)
    torch.testing.assert_close(y[0, 0], 3 * fast - slow + 0.25)
    torch.testing.assert_close(after[0, 0], torch.stack((fast[-1], slow[-1])))


def test_controls_on_their_way() -> None:
    before, controls = torch.tensor([[0.0, 1.0]]), torch.tensor([[1.0, 1.0]])
    way, after = glide(before, controls, 3, length=2.0)
    expected = 1 - torch.exp(-torch.tensor([1.0, 2.0, 3.0]) / 2)
    torch.testing.assert_close(way[0], torch.stack((expected, torch.ones(3)), dim=1))
    assert torch.equal(after, way[:, -1])
    assert torch.equal(glide(before, controls, 0, 2.0)[1], before)
