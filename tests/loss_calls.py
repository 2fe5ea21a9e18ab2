"""A call for every public loss with every option that changes what is computed, and signals to try them on.

Tests of what all losses have in common run on each of these calls.
"""

import functools
import inspect
from collections.abc import Callable, Iterable
from typing import Any

import pytest
import torch
from torch import Tensor

import auraloss
from auraloss.base import Loss

STFT = "freq.STFTLoss(64, 16, 64"
MULTI = "freq.MultiResolutionSTFTLoss([32, 64], [8, 20], [32, 48]"

DECIBELS = [
    "time.SNRLoss()",
    "time.SNRLoss(zero_mean=False)",
    "time.SISDRLoss()",
    "time.SISDRLoss(zero_mean=False)",
    "time.SDSDRLoss()",
    "time.SDSDRLoss(zero_mean=False)",
]
LEVEL = ["level.GainReductionLoss(4000, floor_db=-120.0)", "level.LoudnessLoss(8000)", "level.CumulativeEnergyLoss()"]
TIME = [
    "time.L1Loss()",
    "time.MSELoss()",
    "time.ESRLoss()",
    "time.ESRLoss(pool='batch')",
    "time.DCLoss()",
    "time.LogCoshLoss()",
    "time.LogCoshLoss(a=100.0)",
    *DECIBELS,
    "perceptual.PreEmphasis(perceptual.FIRFilter('hp'), time.ESRLoss())",
    "perceptual.PreEmphasis(perceptual.FIRFilter('fd'), time.L1Loss())",
    "perceptual.PreEmphasis(perceptual.FIRFilter('aw', fs=48000), time.MSELoss())",
    "perceptual.PreEmphasis(perceptual.DCBlocker(), time.ESRLoss())",
    *LEVEL,
    "base.WeightedSum({'esr': time.ESRLoss(), 'dc': time.DCLoss()}, {'esr': 1.0, 'dc': 0.5})",
    "perceptual.SumAndDifferenceLoss(time.ESRLoss(), w_sum=1.0, w_diff=2.0)",
]
SPECTRAL = [
    f"{STFT})",
    f"{STFT}, pool='batch')",
    f"{STFT}, window='kaiser_window', w_sc=0.0)",
    f"{STFT}, window='blackmanharris', w_log_mag=0.0)",
    f"{STFT}, w_sc=0.0, w_log_mag=0.0, w_lin_mag=1.0)",
    f"{STFT}, w_lin_mag=1.0, mag_distance='L2')",
    f"{STFT}, w_phs=0.5)",
    f"{STFT}, log_eps=1.0, log_fac=10.0)",
    f"{STFT}, log_eps=1e-5, mag_distance='L2', w_sc=0.0)",
    f"{STFT}, eps=1e-12)",
    f"{STFT}, scale_invariance=True)",
    f"{STFT}, perceptual_weighting=True, sample_rate=44100)",
    f"{STFT}, scale='mel', n_bins=8, sample_rate=8000, f_min=300.0, f_max=3000.0, log_eps=1.0, w_lin_mag=1.0)",
    f"{STFT}, scale='mel', n_bins=8, sample_rate=8000, scale_invariance=True)",
    "freq.MelSTFTLoss(44100, 64, 16, 64, n_mels=64)",
    "freq.ChromaSTFTLoss(8000, 64, 16, 64)",
    f"{MULTI})",
    f"{MULTI}, w_lin_mag=1.0, w_phs=0.5, perceptual_weighting=True, sample_rate=48000)",
    f"{MULTI}, scale='mel', n_bins=[8, 16], sample_rate=8000)",
    "freq.MultiScaleMelLoss(8000, [4, 9], [32, 64], w_lin_mag=1.0)",
    "freq.ComplexSTFTLoss(64, 16, 64, w_phase=0.5)",
    "freq.ComplexSTFTLoss(64, 16, 64, power=0.3)",
    "freq.SpectralTransportLoss(64, 16, 64)",
    "freq.RandomResolutionSTFTLoss(2, 16, 64, randomize_rate=10**6, seed=0)",
    "freq.SumAndDifferenceSTFTLoss([32, 64], [8, 20], [32, 48])",
    "freq.SumAndDifferenceSTFTLoss([64], [16], [64], w_sum=2.0, w_diff=0.5, w_phs=1.0)",
    f"perceptual.PreEmphasis(perceptual.FIRFilter('hp'), {STFT}))",
    f"base.WeightedSum({{'l1': time.L1Loss(), 'stft': {STFT})}})",
]
LOSSES = TIME + SPECTRAL
PER_ITEM = [call for call in LOSSES if "pool" not in call]
# Of two channels; below, those that have one value for an item, not for a channel of it.
STEREO = [call for call in LOSSES if "SumAndDifference" in call]
OF_ITEM = [call for call in LOSSES if call in STEREO or "Loudness" in call]
MAGNITUDE = [
    "freq.SpectralConvergenceLoss()",
    "freq.SpectralConvergenceLoss(pool='batch')",
    "freq.STFTMagnitudeLoss(log=False)",
    "freq.STFTMagnitudeLoss(log=False, distance='L2')",
    "freq.STFTMagnitudeLoss(log_eps=1e-5)",
    "freq.STFTMagnitudeLoss(log_eps=1.0, log_fac=10.0, distance='L2')",
]
"""Of magnitudes, `[*, bins, frames]`; all others are of signals."""


