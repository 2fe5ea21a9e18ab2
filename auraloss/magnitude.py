"""Losses between two magnitude spectra, and the distances between them that all spectral losses share."""

from typing import Any

import torch
from torch import Tensor

from auraloss.base import Loss, check_choice

FLOOR = 1e-8
"""A target whose bins have less power than this on average counts as that loud."""
SHIFT = 1e-10
"""Least that is added to a magnitude before its logarithm is taken, so that 0 has one."""


class Distances(torch.autograd.Function):
    """`Σ(x − y)²`, `Σy²`, `Σd(log(x + shift), log(y + shift))` and `Σd(x, y)`, the backward pass written out.

    `d` is the absolute, or if `squared` the squared difference. A sum that is not asked for is 0. `Σy²` may be given
    where `y` needs no gradient.

    Shape:
        - x, y: `[*, frames, bins]`, in either order.
        - output: `[*, 4]`.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(
        x: Tensor,
        y: Tensor,
        squared: bool,
        shift: float,
        convergence: bool,
        log: bool,
        linear: bool,
        of_target: Tensor | None = None,
    ) -> Tensor:
        distance = torch.square_ if squared else torch.abs_
        error = energy = of_log = of_linear = torch.zeros_like(x[..., 0, 0])
        if linear:
            of_linear = distance(x - y).sum((-2, -1))
        if convergence:
            error = (x - y).square_().sum((-2, -1))
            energy = y.square().sum((-2, -1)) if of_target is None else of_target
        if log:
            of_log = distance(_log_ratio(x, y, shift)).sum((-2, -1))
        return torch.stack([error, energy, of_log, of_linear], -1)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        x, y, *options = inputs
        ctx.options, ctx.others = options[:5], (None,) * len(options)
        ctx.save_for_backward(x, y)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, y = ctx.saved_tensors
        squared, shift, convergence, log, linear = ctx.options
        if not (convergence or log or linear):
            return None, None, *ctx.others
        error, energy, of_log, of_linear = (gradient[..., None, None] for gradient in gradients[0].unbind(-1))
        difference = x - y
        slope = 2 * difference if squared else difference.sign()  # of log x − log y too, if not squared
        to_difference: Any = 2 * error * difference if convergence else 0.0
        if linear:
            to_difference = to_difference + of_linear * slope
        to_x = to_y = to_difference
        if log:
            to_log = of_log * (2 * _log_ratio(x, y, shift) if squared else slope)
            to_x = to_difference + to_log / (x + shift if shift else x)
            to_y = to_difference + to_log / (y + shift) if ctx.needs_input_grad[1] else None
        if ctx.needs_input_grad[1]:
            to_y = 2 * energy * y - to_y if convergence else -to_y
        return to_x, to_y, *ctx.others


def _log_ratio(x: Tensor, y: Tensor, shift: float) -> Tensor:
    """`log(x + shift) − log(y + shift)`, with one logarithm."""
    return ((x + shift) / (y + shift) if shift else x / y).log_()


def root(x: Tensor) -> Tensor:
    """Square root with gradient 0 at 0, where the loss of equal signals would else have none."""
    zero = x == 0
    return torch.where(zero, x, x.where(~zero, 1).sqrt())


def bin_count(spectrum: Tensor) -> Tensor:
    """Number of bins and frames of each spectrum, `[*, frames, bins]` → `[*]`, real."""
    return torch.full_like(spectrum[..., 0, 0], spectrum.shape[-2] * spectrum.shape[-1])


def log_shift(log_eps: float, log_fac: float) -> float:
    """What to add to a magnitude so that its logarithm is `log(log_fac·|X| + log_eps)`, up to a constant."""
    if log_eps < 0 or log_fac <= 0:
        raise ValueError(f"needs log_eps >= 0 and log_fac > 0, got log_eps={log_eps} and log_fac={log_fac}.")
    return log_eps / log_fac


class SpectralConvergenceLoss(Loss):
    """Spectral convergence of two magnitude spectra, `‖|X| − |Y|‖ / ‖|Y|‖` with Frobenius norms.

    A target with less power than 1e-8 a bin on average counts as that loud, which bounds the loss for a silent one.

    Args:
        reduction, pool: see `auraloss.base.Loss`. `pool="batch"` takes one norm over the whole batch.

    Shape:
        - x_mag, y_mag: `[*, bins, frames]`.
        - output: a scalar, or `[*]` for `reduction="none"`.

    Source: Arık et al., Fast spectrogram inversion using multi-head convolutional neural networks, 2018; Steinmetz &
    Reiss, auraloss, 2020, Eq. 3.

    >>> SpectralConvergenceLoss()(torch.tensor([[[3.0], [2.0]]]), torch.tensor([[[4.0], [0.0]]]))
    tensor(0.5590)
    """

    size = 3

    def _statistics(self, input: Tensor, target: Tensor) -> tuple[Tensor, ...]:
        _check_spectra(self, input)
        sums = Distances.apply(input, target, False, 0.0, True, False, False)
        return sums[..., 0], sums[..., 1], bin_count(target)

    def _value(self, error: Tensor, energy: Tensor, count: Tensor) -> Tensor:
        return root(error) / torch.maximum(energy, FLOOR * count).sqrt()


class STFTMagnitudeLoss(Loss):
    """Mean distance of two magnitude spectra, on a logarithmic or a linear scale.

    `mean(d(log(log_fac·|X| + log_eps), log(log_fac·|Y| + log_eps)))`, with `d` the absolute (`"L1"`) or the
    squared (`"L2"`) difference; 1e-10 is added to `|X|` and `|Y|` where `log_eps` is smaller.

    Args:
        log: logarithmic scale.
        distance: `"L1"` or `"L2"`.
        reduction, pool: see `auraloss.base.Loss`.
        log_eps: added inside the logarithm.
        log_fac: factor inside the logarithm.

    Shape:
        - x_mag, y_mag: `[*, bins, frames]`.
        - output: a scalar, or `[*]` for `reduction="none"`.

    Raises:
        ValueError: for another `distance`, a negative `log_eps`, a `log_fac` that is not positive, unequal shapes.

    Source: Arık et al., 2018; Steinmetz & Reiss, auraloss, 2020, Eq. 4 (divided by the number of frames there, by
    that of bins and frames in every released version and here); Engel et al., DDSP, 2020 (linear scale).

    >>> STFTMagnitudeLoss(log=False)(torch.tensor([[[1.0], [2.0]]]), torch.tensor([[[4.0], [2.0]]])).item()
    1.5
    """

    size = 2

    def __init__(
        self,
        log: bool = True,
        distance: str = "L1",
        reduction: str = "mean",
        log_eps: float = 0.0,
        log_fac: float = 1.0,
        pool: str = "item",
    ) -> None:
        super().__init__(reduction, pool)
        check_choice("distance", distance, ("L1", "L2"))
        self.log = log
        self.log_eps = log_eps
        self.log_fac = log_fac
        self.distance = distance
        self._shift = max(log_shift(log_eps, log_fac), SHIFT)

    def _statistics(self, input: Tensor, target: Tensor) -> tuple[Tensor, ...]:
        _check_spectra(self, input)
        sums = Distances.apply(input, target, self.distance == "L2", self._shift, False, self.log, not self.log)
        return sums[..., 2 if self.log else 3], bin_count(target)

    def _value(self, total: Tensor, count: Tensor) -> Tensor:
        return total / count


def _check_spectra(loss: Loss, spectra: Tensor) -> None:
    if spectra.ndim < 2:
        raise ValueError(f"{type(loss).__name__}: needs spectra [*, bins, frames], got {tuple(spectra.shape)}.")
