"""Losses on the waveform: L1, MSE, ESR, DC, log-cosh, and the (negated) signal-to-distortion ratios."""

from typing import Any

import torch
from torch import Tensor

from auraloss.base import Loss

SILENCE_DB = -90.0
"""A ratio to a quieter target (dB re a mean square of 1) is taken as if the target were this loud.

Levels in dBFS, as `auraloss.level.GainReductionLoss` has them, are 3 dB more: there a sine of amplitude 1 has 0.
"""


def _count(error: Tensor) -> Tensor:
    return torch.full_like(error[..., 0], error.shape[-1])


def _check_eps(loss: Loss, eps: float) -> float:
    """Raise a `ValueError` unless `eps` is 0 or more."""
    if not eps >= 0:
        raise ValueError(f"{type(loss).__name__}: eps={eps} must not be negative.")
    return eps


class _CentredEnergy(torch.autograd.Function):
    """`Σ(e − mean(e))²`; the backward pass need not go through the mean."""

    generate_vmap_rule = True

    @staticmethod
    def forward(error: Tensor) -> tuple[Tensor, Tensor]:
        centred = error - error.mean(-1, keepdim=True)
        return centred.square().sum(-1), centred

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: tuple[Tensor, Tensor]) -> None:
        ctx.save_for_backward(output[1])
        ctx.set_materialize_grads(False)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> Tensor | None:
        (centred,) = ctx.saved_tensors
        of_energy, of_centred = gradients
        gradient = None if of_energy is None else centred * (2 * of_energy[..., None])
        if of_centred is not None:  # in a second derivative only
            through = of_centred - of_centred.mean(-1, keepdim=True)
            gradient = through if gradient is None else gradient + through
        return gradient


def squared_error(input: Tensor, target: Tensor, zero_mean: bool = False) -> Tensor:
    """Energy of the difference, `[*, T]` → `[*]`, without its mean if asked for."""
    if zero_mean:
        energy: Tensor = _CentredEnergy.apply(input - target)[0]
        return energy
    return torch.nn.functional.mse_loss(input, target, reduction="none").sum(-1)  # one pass in either direction


class L1Loss(Loss):
    """Mean absolute error, `Σ|x − y| / T`.

    Args:
        reduction, pool: see `auraloss.base.Loss`, also for shapes and errors, here and below.

    >>> L1Loss()(torch.tensor([[[1.0, 2.0]]]), torch.tensor([[[1.0, -1.0]]])).item()
    1.5
    """

    size = 2

    def _statistics(self, input: Tensor, target: Tensor) -> tuple[Tensor, ...]:
        error = input - target
        return error.abs().sum(-1), _count(error)

    def _value(self, total: Tensor, count: Tensor) -> Tensor:
        return total / count


class MSELoss(Loss):
    """Mean squared error, `Σ(x − y)² / T`.

    Args:
        reduction, pool: see `auraloss.base.Loss`.

    >>> MSELoss()(torch.tensor([[[1.0, 2.0]]]), torch.tensor([[[1.0, -1.0]]])).item()
    4.5
    """

    size = 2

    def _statistics(self, input: Tensor, target: Tensor) -> tuple[Tensor, ...]:
        return squared_error(input, target), _count(target)

    def _value(self, total: Tensor, count: Tensor) -> Tensor:
        return total / count


class _RelativeLoss(Loss):
    """An error relative to the energy of the target, from `(error, Σy², T)`.

    A silent target has no such ratio. So that one pause in a batch does not outweigh everything else, the
    target counts as no quieter than `floor_db`.
    """

    size = 3

    def __init__(
        self, eps: float = 1e-8, reduction: str = "mean", pool: str = "item", floor_db: float | None = SILENCE_DB
    ) -> None:
        super().__init__(reduction, pool)
        self.eps = _check_eps(self, eps)
        self.floor_db = floor_db

    def _energy(self, energy: Tensor, count: Tensor) -> Tensor:
        if self.floor_db is None:
            return energy
        return torch.maximum(energy, count * 10 ** (self.floor_db / 10))


