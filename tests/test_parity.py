"""The published package, version 0.4.0: the same numbers where it works.

The calls below hold every public class with every keyword that works there; on one item, values agree within 1e-5
and gradients within 1e-4. What differs on purpose is in `test_deviations.py`.
"""

import contextlib
import inspect
from collections.abc import Callable, Iterator
from functools import partial
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from matplotlib import pyplot
from torch import Tensor

import auraloss
from tests.loss_calls import for_each
from tests.material import MATERIALS, Pair, clicks, noise

SAMPLES = 4500
"""More than the longest FFT has."""

# Calls -------------------------------------------------------------------------------------------------------------

TIME = [
    f"time.{name}({arguments})"
    for name, choices in {
        "ESRLoss": ("", "eps=1.0", "1e-3, 'sum'", "reduction='none'"),
        "DCLoss": ("", "eps=0.1", "1e-3, 'sum'", "reduction='none'"),
        "LogCoshLoss": ("a=10.0", "eps=0.1", "20.0, 1e-2, 'sum'", "a=10.0, reduction='none'"),
        "SNRLoss": ("", "zero_mean=False", "eps=1e-2", "False, 1e-3, 'sum'", "reduction='none'"),
        "SISDRLoss": ("", "zero_mean=False", "eps=1e-2", "False, 1e-3, 'sum'", "reduction='none'"),
        "SDSDRLoss": ("", "zero_mean=False", "eps=1e-2", "False, 1e-3, 'sum'", "reduction='none'"),
    }.items()
    for arguments in choices
]
WINDOWS = ("hann", "bartlett", "blackman", "hamming", "kaiser")
STFT = [
    "freq.STFTLoss()",
    "freq.STFTLoss(fft_size=2048)",
    "freq.STFTLoss(hop_size=100)",
    "freq.STFTLoss(win_length=600)",
    *(f"freq.STFTLoss(window='{window}_window')" for window in WINDOWS),
    "freq.STFTLoss(w_sc=0.0)",
    "freq.STFTLoss(w_log_mag=0.0)",
    "freq.STFTLoss(w_sc=0.3, w_log_mag=2.0, w_lin_mag=0.5)",
    "freq.STFTLoss(w_sc=0.0, w_log_mag=0.0, w_lin_mag=1.0)",
    "freq.STFTLoss(w_phs=0.2)",
    "freq.STFTLoss(sample_rate=44100, scale='mel', n_bins=64)",
    "freq.STFTLoss(sample_rate=16000, scale='mel', n_bins=40, w_lin_mag=1.0, eps=1e-5)",
    "freq.STFTLoss(sample_rate=44100, perceptual_weighting=True)",
    "freq.STFTLoss(sample_rate=48000, perceptual_weighting=True, scale='mel', n_bins=32)",
    "freq.STFTLoss(eps=1e-3)",
    "freq.STFTLoss(output='full')",
    "freq.STFTLoss(w_lin_mag=0.5, w_phs=0.1, output='full')",
    "freq.STFTLoss(mag_distance='L2', w_lin_mag=0.1)",
    "freq.STFTLoss(device='cpu', sample_rate=44100, scale='mel', n_bins=64)",
    "freq.STFTLoss(512, 128, 400, 'hamming_window', 0.5, 2.0, 0.3, 0.0, 44100, 'mel', 32, True, False, 1e-6, 'full',"
    " 'mean', 'L2', 'cpu')",
    "freq.MelSTFTLoss(44100)",
    "freq.MelSTFTLoss(44100, n_mels=40, eps=1e-5, mag_distance='L2', output='full')",
    "freq.MelSTFTLoss(sample_rate=16000, fft_size=512, hop_size=100, win_length=400, window='hamming_window', w_sc=0.5,"
    " w_log_mag=2.0, w_lin_mag=0.3, w_phs=0.1, n_mels=30)",
    "freq.MelSTFTLoss(16000, 2048, 500, 1600, 'blackman_window', 0.0, 1.0, 0.5, 0.0, 80)",
]
ONE_CHANNEL = [
    "freq.STFTLoss(scale_invariance=True)",
    "freq.STFTLoss(scale_invariance=True, sample_rate=44100, scale='mel', n_bins=64, output='full')",
]
MULTI = [
    "freq.MultiResolutionSTFTLoss()",
    "freq.MultiResolutionSTFTLoss(fft_sizes=[256, 4096], hop_sizes=[64, 1000], win_lengths=[256, 3000])",
    "freq.MultiResolutionSTFTLoss(window='blackman_window')",
    "freq.MultiResolutionSTFTLoss(w_sc=0.0, w_log_mag=0.5, w_lin_mag=2.0)",
    "freq.MultiResolutionSTFTLoss(w_phs=0.1)",
    "freq.MultiResolutionSTFTLoss(sample_rate=44100, scale='mel', n_bins=32)",
    "freq.MultiResolutionSTFTLoss(sample_rate=44100, perceptual_weighting=True)",
    "freq.MultiResolutionSTFTLoss(output='full')",
    "freq.MultiResolutionSTFTLoss(w_lin_mag=0.1, w_phs=0.1, output='full')",
    "freq.MultiResolutionSTFTLoss(eps=1e-5, mag_distance='L2', device='cpu')",
    "freq.MultiResolutionSTFTLoss([512, 2048], [100, 400], [400, 2000], 'kaiser_window', 0.5, 2.0, 0.3, 0.0, 44100,"
    " 'mel', 32, True, False)",
    "freq.RandomResolutionSTFTLoss(max_fft_size=4096)",
    "freq.RandomResolutionSTFTLoss(5, 64, 2048, 0.2, 0.6, ['hamming_window', 'bartlett_window'], 0.5, 2.0, 0.3, 0.0)",
    "freq.RandomResolutionSTFTLoss(resolutions=2, min_fft_size=512, max_fft_size=2048, min_hop_size=0.3,"
    " max_hop_size=0.5, windows=['blackman_window'], w_sc=0.0, w_log_mag=0.7, w_lin_mag=0.2, w_phs=0.1,"
    " randomize_rate=10)",
    "freq.RandomResolutionSTFTLoss(min_fft_size=1024, max_fft_size=4096, sample_rate=44100, scale='mel', n_mels=20)",
]
MULTI_ONE_CHANNEL = ["freq.MultiResolutionSTFTLoss(scale_invariance=True)"]
LISTS = "[1024, 512], [256, 100], [1000, 500]"
STEREO = [
    f"freq.SumAndDifferenceSTFTLoss({LISTS})",
    f"freq.SumAndDifferenceSTFTLoss({LISTS}, 'hamming_window', 0.5, 2.0, 'full')",
    "freq.SumAndDifferenceSTFTLoss(fft_sizes=[1024], hop_sizes=[300], win_lengths=[800], window='bartlett_window',"
    " w_sum=0.2, w_diff=3.0, output='full')",
    f"freq.SumAndDifferenceSTFTLoss({LISTS}, w_sc=0.0, w_lin_mag=1.0, mag_distance='L2', eps=1e-6)",
    f"freq.SumAndDifferenceSTFTLoss({LISTS}, sample_rate=44100, scale='mel', n_bins=24, perceptual_weighting=True)",
    "Each(perceptual.SumAndDifference())",
]
FILTERS = [
    "perceptual.FIRFilter('aw')",
    "perceptual.FIRFilter('aw', fs=48000, ntaps=51)",
    "perceptual.FIRFilter('aw', 0.95, 16000, 201, True)",
    "perceptual.FIRFilter(filter_type='aw', plot=True)",
]
SPECTRA = [
    "freq.SpectralConvergenceLoss()",
    "freq.STFTMagnitudeLoss()",
    "freq.STFTMagnitudeLoss(log=False)",
    "freq.STFTMagnitudeLoss(distance='L2')",
    "freq.STFTMagnitudeLoss(False, 'L2', 'mean')",
    "freq.STFTMagnitudeLoss(True, 'L1')",
]
MONO = [*TIME, *STFT, *ONE_CHANNEL, *MULTI, *MULTI_ONE_CHANNEL, *FILTERS]
# What a second channel touches: the pool of the convergence, the terms of "full", filters and bands.
TWO_CHANNELS = [
    *(c for c in [*STFT, *MULTI] if c.endswith("()") or any(word in c for word in ("full", "weighting", "scale="))),
    *STEREO,
]
# Where the level matters: at the defaults of every class, and where `eps` is another.
LEVELS = [
    call for call in [*MONO, *STEREO] if "eps" in call or call.endswith(("()", f"({LISTS})", "(44100)", "=4096)"))
]

