"""STFT losses at several resolutions, on the channels as they are or on sum and difference of stereo."""

from collections.abc import Sequence
from itertools import chain
from typing import Any

import torch
from torch import Tensor

from auraloss.perceptual import SumAndDifferenceLoss, a_weighting
from auraloss.spectrum import Window
from auraloss.stft import SpectralLoss, STFTLoss


class MultiResolutionSTFTLoss(SpectralLoss):
    """Mean of `STFTLoss` over several resolutions.

    Args:
        fft_sizes, hop_sizes, win_lengths: in samples, one of each for a resolution. The default suits 44.1 kHz;
            `auraloss.presets` has the same for other rates.
        window: see `STFTLoss`; one, or a list of one for each resolution.
        w_sc, w_log_mag, w_lin_mag, w_phs: weights, see `STFTLoss`.
        sample_rate, scale: see `STFTLoss`.
        n_bins: number of bands; one number, or one for each resolution.
        perceptual_weighting: A-weight both signals first (needs `sample_rate`).
        scale_invariance: see `STFTLoss`.
        output: `"loss"`, or `"full"` for the loss and a list over the resolutions for each of the four terms.
        reduction, pool: see `auraloss.base.Loss`.
        **options: any other argument of `STFTLoss`.

    Shape:
        - input, target: `[*, T]`, `T > max(fft_sizes) // 2`.
        - output: a scalar, or `[*]` for `reduction="none"`.

    Raises:
        ValueError: if the lists differ in length or are empty, and as `STFTLoss` does.

    Source: Yamamoto et al., Parallel WaveGAN, 2020; Steinmetz & Reiss, auraloss, 2020, Eq. 5.

    >>> impulse = torch.nn.functional.one_hot(torch.tensor(2048), 4096).float()
    >>> report = MultiResolutionSTFTLoss().report(2 * impulse, impulse)
    >>> {name: round(term.item(), 4) for name, term in report.items()}
    {'loss': 1.1113, 'spectral_convergence': 1.0, 'log_magnitude': 0.1113}
    """

    def __init__(
        self,
        fft_sizes: Sequence[int] = (1024, 2048, 512),
        hop_sizes: Sequence[int] = (120, 240, 50),
        win_lengths: Sequence[int] = (600, 1200, 240),
        window: Window | list[Window] = "hann_window",
        w_sc: float = 1.0,
        w_log_mag: float = 1.0,
        w_lin_mag: float = 0.0,
        w_phs: float = 0.0,
        sample_rate: float | None = None,
        scale: str | None = None,
        n_bins: int | Sequence[int] | None = None,
        perceptual_weighting: bool = False,
        scale_invariance: bool = False,
        output: str = "loss",
        reduction: str = "mean",
        pool: str = "item",
        **options: Any,
    ) -> None:
        count = len(fft_sizes)
        windows = [window] * count if isinstance(window, str | tuple) else window
        bands = [n_bins] * count if n_bins is None or isinstance(n_bins, int) else n_bins
        lists: dict[str, Sequence[Any]] = {
            "fft_sizes": fft_sizes,
            "hop_sizes": hop_sizes,
            "win_lengths": win_lengths,
            "window": windows,
            "n_bins": bands,
        }
        if count == 0 or any(len(values) != count for values in lists.values()):
            lengths = ", ".join(f"{name} {len(values)}" for name, values in lists.items())
            raise ValueError(f"MultiResolutionSTFTLoss: needs one of each for a resolution, got {lengths}.")
        super().__init__(count, w_sc, w_log_mag, w_lin_mag, w_phs, output, reduction, pool)
        self.fft_sizes = tuple(fft_sizes)
        self.hop_sizes = tuple(hop_sizes)
        self.win_lengths = tuple(win_lengths)
        self.window = window
        self.sample_rate = sample_rate
        self.scale = scale
        self.n_bins = n_bins
        self.perceptual_weighting = perceptual_weighting
        self.scale_invariance = scale_invariance
        self.options = options
        same: dict[str, Any] = {
            "w_sc": w_sc,
            "w_log_mag": w_log_mag,
            "w_lin_mag": w_lin_mag,
            "w_phs": w_phs,
            "sample_rate": sample_rate,
            "scale": scale,
            "scale_invariance": scale_invariance,
        }
        self.stft_losses = torch.nn.ModuleList(
            STFTLoss(fft_size, hop_size, win_length, name, n_bins=bins, **same, **options)
            for fft_size, hop_size, win_length, name, bins in zip(*lists.values(), strict=True)
        )
        # Once for all resolutions, which therefore do not know of it.
        self.prefilter = a_weighting(sample_rate, options.get("device")) if perceptual_weighting else None

    def _statistics(self, input: Tensor, target: Tensor) -> tuple[Tensor, ...]:
        if self.prefilter is not None:
            input, target = self.prefilter(input, target)
        losses: list[Any] = list(self.stft_losses)
        return tuple(chain.from_iterable(loss._statistics(input, target) for loss in losses))

    def _prepared(self, target: Tensor) -> Any:
        if self.prefilter is not None:
            target = self.prefilter.filter(target)
        losses: list[Any] = list(self.stft_losses)
        return [loss._prepared(target) for loss in losses]

    def _against(self, input: Tensor, prepared: Any) -> tuple[Tensor, ...]:
        if self.prefilter is not None:
            input = self.prefilter.filter(input)
        losses: list[Any] = list(self.stft_losses)
        pairs = zip(losses, prepared, strict=True)
        return tuple(chain.from_iterable(loss._against(input, of_target) for loss, of_target in pairs))


class SumAndDifferenceSTFTLoss(SumAndDifferenceLoss):
    """`MultiResolutionSTFTLoss` of sum and difference of two channels, `(w_sum·L₊ + w_diff·L₋) / 2`.

    Args:
        fft_sizes, hop_sizes, win_lengths, window: see `MultiResolutionSTFTLoss`.
        w_sum, w_diff: weights of sum and difference.
        output: `"loss"`, or `"full"` for `(loss, loss of the sum, loss of the difference)`.
        **options: any other argument of `MultiResolutionSTFTLoss`.

    Shape:
        - input, target: `(batch, 2, samples)`.
        - output: a scalar, or `(batch, 1)` for `reduction="none"`: an item has one value.

    Raises:
        ValueError: if there are not two channels, and as `MultiResolutionSTFTLoss` does.

    Source: Steinmetz et al., Automatic multitrack mixing with a differentiable mixing console, 2021; Steinmetz & Reiss,
    auraloss, 2020, Eq. 6 and 7 (the sum of the two there, half of it in the published package and here).

    >>> stereo = torch.sin(torch.arange(8192) / torch.tensor([[4], [9]])).unsqueeze(0)
    >>> SumAndDifferenceSTFTLoss()(stereo.flip(1), stereo)  # swapped channels cost nothing
    tensor(0.)
    """

    def __init__(
        self,
        fft_sizes: Sequence[int] = (1024, 2048, 512),
        hop_sizes: Sequence[int] = (120, 240, 50),
        win_lengths: Sequence[int] = (600, 1200, 240),
        window: Window | list[Window] = "hann_window",
        w_sum: float = 1.0,
        w_diff: float = 1.0,
        output: str = "loss",
        **options: Any,
    ) -> None:
        inner = MultiResolutionSTFTLoss(fft_sizes, hop_sizes, win_lengths, window, **options)
        super().__init__(inner, w_sum, w_diff, output)
        self.fft_sizes = inner.fft_sizes
        self.hop_sizes = inner.hop_sizes
        self.win_lengths = inner.win_lengths
        self.window = window
        self.options = options
