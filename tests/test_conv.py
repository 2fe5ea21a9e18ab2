"""The dilated convolution equals the library's in value and gradient, and its backward differentiates again."""

import pytest
import torch
from torch.nn import functional as F

from models import conv
from models.conv import correlate, dilated_conv1d, pad_rows, reversed_kernel, weight_gradient


@pytest.mark.parametrize("channels", [(1, 1), (1, 8), (3, 5), (16, 16), (64, 64)])
@pytest.mark.parametrize(("taps", "dilation"), [(1, 1), (2, 7), (15, 1), (15, 4), (3, 32)])
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


@pytest.mark.parametrize(("inputs", "outputs"), [(1, 8), (8, 1), (8, 5), (32, 32)])
@pytest.mark.parametrize(("taps", "dilation"), [(1, 1), (4, 3), (3, 16), (2, 50)])
def test_rows_of_channels_equal_the_library(
    inputs: int, outputs: int, taps: int, dilation: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the signal has more rows than asked for, and where it is taken in several parts."""
    monkeypatch.setattr(conv, "PART", 40)
    generator = torch.Generator().manual_seed(0)
    span, samples = (taps - 1) * dilation, 101
    rows = pad_rows(samples, dilation)
    assert rows >= samples
    x = torch.randn(3, rows + span, inputs, generator=generator, dtype=torch.float64)
    weight = torch.randn(outputs, inputs, taps, generator=generator, dtype=torch.float64)
    y = correlate(x, weight, dilation)
    assert y.shape == (3, rows, outputs)
    signal = x[:, : samples + span].transpose(1, 2).requires_grad_()
    kernel = weight.clone().requires_grad_()
    expected = F.conv1d(signal, kernel, dilation=dilation)
    torch.testing.assert_close(y[:, :samples], expected.transpose(1, 2))

    padded = torch.zeros(3, rows + 2 * span, outputs, dtype=torch.float64)
    grad = padded[:, span : span + samples].normal_(generator=generator)
    of_signal, of_kernel = torch.autograd.grad(expected, (signal, kernel), grad.transpose(1, 2))
    found = correlate(padded, reversed_kernel(weight), dilation)[:, : samples + span]
    torch.testing.assert_close(found, of_signal.transpose(1, 2), rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(weight_gradient(x, grad, taps, dilation), of_kernel, rtol=1e-10, atol=1e-10)