class ESRLoss(_RelativeLoss):
    """Error-to-signal ratio, `Σ(y − x)² / (Σy² + eps)`.

    Args:
        eps: added to the energy of the target.
        reduction, pool: see `auraloss.base.Loss`.
        floor_db: a quieter target counts as this loud (dB re a mean square of 1), which bounds the loss for a
            silent one. `None` for no floor: with `eps=0` a silent target then gives inf or NaN.

    Source: Wright & Välimäki, Perceptual loss function for neural modelling of audio systems, 2020; Steinmetz &
    Reiss, auraloss, 2020, Eq. 1.

    >>> ESRLoss()(torch.tensor([[[1.0, 2.0]]]), torch.tensor([[[1.0, 1.0]]])).item()
    0.5
    """

    def _statistics(self, input: Tensor, target: Tensor) -> tuple[Tensor, ...]:
        return squared_error(input, target), target.square().sum(-1), _count(target)

    def _value(self, error: Tensor, energy: Tensor, count: Tensor) -> Tensor:
        return error / (self._energy(energy, count) + self.eps)


class DCLoss(_RelativeLoss):
    """Squared mean error relative to the target's mean square, `(mean(y − x))² / (mean(y²) + eps)`.

    Args: as for `ESRLoss`.

    Source: Wright & Välimäki, Perceptual loss function for neural modelling of audio systems, 2020.

    >>> DCLoss()(torch.tensor([[[1.0, 2.0]]]), torch.tensor([[[1.0, 1.0]]])).item()
    0.25
    """

    def _statistics(self, input: Tensor, target: Tensor) -> tuple[Tensor, ...]:
        return (input - target).sum(-1), target.square().sum(-1), _count(target)

    def _value(self, error: Tensor, energy: Tensor, count: Tensor) -> Tensor:
        return (error / count).square() / (self._energy(energy, count) / count + self.eps)


class _LogCosh(torch.autograd.Function):
    """`Σ log(cosh(a·e)) / a`, the backward pass written out: it stores the error alone."""

    generate_vmap_rule = True

    @staticmethod
    def forward(error: Tensor, a: float) -> Tensor:
        inner = error.clamp(-20 / a, 20 / a)
        beyond = (error - inner).abs_()
        return inner.mul_(a).sinh_().square_().log1p_().add_(beyond, alpha=2 * a).sum(-1) / (2 * a)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, float], output: Tensor) -> None:
        error, ctx.a = inputs
        ctx.save_for_backward(error)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (error,) = ctx.saved_tensors
        growth = (2 * ctx.a * error).clamp_(max=40).expm1_()
        return growth / (growth + 2) * gradients[0][..., None], None  # tanh(a·e), in two thirds of its time


class LogCoshLoss(Loss):
    """Mean of `log(cosh(a·(x − y)) + eps) / a`: quadratic for small errors, absolute for large ones.

    Computed as `log1p(sinh²z) / 2`, which is exact for the smallest errors, up to |z| = 20, and continued from
    there with its slope of 1, so that no error overflows; `eps` as `log1p(eps / cosh z)` beside it, of `exp(−|z|)`.

    Args:
        a: steepness; the smaller, the smoother.
        eps: added inside the logarithm. The formula needs none.
        reduction, pool: see `auraloss.base.Loss`.

    Raises:
        ValueError: if `a` is not positive.

    Source: Chen et al., Log hyperbolic cosine loss improves variational auto-encoder, 2019; Steinmetz & Reiss,
    auraloss, 2020, Eq. 2 (a sum there, the mean in every released version and here).

    >>> print(f"{LogCoshLoss()(torch.tensor([[[1e-5]]]), torch.tensor([[[0.0]]])).item():.3e}")
    5.000e-11
    """

    size = 2

    def __init__(self, a: float = 1.0, eps: float = 0.0, reduction: str = "mean", pool: str = "item") -> None:
        super().__init__(reduction, pool)
        if not a > 0:
            raise ValueError(f"LogCoshLoss: a={a} must be positive.")
        self.a = a
        self.eps = _check_eps(self, eps)

    def _statistics(self, input: Tensor, target: Tensor) -> tuple[Tensor, ...]:
        error = input - target
        losses = _LogCosh.apply(error, self.a)
        if self.eps:
            inner = self.a * error
            # cosh itself overflows; |·| has no second derivative at 0.
            faint = torch.where(inner < 0, inner, -inner).exp()
            losses = losses + torch.log1p(2 * self.eps * faint / (1 + faint.square())).sum(-1) / self.a
        return losses, _count(target)

    def _value(self, total: Tensor, count: Tensor) -> Tensor:
        return total / count


