"""The network that multiplies: its output by hand, its gain, its bounds, what it starts as."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch.nn import functional as F

from models.product import ProductTCN
from tests.test_tcn import influence, randomised

SMALL = {"blocks": 3, "kernel_size": 3, "channels": 4, "averages": 0, "causal": False}
"""Receptive field 1 + 2·(1 + 4 + 16) = 43."""


def small(**options: Any) -> ProductTCN:
    torch.manual_seed(0)
    net = randomised(ProductTCN(**{**SMALL, **options})).eval()
    assert isinstance(net, ProductTCN)
    return net


def sound(items: int = 2, channels: int = 1, samples: int = 100) -> torch.Tensor:
    return 0.3 * torch.randn(items, channels, samples, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("averages", [0, 2])
@pytest.mark.parametrize("channels", [1, 2])
def test_output_is_the_input_times_the_gain_plus_a_bounded_signal(channels: int, averages: int) -> None:
    net = small(in_channels=channels, out_channels=channels, averages=averages)
    x, controls = sound(channels=channels, samples=400), torch.rand(2, 2)
    u, d = net.mixed(x, controls).split(channels, dim=1)
    largest = 60 * math.log(10) / 20
    gain = torch.exp(largest * torch.tanh(u / largest))
    expected = net.align(x) * gain + net.alpha * torch.tanh(d)
    torch.testing.assert_close(net(x, controls), expected)
    torch.testing.assert_close(net.gain_db(x, controls), 20 * torch.log10(gain), rtol=1e-4, atol=1e-4)
    assert net.alpha.shape == (channels, 1)
    assert net.alpha.abs().min() > 0


def test_the_first_block_is_given_the_input_and_its_level() -> None:
    """0, −50 and −20 dBFS: log10(1 + 10⁻²·⁵) + 1.25, log10(2·10⁻²·⁵) + 1.25, log10(0.1 + 10⁻²·⁵) + 1.25."""
    x = torch.tensor([[[1.0, -(10**-2.5), 0.1, 0.0]]])
    signal, level = ProductTCN(**SMALL).features(x)[0]
    torch.testing.assert_close(signal, x[0, 0])
    torch.testing.assert_close(level, torch.tensor([1.25137, -0.94897, 0.26352, -1.25]), rtol=0, atol=1e-5)


@pytest.mark.parametrize("averages", [1, 2])
def test_a_level_of_each_average(averages: int) -> None:
    """The mean of |x| over the last 64 and 256 samples, of each channel."""
    x = sound(channels=2, samples=300)
    found = ProductTCN(**SMALL | {"in_channels": 2, "out_channels": 2, "averages": averages}).features(x)
    assert found.shape == (2, 2 * (2 + averages), 300 - (63, 255)[averages - 1])
    for number, length in enumerate((64, 256)[:averages]):
        mean = x.abs().unfold(-1, length, 1).mean(-1)[..., -found.shape[-1] :]
        expected = torch.log10(mean + 10**-2.5) + 1.25
        torch.testing.assert_close(found[:, 4 + 2 * number : 6 + 2 * number], expected)


@pytest.mark.parametrize("averages", [0, 1])
@pytest.mark.parametrize(("causal", "lookahead"), [(False, 21), (True, 0)])
def test_receptive_field_by_gradient(causal: bool, lookahead: int, averages: int) -> None:
    net = small(causal=causal, controls=2, averages=averages)
    field = 43 + 63 * averages
    assert (net.receptive_field, net.lookahead) == (field, lookahead)
    seen = influence(net, field + 19, output=10)
    assert (seen.min(), seen.max()) == (10, 10 + field - 1)


@pytest.mark.parametrize("averages", [-1, 9])
def test_as_many_averages_as_there_are(averages: int) -> None:
    with pytest.raises(ValueError, match=f"averages must be 0 … 8, got {averages}"):
        ProductTCN(averages=averages)


def test_the_input_that_is_multiplied_is_the_one_that_belongs_to_the_output() -> None:
    """With the gain held at 1, what comes out is what went in, so many samples later."""
    net, x = small(), sound()
    with torch.no_grad():
        net.mix.weight.zero_()
        net.mix.bias.zero_()  # type: ignore[union-attr]
        net.alpha.zero_()
    assert torch.equal(net(x, torch.rand(2, 2)), x[..., 21:-21])


def test_a_new_network_is_the_input_times_a_gain_near_one() -> None:
    for seed in range(8):
        torch.manual_seed(seed)
        net = ProductTCN()
        x, controls = sound(samples=26000), torch.rand(2, 2)
        gain_db = net.gain_db(x, controls)
        torch.testing.assert_close(net(x, controls), net.align(x) * 10 ** (gain_db / 20))
        assert 0.01 < gain_db.abs().mean() < 6
    residuals = [block.residual.weight for block in net.blocks]  # type: ignore[union-attr]
    assert all((weight == 1 / weight.shape[1]).all() for weight in residuals)  # the mean of what a block is given


@pytest.mark.parametrize("push", [1e4, -1e4])
def test_the_gain_is_bounded_and_never_inverts(push: float) -> None:
    net, x, controls = small(), sound(), torch.rand(2, 2)
    with torch.no_grad():
        net.alpha.zero_()
        net.mix.bias.fill_(push)  # type: ignore[union-attr]
    torch.testing.assert_close(net.gain_db(x, controls), torch.full((2, 1, 58), math.copysign(60.0, push)))
    y = net(x, controls)
    assert y.isfinite().all()
    assert torch.equal(y.sign(), net.align(x).sign())


def test_every_parameter_learns() -> None:
    net = ProductTCN(**SMALL)
    with torch.no_grad():
        net.alpha.fill_(0.1)
    F.mse_loss(net(sound(), torch.rand(2, 2)), torch.zeros(2, 1, 58)).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in net.parameters())
    assert all(p.grad.abs().sum() > 0 for p in (net.alpha, net.mix.weight, net.blocks[0].conv.weight))  # type: ignore[union-attr]


def test_as_many_channels_out_as_in() -> None:
    with pytest.raises(ValueError, match="got 1 input and 2 output channels"):
        ProductTCN(out_channels=2)
