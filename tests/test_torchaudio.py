"""The mel bands are torchaudio's, with Slaney's scale and normalisation."""

import pytest
import torch

from auraloss.filterbank import mel_filterbank


@pytest.mark.parametrize(
    ("sample_rate", "fft_size", "n_mels"), [(44_100, 1024, 64), (48_000, 2048, 128), (16_000, 512, 40)]
)
def test_mel_bands(sample_rate: int, fft_size: int, n_mels: int) -> None:
    from torchaudio.functional import melscale_fbanks  # here, as it takes a second

    bins = fft_size // 2 + 1
    theirs = melscale_fbanks(bins, 0.0, sample_rate / 2, n_mels, sample_rate, norm="slaney", mel_scale="slaney").T
    ours = mel_filterbank(sample_rate, fft_size, n_mels)
    torch.testing.assert_close(ours.to(theirs), theirs, rtol=1e-3, atol=2e-6)  # theirs is float32 throughout
