"""Time-domain losses against NumPy in float64, and where the formulas are delicate."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from auraloss.base import Loss, WeightedSum
from auraloss.time import (
    DCLoss,
    ESRLoss,
    L1Loss,
    LogCoshLoss,
    MSELoss,
    SDSDRLoss,
    SISDRLoss,
    SNRLoss,
)

Array = NDArray[np.float64]


def esr(x: Array, y: Array) -> float:
    return float(((y - x) ** 2).sum() / ((y**2).sum() + 1e-8))


def dc(x: Array, y: Array) -> float:
    return float((y - x).mean() ** 2 / ((y**2).mean() + 1e-8))


def log_cosh(x: Array, y: Array) -> float:
    return float(np.log(np.cosh(3 * (x - y))).mean() / 3)


def snr(x: Array, y: Array) -> float:
    x, y = x - x.mean(), y - y.mean()
    return float(-10 * np.log10((y**2).sum() / ((x - y) ** 2).sum()))


def si_sdr(x: Array, y: Array) -> float:
    x, y = x - x.mean(), y - y.mean()
    projection = y * (x @ y) / (y @ y)
    return float(-10 * np.log10((projection**2).sum() / ((x - projection) ** 2).sum()))


def sd_sdr(x: Array, y: Array) -> float:
    x, y = x - x.mean(), y - y.mean()
    projection = y * (x @ y) / (y @ y)
    return float(-10 * np.log10((projection**2).sum() / ((x - y) ** 2).sum()))


REFERENCES: list[tuple[Loss, Callable[[Array, Array], float]]] = [
    (L1Loss(reduction="none"), lambda x, y: float(np.abs(x - y).mean())),
    (MSELoss(reduction="none"), lambda x, y: float(((x - y) ** 2).mean())),
    (ESRLoss(reduction="none"), esr),
    (DCLoss(reduction="none"), dc),
    (LogCoshLoss(a=3.0, reduction="none"), log_cosh),
    (SNRLoss(reduction="none"), snr),
    (SISDRLoss(reduction="none"), si_sdr),
    (SDSDRLoss(reduction="none"), sd_sdr),
]


@pytest.mark.parametrize(("loss", "reference"), REFERENCES, ids=lambda value: type(value).__name__)
def test_against_numpy(loss: Loss, reference: Callable[[Array, Array], float]) -> None:
    generator = np.random.default_rng(0)
    y = 0.2 * generator.standard_normal((3, 2, 5000)) + 0.03
    x = 0.9 * y + 0.1 * generator.standard_normal((3, 2, 5000))
    expected = [[reference(x[item, channel], y[item, channel]) for channel in range(2)] for item in range(3)]
    values = loss(torch.tensor(x, dtype=torch.float32), torch.tensor(y, dtype=torch.float32))
    np.testing.assert_allclose(values.numpy(), expected, rtol=2e-5)


@pytest.mark.parametrize("a", [1.0, 100.0])
def test_log_cosh_of_large_errors_is_the_absolute_error_less_log_two(a: float) -> None:
    errors = torch.tensor([[[-1e4, 90.0, 25.0]]], requires_grad=True)
    value = LogCoshLoss(a=a)(errors, torch.zeros(1, 1, 3))
    value.backward()
    assert value.item() == pytest.approx((1e4 + 90 + 25) / 3 - math.log(2) / a, rel=1e-6)
    torch.testing.assert_close(errors.grad, torch.tensor([[[-1.0, 1.0, 1.0]]]) / 3)


@pytest.mark.parametrize("error", [1e-7, 1e-5, 3e-4, 1e-2, 1.0, 19.0, 21.0])
def test_log_cosh_is_exact_for_errors_of_any_size(error: float) -> None:
    input = torch.tensor([[[error]]], requires_grad=True)
    value = LogCoshLoss()(input, torch.zeros(1, 1, 1))
    value.backward()
    # log cosh z = z²/2 − z⁴/12 + …; the first term alone is exact enough below 1e-3.
    expected = error**2 / 2 if error < 1e-3 else math.log(math.cosh(error))
    assert value.item() == pytest.approx(expected, rel=1e-6)
    assert input.grad is not None
    assert input.grad.item() == pytest.approx(math.tanh(error), rel=1e-6)


def test_log_cosh_eps_is_inside_the_logarithm() -> None:
    value = LogCoshLoss(eps=0.5)(torch.tensor([[[1.0]]]), torch.zeros(1, 1, 1))
    assert value.item() == pytest.approx(math.log(math.cosh(1.0) + 0.5), rel=1e-6)


@pytest.mark.parametrize("a", [1.0, 100.0])
def test_log_cosh_with_eps_has_the_gradient_of_its_formula_for_errors_of_any_size(a: float) -> None:
    errors = torch.tensor([0.0, 1e-3, -0.5, 20.0, -90.0, 1e3]) / a
    input = errors.clone().requires_grad_()
    LogCoshLoss(a=a, eps=0.5, reduction="sum")(input, torch.zeros_like(input)).backward()
    z = (a * errors.double()).clamp(-500, 500)  # beyond, the slope is 1 in float64 too
    expected = z.sinh() / (z.cosh() + 0.5) / len(z)
    torch.testing.assert_close(input.grad, expected.float())


def test_a_silent_target_counts_as_noise_at_the_floor() -> None:
    silence = torch.zeros(1, 1, 1000)
    input = torch.full_like(silence, 0.01)  # −40 dB
    assert ESRLoss(eps=0.0)(input, silence).item() == pytest.approx(10 ** ((90 - 40) / 10), rel=1e-5)
    assert DCLoss(eps=0.0)(input, silence).item() == pytest.approx(10 ** ((90 - 40) / 10), rel=1e-5)
    assert ESRLoss(eps=0.0, floor_db=-60.0)(input, silence).item() == pytest.approx(100.0, rel=1e-5)
    assert ESRLoss(eps=0.0, floor_db=None)(input, silence).isinf()


def test_the_floor_leaves_louder_targets_alone() -> None:
    target = torch.full((1, 1, 1000), 1e-4)  # −80 dB
    input = 2 * target
    with_floor, without = ESRLoss(eps=0.0)(input, target), ESRLoss(eps=0.0, floor_db=None)(input, target)
    assert with_floor == without
    assert without.item() == pytest.approx(1.0, rel=1e-5)


def test_distortion_ratios_of_a_gain_error() -> None:
    target = torch.randn(1, 1, 4000, generator=torch.Generator().manual_seed(0))
    half = 0.5 * target
    assert SNRLoss()(half, target).item() == pytest.approx(-10 * math.log10(4), rel=1e-4)
    assert SDSDRLoss()(half, target).item() == pytest.approx(0.0, abs=1e-4)
    assert SISDRLoss()(half, target) < -60


@pytest.mark.parametrize("loss", [SNRLoss(), SISDRLoss(), SDSDRLoss()], ids=lambda loss: type(loss).__name__)
def test_distortion_ratios_are_blind_to_a_constant_only_if_told_so(loss: Loss) -> None:
    generator = torch.Generator().manual_seed(0)
    target = torch.randn(1, 1, 4000, generator=generator)
    input = target + 0.1 * torch.randn(1, 1, 4000, generator=generator)
    torch.testing.assert_close(loss(input + 0.5, target), loss(input, target), rtol=1e-4, atol=0)
    strict = type(loss)(zero_mean=False)
    assert strict(input + 0.5, target) > strict(input, target) + 3


def test_weighted_sum() -> None:
    generator = torch.Generator().manual_seed(0)
    input, target = torch.randn(2, 1, 100, generator=generator), torch.randn(2, 1, 100, generator=generator)
    loss = WeightedSum({"esr": ESRLoss(), "dc": DCLoss()}, {"dc": 0.5, "esr": 2.0})
    torch.testing.assert_close(loss(input, target), 2 * ESRLoss()(input, target) + 0.5 * DCLoss()(input, target))
    plain = WeightedSum({"esr": ESRLoss(), "dc": DCLoss()})
    torch.testing.assert_close(plain(input, target), ESRLoss()(input, target) + DCLoss()(input, target))
