"""Statistics of many losses from one pass are those of the losses one by one."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from auraloss import together
from auraloss.base import Loss
from auraloss.freq import MelSTFTLoss, MultiResolutionSTFTLoss, RandomResolutionSTFTLoss, STFTLoss
from auraloss.time import ESRLoss, SISDRLoss
from scripts.scoring import spectra

COMPUTE = pytest.mark.parametrize("compute", [together.distances, spectra.distances], ids=["torch", "compiled"])

SAMPLES = 6000
LOSSES: dict[str, Loss] = {
    "stft": STFTLoss(),
    "same": STFTLoss(),
    "other floor": STFTLoss(eps=1e-4),
    "pooled": STFTLoss(pool="batch", eps=1e-7),
    "all terms": STFTLoss(w_lin_mag=0.5, mag_distance="L2", log_eps=1e-3, log_fac=2.0),
    "linear": STFTLoss(w_sc=0.0, w_log_mag=0.0, w_lin_mag=1.0),
    "window": STFTLoss(window=("kaiser", 8.6)),
    "odd": STFTLoss(fft_size=301, hop_size=77, win_length=300),
    "mel": MelSTFTLoss(44_100),
    "coarse mel": MelSTFTLoss(44_100, n_mels=20, w_lin_mag=1.0),
    "mr": MultiResolutionSTFTLoss(),
    "mr mel": MultiResolutionSTFTLoss(scale="mel", n_bins=[64, 128, 32], sample_rate=44_100),
    "draw": RandomResolutionSTFTLoss(seed=0).draw(3, SAMPLES),
    "phase": STFTLoss(w_phs=1.0),
    "invariant": STFTLoss(scale_invariance=True),
    "weighted": MultiResolutionSTFTLoss(perceptual_weighting=True, sample_rate=44_100),
    "esr": ESRLoss(),
    "si-sdr": SISDRLoss(),
}


USUAL = {name: LOSSES[name] for name in ("stft", "other floor", "window", "odd", "mel", "mr", "mr mel", "draw")}


def pair(items: int, channels: int, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    """Noise that fades below every floor; the last item of the input begins with silence."""
    generator = torch.Generator().manual_seed(0)
    fade = torch.logspace(0, -7, SAMPLES)
    target = fade * torch.randn(items, channels, SAMPLES, generator=generator)
    input = target + 0.3 * fade * torch.randn(items, channels, SAMPLES, generator=generator)
    input[-1, :, :2000] = 0
    return input.to(dtype), target.to(dtype)


@COMPUTE
def test_all_losses_at_once_are_the_losses_one_by_one(
    compute: together.Distances, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(together, "CPU_BINS", 4000)  # many parts, the last one shorter
    input, target = pair(2, 2)
    found = together.statistics(LOSSES, input, target, compute)
    assert list(found) == list(LOSSES)
    for name, loss in LOSSES.items():
        expected = loss.statistics(input, target)
        assert found[name].dtype == torch.float64
        assert found[name].shape == expected.shape == (2, 2, loss.size)
        torch.testing.assert_close(found[name], expected.double(), rtol=2e-5, atol=1e-6, msg=name)
        value = loss.value(expected.double())
        torch.testing.assert_close(loss.value(found[name]), value, rtol=1e-5, atol=1e-7, msg=name)


def test_compiled_loops_find_what_torch_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """Losses that these loops know, so that none is left to torch; several floors, with bands and without."""
    monkeypatch.setattr(together, "CPU_BINS", 4000)
    input, target = pair(3, 2)
    expected = together.statistics(USUAL, input, target[:1])
    monkeypatch.setattr(together, "distances", None)  # which they would call
    found = together.statistics(USUAL, input, target[:1], spectra.distances)
    for name in USUAL:
        torch.testing.assert_close(found[name], expected[name], rtol=2e-6, atol=1e-6, msg=name)


@COMPUTE
def test_several_inputs_share_a_target(compute: together.Distances) -> None:
    input, target = pair(3, 2)
    found = together.statistics(LOSSES, input, target[:1], compute)
    for number in range(3):
        alone = together.statistics(LOSSES, input[number : number + 1], target[:1], compute)
        for name in LOSSES:
            torch.testing.assert_close(found[name][number], alone[name][0], rtol=1e-12, atol=0, msg=name)


@pytest.mark.parametrize("shape", [(SAMPLES,), (3, SAMPLES), (2, 2, 1, SAMPLES)])
def test_any_number_of_leading_axes(shape: tuple[int, ...]) -> None:
    input, target = torch.randn(2, *shape, generator=torch.Generator().manual_seed(1))
    found = together.statistics({"mr": LOSSES["mr"]}, input, target)["mr"]
    torch.testing.assert_close(found, LOSSES["mr"].statistics(input, target).double(), rtol=2e-5, atol=1e-5)


def test_precision_follows_the_signals() -> None:
    input, target = pair(1, 1, dtype=torch.float64)
    loss = LOSSES["mr"]
    found = together.statistics({"mr": loss}, input, target)["mr"]
    torch.testing.assert_close(found, loss.statistics(input, target), rtol=1e-12, atol=1e-12)
    half = together.statistics({"mr": loss}, input.half(), target.half())["mr"]
    torch.testing.assert_close(half, loss.statistics(input.half(), target.half()).double(), rtol=2e-5, atol=1e-5)


@COMPUTE
def test_equal_signals_differ_by_nothing(compute: together.Distances) -> None:
    _, target = pair(1, 1)
    found = together.statistics(LOSSES, target, target, compute)
    for name in ("stft", "other floor", "pooled", "mel", "mr", "mr mel", "draw"):
        assert float(LOSSES[name].value(found[name])) == 0, name


def test_parameters_of_a_network_get_no_gradient_from_it() -> None:
    input, target = pair(1, 1)
    found = together.statistics(LOSSES, input.requires_grad_(), target)
    assert not any(sums.requires_grad for sums in found.values())


@pytest.mark.parametrize(
    ("input", "target", "message"),
    [
        ((1, 1, 512), (1, 1, 512), "mr: STFTLoss: fft_size=1024 needs more than 512 samples, got 512"),
        ((2, 1, 5000), (3, 1, 5000), "mr: .*must have the same shape"),
        ((2, 1, 5000), (1, 2, 5000), "mr: .*same shape|expanded size"),
    ],
)
def test_errors_name_the_loss(input: tuple[int, ...], target: tuple[int, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        together.statistics({"mr": LOSSES["mr"]}, torch.ones(input), torch.ones(target))
