"""Users' mistakes end in a `ValueError` that names what came and what is expected."""

import pytest
import torch

from tests.loss_calls import MULTI, SPECTRAL, STEREO, STFT, build, every_loss, for_each

TWO = torch.ones(2, 2, 300)
MISFITS = [
    (torch.ones(2, 2, 299), TWO, r"\(2, 2, 299\).*\(2, 2, 300\).*same shape"),
    (TWO, torch.ones(1, 2, 300), r"\(2, 2, 300\).*\(1, 2, 300\).*same shape"),
    (TWO, torch.ones(2, 300), r"\(2, 2, 300\).*\(2, 300\).*same shape"),
    (TWO, torch.ones(2, 1, 300), r"\(2, 2, 300\).*\(2, 1, 300\).*same shape"),
    (torch.tensor(1.0), torch.tensor(1.0), r"\(\)"),
    (torch.ones(0, 2, 300), torch.ones(0, 2, 300), r"\(0, 2, 300\).*no samples"),
    (torch.ones(2, 2, 0), torch.ones(2, 2, 0), r"\(2, 2, 0\).*no samples"),
    (TWO.int(), TWO, r"floating.*int32"),
    (TWO, TWO.to(torch.complex64), r"floating.*complex64"),
]


@every_loss
def test_signals_that_do_not_fit_are_refused(call: str) -> None:
    loss = build(call)
    for input, target, message in MISFITS:
        with pytest.raises(ValueError, match=message):
            loss(input, target)


@for_each([call for call in SPECTRAL if "Random" not in call])
def test_signals_too_short_for_a_resolution_are_refused_with_both_numbers(call: str) -> None:
    with pytest.raises(ValueError, match=r"fft_size=64.*32 samples, got 32"):
        build(call)(torch.ones(1, 2, 32), torch.ones(1, 2, 32))
    assert build(call)(torch.ones(1, 2, 33), torch.ones(1, 2, 33)).isfinite()


@pytest.mark.parametrize("shape", [(2, 1, 300), (2, 3, 300), (300,)])
@for_each(STEREO)
def test_sum_and_difference_refuse_other_than_two_channels(call: str, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=rf"2.*\({', '.join(map(str, shape))},?\)"):
        build(call)(torch.ones(shape), torch.ones(shape))


