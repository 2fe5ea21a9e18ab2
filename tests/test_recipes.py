"""The recipes of configs/loss that are named after a source give the number that the source's own formula gives."""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import scipy.signal
import torch
import yaml
from hydra.utils import instantiate
from torch import Tensor

from auraloss.perceptual import DCBlocker
from auraloss.recursive import recursive_filter

CONFIGS = Path(__file__).parent.parent / "configs" / "loss"


def recipe(name: str) -> Any:
    return instantiate(yaml.safe_load((CONFIGS / f"{name}.yaml").read_text().replace("${data.sample_rate}", "44100")))


@pytest.fixture(scope="module")
def pair() -> tuple[Tensor, Tensor]:
    """Three crops of unequal level, so that a ratio of the batch differs from the mean of their ratios."""
    generator = torch.Generator().manual_seed(4)
    target = torch.tensor([0.3, 0.1, 0.01])[:, None, None] * torch.randn(3, 1, 9000, generator=generator)
    return 0.9 * target + 0.02 * torch.randn(target.shape, generator=generator) + 0.005, target


@pytest.mark.parametrize(
    ("name", "l1", "mr"), [("s4", 1.0, 1.0), ("nablafx", 0.5, 0.5), ("pyneuralfx", 1.0, 0.1)], ids=lambda value: value
)
def test_l1_and_mr(published: ModuleType, pair: tuple[Tensor, Tensor], name: str, l1: float, mr: float) -> None:
    expected = l1 * torch.nn.L1Loss()(*pair) + mr * published.freq.MultiResolutionSTFTLoss()(*pair)
    torch.testing.assert_close(recipe(name)(*pair), expected, rtol=1e-6, atol=0)


def test_micro_tcn(published: ModuleType, pair: tuple[Tensor, Tensor]) -> None:
    expected = torch.nn.L1Loss()(*pair) + published.freq.STFTLoss()(*pair)
    torch.testing.assert_close(recipe("micro_tcn")(*pair), expected, rtol=1e-6, atol=0)


def test_nam(published: ModuleType, pair: tuple[Tensor, Tensor]) -> None:
    """To the digit with a 0 before the first sample; without that sample, as in the source, to 0.3 %."""
    mse, mr = torch.nn.MSELoss()(*pair), published.freq.MultiResolutionSTFTLoss()
    padded = [torch.nn.functional.pad(signal, (1, 0)) for signal in pair]
    for signals, accuracy in ((padded, 1e-5), (pair, 3e-3)):
        emphasised = [signal[..., 1:] - 0.85 * signal[..., :-1] for signal in signals]
        terms = recipe("nam").report(*pair)
        torch.testing.assert_close(terms["mr"], mr(*emphasised), rtol=accuracy, atol=0)
        torch.testing.assert_close(terms["loss"], mse + 2e-4 * mr(*emphasised), rtol=accuracy, atol=0)


def test_wright(pair: tuple[Tensor, Tensor]) -> None:
    """Its eps of 1e-5 beside the mean square is left out: ours counts in the energy, and is far smaller."""

    def over_energy(error: Tensor, target: Tensor) -> Tensor:
        return error / target.square().mean()

    x, y = (torch.nn.functional.pad(signal, (1, 0)) for signal in pair)
    filtered = [signal[..., 1:] - 0.85 * signal[..., :-1] for signal in (x, y)]
    esr = over_energy((filtered[1] - filtered[0]).square().mean(), filtered[1])
    dc = over_energy((pair[1].mean() - pair[0].mean()).square(), pair[1])
    torch.testing.assert_close(recipe("wright")(*pair), 0.75 * esr + 0.25 * dc, rtol=1e-5, atol=0)


def test_4a2a(pair: tuple[Tensor, Tensor]) -> None:
    x, y = (scipy.signal.lfilter([1, -1], [1, -0.995], signal.double().numpy()) for signal in pair)
    expected = ((x - y) ** 2).sum() / (y**2).sum()
    assert recipe("4a2a")(*pair).item() == pytest.approx(expected, rel=1e-5)


# The filter of 4A-2A


@pytest.mark.parametrize("samples", [1, 2, 100, 10_007])
@pytest.mark.parametrize(
    "sections",
    [
        [((1.0, -1.0), (1.0, -0.995))],
        [((0.5, 0.2, 0.1), (1.0, -1.98, 0.9803)), ((2.0,), (1.0, 0.5))],
        [((1.0, -0.5), (1.0,))],
    ],
)
def test_recursive_filters_are_those_of_a_loop_over_samples(sections: Any, samples: int) -> None:
    signal = torch.randn(2, samples, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    expected = signal.numpy()
    for b, a in sections:
        expected = scipy.signal.lfilter(b, a, expected)
    torch.testing.assert_close(recursive_filter(signal, sections), torch.from_numpy(expected), rtol=1e-9, atol=1e-9)


def test_gradient_of_a_recursive_filter() -> None:
    signal = torch.randn(1, 20, generator=torch.Generator().manual_seed(0), dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(DCBlocker(0.9).filter, signal)


def test_an_offset_is_taken_away_and_all_else_stays() -> None:
    time = torch.arange(44_100) / 44_100
    tone = torch.sin(2 * torch.pi * 1000 * time)
    settled = DCBlocker().filter(tone + 0.5)[22_050:]
    assert abs(settled.mean()) < 1e-4
    assert settled.square().mean().sqrt() == pytest.approx(0.5**0.5, rel=0.003)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: DCBlocker(1.0), r"pole=1\.0 must be from 0 to below 1"),
        (lambda: DCBlocker(-0.1), r"pole=-0\.1 must be from 0 to below 1"),
        (lambda: recursive_filter(torch.ones(3), [((1.0,), (1.0, -1.0))]), r"no stable filter: a pole has .* 1\.0"),
    ],
)
def test_filters_that_ring_for_ever_are_refused(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
