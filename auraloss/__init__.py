"""Loss functions for audio in PyTorch.

- `auraloss.time`: L1Loss, MSELoss, ESRLoss, DCLoss, LogCoshLoss, SNRLoss, SISDRLoss, SDSDRLoss
- `auraloss.freq`: STFTLoss, MultiResolutionSTFTLoss, RandomResolutionSTFTLoss, MelSTFTLoss, MultiScaleMelLoss,
  ChromaSTFTLoss, SumAndDifferenceSTFTLoss, ComplexSTFTLoss, SpectralTransportLoss, SpectralConvergenceLoss,
  STFTMagnitudeLoss
- `auraloss.level`: GainReductionLoss, LoudnessLoss, CumulativeEnergyLoss
- `auraloss.perceptual`: FIRFilter, PreEmphasis, SumAndDifference, SumAndDifferenceLoss
- `auraloss.base`: WeightedSum, and Loss, the base of all
- `auraloss.presets`: the spectral losses and the pre-emphasis for a sample rate

Each takes `(input, target)`, tensors `(batch, channels, samples)`, and returns a scalar; `loss.report(input, target)`
returns it with its terms, by name.

>>> import torch
>>> output, target = torch.randn(2, 1, 8192, requires_grad=True), torch.randn(2, 1, 8192)
>>> freq.MultiResolutionSTFTLoss()(output, target).backward()
"""

import warnings
from pathlib import Path

from auraloss import base, freq, level, perceptual, presets, time

__all__ = ["base", "freq", "level", "perceptual", "presets", "time"]


def _warn_of_another(installed: Path) -> None:
    """Both this package and the one published as auraloss are a folder of that name; installers do not notice."""
    for other in installed.glob("auraloss-*.dist-info"):
        warnings.warn(
            f"{other.stem} and auraloss-study are installed in one place, {installed}, and overwrite each "
            "other's files. Keep one: pip uninstall -y auraloss auraloss-study, then install it again.",
            stacklevel=3,
        )


_warn_of_another(Path(__file__).parents[1])
