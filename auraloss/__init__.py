"""Loss functions for audio in PyTorch.

- `auraloss.time`: L1Loss, MSELoss, ESRLoss, DCLoss, LogCoshLoss, SNRLoss, SISDRLoss, SDSDRLoss
- `auraloss.freq`: STFTLoss, MultiResolutionSTFTLoss, RandomResolutionSTFTLoss, MelSTFTLoss,
  SumAndDifferenceSTFTLoss, SpectralConvergenceLoss, STFTMagnitudeLoss
- `auraloss.perceptual`: FIRFilter, PreEmphasis, SumAndDifference
- `auraloss.base`: WeightedSum, and Loss, the base of all

Each takes `(input, target)`, tensors `(batch, channels, samples)`, and returns a scalar.

>>> import torch
>>> output, target = torch.randn(2, 1, 8192, requires_grad=True), torch.randn(2, 1, 8192)
>>> freq.MultiResolutionSTFTLoss()(output, target).backward()
"""

from auraloss import base, freq, perceptual, time

__all__ = ["base", "freq", "perceptual", "time"]
