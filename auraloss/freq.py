"""The spectral losses, under the one path they are imported from."""

from auraloss.resolutions import (
    MultiResolutionSTFTLoss,
    RandomResolutionSTFTLoss,
    SumAndDifferenceSTFTLoss,
)
from auraloss.spectrum import SpectralConvergenceLoss, STFTMagnitudeLoss
from auraloss.stft import MelSTFTLoss, STFTLoss

__all__ = [
    "MelSTFTLoss",
    "MultiResolutionSTFTLoss",
    "RandomResolutionSTFTLoss",
    "STFTLoss",
    "STFTMagnitudeLoss",
    "SpectralConvergenceLoss",
    "SumAndDifferenceSTFTLoss",
]