# Keywords of 0.4.0 with no call above, since they do not work there or mean something else here: test_deviations.py.
IN_DEVIATIONS = {
    ("STFTLoss", "reduction"),
    ("STFTMagnitudeLoss", "reduction"),
    *(("ChromaSTFTLoss", name) for name in ("sample_rate", "fft_size", "hop_size", "win_length", "window")),
    *(("ChromaSTFTLoss", name) for name in ("w_sc", "w_log_mag", "w_lin_mag", "w_phs", "n_chroma")),
}


# The two packages --------------------------------------------------------------------------------------------------


class Each(torch.nn.Module):
    """A module of one signal, applied to input and target."""

    def __init__(self, module: torch.nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, input: Tensor, target: Tensor) -> tuple[Any, Any]:
        return self.module(input), self.module(target)


def build(package: ModuleType, call: str, **defaults: Any) -> Any:
    """The loss that `call` makes of a package; `defaults` are arguments of every spectral loss."""
    freq: Any = package.freq
    if defaults:
        names = [name for name in dir(package.freq) if name.endswith("Loss")]
        freq = SimpleNamespace(**{name: partial(getattr(package.freq, name), **defaults) for name in names})
    return eval(call, {"time": package.time, "freq": freq, "perceptual": package.perceptual, "Each": Each})


