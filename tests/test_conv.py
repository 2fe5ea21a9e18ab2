"""The dilated convolution on rows of channels equals the library's, as do its two gradients."""

import pytest
import torch
from torch.nn import functional as F

from models import conv
from models.conv import correlate, pad_rows, reversed_kernel, weight_gradient


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
