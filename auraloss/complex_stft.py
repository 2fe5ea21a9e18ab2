"""Distance of complex spectra, and of their phases."""

import torch
from torch import Tensor

from auraloss.base import Loss
from auraloss.magnitude import root
from auraloss.spectrum import Window, check_length, check_sizes, make_window, spectrum
from auraloss.stft import audible


class ComplexSTFTLoss(Loss):
    """Distance of two short-time Fourier transforms as complex numbers, and of their phases.

    `w_complex·mean|C(X) − C(Y)| + w_phase·Σ|Y|·(1 − cos(∠X − ∠Y)) / Σ|Y|`, `C(X) = X·|X|^(power − 1)`

    for each item and channel. Both terms are smooth where the phases are opposite: there is no jump between +π and −π.
    Faint bins of the target, whose phase is noise, hardly count; in bins of a power below `eps` phases fade out.

    Args:
        fft_size, hop_size, win_length: in samples, `win_length <= fft_size`.
        window: see `STFTLoss`.
        w_complex, w_phase: weights of the two terms.
        power: of the magnitudes; below 1, 0.3 for example, faint bins count more.
        eps: floor of the power in a bin.
        reduction, pool: see `auraloss.base.Loss`.

    Shape:
        - input, target: `[*, T]`, `T > fft_size // 2`.
        - output: a scalar, or `[*]` for `reduction="none"`.

    Raises:
        ValueError: for sizes that do not fit, weights that are both 0, a `power` or `eps` that is not positive, too
            short signals.

    Source: Yeh et al., PyNeuralFX, 2024 (first term); Braun & Tashev, A consolidated view of loss functions for
    supervised deep learning-based speech enhancement, 2021 (power).

    >>> impulse = torch.nn.functional.one_hot(torch.tensor(8), 16).float()
    >>> ComplexSTFTLoss(16, 4, 16, w_complex=0.0, w_phase=1.0)(-impulse, impulse)  # 1 − cos π in the bins that hold it
    tensor(1.9999)
    """

    size = 4
    window_values: Tensor

    def __init__(
        self,
        fft_size: int = 1024,
        hop_size: int = 256,
        win_length: int = 1024,
        window: Window = "hann_window",
        w_complex: float = 1.0,
        w_phase: float = 0.0,
        power: float = 1.0,
        eps: float = 1e-8,
        reduction: str = "mean",
        pool: str = "item",
    ) -> None:
        super().__init__(reduction, pool)
        check_sizes("ComplexSTFTLoss", fft_size, hop_size, win_length)
        if not (w_complex or w_phase):
            raise ValueError("ComplexSTFTLoss: both weights are 0.")
        if not (power > 0 and eps > 0):
            raise ValueError(f"ComplexSTFTLoss: power={power} and eps={eps} must be positive.")
        self.fft_size = fft_size
        self.hop_size = hop_size
        self.win_length = win_length
        self.window = window
        self.w_complex = w_complex
        self.w_phase = w_phase
        self.power = power
        self.eps = eps
        self.register_buffer("window_values", make_window(window, win_length))

    def _statistics(self, input: Tensor, target: Tensor) -> tuple[Tensor, ...]:
        return self._against(input, self._prepared(target))

    def _prepared(self, target: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        check_length("ComplexSTFTLoss", self.fft_size, target.shape[-1])
        return target, *self._spectrum(target)

    def _against(self, input: Tensor, prepared: tuple[Tensor, Tensor, Tensor]) -> tuple[Tensor, ...]:
        target, y, y_mag = prepared
        x, x_mag = self._spectrum(audible(input, target))
        distance = phase = weight = torch.zeros_like(x_mag[:, 0, 0])
        count = torch.full_like(distance, y_mag.shape[-2] * y_mag.shape[-1])
        if self.w_complex:
            one = self.power == 1
            apart = x - y if one else x * x_mag ** (self.power - 1) - y * y_mag ** (self.power - 1)
            distance = root(torch.view_as_real(apart).square().sum(-1)).sum((-2, -1))
        if self.w_phase:
            # |e^{iα} − e^{iβ}|² / 2 = 1 − cos(α − β), and 0 for equal numbers whatever their rounding.
            apart = torch.view_as_real(x / x_mag - y / y_mag).square().sum(-1) / 2
            phase, weight = (y_mag * apart).sum((-2, -1)), y_mag.sum((-2, -1))
        return tuple(part.view(input.shape[:-1]) for part in (distance, count, phase, weight))

    def _spectrum(self, signal: Tensor) -> tuple[Tensor, Tensor]:
        rows = signal.reshape(-1, signal.shape[-1])
        return spectrum(rows, self.window_values.to(rows), self.fft_size, self.hop_size, self.eps)

    def _terms(self, *statistics: Tensor) -> dict[str, Tensor]:
        """The terms that have a weight."""
        distance, count, phase, weight = statistics
        terms = {"complex": distance / count} if self.w_complex else {}
        return terms | ({"phase": phase / weight} if self.w_phase else {})

    def _value(self, *statistics: Tensor) -> Tensor:
        weights = {"complex": self.w_complex, "phase": self.w_phase}
        return torch.stack([weights[name] * term for name, term in self._terms(*statistics).items()]).sum(0)