ESR = "time.ESRLoss()"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("time.ESRLoss(reduction='median')", r"reduction='median'.*'mean', 'sum', 'none'"),
        ("time.SISDRLoss(pool='file')", r"pool='file'.*'item', 'batch'"),
        (f"{STFT}, reduction='median')", r"reduction='median'.*'mean'"),
        (f"{STFT}, output='typo')", r"output='typo'.*'loss', 'full'"),
        (f"{MULTI}, output='typo')", r"output='typo'.*'loss', 'full'"),
        ("freq.RandomResolutionSTFTLoss(output='typo')", r"output='typo'.*'loss', 'full'"),
        ("freq.SumAndDifferenceSTFTLoss(output='typo')", r"output='typo'.*'loss', 'full'"),
        (f"{STFT}, window='house')", r"'house'.*hann_window"),
        (f"{MULTI}, window='house')", r"'house'.*hann_window"),
        ("freq.RandomResolutionSTFTLoss(windows=['house'])", r"'house'.*hann_window"),
        ("freq.SumAndDifferenceSTFTLoss(window='house')", r"'house'.*hann_window"),
        (f"{STFT}, mag_distance='L3')", r"mag_distance='L3'.*'L1', 'L2'"),
        (f"{STFT}, scale='bark', n_bins=8, sample_rate=8000)", r"scale='bark'.*'mel'.*'chroma'"),
        (f"{STFT}, scale='mel', n_bins=8)", "sample_rate"),
        (f"{STFT}, scale='mel', sample_rate=8000)", "n_bins"),
        (f"{STFT}, scale='mel', n_bins=0, sample_rate=8000)", "n_(bins|mels)=0"),
        (f"{STFT}, perceptual_weighting=True)", "sample_rate"),
        (f"{MULTI}, perceptual_weighting=True)", "sample_rate"),
        (f"{STFT}, log_eps=-1.0)", "log_eps=-1"),
        ("freq.STFTMagnitudeLoss(log_fac=0.0)", "log_fac=0"),
        (f"{STFT}, w_sc=0.0, w_log_mag=0.0)", "weights"),
        (f"{STFT}, eps=-1.0)", "eps=-1"),
        ("freq.STFTLoss(64, 0, 64)", "hop_size=0"),
        ("freq.STFTLoss(64, 16, 65)", "win_length=65"),
        ("freq.STFTLoss(0, 16, 0)", "fft_size=0"),
        ("freq.MultiResolutionSTFTLoss([64, 32], [16], [64])", "fft_sizes 2, hop_sizes 1, win_lengths 1"),
        ("freq.MultiResolutionSTFTLoss([], [], [])", "fft_sizes 0"),
        ("freq.MultiResolutionSTFTLoss([64, 32], [16, 8], [64, 32], ['hann_window'])", "window"),
        (f"{MULTI}, scale='mel', n_bins=[8, 8, 8], sample_rate=8000)", "n_bins"),
        ("freq.RandomResolutionSTFTLoss(min_fft_size=20)", "20.*power of two"),
        ("freq.RandomResolutionSTFTLoss(min_fft_size=64, max_fft_size=32)", "64, 32"),
        ("freq.RandomResolutionSTFTLoss(max_hop_size=1.5)", "1.5"),
        ("freq.RandomResolutionSTFTLoss(resolutions=0)", "resolutions=0"),
        ("freq.RandomResolutionSTFTLoss(windows=[])", "windows"),
        ("freq.RandomResolutionSTFTLoss(randomize_rate=0)", "randomize_rate=0"),
        ("freq.RandomResolutionSTFTLoss(max_fft_size=8)", "16, 8"),
        ("freq.RandomResolutionSTFTLoss(mag_distance='L3')", r"mag_distance='L3'.*'L1', 'L2'"),
        ("freq.STFTMagnitudeLoss(distance='L3')", r"distance='L3'.*'L1', 'L2'"),
        ("perceptual.FIRFilter('lp')", r"filter_type='lp'.*'hp', 'fd', 'aw'"),
        ("perceptual.FIRFilter('aw', ntaps=100)", "ntaps=100.*odd"),
        ("perceptual.FIRFilter('aw', ntaps=-1)", "ntaps=-1"),
        ("perceptual.FIRFilter('aw', fs=0)", "fs=0"),
        ("time.LogCoshLoss(a=0.0)", "a=0.0.*positive"),
        ("time.LogCoshLoss(a=-1.0)", "a=-1.0.*positive"),
        ("time.LogCoshLoss(a=float('nan'))", "a=nan.*positive"),
        ("time.LogCoshLoss(eps=-2.0)", "LogCoshLoss: eps=-2.0"),
        ("time.ESRLoss(eps=-1.0)", "ESRLoss: eps=-1.0"),
        ("time.SNRLoss(eps=float('nan'))", "SNRLoss: eps=nan"),
        ("freq.STFTLoss(eps=float('nan'))", "eps=nan.*positive"),
        ("freq.RandomResolutionSTFTLoss(windows='hann_window')", "windows='hann_window' must be a list"),
        ("freq.RandomResolutionSTFTLoss(windows=['hann_window'] * 9 + ['house'])", "'house'"),
        ("base.WeightedSum({})", r"\[\]"),
        *((f"base.WeightedSum({{{name!r}: time.L1Loss()}})", f"name '{name}'") for name in ("loss", "a.b", "keys", "")),
        (f"base.WeightedSum({{'esr': {ESR}}}, {{'dc': 1.0}})", r"\['esr'\].*\['dc'\]"),
        (f"base.WeightedSum({{'a': {ESR}, 'b': time.L1Loss('sum')}})", "mean.*sum"),
        (f"base.WeightedSum({{'a': {ESR}, 'b': time.L1Loss(pool='batch')}})", "batch.*item"),
    ],
)
def test_bad_arguments_are_refused_at_construction_by_name(call: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build(call)
