"""The spectral losses, under the one path they are imported from."""

from auraloss.magnitude import SpectralConvergenceLoss, STFTMagnitudeLoss
from auraloss.mel import MultiScaleMelLoss
from auraloss.random_resolution import RandomResolutionSTFTLoss
from auraloss.resolutions import MultiResolutionSTFTLoss, SumAndDifferenceSTFTLoss
from auraloss.stft import ChromaSTFTLoss, MelSTFTLoss, STFTLoss

__all__ = [
    "ChromaSTFTLoss",
    "MelSTFTLoss",
    "MultiResolutionSTFTLoss",
    "MultiScaleMelLoss",
    "RandomResolutionSTFTLoss",
    "STFTLoss",
    "STFTMagnitudeLoss",
    "SpectralConvergenceLoss",
    "SumAndDifferenceSTFTLoss",
]
