"""micro-TCN and GCN as published: against plain modules, in a stream, exported, with turned knobs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from models.dilated import dilated_conv1d
from models.gcn import GCN
from models.microtcn import MicroTCN
from models.stream import Stream
from scripts.export import graphs, replay
from tests.nets_as_trained import as_trained, knobs, noise, whole
from tests.test_tcn import influence

NETS: dict[str, Callable[..., Any]] = {
    "micro_tcn": lambda **options: MicroTCN(**{"blocks": 3, "kernel_size": 3, "channels": 4} | options),
    "gcn": lambda **options: GCN(
        **{"stacks": 2, "layers": 2, "kernel_size": 3, "channels": 4, "dilation_growth": 5} | options
    ),
}
every_net = pytest.mark.parametrize("name", NETS)


def net_of(name: str, **options: Any) -> Any:
    return as_trained(NETS[name], **options)


def test_the_last_block_of_a_micro_tcn_is_heard_alone() -> None:
    net, x, controls = net_of("micro_tcn"), noise(2, 1, 400), knobs(2)
    condition, y = controls, x
    for linear in net.conditioning[::2]:
        condition = F.relu(F.linear(condition, linear.weight, linear.bias))
    assert [linear.out_features for linear in net.conditioning[::2]] == [16, 32, 32]
    for block in net.blocks:
        z = F.conv1d(y, block.conv.weight, dilation=block.dilation)
        norm = block.film.norm
        z = F.batch_norm(z, norm.running_mean, norm.running_var)
        scale, shift = block.film.modulation(condition).unsqueeze(-1).chunk(2, dim=1)
        kept = F.conv1d(y[..., block.span :], block.residual.weight, groups=block.residual.groups)
        y = F.prelu(scale * z + shift, block.activation.weight) + kept
    torch.testing.assert_close(net(x, controls), torch.tanh(net.mix(y)))
    torch.testing.assert_close(net.mix(y), net._plain(x, net.conditioning(controls)) + net.mix.bias[:, None])


def test_a_new_micro_tcn_is_the_identity() -> None:
    net, x = MicroTCN().eval(), noise(1, 1, 13_400).float()
    torch.testing.assert_close(net(x, torch.rand(1, 2)), torch.tanh(net.align(x)), rtol=0, atol=1e-5)


def test_the_layers_of_a_gcn() -> None:
    net, x, controls = net_of("gcn"), noise(2, 1, 300), knobs(2)
    condition, y, total = net.conditioning(controls), x, 0
    weights = net.mix.weight.chunk(4, dim=1)
    for n, (layer, dilation) in enumerate(zip(net.layers, (1, 5, 1, 5), strict=True)):
        u, v = F.conv1d(y, layer.conv.weight, layer.conv.bias, dilation=dilation).split(4, dim=1)
        scale, shift = layer.modulation(condition).split(4, dim=1)
        z = scale[..., None] * (torch.tanh(u) * torch.sigmoid(v)) + shift[..., None]
        if n < 3:
            y = F.conv1d(z, layer.pass_on.weight, layer.pass_on.bias) + y[..., 2 * dilation :]
        total = total + F.conv1d(z, weights[n])[..., -276:]
    assert net.receptive_field == 25  # 1 + 2 · (1 + 5 + 1 + 5)
    torch.testing.assert_close(net(x, controls), total + net.mix.bias[:, None])


@every_net
def test_the_receptive_field_by_gradient(name: str) -> None:
    net = net_of(name).float()
    seen = influence(net, net.receptive_field + 50, output=20)
    assert (seen.min(), seen.max()) == (20, 20 + net.receptive_field - 1)


@every_net
@pytest.mark.parametrize("channels", [1, 2])
def test_blocks_of_any_size_give_the_whole(name: str, channels: int) -> None:
    net = net_of(name, in_channels=channels, out_channels=channels)
    x, controls = noise(3, channels, 1500), knobs(3)
    expected = whole(net, x, controls)
    assert expected.shape == x.shape
    for sizes in ([1] * 40 + [1460], 13, 64, 1500):
        stream = Stream(net, controls)
        output = torch.cat([stream.feed(block) for block in x.split(sizes, dim=-1)], dim=-1)  # type: ignore[no-untyped-call]
        torch.testing.assert_close(output, expected, rtol=0, atol=1e-10)


@every_net
def test_turned_knobs_move_over_a_block(name: str) -> None:
    net, x = net_of(name), torch.full((1, 1, 2000), 0.5, dtype=torch.float64)
    stream = Stream(net, (0, 0.1))
    first = stream.feed(x)
    stream.controls = (1, 0.9)
    second = stream.feed(x)
    way = (second[..., -1] - first[..., -1]).abs()
    steps = torch.cat((first[..., -1:], second), dim=-1).diff().abs()
    assert way > 1e-3
    assert steps.max() < 0.05 * way
    torch.testing.assert_close(second[..., 1300:], whole(net, x, torch.tensor([[1, 0.9]]).double())[..., 1300:])


@every_net
def test_every_parameter_learns(name: str) -> None:
    net = net_of(name).train()
    net(noise(2, 1, 300), knobs(2)).square().sum().backward()
    for parameter_name, parameter in net.named_parameters():
        assert parameter.grad is not None, parameter_name
        assert parameter.grad.isfinite().all(), parameter_name


def test_an_exported_step_of_a_gcn_gives_the_same() -> None:
    """That of a micro-TCN is the TCN's, see `test_export`."""
    net, x, setting = net_of("gcn").float(), noise(1, 1, 400).float(), knobs(1).float()
    step = replay.torch_runner(graphs.trace_step(net, 2).program)
    state, outputs = [part.detach().numpy() for part in net.start(setting) if part.numel()], []
    for block in x.split([1, 5, 100, 294], dim=-1):  # type: ignore[no-untyped-call]
        output, *state = step(block.numpy(), setting.numpy(), *state)
        outputs.append(output)
    np.testing.assert_allclose(np.concatenate(outputs, axis=-1), whole(net, x, setting), rtol=0, atol=1e-5)


def test_what_does_not_fit_a_gcn_is_refused() -> None:
    net = net_of("gcn")
    for x, controls, message in (
        (noise(1, 2, 100), knobs(1), r"\(batch, 1, samples\), got \(1, 2, 100\)"),
        (noise(1, 1, 100), knobs(2), r"\(1, 2\), got \(2, 2\)"),
        (noise(1, 1, 24), knobs(1), "24 samples is shorter than the receptive field of 25"),
    ):
        with pytest.raises(ValueError, match=message):
            net(x, controls)
    with pytest.raises(ValueError, match="stacks must be at least 1, got 0"):
        GCN(stacks=0)


@pytest.mark.parametrize(("inputs", "outputs", "taps", "dilation"), [(1, 8, 2, 7), (3, 5, 15, 1), (16, 16, 3, 32)])
def test_the_dilated_convolution_is_the_librarys(inputs: int, outputs: int, taps: int, dilation: int) -> None:
    torch.manual_seed(0)
    x = torch.randn(2, inputs, 100, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(outputs, inputs, taps, dtype=torch.float64, requires_grad=True)
    ours, theirs = dilated_conv1d(x, weight, dilation), F.conv1d(x, weight, dilation=dilation)
    torch.testing.assert_close(ours, theirs)
    seed = torch.randn_like(ours)
    for mine, reference in zip(
        torch.autograd.grad(ours, (x, weight), seed), torch.autograd.grad(theirs, (x, weight), seed), strict=True
    ):
        torch.testing.assert_close(mine, reference, rtol=1e-10, atol=1e-10)
