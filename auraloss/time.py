"""Losses on the waveform: L1, MSE, ESR, DC, log-cosh, and the (negated) signal-to-distortion ratios."""

import torch
from torch import Tensor

from auraloss.base import Loss


def _count(error: Tensor) -> Tensor:
    return torch.full_like(error[..., 0], error.shape[-1])


class L1Loss(Loss):
    """Mean absolute error, `Σ|x − y| / T`.

    >>> L1Loss()(torch.tensor([[[1.0, 2.0]]]), torch.tensor([[[1.0, -1.0]]])).item()
    1.5
    """

    size = 2

    def _statistics(self, input: Tensor, target: Tensor) -> Tensor:
        error = input - target
        return torch.stack([error.abs().sum(-1), _count(error)], -1)

    def value(self, statistics: Tensor) -> Tensor:
        total, count = statistics.unbind(-1)
        return total / count


class MSELoss(Loss):
    """Mean squared error, `Σ(x − y)² / T`.

    >>> MSELoss()(torch.tensor([[[1.0, 2.0]]]), torch.tensor([[[1.0, -1.0]]])).item()
    4.5
    """

    size = 2

    def _statistics(self, input: Tensor, target: Tensor) -> Tensor:
        error = input - target
        return torch.stack([error.square().sum(-1), _count(error)], -1)

    def value(self, statistics: Tensor) -> Tensor:
        total, count = statistics.unbind(-1)
        return total / count


