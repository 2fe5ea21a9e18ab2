"""Networks and the LA-2A model as devices under test."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from data.la2a import la2a
from models.net import Unprocessed
from models.tcn import TCN
from scripts.measure.devices import la2a_at, network_at, network_device, run

BLOCK = 2**15  # samples; more than a stream treats at once
NOISE = 0.1 * np.random.default_rng(0).standard_normal(2 * BLOCK + 1234)


def small_net(**options: int | bool) -> TCN:
    torch.manual_seed(0)
    net = TCN(blocks=3, kernel_size=5, channels=4, **options)  # type: ignore[arg-type]
    with torch.no_grad():
        for parameter in net.parameters():  # a new one is the identity
            parameter += 0.1 * torch.randn(parameter.shape)
    return net.eval()


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("samples", [1, 100, BLOCK, BLOCK + 1, len(NOISE)])
def test_blocks_of_a_network_are_its_output_for_the_whole_signal(causal: bool, samples: int) -> None:
    net = small_net(causal=causal)
    before, after = net.context
    whole = torch.from_numpy(np.pad(NOISE[:samples], (before, after))).float()[None, None]
    with torch.inference_mode():
        expected = net(whole, torch.tensor([[1.0, 0.6]]))[0, 0].numpy()
    rendered = network_at(net)(1, 60)(NOISE[:samples])
    assert samples == 1 or rendered.std() > 0.01
    assert rendered.dtype == np.float64
    np.testing.assert_allclose(rendered, expected, atol=1e-6)


def test_a_network_that_changes_nothing_is_aligned() -> None:
    np.testing.assert_allclose(network_device(Unprocessed().eval(), (0, 0.5))(NOISE), NOISE, atol=1e-8)


def test_a_network_of_two_channels_gets_the_signal_on_both() -> None:
    net = small_net(in_channels=2, out_channels=2)
    before, after = net.context
    both = torch.from_numpy(np.pad(NOISE[:1000], (before, after))).float().expand(1, 2, -1)
    with torch.inference_mode():
        expected = net(both, torch.tensor([[0.0, 0.3]]))[0, 0].numpy()
    assert expected.std() > 0.01
    np.testing.assert_allclose(network_at(net)(0, 30)(NOISE[:1000]), expected, atol=1e-6)


def test_a_network_in_training_mode_is_refused() -> None:
    with pytest.raises(ValueError, match=r"training mode.*net\.eval\(\)"):
        network_device(small_net().train(), (0, 0.5))


def test_the_la2a_is_the_one_of_the_data_set() -> None:
    np.testing.assert_array_equal(la2a_at(48_000)(1, 70)(NOISE), la2a(NOISE, 70, 1, 48_000))


def test_an_output_of_another_length_is_refused_with_both_lengths() -> None:
    with pytest.raises(ValueError, match=r"\(999,\).*\(1000,\)"):
        run(lambda x: x[1:], np.zeros(1000))
    with pytest.raises(ValueError, match=r"\(2, 1000\).*\(1000,\)"):
        run(lambda x: np.stack([x, x]), np.zeros(1000))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_an_output_that_is_not_finite_is_refused(bad: float) -> None:
    def device(x: NDArray[np.float64]) -> NDArray[np.float64]:
        y = x.copy()
        y[[7, 9]] = bad
        return y

    with pytest.raises(ValueError, match="2 samples that are not finite, the first at 7"):
        run(device, np.zeros(1000))
