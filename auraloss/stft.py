"""Losses on one short-time Fourier transform: linear frequency, or mel bands."""

from typing import Any

import torch
from torch import Tensor

from auraloss.base import Loss, check_choice, reduce
from auraloss.filterbank import mel_filterbank
from auraloss.perceptual import a_weighting
from auraloss.spectrum import bin_count, distance_sum, make_window, power_spectrum, root

Output = Tensor | tuple[Tensor | list[Tensor], ...]


class SpectralLoss(Loss):
    """A weighted sum of four terms, averaged over resolutions; what all STFT losses share.

    The statistics of one resolution are `Σ(|Y|−|X|)²`, `Σ|Y|²`, `Σ|log|Y|−log|X||`, `Σ||Y|−|X||`, the number
    of magnitudes, `Σ(∠Y−∠X)²` and the number of phases; those of a term without weight are 0.
    """

    def __init__(
        self,
        resolutions: int,
        w_sc: float,
        w_log_mag: float,
        w_lin_mag: float,
        w_phs: float,
        output: str,
        reduction: str,
        pool: str,
    ) -> None:
        super().__init__(reduction, pool)
        check_choice("output", output, ("loss", "full"))
        if not (w_sc or w_log_mag or w_lin_mag or w_phs):
            raise ValueError(f"{type(self).__name__}: all four weights are 0.")
        self.w_sc = w_sc
        self.w_log_mag = w_log_mag
        self.w_lin_mag = w_lin_mag
        self.w_phs = w_phs
        self.output = output
        self.size = 7 * resolutions

    def terms(self, statistics: Tensor) -> tuple[Tensor, ...]:
        """Spectral convergence, log magnitude, linear magnitude and phase, each `[*, resolutions]`."""
        error, energy, log, linear, count, phase, phases = statistics.unflatten(-1, (-1, 7)).unbind(-1)
        # Without its weight the term has neither error nor energy.
        convergence = root(error) / energy.sqrt() if self.w_sc else error
        return convergence, log / count, linear / count, phase / phases

    def value(self, statistics: Tensor) -> Tensor:
        convergence, log, linear, phase = self.terms(statistics)
        loss = self.w_sc * convergence + self.w_log_mag * log + self.w_lin_mag * linear + self.w_phs * phase
        return loss.mean(-1)

    def forward(self, input: Tensor, target: Tensor) -> Output:
        statistics = self.pooled(self.statistics(input, target))
        loss = reduce(self.value(statistics), self.reduction)
        if self.output == "loss":
            return loss
        terms = self.terms(statistics)
        return loss, *([reduce(part, self.reduction) for part in term.unbind(-1)] for term in terms)


