"""Windows, power spectra, and the losses between two magnitude spectra; the STFT losses stand on these."""

from functools import lru_cache
from typing import Any

import scipy.signal
import torch
from torch import Tensor

from auraloss.base import Loss, check_choice

TORCH_WINDOWS = ("hann_window", "hamming_window", "blackman_window", "bartlett_window", "kaiser_window")


@lru_cache(maxsize=256)
def make_window(name: str, length: int, device: torch.device | str | None = None) -> Tensor:
    """A periodic window, float32, by the name of a torch function or of a window of SciPy."""
    # Cached for later calls, which may need gradients: a tensor made in inference mode would refuse.
    with torch.inference_mode(False):
        if name in TORCH_WINDOWS:
            made: Tensor = getattr(torch, name)(length, dtype=torch.float32)
        else:
            try:
                made = torch.tensor(scipy.signal.get_window(name, length), dtype=torch.float32)
            except ValueError as error:
                known = ", ".join(TORCH_WINDOWS)
                raise ValueError(f"window={name!r} is none of {known}, nor a window of SciPy: {error}") from error
        return made.to(device)


class _Floor(torch.autograd.Function):
    """`max(power, eps)` with gradient 1 below the floor too, so that a faint prediction can learn."""

    generate_vmap_rule = True

    @staticmethod
    def forward(power: Tensor, eps: float) -> Tensor:
        return power.clamp(min=eps)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        pass

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return gradients[0], None


def power_spectrum(spectrum: Tensor, eps: float) -> Tensor:
    """`max(|X|², eps)` of a complex spectrum; its gradient is that of `|X|²` everywhere."""
    power: Tensor = _Floor.apply(spectrum.real.square() + spectrum.imag.square(), eps)
    return power


def root(x: Tensor) -> Tensor:
    """Square root with gradient 0 at 0, where the loss of equal signals would else have none."""
    zero = x == 0
    return torch.where(zero, x, x.where(~zero, 1).sqrt())


def distance_sum(difference: Tensor, distance: str) -> Tensor:
    """`Σ|d|` ("L1") or `Σd²` ("L2") over bins and frames."""
    return (difference.abs() if distance == "L1" else difference.square()).sum((-2, -1))


def bin_count(spectrum: Tensor) -> Tensor:
    return torch.full_like(spectrum[..., 0, 0], spectrum.shape[-2] * spectrum.shape[-1])


class SpectralConvergenceLoss(Loss):
    """Spectral convergence of two magnitude spectra, `‖|Y| − |X|‖ / ‖|Y|‖` with Frobenius norms.

    Args:
        reduction, pool: see `auraloss.base.Loss`. `pool="batch"` takes one norm over the whole batch.

    Shape:
        - x_mag, y_mag: `[*, bins, frames]`.
        - output: a scalar, or `[*]` for `reduction="none"`.

    Source: Arık et al., Fast spectrogram inversion using multi-head convolutional neural networks, 2018.

    >>> SpectralConvergenceLoss()(torch.tensor([[[3.0], [2.0]]]), torch.tensor([[[4.0], [0.0]]]))
    tensor(0.5590)
    """

    size = 2

    def _statistics(self, input: Tensor, target: Tensor) -> Tensor:
        return torch.stack([(target - input).square().sum((-2, -1)), target.square().sum((-2, -1))], -1)

    def value(self, statistics: Tensor) -> Tensor:
        error, energy = statistics.unbind(-1)
        return root(error) / energy.sqrt()


class STFTMagnitudeLoss(Loss):
    """Mean distance of two magnitude spectra, on a logarithmic or a linear scale.

    `mean(d(log(log_fac·|Y| + log_eps), log(log_fac·|X| + log_eps)))`, with `d` the absolute (`"L1"`) or the
    squared (`"L2"`) difference.

    Args:
        log: logarithmic scale (magnitudes must then be positive, or `log_eps` must be).
        log_eps: added inside the logarithm.
        log_fac: factor inside the logarithm.
        distance: `"L1"` or `"L2"`.
        reduction, pool: see `auraloss.base.Loss`.

    Shape:
        - x_mag, y_mag: `[*, bins, frames]`.
        - output: a scalar, or `[*]` for `reduction="none"`.

    Source: Arık et al., 2018; Engel et al., DDSP, 2020 (linear scale).

    >>> STFTMagnitudeLoss(log=False)(torch.tensor([[[1.0], [2.0]]]), torch.tensor([[[4.0], [2.0]]])).item()
    1.5
    """

    size = 2

    def __init__(
        self,
        log: bool = True,
        log_eps: float = 0.0,
        log_fac: float = 1.0,
        distance: str = "L1",
        reduction: str = "mean",
        pool: str = "item",
    ) -> None:
        super().__init__(reduction, pool)
        check_choice("distance", distance, ("L1", "L2"))
        self.log = log
        self.log_eps = log_eps
        self.log_fac = log_fac
        self.distance = distance

    def _statistics(self, input: Tensor, target: Tensor) -> Tensor:
        if self.log:
            input = torch.log(self.log_fac * input + self.log_eps)
            target = torch.log(self.log_fac * target + self.log_eps)
        return torch.stack([distance_sum(target - input, self.distance), bin_count(target)], -1)

    def value(self, statistics: Tensor) -> Tensor:
        total, count = statistics.unbind(-1)
        return total / count
