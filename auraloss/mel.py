"""Mel spectra at many resolutions, as neural codecs are trained with."""

import math
from collections.abc import Sequence
from typing import cast

from torch import Tensor

from auraloss.resolutions import MultiResolutionSTFTLoss
from auraloss.spectrum import Window


class MultiScaleMelLoss(MultiResolutionSTFTLoss):
    """Distance of mel spectra, summed over windows from long to short, each with bands of its own.

    `Σ_scales w_log_mag·mean|lg max(M_x, floor) − lg max(M_y, floor)|
    + w_lin_mag·mean|max(M_x, floor) − max(M_y, floor)|`

    with `M` the magnitudes summed into mel bands, and `lg` to the base of 10. A band too narrow to hold a bin of the
    FFT differs by nothing and counts in the mean.

    Args:
        sample_rate: in Hz.
        n_mels: number of bands of each scale.
        win_lengths: windows in samples, also the FFT sizes; the hop is a quarter of the window.
        f_min, f_max: in Hz, where the lowest band begins and the highest ends; from 0 to half the sample rate if left
            out.
        floor: a fainter band counts as this loud. Below it the gradient falls in proportion to the magnitude of a bin.
        w_log_mag, w_lin_mag: weights of logarithmic and linear magnitudes.
        window: see `STFTLoss`.
        output, reduction, pool: see `MultiResolutionSTFTLoss`.

    Shape:
        - input, target: `[*, T]`, `T > max(win_lengths) // 2`.
        - output: a scalar, or `[*]` for `reduction="none"`.

    Raises:
        ValueError: if the lists differ in length or are empty, for a `floor` that is not positive, and as `STFTLoss`
            does.

    Source: Kumar et al., High-fidelity audio compression with improved RVQGAN, 2023: the defaults give the numbers of
    its released code.

    >>> import torch
    >>> impulse = torch.nn.functional.one_hot(torch.tensor(1024), 2048).float()
    >>> MultiScaleMelLoss(44100)(10 * impulse, impulse)  # 1 in the frames that hold it, up to four in each scale
    tensor(1.2818)
    """

    def __init__(
        self,
        sample_rate: float,
        n_mels: Sequence[int] = (5, 10, 20, 40, 80, 160, 320),
        win_lengths: Sequence[int] = (32, 64, 128, 256, 512, 1024, 2048),
        f_min: float = 0.0,
        f_max: float | None = None,
        floor: float = 1e-5,
        w_log_mag: float = 1.0,
        w_lin_mag: float = 0.0,
        window: Window = "hann_window",
        output: str = "loss",
        reduction: str = "mean",
        pool: str = "item",
    ) -> None:
        if not floor > 0:
            raise ValueError(f"MultiScaleMelLoss: floor={floor} must be positive.")
        super().__init__(
            win_lengths,
            [max(1, length // 4) for length in win_lengths],
            win_lengths,
            window,
            w_sc=0.0,
            w_log_mag=w_log_mag,
            w_lin_mag=w_lin_mag,
            sample_rate=sample_rate,
            scale="mel",
            n_bins=n_mels,
            output=output,
            reduction=reduction,
            pool=pool,
            eps=1e-12,  # of a bin, far below the floor of a band
            f_min=f_min,
            f_max=f_max,
        )
        self.n_mels = tuple(n_mels)
        self.f_min = f_min
        self.f_max = f_max
        self.floor = floor
        for loss in self.stft_losses:
            loss.band_floor = floor  # type: ignore[assignment]

    def _resolution_terms(self, *statistics: Tensor) -> dict[str, tuple[Tensor, ...]]:
        terms = super()._resolution_terms(*statistics)
        banks = (cast(Tensor, loss.filterbank) for loss in self.stft_losses)
        held = [len(bank) / count for bank, count in zip(banks, self.n_mels, strict=True)]
        for name, unit in (("log_magnitude", math.log(10)), ("linear_magnitude", 1.0)):
            terms[name] = tuple(term * share / unit for term, share in zip(terms[name], held, strict=True))
        return terms

    def _terms(self, *statistics: Tensor) -> dict[str, Tensor]:
        return {name: len(self.n_mels) * term for name, term in super()._terms(*statistics).items()}