def ours(call: str, **defaults: Any) -> Any:
    if "RandomResolution" in call:
        defaults |= {"seed": 7, "randomize_rate": 10}
    return build(auraloss, call, **defaults)


def theirs(package: ModuleType, call: str) -> Any:
    """The published loss; random resolutions are frozen at those that ours draws from the seed 7."""
    loss = build(package, call)
    if "RandomResolution" in call:
        drawn = ours(call).draw(7, SAMPLES)
        weights = loss.w_sc, loss.w_log_mag, loss.w_lin_mag, loss.w_phs
        resolutions = zip(drawn.fft_sizes, drawn.hop_sizes, drawn.win_lengths, drawn.window, strict=True)
        loss.stft_losses = torch.nn.ModuleList(
            package.freq.STFTLoss(*resolution, *weights, loss.sample_rate, loss.scale, loss.n_mels)
            for resolution in resolutions
        )
        loss.nforwards, loss.randomize_rate = 1, 1_000_000
    return loss


@contextlib.contextmanager
def repaired() -> Iterator[None]:
    """Isolates deviations at single bins of the spectrum, so that all else can be compared on any signal.

    Bins below the floor of 1e-8 pass their gradient on, and have no phase; differences of phases are wrapped. There
    are such bins in most signals: the first frame is reflected in its middle, its spectrum is real and crosses 0.
    """
    spectra: list[Tensor] = []

    def clamp(power: Tensor, min: float) -> Tensor:
        return power.detach().clamp(min=min) + (power - power.detach())

    def angle(spectrum: Tensor) -> Tensor:
        spectra.append(spectrum.detach())
        return spectrum.angle()

    def mse_loss(x: Tensor, y: Tensor, reduction: str = "of phases") -> Tensor:
        if reduction != "of phases":  # of magnitudes, from torch.nn.MSELoss
            return (x - y).square().mean()
        silent = torch.stack([spectrum.abs().square() <= 1e-8 for spectrum in spectra[-2:]]).any(0)
        wrapped = (x - y + torch.pi) % (2 * torch.pi) - torch.pi
        return torch.where(silent, 0, wrapped).square().mean()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch, "clamp", clamp)
        patch.setattr(torch, "angle", angle)
        patch.setattr(torch.nn.functional, "mse_loss", mse_loss)
        yield


def flat(outputs: Any) -> list[Tensor]:
    """All tensors of a result: a scalar, a pair of signals, or the terms of `output="full"`."""
    if isinstance(outputs, (tuple, list)):
        return [tensor for output in outputs for tensor in flat(output)]
    return [torch.as_tensor(outputs)]


def evaluate(loss: Any, signals: Pair, dtype: torch.dtype) -> list[Tensor]:
    """The results, and at last the gradient of a function in which every result has a weight of its own."""
    input, target = (signal.to(dtype, copy=True) for signal in signals)
    results = flat(loss.to(dtype)(input.requires_grad_(), target))
    torch.stack([(k + 1) * result.square().sum() for k, result in enumerate(results)]).sum().backward()
    assert input.grad is not None
    assert input.grad.any()
    return [*(result.detach() for result in results), input.grad]


def assert_parity(loss: Any, expected: Any, signals: Pair, repair: bool = False) -> None:
    """Values within 1e-5 and gradients within 1e-4, in float32 and float64.

    In float32 one bin near 0 can make up the gradient, and a norm is summed up coarsely there: what rounding alone
    does to the published numbers is allowed to ours. It is measured by the published loss in float32; where that is not
    enough, since which bins it hits is chance and differs between processors, also by rounding of the signals.
    """
    context = repaired if repair else contextlib.nullcontext
    with context():
        exact, rounded = (evaluate(expected, signals, dtype) for dtype in (torch.float64, torch.float32))
    for wanted in (rounded, exact):
        found = evaluate(loss, signals, wanted[-1].dtype)
        assert len(found) == len(wanted)
        for k, (value, want, true) in enumerate(zip(found, wanted, exact, strict=True)):
            relative = 1e-5 if k < len(exact) - 1 else 1e-4
            deviation, rounding = (value - want).norm(), (want - true).norm()
            if deviation > max(relative * want.norm(), 10 * rounding):
                with repaired() if repair else contextlib.nullcontext():
                    rounding = max((again[k] - true).norm() for again in rounded_signals(expected, signals))
            assert deviation <= max(relative * want.norm(), 10 * rounding)


