"""The network: receptive field and alignment proved by gradient, structure against a plain reference."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from models.tcn import TCN


def randomised(net: TCN) -> TCN:
    """The net as if trained: a new one passes its input on, which would hide most of its structure."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.normal_(0, 0.1, generator=generator)
    return net


def influence(net: TCN, samples: int, output: int) -> torch.Tensor:
    """Which input samples the output sample depends on."""
    x = torch.zeros(1, net.in_channels, samples).normal_(generator=torch.Generator().manual_seed(0)).requires_grad_()
    net.eval()(x, torch.full((1, net.controls), 0.5))[0, :, output].sum().backward()
    assert x.grad is not None
    return x.grad[0].abs().sum(0).nonzero().flatten()


@pytest.mark.parametrize("causal", [False, True])
def test_receptive_field_of_the_paper(causal: bool) -> None:
    torch.manual_seed(0)
    net = randomised(TCN(channels=4, causal=causal))
    assert net.receptive_field == 14_323  # 1 + 14 · (1 + 2 + … + 512)
    assert net.lookahead == (0 if causal else 7_161)
    seen = influence(net, 14_323 + 99, output=40)
    assert (seen.min(), seen.max()) == (40, 40 + 14_322)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("kernel_size", [1, 2, 3, 4])
def test_output_belongs_to_the_input_sample_that_the_contract_names(kernel_size: int, causal: bool) -> None:
    """With the residual path alone, an impulse passes at one place: that place is the alignment."""
    net = TCN(blocks=3, kernel_size=kernel_size, channels=2, causal=causal, controls=0).eval()
    with torch.no_grad():
        for block in net.blocks:
            block.conv.weight.zero_()
            block.residual.weight.fill_(1.0)
    x = torch.zeros(1, 1, 60)
    x[..., 33] = 1.0
    quiet = net(torch.zeros(1, 1, 60), torch.zeros(1, 0))
    change = (net(x, torch.zeros(1, 0)) - quiet)[0, 0].detach().abs()
    assert change.argmax() + net.receptive_field - 1 - net.lookahead == 33
    assert net.align(x)[0, 0].argmax() == change.argmax()
    assert change.gt(1e-6).sum() == 1


def test_structure_against_plain_modules() -> None:
    """The same computation written out with the library's modules, block by block, for a centred net."""
    torch.manual_seed(0)
    net = randomised(TCN(blocks=3, kernel_size=5, channels=6, dilation_growth=3)).eval()
    x, controls = torch.randn(2, 1, 120), torch.rand(2, 2)
    assert net.conditioning is not None
    condition = net.conditioning(controls)
    hidden, outputs = x, []
    for n, block in enumerate(net.blocks):
        crop = 4 * 3**n // 2
        y = F.conv1d(hidden, block.conv.weight, dilation=3**n)
        y = F.batch_norm(y, block.film.norm.running_mean, block.film.norm.running_var)
        scale, shift = block.film.modulation(condition)[..., None].split(6, dim=1)
        y = F.prelu(y * scale + shift, block.activation.weight)
        hidden = y + F.conv1d(hidden[..., crop:-crop], block.residual.weight, groups=1 if n == 0 else 6)
        outputs.append(hidden)
    frames = hidden.shape[-1]
    total = sum(o[..., (o.shape[-1] - frames) // 2 :][..., :frames] for o in outputs)
    torch.testing.assert_close(net(x, controls), torch.tanh(net.mix(total)))


def test_defaults_are_the_papers() -> None:
    net = TCN()
    convolutions = [module for module in net.blocks.modules() if isinstance(module, nn.Conv1d) and module.bias is None]
    kernels = [module for module in convolutions if module.kernel_size == (15,)]
    assert [module.dilation[0] for module in kernels] == [2**n for n in range(10)]
    assert {module.out_channels for module in kernels} == {32}
    # Counted on paper: convolutions 15·(1·32 + 9·32·32), residuals 10·32, PReLU 10·32, FiLM 10·(128·64 + 64),
    # mixing 32 + 1, conditioning 2·32+32 + 32·64+64 + 64·128+128 + 3 PReLU.
    expected = 15 * (32 + 9 * 1024) + 320 + 320 + 10 * (8192 + 64) + 33 + 96 + 2112 + 8320 + 3
    assert sum(parameter.numel() for parameter in net.parameters()) == expected


@pytest.mark.parametrize("channels", [1, 2])
def test_starts_as_the_identity(channels: int) -> None:
    net = TCN(blocks=4, kernel_size=3, channels=8, in_channels=channels, out_channels=channels)
    x = torch.randn(2, channels, 80)
    torch.testing.assert_close(net(x, torch.rand(2, 2)), torch.tanh(net.align(x)))


@pytest.mark.parametrize(("channels", "controls"), [(1, 0), (1, 5), (2, 2), (3, 1)])
def test_any_number_of_channels_and_controls(channels: int, controls: int) -> None:
    net = TCN(blocks=2, kernel_size=3, channels=8, controls=controls, in_channels=channels, out_channels=channels)
    y = net(torch.randn(3, channels, 50), torch.rand(3, controls))
    assert y.shape == (3, channels, 50 - net.receptive_field + 1)
    assert y.abs().max() <= 1
    y.square().mean().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in net.parameters())


def test_controls_matter() -> None:
    torch.manual_seed(0)
    net = randomised(TCN(blocks=2, kernel_size=3, channels=8)).eval()
    x = torch.randn(1, 1, 50)
    assert not torch.allclose(net(x, torch.tensor([[0.0, 0.2]])), net(x, torch.tensor([[0.0, 0.9]])))


@pytest.mark.parametrize(
    ("shape", "controls", "message"),
    [
        ((1, 1, 6), (1, 2), "6 samples is shorter than the receptive field of 7 samples"),
        ((1, 2, 50), (1, 2), r"\(batch, 1, samples\), got \(1, 2, 50\)"),
        ((1, 50), (1, 2), r"got \(1, 50\)"),
        ((2, 1, 50), (1, 2), r"controls must have shape \(2, 2\), got \(1, 2\)"),
        ((0, 1, 50), (0, 2), "the batch is empty"),
    ],
)
def test_wrong_shapes_are_named(shape: tuple[int, ...], controls: tuple[int, ...], message: str) -> None:
    net = TCN(blocks=2, kernel_size=3, channels=2)
    with pytest.raises(ValueError, match=message):
        net(torch.zeros(shape), torch.zeros(controls))


def test_another_precision_is_named() -> None:
    with pytest.raises(ValueError, match=r"input of torch\.float64, the network is in torch\.float32"):
        TCN(blocks=2, kernel_size=3, channels=2)(torch.zeros(1, 1, 50).double(), torch.zeros(1, 2))


@pytest.mark.parametrize("option", ["blocks", "kernel_size", "channels", "dilation_growth", "in_channels"])
def test_sizes_below_one_are_refused(option: str) -> None:
    with pytest.raises(ValueError, match=f"{option} must be at least 1, got 0"):
        TCN(**{option: 0})
