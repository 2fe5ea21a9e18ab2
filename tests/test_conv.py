"""The dilated convolution equals the library's in value and gradient, and its backward differentiates again."""

import pytest
import torch
from torch.nn import functional as F

from models.conv import dilated_conv1d


@pytest.mark.parametrize("channels", [(1, 1), (1, 8), (3, 5), (16, 16)])
@pytest.mark.parametrize(("taps", "dilation"), [(1, 1), (2, 7), (15, 1), (15, 4)])
def test_equals_the_library(channels: tuple[int, int], taps: int, dilation: int) -> None:
    generator = torch.Generator().manual_seed(0)
    inputs, outputs = channels
    x = torch.randn(2, inputs, 100, generator=generator, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(outputs, inputs, taps, generator=generator, dtype=torch.float64, requires_grad=True)
    ours, theirs = dilated_conv1d(x, weight, dilation), F.conv1d(x, weight, dilation=dilation)
    torch.testing.assert_close(ours, theirs)
    seed = torch.randn(ours.shape, generator=generator, dtype=torch.float64)
    for mine, reference in zip(
        torch.autograd.grad(ours, (x, weight), seed),
        torch.autograd.grad(theirs, (x, weight), seed),
        strict=True,
    ):
        torch.testing.assert_close(mine, reference, rtol=1e-10, atol=1e-10)


def test_gradients_against_finite_differences() -> None:
    x = torch.randn(2, 3, 12, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(4, 3, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(dilated_conv1d, (x, weight, 2))
    assert torch.autograd.gradgradcheck(dilated_conv1d, (x, weight, 2))


def test_autocast_decides_the_precision() -> None:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert dilated_conv1d(torch.randn(1, 2, 40), torch.randn(2, 2, 3), 2).dtype == torch.bfloat16
