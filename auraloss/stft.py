"""Losses on one short-time Fourier transform: linear frequency, mel bands, or chroma."""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from auraloss.base import Loss, Output, check_choice, reduce
from auraloss.filterbank import band_blocks, chroma_filterbank, mel_filterbank, raised, sum_into_bands
from auraloss.magnitude import Distances, bin_count, log_shift, root
from auraloss.perceptual import a_weighting
from auraloss.spectrum import Window, check_length, check_sizes, frame_count, make_window, spectrum

FILTERBANKS: dict[str, Callable[..., Tensor]] = {"mel": mel_filterbank, "chroma": chroma_filterbank}
CACHE_BINS = 2**19
"""A CPU computes as many items at once as have this many bins: their magnitudes, 2 MB, stay in its cache."""


def audible(input: Tensor, target: Tensor) -> Tensor:
    """The input; where it is 0 the target at −160 dB, so that silence has a phase, and with it a gradient.

    >>> audible(torch.tensor([0.5, 0.0]), torch.tensor([1.0, 1.0]))
    tensor([5.0000e-01, 1.0000e-08])
    """
    return input.addcmul((input == 0).to(input), target.detach(), value=1e-8)


class SpectralLoss(Loss):
    """A weighted sum of four terms, averaged over resolutions; what all STFT losses share.

    The statistics of one resolution are `Σ(|X|−|Y|)²`, `Σ|Y|²`, `Σ|log|X|−log|Y||`, `Σ||X|−|Y||`, the number
    of magnitudes, `Σ(∠X−∠Y)²` and the number of phases; those of a term without weight are 0.
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
        self._weights = {
            "spectral_convergence": w_sc,
            "log_magnitude": w_log_mag,
            "linear_magnitude": w_lin_mag,
            "phase": w_phs,
        }
        self.output = output
        self.size = 7 * resolutions

    def _resolution_terms(self, *statistics: Tensor) -> dict[str, tuple[Tensor, ...]]:
        """Every term at every resolution; 0 for one without weight."""
        found = []
        for start in range(0, self.size, 7):
            error, energy, log, linear, count, phase, phases = statistics[start : start + 7]
            # Without its weight the convergence has neither error nor energy.
            convergence = root(error) / energy.sqrt() if self._weights["spectral_convergence"] else error
            found.append((convergence, log / count, linear / count, phase / phases))
        return dict(zip(self._weights, zip(*found, strict=True), strict=True))

    def _terms(self, *statistics: Tensor) -> dict[str, Tensor]:
        """The terms that have a weight, each averaged over resolutions."""
        terms = self._resolution_terms(*statistics)
        return {name: torch.stack(parts).mean(0) for name, parts in terms.items() if self._weights[name]}

    def _value(self, *statistics: Tensor) -> Tensor:
        terms = self._terms(*statistics)
        return torch.stack([self._weights[name] * term for name, term in terms.items()]).sum(0)

    def _result(self, *statistics: Tensor) -> Output:
        loss = reduce(self._value(*statistics), self.reduction)
        if self.output == "loss":
            return loss
        terms = self._resolution_terms(*statistics).values()
        return loss, *([reduce(part, self.reduction) for part in parts] for parts in terms)


class Target(NamedTuple):
    """Some rows of a target."""

    signal: Tensor
    of_bins: tuple[Tensor, Tensor] | None
    """Transform and magnitude of each bin, if their phases count."""
    magnitude: Tensor
    """What is compared: of bins, or of bands."""
    energy: Tensor | None = None
    """Of these magnitudes, if it is known."""


class STFTLoss(SpectralLoss):
    """Distance of two short-time Fourier transforms.

    `w_sc·‖|X|−|Y|‖/‖|Y|‖ + w_log_mag·mean|log|X|−log|Y|| + w_lin_mag·mean||X|−|Y|| + w_phs·mean(∠X−∠Y)²`

    for each item and channel. Magnitudes are `sqrt(max(|X|², eps))`; below that floor the gradient does not
    stop but falls in proportion to `|X|`. The phase difference is wrapped to ±π, and 0 where either signal is
    below the floor.

    Args:
        fft_size, hop_size, win_length: in samples, `win_length <= fft_size`.
        window: `"hann_window"` or another of torch's window functions, or any window of SciPy: its name, or with
            parameters a tuple, `("kaiser", 8.6)`.
        w_sc, w_log_mag, w_lin_mag, w_phs: weights of spectral convergence, log and linear magnitude, phase.
        sample_rate: in Hz, for `scale` and `perceptual_weighting`.
        scale: `"mel"` or `"chroma"`: compare the magnitudes summed into `n_bins` mel bands or pitch classes.
            `None`: the bins themselves.
        n_bins: number of bands. Mel bands too narrow to hold a bin of the FFT are left out.
        f_min, f_max: in Hz, where the lowest mel band begins and the highest ends; from 0 to half the sample rate if
            left out.
        perceptual_weighting: A-weight both signals first.
        scale_invariance: scale the target's magnitudes of each item and channel to best match the input's. The loss
            is then blind to the level of a prediction for a silent target too.
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

    Source: Arık et al., 2018; Steinmetz & Reiss, auraloss, 2020, Eq. 3 and 4.

    >>> impulse = torch.nn.functional.one_hot(torch.tensor(8), 16).float()
    >>> STFTLoss(16, 4, 16)(0.5 * impulse, impulse)  # 0.5, and log 2 in the four frames of five that hold it
    tensor(1.0545)
    """

    band_floor: float = 0.0
    """A fainter band counts as this loud; `MultiScaleMelLoss` sets it."""
    window_values: Tensor
    filterbank: Tensor | None

    def __init__(
        self,
        fft_size: int = 1024,
        hop_size: int = 256,
        win_length: int = 1024,
        window: Window = "hann_window",
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
        f_min: float = 0.0,
        f_max: float | None = None,
    ) -> None:
        super().__init__(1, w_sc, w_log_mag, w_lin_mag, w_phs, output, reduction, pool)
        check_choice("mag_distance", mag_distance, ("L1", "L2"))
        check_choice("scale", scale, (None, *FILTERBANKS))
        check_sizes("STFTLoss", fft_size, hop_size, win_length)
        if not eps > 0:
            raise ValueError(f"STFTLoss: eps={eps} must be positive.")
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
        self.f_min = f_min
        self.f_max = f_max
        self._shift = log_shift(log_eps, log_fac)
        self.register_buffer("window_values", make_window(window, win_length).to(device))
        bank = None
        limits = {} if (f_min, f_max) == (0.0, None) else {"f_min": f_min, "f_max": f_max}
        if limits and scale != "mel":
            raise ValueError(f"STFTLoss: f_min={f_min} and f_max={f_max} are of mel bands, got scale={scale!r}.")
        if scale is not None:
            if n_bins is None or sample_rate is None:
                raise ValueError(f"STFTLoss: scale={scale!r} needs n_bins and sample_rate.")
            bank = FILTERBANKS[scale](sample_rate, fft_size, n_bins, **limits).to(device)
            self._blocks = band_blocks(bank)
        self.register_buffer("filterbank", bank)
        self.prefilter = a_weighting(sample_rate, device) if perceptual_weighting else None

    def _result(self, *statistics: Tensor) -> Output:
        result = super()._result(*statistics)
        if isinstance(result, Tensor):
            return result
        return result[0], *(term[0] for term in result[1:])  # the one resolution of each list

    def _statistics(self, input: Tensor, target: Tensor) -> tuple[Tensor, ...]:
        self.check_length(input.shape[-1])
        if self.prefilter is not None:
            input, target = self.prefilter(input, target)
        return self._joined(input, (self._of_target(y) for y in self._rows(target)))

    def _prepared(self, target: Tensor) -> Any:
        self.check_length(target.shape[-1])
        if self.prefilter is not None:
            target = self.prefilter.filter(target)
        of_rows = [self._of_target(y) for y in self._rows(target)]
        if not self.w_sc or self.scale_invariance:
            return of_rows
        return [row._replace(energy=row.magnitude.square().sum((-2, -1))) for row in of_rows]

    def _against(self, input: Tensor, prepared: Any) -> tuple[Tensor, ...]:
        if self.prefilter is not None:
            input = self.prefilter.filter(input)
        return self._joined(input, prepared)

    def _joined(self, input: Tensor, targets: Iterable["Target"]) -> tuple[Tensor, ...]:
        """Statistics of all rows."""
        parts = [self._row_statistics(x, y) for x, y in zip(self._rows(input), targets, strict=True)]
        return torch.cat(parts).view(*input.shape[:-1], -1).unbind(-1)

    def _rows(self, signal: Tensor) -> tuple[Tensor, ...]:
        """Signals `(rows, T)`, as many at once as stay in the cache."""
        samples = signal.shape[-1]
        rows = signal.reshape(-1, samples)
        if signal.device.type != "cpu":
            return (rows,)
        bins = frame_count(samples, self.fft_size, self.hop_size) * (self.fft_size // 2 + 1)
        return rows.split(max(1, CACHE_BINS // bins))

    def check_length(self, samples: int) -> None:
        """Raise a `ValueError` if a signal is too short to be reflected at its ends."""
        check_length(type(self).__name__, self.fft_size, samples)

    def _of_target(self, signal: Tensor) -> "Target":
        """What is compared with of targets `(rows, T)`."""
        transform, magnitude = self._spectrum(signal)
        of_bins = (transform, magnitude) if self.w_phs else None
        return Target(signal, of_bins, self.bands(magnitude))

    def _spectrum(self, signal: Tensor) -> tuple[Tensor, Tensor]:
        return spectrum(signal, self.window_values.to(signal), self.fft_size, self.hop_size, self.eps)

    def _row_statistics(self, x: Tensor, target: "Target") -> Tensor:
        """Statistics of signals `(rows, T)`, in the order of `SpectralLoss`."""
        x_spectrum, x_mag = self._spectrum(audible(x, target.signal))
        phase, phases = torch.zeros_like(x[:, 0]), bin_count(x_mag)
        if target.of_bins is not None:
            y_spectrum, y_mag = target.of_bins
            silent = torch.minimum(x_mag, y_mag) <= 1.000001 * self.eps**0.5  # the floor, whatever its rounding
            phase = torch.where(silent, 1, x_spectrum * y_spectrum.conj()).angle().square().sum((-2, -1))
        x_mag, y_mag = self.bands(x_mag), target.magnitude
        if self.scale_invariance:
            scale = (x_mag * y_mag).sum((-2, -1), keepdim=True) / y_mag.square().sum((-2, -1), keepdim=True)
            y_mag = y_mag * scale
        known = () if target.energy is None else (target.energy,)
        sums = Distances.apply(x_mag, y_mag, *self.distance, *known)
        return torch.cat([sums, torch.stack([bin_count(x_mag), phase, phases], -1)], -1)

    @property
    def distance(self) -> tuple[bool, float, bool, bool, bool]:
        """What `Distances` needs to know: the distance, what to add for the logarithm, and the terms to compute."""
        return self.mag_distance == "L2", self._shift, bool(self.w_sc), bool(self.w_log_mag), bool(self.w_lin_mag)

    def bands(self, magnitude: Tensor) -> Tensor:
        """Magnitudes summed into bands if there is a filterbank, `[*, bins]` → `[*, bands]`."""
        if self.filterbank is None:
            return magnitude
        bands = sum_into_bands(magnitude, self.filterbank.to(magnitude), self._blocks)
        return raised(bands, self.band_floor) if self.band_floor else bands


class MelSTFTLoss(STFTLoss):
    """`STFTLoss` with `scale="mel"`: magnitudes summed into mel bands.

    Args:
        sample_rate: in Hz.
        n_mels: number of mel bands. Bands too narrow to hold a bin of the FFT are left out.
        **options: any other argument of `STFTLoss`, which says shapes and errors too.

    >>> impulse = torch.nn.functional.one_hot(torch.tensor(1024), 2048).float()
    >>> MelSTFTLoss(44100, n_mels=40)(2 * impulse, impulse)  # 1, and log 2 in the three frames of nine that hold it
    tensor(1.2310)
    """

    def __init__(
        self,
        sample_rate: float,
        fft_size: int = 1024,
        hop_size: int = 256,
        win_length: int = 1024,
        window: Window = "hann_window",
        w_sc: float = 1.0,
        w_log_mag: float = 1.0,
        w_lin_mag: float = 0.0,
        w_phs: float = 0.0,
        n_mels: int = 128,
        **options: Any,
    ) -> None:
        resolution = (fft_size, hop_size, win_length, window)
        weights = (w_sc, w_log_mag, w_lin_mag, w_phs)
        super().__init__(*resolution, *weights, sample_rate, "mel", n_mels, **options)
        self.n_mels = n_mels
        self.options = options


class ChromaSTFTLoss(STFTLoss):
    """`STFTLoss` with `scale="chroma"`: magnitudes summed into pitch classes, whatever their octave.

    Args:
        sample_rate: in Hz.
        n_chroma: number of pitch classes an octave.
        **options: any other argument of `STFTLoss`, which says shapes and errors too.

    >>> impulse = torch.nn.functional.one_hot(torch.tensor(1024), 2048).float()
    >>> ChromaSTFTLoss(44100)(2 * impulse, impulse)  # 1, and log 2 in the three frames of nine that hold it
    tensor(1.2310)
    """

    def __init__(
        self,
        sample_rate: float,
        fft_size: int = 1024,
        hop_size: int = 256,
        win_length: int = 1024,
        window: Window = "hann_window",
        w_sc: float = 1.0,
        w_log_mag: float = 1.0,
        w_lin_mag: float = 0.0,
        w_phs: float = 0.0,
        n_chroma: int = 12,
        **options: Any,
    ) -> None:
        resolution = (fft_size, hop_size, win_length, window)
        weights = (w_sc, w_log_mag, w_lin_mag, w_phs)
        super().__init__(*resolution, *weights, sample_rate, "chroma", n_chroma, **options)
        self.n_chroma = n_chroma
        self.options = options