def for_each(calls: Iterable[str]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Runs a test on each of these calls and says in which it fails.

    All are one case to pytest: a case for each would cost more than most of the checks do.
    """

    def decorate(test: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(test)
        def run(**fixtures: Any) -> None:
            failures = []
            for call in calls:
                try:
                    test(call=call, **fixtures)
                except (Exception, pytest.fail.Exception) as failure:
                    failure.add_note(f"in {call}")
                    failures.append(failure)
            if failures:
                raise BaseExceptionGroup(f"{len(failures)} of {len(list(calls))} losses", failures)

        signature = inspect.signature(test)
        fixtures = [parameter for name, parameter in signature.parameters.items() if name != "call"]
        run.__signature__ = signature.replace(parameters=fixtures)  # type: ignore[attr-defined]
        return run

    return decorate


every_loss = for_each(LOSSES)

SHAPE = (2, 2, 300)
T = SHAPE[-1]
Pair = tuple[Tensor, Tensor]


def build(call: str) -> Any:
    names = {name: getattr(auraloss, name) for name in ("base", "freq", "level", "perceptual", "time")}
    return eval(call, names)


def noise(*shape: int, seed: int = 0) -> Tensor:
    return 0.3 * torch.randn(shape or SHAPE, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def ordinary() -> Pair:
    """Noise, and noise that is partly the same."""
    target = noise()
    return 0.8 * target + 0.1 * noise(seed=1) + 0.01, target


def is_scale_invariant(call: str) -> bool:
    """Whether the target's magnitudes are scaled to the input's, or both to 1: their levels then do not matter."""
    return "scale_invariance" in call or "Transport" in call


def evaluate(loss: Any, input: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The loss and the gradients of its sum with respect to both signals."""
    input, target = input.detach().clone().requires_grad_(), target.detach().clone().requires_grad_()
    value = loss(input, target)
    value.sum().backward()
    assert input.grad is not None
    assert target.grad is not None
    return value.detach(), input.grad, target.grad


def everywhere(loss: Any, **settings: str) -> Any:
    """The same loss with another `reduction` or `pool`, also in the losses that it is made of."""
    for module in loss.modules():
        if isinstance(module, Loss):
            for name, value in settings.items():
                setattr(module, name, value)
    return loss


def values_of(call: str) -> Any:
    """The loss with one value for each item and channel."""
    return everywhere(build(call), reduction="none")


def pooled(call: str) -> Any:
    """The loss of the summed statistics of the whole batch."""
    return everywhere(build(call), pool="batch")


def finite(*results: Tensor) -> bool:
    return all(bool(result.isfinite().all()) for result in results)


# How far to go against a gradient, of the louder signal's peak; from the middle, where most losses give way.
STEPS = [10.0**-k for k in (3, 2, 4, 1, 5, 6, 7, 8, 9, 10, 11, 12)]


def some_step_helps(loss: Any, gradient: Tensor, input: Tensor, target: Tensor) -> bool:
    """Whether a step against the gradient lowers the loss; in float64, where rounding hides no small step."""
    if not gradient.any():
        return False
    input, target = input.double(), target.double()
    direction = gradient.double() / gradient.abs().max()
    level = torch.maximum(input.abs(), target.abs()).max()
    with torch.no_grad():
        before = loss(input, target)
        return any(loss(input - level * step * direction, target) < before for step in STEPS)