class _DistortionRatioLoss(Loss):
    """A negated signal-to-distortion ratio in dB, from energies of signal, residual and target, and `T`.

    The target scaled by `α = Σxy / Σy²` is as near to the input as it can be; a subclass says which of signal and
    residual take it.
    """

    size = 4
    score_sign = -1
    unit = "dB"
    scaled_signal: bool
    scaled_residual: bool

    def __init__(
        self,
        zero_mean: bool = True,
        eps: float = 1e-8,
        reduction: str = "mean",
        pool: str = "item",
        floor_db: float | None = SILENCE_DB,
    ) -> None:
        super().__init__(reduction, pool)
        self.zero_mean = zero_mean
        self.eps = _check_eps(self, eps)
        self.floor_db = floor_db

    def _statistics(self, input: Tensor, target: Tensor) -> tuple[Tensor, ...]:
        if self.zero_mean:
            target = target - target.mean(-1, keepdim=True)
        energy = signal = target.square().sum(-1)
        nearest = target
        if self.scaled_signal:
            scale = (input * target).sum(-1) / (energy + self.eps)
            # A silent input has the scale 0, and −120 dB more a gradient.
            signal = (scale + 1e-6).square() * energy
            nearest = scale[..., None] * target if self.scaled_residual else target
        residual = squared_error(input, nearest, self.zero_mean)
        return signal, residual, energy, _count(target)

    def _value(self, signal: Tensor, residual: Tensor, energy: Tensor, count: Tensor) -> Tensor:
        if self.floor_db is not None:
            signal = signal + (count * 10 ** (self.floor_db / 10) - energy).clamp(min=0)
        # The eps hides a residual of inf in the logarithm: 0·inf brings it back, as NaN.
        return -10 * torch.log10(signal / (residual + self.eps) + self.eps) + 0 * residual


class SNRLoss(_DistortionRatioLoss):
    """Negated signal-to-noise ratio in dB, `−10·log₁₀(Σy² / (Σ(x − y)² + eps) + eps)`.

    Args:
        zero_mean: remove the mean of input and target first.
        eps: added to the residual's energy and to the ratio, which bounds the loss at both ends.
        reduction, pool: see `auraloss.base.Loss`.
        floor_db: a quieter target counts as this loud (dB re a mean square of 1), so that a prediction for a
            silent one is led to silence. `None` for no floor: the loss of a silent target is then a constant.

    >>> round(SNRLoss(zero_mean=False)(torch.tensor([[[1.0, 1.1]]]), torch.tensor([[[1.0, 1.0]]])).item(), 2)
    -23.01
    """

    scaled_signal = False
    scaled_residual = False


class SISDRLoss(_DistortionRatioLoss):
    """Negated scale-invariant signal-to-distortion ratio in dB.

    `−10·log₁₀(Σ(αy)² / (Σ(x − αy)² + eps) + eps)`, `α = Σxy / (Σy² + eps)`.

    Args: as for `SNRLoss`.

    Source: Le Roux et al., SDR – half-baked or well done?, 2019.

    >>> input, target = torch.tensor([[[1.0, 2.0, -3.0]]]), torch.tensor([[[2.0, 2.0, -4.0]]])
    >>> round(SISDRLoss()(input, target).item(), 3), round(SISDRLoss()(0.5 * input, target).item(), 3)
    (-14.314, -14.314)
    """

    scaled_signal = True
    scaled_residual = True


class SDSDRLoss(_DistortionRatioLoss):
    """Negated scale-dependent signal-to-distortion ratio in dB.

    `−10·log₁₀(Σ(αy)² / (Σ(x − y)² + eps) + eps)`, `α = Σxy / (Σy² + eps)`.

    Args: as for `SNRLoss`.

    Source: Le Roux et al., SDR – half-baked or well done?, 2019.

    >>> input, target = torch.tensor([[[1.0, 2.0, -3.0]]]), torch.tensor([[[2.0, 2.0, -4.0]]])
    >>> round(SDSDRLoss()(input, target).item(), 3), round(SDSDRLoss()(0.5 * input, target).item(), 3)
    (-8.293, 4.494)
    """

    scaled_signal = True
    scaled_residual = False