class STFTLoss(SpectralLoss):
    """Distance of two short-time Fourier transforms.

    `w_sc·‖|Y|−|X|‖/‖|Y|‖ + w_log_mag·mean|log|Y|−log|X|| + w_lin_mag·mean||Y|−|X|| + w_phs·mean(∠Y−∠X)²`

    for each item and channel. Magnitudes are `sqrt(max(|X|², eps))`; below that floor the gradient does not
    stop but falls in proportion to `|X|`. The phase difference is wrapped to ±π, and 0 where either signal is
    below the floor.

    Args:
        fft_size, hop_size, win_length: in samples, `win_length <= fft_size`.
        window: `"hann_window"` or another of torch's window functions, or any window name of SciPy.
        w_sc, w_log_mag, w_lin_mag, w_phs: weights of spectral convergence, log and linear magnitude, phase.
        sample_rate: in Hz, for `scale` and `perceptual_weighting`.
        scale: `"mel"`: compare the magnitudes summed into `n_bins` mel bands. `None`: the bins themselves.
        n_bins: number of mel bands.
        perceptual_weighting: A-weight both signals first.
        scale_invariance: scale the target's magnitudes of each item and channel to best match the input's.
        eps: floor of the power in a bin.
        output: `"loss"`, or `"full"` for `(loss, sc, log_mag, lin_mag, phs)`, each reduced alike.
        reduction, pool: see `auraloss.base.Loss`. `pool="batch"` takes one norm over the whole batch.
        mag_distance: `"L1"` or `"L2"` for log and linear magnitude.
        log_eps, log_fac: compare `log(log_fac·|X| + log_eps)`.
        device: where to make window, filterbank and filter.

    Shape:
        - input, target: `[*, T]`, `T > fft_size // 2`.
        - output: a scalar, or `[*]` for `reduction="none"`.

    Raises:
        ValueError: for arguments that are unknown or do not fit together, unequal shapes, too short signals.

    Source: Arık et al., 2018; Yamamoto et al., Parallel WaveGAN, 2020.
    """

    window_values: Tensor
    filterbank: Tensor | None

    def __init__(
        self,
        fft_size: int = 1024,
        hop_size: int = 256,
        win_length: int = 1024,
        window: str = "hann_window",
        w_sc: float = 1.0,
        w_log_mag: float = 1.0,
        w_lin_mag: float = 0.0,
        w_phs: float = 0.0,
        sample_rate: float | None = None,
        scale: str | None = None,
        n_bins: int | None = None,
        perceptual_weighting: bool = False,
        scale_invariance: bool = False,
        eps: float = 1e-8,
        output: str = "loss",
        reduction: str = "mean",
        mag_distance: str = "L1",
        device: torch.device | str | None = None,
        log_eps: float = 0.0,
        log_fac: float = 1.0,
        pool: str = "item",
    ) -> None:
        super().__init__(1, w_sc, w_log_mag, w_lin_mag, w_phs, output, reduction, pool)
        check_choice("mag_distance", mag_distance, ("L1", "L2"))
        check_choice("scale", scale, (None, "mel"))
        if not 0 < win_length <= fft_size or hop_size < 1:
            raise ValueError(
                f"STFTLoss: needs 0 < win_length <= fft_size and hop_size >= 1, got win_length={win_length}, "
                f"fft_size={fft_size}, hop_size={hop_size}."
            )
        if scale is not None and (n_bins is None or sample_rate is None):
            raise ValueError(f"STFTLoss: scale={scale!r} needs n_bins and sample_rate.")
        self.fft_size = fft_size
        self.hop_size = hop_size
        self.win_length = win_length
        self.window = window
        self.sample_rate = sample_rate
        self.scale = scale
        self.n_bins = n_bins
        self.perceptual_weighting = perceptual_weighting
        self.scale_invariance = scale_invariance
        self.eps = eps
        self.mag_distance = mag_distance
        self.device = device
        self.log_eps = log_eps
        self.log_fac = log_fac
        self.register_buffer("window_values", make_window(window, win_length, device))
        bands = None
        if scale is not None and n_bins is not None and sample_rate is not None:
            bands = mel_filterbank(sample_rate, fft_size, n_bins).to(device)
        self.register_buffer("filterbank", bands)
        self.prefilter = a_weighting(sample_rate, device) if perceptual_weighting else None

    def forward(self, input: Tensor, target: Tensor) -> Output:
        result = super().forward(input, target)
        if isinstance(result, Tensor):
            return result
        return result[0], *(term[0] for term in result[1:])  # the one resolution of each list

    def spectrum(self, signal: Tensor) -> Tensor:
        """Complex short-time Fourier transform, `[*, T]` → `[*, bins, frames]`."""
        samples = signal.shape[-1]
        if samples <= self.fft_size // 2:
            raise ValueError(
                f"{type(self).__name__}: fft_size={self.fft_size} needs more than {self.fft_size // 2} "
                f"samples, got {samples}."
            )
        flat = signal.reshape(-1, samples)
        window = self.window_values.to(signal)
        spectrum = torch.stft(flat, self.fft_size, self.hop_size, self.win_length, window, return_complex=True)
        return spectrum.view(*signal.shape[:-1], *spectrum.shape[1:])

    def _statistics(self, input: Tensor, target: Tensor) -> Tensor:
        if self.prefilter is not None:
            input, target = self.prefilter(input, target)
        # −160 dB of the target: lost in rounding, except that silence gets a phase, and with it a gradient.
        x = self.spectrum(input.lerp(target, 1e-8))
        y = self.spectrum(target)
        x_power, y_power = power_spectrum(x, self.eps), power_spectrum(y, self.eps)
        count = phases = bin_count(y_power)
        error = energy = log = linear = phase = torch.zeros_like(count)

        plain = self.scale is None and not self.scale_invariance
        from_power = plain and self.log_eps == 0
        if self.w_log_mag and from_power:
            # log|Y| − log|X| = log(|Y|²/|X|²)/2 takes one logarithm and no root.
            half = 0.5 if self.mag_distance == "L1" else 0.25
            log = half * distance_sum((y_power / x_power).log(), self.mag_distance)
        if self.w_sc or self.w_lin_mag or (self.w_log_mag and not from_power):
            x_mag, y_mag = self._magnitudes(x_power, y_power)
            count = bin_count(y_mag)
            difference = y_mag - x_mag
            if self.w_sc:
                error, energy = difference.square().sum((-2, -1)), y_mag.square().sum((-2, -1))
            if self.w_lin_mag:
                linear = distance_sum(difference, self.mag_distance)
            if self.w_log_mag and not from_power:
                x_log = torch.log(self.log_fac * x_mag + self.log_eps)
                y_log = torch.log(self.log_fac * y_mag + self.log_eps)
                log = distance_sum(y_log - x_log, self.mag_distance)
        if self.w_phs:
            silent = (x_power <= self.eps) | (y_power <= self.eps)
            phase = torch.where(silent, 1, y * x.conj()).angle().square().sum((-2, -1))
        return torch.stack([error, energy, log, linear, count, phase, phases], -1)

    def _magnitudes(self, x_power: Tensor, y_power: Tensor) -> tuple[Tensor, Tensor]:
        """Magnitudes, in bands if asked for, the target's scaled to the input's if asked for."""
        x, y = x_power.sqrt(), y_power.sqrt()
        if self.filterbank is not None:
            bands = self.filterbank.to(x)
            x, y = bands @ x, bands @ y
        if self.scale_invariance:
            y = y * (x * y).sum((-2, -1), keepdim=True) / y.square().sum((-2, -1), keepdim=True)
        return x, y


class MelSTFTLoss(STFTLoss):
    """`STFTLoss` with `scale="mel"`: magnitudes summed into mel bands.

    Args:
        sample_rate: in Hz.
        n_mels: number of mel bands. Bands too narrow to hold a bin of the FFT are left out.
        **options: any other argument of `STFTLoss`.
    """

    def __init__(
        self,
        sample_rate: float,
        fft_size: int = 1024,
        hop_size: int = 256,
        win_length: int = 1024,
        window: str = "hann_window",
        w_sc: float = 1.0,
        w_log_mag: float = 1.0,
        w_lin_mag: float = 0.0,
        w_phs: float = 0.0,
        n_mels: int = 128,
        **options: Any,
    ) -> None:
        super().__init__(
            fft_size,
            hop_size,
            win_length,
            window,
            w_sc,
            w_log_mag,
            w_lin_mag,
            w_phs,
            sample_rate,
            "mel",
            n_mels,
            **options,
        )
        self.n_mels = n_mels
        self.options = options