class _RelativeLoss(Loss):
    """An error relative to the energy of the target, from `(error, Σy², T)`.

    A silent target has no such ratio. So that one pause in a batch does not outweigh everything else, the
    target counts as no quieter than `floor_db`.
    """

    size = 3

    def __init__(
        self, eps: float = 1e-8, reduction: str = "mean", pool: str = "item", floor_db: float | None = -90.0
    ) -> None:
        super().__init__(reduction, pool)
        self.eps = eps
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

    Source: Wright & Välimäki, Perceptual loss function for neural modelling of audio systems, 2020.

    >>> ESRLoss()(torch.tensor([[[1.0, 2.0]]]), torch.tensor([[[1.0, 1.0]]])).item()
    0.5
    """

    def _statistics(self, input: Tensor, target: Tensor) -> Tensor:
        error = target - input
        return torch.stack([error.square().sum(-1), target.square().sum(-1), _count(error)], -1)

    def value(self, statistics: Tensor) -> Tensor:
        error, energy, count = statistics.unbind(-1)
        return error / (self._energy(energy, count) + self.eps)


class DCLoss(_RelativeLoss):
    """Squared mean error relative to the target's mean square, `(mean(y − x))² / (mean(y²) + eps)`.

    Args: as for `ESRLoss`.

    Source: Wright & Välimäki, Perceptual loss function for neural modelling of audio systems, 2020.

    >>> DCLoss()(torch.tensor([[[1.0, 2.0]]]), torch.tensor([[[1.0, 1.0]]])).item()
    0.25
    """

    def _statistics(self, input: Tensor, target: Tensor) -> Tensor:
        error = target - input
        return torch.stack([error.sum(-1), target.square().sum(-1), _count(error)], -1)

    def value(self, statistics: Tensor) -> Tensor:
        error, energy, count = statistics.unbind(-1)
        return (error / count).square() / (self._energy(energy, count) / count + self.eps)


class LogCoshLoss(Loss):
    """Mean of `log(cosh(a·(x − y)) + eps) / a`: quadratic for small errors, absolute for large ones.

    Computed as `log1p(2·sinh²(z/2) + eps)`, which is exact for the smallest errors, up to |z| = 20, and
    continued from there with its slope of 1, so that no error overflows.

    Args:
        a: steepness; the smaller, the smoother.
        eps: added inside the logarithm. The formula needs none.
        reduction, pool: see `auraloss.base.Loss`.

    Source: Chen et al., Log hyperbolic cosine loss improves variational auto-encoder, 2019.

    >>> print(f"{LogCoshLoss()(torch.tensor([[[1e-5]]]), torch.tensor([[[0.0]]])).item():.3e}")
    5.000e-11
    """

    size = 2

    def __init__(self, a: float = 1.0, eps: float = 0.0, reduction: str = "mean", pool: str = "item") -> None:
        super().__init__(reduction, pool)
        if a <= 0:
            raise ValueError(f"LogCoshLoss: a={a} must be positive.")
        self.a = a
        self.eps = eps

    def _statistics(self, input: Tensor, target: Tensor) -> Tensor:
        z = self.a * (input - target)
        inner = z.clamp(-20, 20)
        losses = torch.log1p(2 * torch.sinh(inner / 2).square() + self.eps) + (z - inner).abs()
        return torch.stack([losses.sum(-1) / self.a, _count(z)], -1)

    def value(self, statistics: Tensor) -> Tensor:
        total, count = statistics.unbind(-1)
        return total / count


class _DistortionRatioLoss(Loss):
    """A negated signal-to-distortion ratio in dB, from `(signal energy, residual energy)`.

    Args:
        zero_mean: remove the mean of input and target first.
        eps: added to the residual's energy and to the ratio, which bounds the loss at both ends.
        reduction, pool: see `auraloss.base.Loss`.
    """

    size = 2

    def __init__(self, zero_mean: bool = True, eps: float = 1e-8, reduction: str = "mean", pool: str = "item") -> None:
        super().__init__(reduction, pool)
        self.zero_mean = zero_mean
        self.eps = eps

    def _signal_and_residual(self, input: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        raise NotImplementedError

    def _statistics(self, input: Tensor, target: Tensor) -> Tensor:
        if self.zero_mean:
            input = input - input.mean(-1, keepdim=True)
            target = target - target.mean(-1, keepdim=True)
        signal, residual = self._signal_and_residual(input, target)
        return torch.stack([signal.square().sum(-1), residual.square().sum(-1)], -1)

    def value(self, statistics: Tensor) -> Tensor:
        signal, residual = statistics.unbind(-1)
        return -10 * torch.log10(signal / (residual + self.eps) + self.eps)

    def _scaled(self, input: Tensor, target: Tensor) -> Tensor:
        """The target, scaled to be as near to the input as it can be."""
        scale = (input * target).sum(-1, keepdim=True) / (target.square().sum(-1, keepdim=True) + self.eps)
        return scale * target


class SNRLoss(_DistortionRatioLoss):
    """Negated signal-to-noise ratio in dB, `−10·log₁₀(Σy² / Σ(x − y)²)`.

    Args:
        zero_mean: remove the mean of input and target first.
        eps: added to the residual's energy and to the ratio, which bounds the loss at both ends.
        reduction, pool: see `auraloss.base.Loss`.

    >>> round(SNRLoss(zero_mean=False)(torch.tensor([[[1.0, 1.1]]]), torch.tensor([[[1.0, 1.0]]])).item(), 2)
    -23.01
    """

    def _signal_and_residual(self, input: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        return target, input - target


class SISDRLoss(_DistortionRatioLoss):
    """Negated scale-invariant signal-to-distortion ratio in dB.

    `−10·log₁₀(Σ(αy)² / Σ(x − αy)²)`, `α = Σxy / Σy²`.

    Args: as for `SNRLoss`.

    Source: Le Roux et al., SDR – half-baked or well done?, 2019.
    """

    def _signal_and_residual(self, input: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        scaled = self._scaled(input, target)
        return scaled, input - scaled


class SDSDRLoss(_DistortionRatioLoss):
    """Negated scale-dependent signal-to-distortion ratio in dB.

    `−10·log₁₀(Σ(αy)² / Σ(x − y)²)`, `α = Σxy / Σy²`.

    Args: as for `SNRLoss`.

    Source: Le Roux et al., SDR – half-baked or well done?, 2019.
    """

    def _signal_and_residual(self, input: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        return self._scaled(input, target), input - target