def rounded_signals(expected: Any, signals: Pair) -> Iterator[list[Tensor]]:
    """Exact results for the input moved by the rounding of float32, eight times by chance."""
    input, target = (signal.double() for signal in signals)
    for seed in range(8):
        by = torch.randn(input.shape, generator=torch.Generator().manual_seed(seed)) * 2.0**-24
        yield evaluate(expected, (input * (1 + by), target), torch.float64)


@pytest.fixture(autouse=True)
def _figures_are_drawn_for_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of `plot=True`."""
    pyplot.switch_backend("Agg")
    monkeypatch.setattr(pyplot, "show", lambda: pyplot.close("all"))


def excerpt(material: str, channels: int = 1) -> Pair:
    """The beginning of a material."""
    input, target = MATERIALS[material](channels)
    return input[..., :SAMPLES], target[..., :SAMPLES]


# Parity ------------------------------------------------------------------------------------------------------------


@for_each(MONO)
def test_values_and_gradients_of_one_channel(published: ModuleType, call: str) -> None:
    assert_parity(ours(call), theirs(published, call), excerpt("music"), repair="freq" in call)


# At −60 dB, eps rounds the log-cosh of the errors away there.
@for_each([call for call in LEVELS if "LogCosh" not in call])
def test_values_and_gradients_at_a_low_level(published: ModuleType, call: str) -> None:
    pool = {"pool": "batch"} if call in STEREO else {}
    signals = MATERIALS["music at -60 dB"](2 if call in STEREO else 1)
    assert_parity(ours(call, **pool), theirs(published, call), signals, repair="freq" in call)


@for_each([call for call in STFT if not any(word in call for word in ("w_phs", "weighting", "eps"))])
def test_loud_noise_needs_no_repair_of_single_bins(published: ModuleType, call: str) -> None:
    assert_parity(ours(call), theirs(published, call), excerpt("noise"))


@for_each(TWO_CHANNELS)
def test_values_and_gradients_of_two_channels(published: ModuleType, call: str) -> None:
    """There, the spectral convergence of two channels is one norm: `pool="batch"`."""
    pool = {"pool": "batch"} if "freq" in call else {}
    assert_parity(ours(call, **pool), theirs(published, call), excerpt("noise", 2), repair="freq" in call)


@for_each(TIME)
def test_time_domain_losses_of_a_batch(published: ModuleType, call: str) -> None:
    assert_parity(ours(call), theirs(published, call), noise(2, 3, 2000))


@for_each(SPECTRA)
def test_losses_of_magnitudes(published: ModuleType, call: str) -> None:
    input, target = (
        torch.stft(signal[0], 512, 128, window=torch.hann_window(512), return_complex=True).abs()
        for signal in excerpt("noise")
    )
    assert_parity(ours(call), theirs(published, call), (input, target))


def test_phases_that_need_no_wrapping(published: ModuleType) -> None:
    call = "freq.STFTLoss(1024, 2048, 1024, 'hamming_window', 0.0, 0.0, 0.0, 1.0)"
    assert_parity(ours(call), theirs(published, call), clicks())


def test_every_keyword_of_every_public_class_is_compared(published: ModuleType) -> None:
    """With a value other than its default, in one of the calls, or it is named as a deviation."""
    compared = set()

    def recorder(cls: type) -> Callable[..., None]:
        def record(*arguments: Any, **keywords: Any) -> None:
            signature = inspect.signature(cls)
            for name, value in signature.bind(*arguments, **keywords).arguments.items():
                if value != signature.parameters[name].default:
                    compared.add((cls.__name__, name))

        return record

    classes = [
        value
        for module in (published.time, published.freq, published.perceptual)
        for value in vars(module).values()
        if inspect.isclass(value) and value.__module__ == module.__name__
    ]
    assert len(classes) == 16
    names = SimpleNamespace(**{cls.__name__: recorder(cls) for cls in classes})
    for call in [*MONO, *STEREO, *SPECTRA]:
        eval(call, {"time": names, "freq": names, "perceptual": names, "Each": lambda module: module})
    keywords = {(cls.__name__, name) for cls in classes for name in inspect.signature(cls).parameters}
    assert keywords - compared - {(cls.__name__, "kwargs") for cls in classes} == IN_DEVIATIONS


def test_every_public_class_has_the_published_order_of_arguments(published: ModuleType) -> None:
    for path in ("time", "freq", "perceptual"):
        for cls in vars(getattr(published, path)).values():
            if not inspect.isclass(cls) or cls.__module__ != f"{published.__name__}.{path}":
                continue
            mine = list(inspect.signature(getattr(getattr(auraloss, path), cls.__name__)).parameters)
            expected = [name for name in inspect.signature(cls).parameters if name != "kwargs"]
            assert mine[: len(expected)] == expected, cls.__name__
