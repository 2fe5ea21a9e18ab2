"""Blocks of few channels, compiled: gradients, threads, types, and what is kept on disk. See also `test_fused`."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch
from numba.core import caching
from torch import Tensor

from models import compiled, kernels, step_kernels, vectors
from models.compiled import CompiledBlock
from models.fused import Layout
from models.kernels import PART, SLACK
from models.product import ProductTCN
from models.tcn import TCN
from tests.test_fused import both
from tests.test_tcn import randomised


@pytest.mark.parametrize("inputs", [4, 2, 3])  # a channel its own; groups; all to all
@pytest.mark.parametrize("training", [True, False])
def test_gradients_of_a_block_against_finite_differences(training: bool, inputs: int) -> None:
    generator = torch.Generator().manual_seed(0)

    def made(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    layout = Layout(dilation=2, span=4, start=3, samples=13, rows=13 + SLACK, skip=slice(2, 11))
    per_output = {4: 1, 2: 1, 3: 3}[inputs]
    signals = [
        made(2, inputs, 17),
        made(4, inputs, 3),
        made(2, 4),
        made(2, 4),
        made(4),
        made(4, per_output),
        made(4, 2),
    ]
    moments = (None, None) if training else (made(4), made(4).square())

    def outputs(x: Tensor, *others: Tensor) -> tuple[Tensor, Tensor]:
        x = torch.nn.functional.pad(x, (0, SLACK))
        out, share, *_ = CompiledBlock.apply(x, *others, *moments, 1e-5, layout, False)
        return out[..., :13], share

    for signal in signals:
        signal.requires_grad_()
    # Along a random direction, and therefore near: a fault of one sample is small beside all others.
    assert torch.autograd.gradcheck(outputs, signals, fast_mode=True, atol=1e-9, rtol=1e-6)


@pytest.mark.parametrize(("channels", "norm"), [(8, "frozen"), (16, "batch")])
def test_gradients_in_single_precision(channels: int, norm: str) -> None:
    """With slopes of 1, see `test_fused`."""
    net = randomised(TCN(channels=channels, norm=norm))
    with torch.no_grad():
        for block in net.blocks:
            block.activation.weight.fill_(1.0)  # type: ignore[union-attr, operator]
    ours, theirs, _ = both(net, 2, net.receptive_field + 3 * PART + 1, torch.float32)
    for mine, reference in zip(ours, theirs, strict=True):
        assert (mine - reference).norm() <= 1e-5 * reference.norm()


def test_the_product_network_is_the_one_of_plain_modules() -> None:
    net = ProductTCN().double()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter += 0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(0))
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(2, 1, net.receptive_field + 1000, generator=generator, dtype=torch.float64)
    controls = torch.rand(2, 2, generator=generator, dtype=torch.float64)
    results = []
    for mixed in (net.mixed, lambda *given: _plain(net, *given)):
        output = net.output(mixed(x, controls), net.align(x))
        results.append([output, *torch.autograd.grad(output.square().sum(), list(net.parameters()))])
    for mine, reference in zip(*results, strict=True):
        torch.testing.assert_close(mine, reference, rtol=1e-10, atol=1e-10)


def _plain(net: TCN, x: Tensor, controls: Tensor) -> Tensor:
    assert net.conditioning is not None
    return net._plain(net.features(x), net.conditioning(controls)) + net.mix.bias[:, None]  # type: ignore[index]


def test_threads_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    net = randomised(TCN(blocks=3, kernel_size=5, channels=8))
    results = []
    for threads in (1, 2, 3):
        monkeypatch.setattr(torch, "get_num_threads", lambda threads=threads: threads)
        results.append(both(net, 5, net.receptive_field + 1000, torch.float32)[0])
    for one, two, three in zip(*results, strict=True):
        assert torch.equal(one, two)
        assert torch.equal(one, three)


def test_is_for_few_channels_of_single_or_double_precision() -> None:
    for dtype in (torch.float32, torch.float64):
        assert compiled.suits(torch.zeros(1, dtype=dtype), compiled.CHANNELS)
        assert not compiled.suits(torch.zeros(1, dtype=dtype), compiled.CHANNELS + 1)
    assert not compiled.suits(torch.zeros(1, dtype=torch.bfloat16), 8)


@pytest.mark.parametrize("taps", [1, 7])
@pytest.mark.parametrize("outputs", [1, 8, 13])
def test_unpack_inverts_pack(taps: int, outputs: int) -> None:
    kernel = np.random.default_rng(0).standard_normal((taps, 5, outputs))
    packed = kernels.pack(kernel)
    assert packed.shape[1] % vectors.VECTORS == 0
    np.testing.assert_array_equal(kernels.unpack(packed, taps, 5, outputs), kernel)


def test_what_is_read_and_written_beyond_a_part_is_there() -> None:
    for itemsize in (4, 8):
        assert vectors.VECTORS * vectors.BYTES // itemsize <= SLACK
        assert PART % (vectors.VECTORS * vectors.BYTES // itemsize) == 0


def test_compiles_where_nothing_can_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(caching.CacheImpl, "_locator_classes", [])
    twice = kernels.compiled(lambda x: 2 * x)
    assert twice(3.0) == 6.0
    assert not twice.stats.cache_path


def test_the_cache_changes_with_what_is_compiled_into_it() -> None:
    for module, digest, where in (
        (vectors, kernels.VECTORS_DIGEST, "models/kernels.py"),
        (kernels, step_kernels.KERNELS_DIGEST, "models/step_kernels.py"),
    ):
        source = Path(module.__file__).read_bytes()
        assert len(digest) == 16
        assert hashlib.sha256(source).hexdigest().startswith(digest), f"write it into {where}"
