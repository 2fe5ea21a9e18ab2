"""The spectral losses, under the one path they are imported from."""

from auraloss.complex_stft import ComplexSTFTLoss
from auraloss.magnitude import SpectralConvergenceLoss, STFTMagnitudeLoss
from auraloss.mel import MultiScaleMelLoss
from auraloss.random_resolution import RandomResolutionSTFTLoss
from auraloss.resolutions import MultiResolutionSTFTLoss, SumAndDifferenceSTFTLoss
from auraloss.stft import ChromaSTFTLoss, MelSTFTLoss, STFTLoss
from auraloss.transport import SpectralTransportLoss

__all__ = [
    "ChromaSTFTLoss",
    "ComplexSTFTLoss",
    "MelSTFTLoss",
    "MultiResolutionSTFTLoss",
    "MultiScaleMelLoss",
    "RandomResolutionSTFTLoss",
    "STFTLoss",
    "STFTMagnitudeLoss",
    "SpectralConvergenceLoss",
    "SpectralTransportLoss",
    "SumAndDifferenceSTFTLoss",
]
