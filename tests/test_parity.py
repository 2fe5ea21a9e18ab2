"""The published package, version 0.4.0: the same numbers where it works, and every deviation with its reason.

The calls below hold every public class with every keyword that works there; on one item, values agree within 1e-5
and gradients within 1e-4. `DEVIATIONS` holds what differs on purpose: what happens there, what happens here, and why.
"""

import contextlib
import inspect
import math
from collections.abc import Callable, Iterator
from functools import partial
from types import ModuleType, SimpleNamespace
from typing import Any, NamedTuple

import librosa
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

import auraloss

Array = NDArray[np.float64]
Pair = tuple[Tensor, Tensor]

RATE = 44_100
SAMPLES = 8192

# Signals -----------------------------------------------------------------------------------------------------------


def noise(channels: int = 1, batch: int = 1, samples: int = SAMPLES) -> Pair:
    """White noise, and the same with a gain error, added noise and an offset."""
    rng = np.random.default_rng(0)
    target = 0.3 * rng.standard_normal((batch, channels, samples))
    input = 0.8 * target + 0.1 * rng.standard_normal(target.shape) + 0.01
    return torch.tensor(input, dtype=torch.float32), torch.tensor(target, dtype=torch.float32)


def instrument(rng: np.random.Generator) -> Array:
    """Plucked harmonic notes and drum strokes over a background 46 dB below full scale."""
    time = np.arange(SAMPLES) / RATE
    signal = 0.005 * rng.standard_normal(SAMPLES)
    for onset, pitch in zip((0.0, 0.03, 0.07, 0.1), (110.0, 164.8, 220.0, 329.6), strict=True):
        since = np.maximum(time - onset, 0)
        for k in range(1, 9):
            note = np.sin(2 * np.pi * k * pitch * since) * np.exp(-(4 + 3 * k) * since) / k
            signal += 0.15 * (time > onset) * note
    for onset in (0.05, 0.14):
        decay = np.exp(-60 * np.maximum(time - onset, 0))
        signal += 0.25 * (time > onset) * decay * rng.standard_normal(SAMPLES)
    return signal


def music(channels: int = 1, level: float = 1.0) -> Pair:
    """Music-like material, and what a saturating, slightly noisy model makes of it."""
    rng = np.random.default_rng(1)
    target = np.stack([instrument(rng) for _ in range(channels)])[None]
    input = np.tanh(1.2 * target) / 1.3 + 0.01 * rng.standard_normal(target.shape) + 0.005
    return torch.tensor(level * input, dtype=torch.float32), torch.tensor(level * target, dtype=torch.float32)


def clicks() -> Pair:
    """One click where a frame begins, and the same with a fainter one behind it: phases that need no wrapping."""
    target = torch.zeros(1, 1, 4096)
    target[..., 1536] = 1  # first sample of the frame around 2,048
    return target + 0.3 * target.roll(1), target


MATERIALS: dict[str, Callable[[int], Pair]] = {
    "noise": noise,
    "music": music,
    "music at -60 dB": partial(music, level=0.001),
}

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
TWO_CHANNELS = [*TIME, *STFT, *MULTI, *STEREO]

# Keywords of 0.4.0 with no call above, since they do not work there or mean something else here.
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
    does to the published numbers is allowed to ours.
    """
    context = repaired if repair else contextlib.nullcontext
    with context():
        exact, rounded = (evaluate(expected, signals, dtype) for dtype in (torch.float64, torch.float32))
    for wanted in (rounded, exact):
        found = evaluate(loss, signals, wanted[-1].dtype)
        assert len(found) == len(wanted)
        for k, (value, want, true) in enumerate(zip(found, wanted, exact, strict=True)):
            relative = 1e-5 if k < len(exact) - 1 else 1e-4
            rounding = (want - true).norm()
            assert (value - want).norm() <= max(relative * want.norm(), 10 * rounding)


@pytest.fixture(autouse=True)
def _figures_are_drawn_for_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of `plot=True`."""
    pyplot = pytest.importorskip("matplotlib.pyplot")
    pyplot.switch_backend("Agg")
    monkeypatch.setattr(pyplot, "show", lambda: pyplot.close("all"))


# Parity ------------------------------------------------------------------------------------------------------------


def cases(calls: list[str]) -> list[Any]:
    # At −60 dB, eps rounds the log-cosh of the errors away there.
    return [
        pytest.param(call, material, id=f"{call} {material}")
        for call in calls
        for material in MATERIALS
        if "LogCosh" not in call or "dB" not in material
    ]


@pytest.mark.parametrize(("call", "material"), cases(MONO))
def test_values_and_gradients_of_one_channel(published: ModuleType, call: str, material: str) -> None:
    assert_parity(ours(call), theirs(published, call), MATERIALS[material](1), repair="freq" in call)


@pytest.mark.parametrize(
    "call", [call for call in STFT if not any(word in call for word in ("w_phs", "weighting", "eps"))]
)
def test_loud_noise_needs_no_repair_of_single_bins(published: ModuleType, call: str) -> None:
    assert_parity(ours(call), theirs(published, call), noise())


@pytest.mark.parametrize(("call", "material"), cases(TWO_CHANNELS))
def test_values_and_gradients_of_two_channels(published: ModuleType, call: str, material: str) -> None:
    """There, the spectral convergence of two channels is one norm: `pool="batch"`."""
    pool = {"pool": "batch"} if "freq" in call else {}
    assert_parity(ours(call, **pool), theirs(published, call), MATERIALS[material](2), repair="freq" in call)


@pytest.mark.parametrize("call", TIME)
def test_time_domain_losses_of_a_batch(published: ModuleType, call: str) -> None:
    assert_parity(ours(call), theirs(published, call), noise(2, 3))


@pytest.mark.parametrize("call", SPECTRA)
def test_losses_of_magnitudes(published: ModuleType, call: str) -> None:
    input, target = (
        torch.stft(signal[0], 512, 128, window=torch.hann_window(512), return_complex=True).abs() for signal in noise()
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


# Beyond 0.4.0: chroma, which cannot be constructed there, and keywords of the repository's later version -------------


def magnitudes(signal: Tensor, fft_size: int, hop: int, window: Array) -> Array:
    """Reflected at both ends, framed, windowed, transformed, in float64: `(bins, frames)`, at least 1e-4."""
    padded = np.pad(signal[0, 0].double().numpy(), fft_size // 2, mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(padded, fft_size)[::hop]
    power: Array = np.abs(np.fft.rfft(frames * window)) ** 2
    return np.sqrt(np.maximum(power, 1e-8)).T


def hann(length: int) -> Array:
    """Periodic, as torch makes it."""
    return 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(length) / length)


@pytest.mark.parametrize("material", ["noise", "music"])
@pytest.mark.parametrize(
    ("call", "fft_size", "hop", "bands"),
    [
        ("freq.ChromaSTFTLoss(44100)", 1024, 256, 12),
        ("freq.ChromaSTFTLoss(44100, 2048, 300, 2048, n_chroma=24)", 2048, 300, 24),
        ("freq.STFTLoss(2048, 512, 2048, sample_rate=44100, scale='chroma', n_bins=12)", 2048, 512, 12),
    ],
)
def test_chroma_against_librosa(call: str, fft_size: int, hop: int, bands: int, material: str) -> None:
    signals = MATERIALS[material](1)
    filters = librosa.filters.chroma(sr=44100, n_fft=fft_size, n_chroma=bands).astype(np.float64)
    x, y = (filters @ magnitudes(signal, fft_size, hop, hann(fft_size)) for signal in signals)
    expected = np.linalg.norm(y - x) / np.linalg.norm(y) + np.abs(np.log(y) - np.log(x)).mean()
    assert build(auraloss, call)(*signals).item() == pytest.approx(expected, rel=1e-5)


def test_chroma_takes_the_published_arguments_in_order() -> None:
    arguments = "44100, 1024, 200, 800, 'hamming_window', 0.5, 2.0, 0.3, 0.0"
    loss = build(auraloss, f"freq.ChromaSTFTLoss({arguments}, 24, eps=1e-6, mag_distance='L2')")
    same = build(
        auraloss,
        f"freq.STFTLoss({arguments[7:]}, sample_rate=44100, scale='chroma', n_bins=24, eps=1e-6, mag_distance='L2')",
    )
    assert loss(*music()) == same(*music())


@pytest.mark.parametrize("material", ["noise", "music"])
@pytest.mark.parametrize("distance", ["L1", "L2"])
@pytest.mark.parametrize(("log_eps", "log_fac"), [(0.0, 10.0), (1.0, 1.0), (0.5, 100.0)])
def test_later_keywords_against_numpy(material: str, distance: str, log_eps: float, log_fac: float) -> None:
    signals = MATERIALS[material](1)
    x, y = (magnitudes(signal, 512, 128, hann(512)) for signal in signals)
    difference = np.log(log_fac * y + log_eps) - np.log(log_fac * x + log_eps)
    log = (np.abs(difference) if distance == "L1" else difference**2).mean()
    keywords = {"log_eps": log_eps, "log_fac": log_fac}
    of_magnitudes = auraloss.freq.STFTMagnitudeLoss(distance=distance, **keywords)
    assert of_magnitudes(torch.tensor(x[None]), torch.tensor(y[None])).item() == pytest.approx(log, rel=1e-7)
    stft = auraloss.freq.STFTLoss(512, 128, 512, mag_distance=distance, **keywords)
    convergence = np.linalg.norm(y - x) / np.linalg.norm(y)
    assert stft(*signals).item() == pytest.approx(convergence + log, rel=1e-5)
    several = auraloss.freq.MultiResolutionSTFTLoss([512], [128], [512], mag_distance=distance, **keywords)
    assert several(*signals) == stft(*signals)


# Deviations --------------------------------------------------------------------------------------------------------


class Deviation(NamedTuple):
    """What a call gives in both packages: a number, a shape, a list, a class of exception, or None."""

    call: str
    published: Any
    ours: Any
    why: str


PHASE = "STFTLoss(w_sc=0.0, w_log_mag=0.0, w_phs=1.0"
LOUD_AND_FAINT = "torch.tensor([[[1.0]], [[0.0]]]), torch.tensor([[[1.0]], [[0.001]]])"
SMALL = "min_fft_size=64, max_fft_size=128"
DEVIATIONS = [
    # perceptual
    Deviation(
        "FIRFilter('hp')(x, y)[0].shape[-1]", SAMPLES + 98, SAMPLES, "A filter before a loss keeps the signal's length."
    ),
    Deviation(
        "taps(FIRFilter('hp', coef=0.95))",
        [-0.95, 1.0],
        [1.0, -0.95],
        "y[n] = x[n] − coef·x[n−1]: a filter looks back.",
    ),
    Deviation("taps(FIRFilter('fd', coef=0.5))", [-0.5, 1.0], [1.0, -0.5], "y[n] = x[n] − coef·x[n−2], likewise."),
    Deviation(
        "FIRFilter('hp')(*noise(2))[0].shape", RuntimeError, (1, 2, SAMPLES), "Every channel is filtered by itself."
    ),
    Deviation(
        "FIRFilter('aw')(x.double(), y.double())[0].dtype", RuntimeError, torch.float64, "The taps follow the signal."
    ),
    Deviation(
        "FIRFilter('bp')", "FIRFilter", ValueError, "A mistake is refused where it is made, with what is allowed."
    ),
    Deviation(
        "list(FIRFilter('hp').state_dict())", ["fir.weight"], ["taps"], "The taps are a buffer, not a parameter."
    ),
    # time
    Deviation(
        "LogCoshLoss()(x + 1e-5, x)", 0.0, 5e-11, "log1p(2·sinh²(z/2)) is exact where log(cosh(z) + eps) rounds."
    ),
    Deviation(
        "LogCoshLoss()(0 * x + 100, 0 * x)", math.inf, 100 - math.log(2), "cosh overflows; its logarithm need not."
    ),
    Deviation(
        "ESRLoss()(0 * x + 0.01, 0 * x)", SAMPLES * 1e4, 1e5, "A target below −90 dB counts as that loud: −40 + 90 dB."
    ),
    Deviation("DCLoss()(0 * x + 0.01, 0 * x)", 1e4, 1e-4 / 1.1e-8, "The same floor."),
    *(
        Deviation(f"louder({name}(zero_mean=False))", 0.0, 20.0, "The same floor: 20 dB more noise cost 20 dB more.")
        for name in ("SNRLoss", "SISDRLoss", "SDSDRLoss")
    ),
    Deviation(
        "ESRLoss()(x[0], y).shape", (), ValueError, "Unequal shapes are a mistake, not an occasion for broadcasting."
    ),
    Deviation(
        "ESRLoss()(10 * x.half(), 10 * y.half())",
        0.0,
        0.152,
        "Half precision, which overflows, is summed up in float32.",
    ),
    # spectral convergence, reductions
    Deviation(
        f"SpectralConvergenceLoss()({LOUD_AND_FAINT})", 0.001, 0.5, "One norm for each item: no item outweighs another."
    ),
    Deviation(
        "STFTLoss(reduction='none')(*noise(2, 3)).shape",
        (6, 513, 33),
        (3, 2),
        "'none' is one value for each item and channel; there, the convergence is added to every bin.",
    ),
    Deviation(
        "STFTMagnitudeLoss(reduction='none')(1 + z, 2 + z).shape", (3, 5, 7), (3,), "'none' has one meaning everywhere."
    ),
    Deviation(
        "STFTMagnitudeLoss(reduction='sum')(1 + z, math.e + z)",
        105.0,
        3.0,
        "'sum' is over items and channels, not bins.",
    ),
    Deviation(
        "MultiResolutionSTFTLoss(reduction='none')(x, y).shape",
        RuntimeError,
        (1, 1),
        "The mean over resolutions exists.",
    ),
    # silent spectra, the floor of the power, and the phase
    Deviation("STFTMagnitudeLoss()(z, 1 + z)", math.inf, 10 * math.log(10), "A magnitude of 0 counts as 1e-10."),
    Deviation("SpectralConvergenceLoss()(1 + z, z)", math.inf, 1e4, "A silent target counts as a power of 1e-8 a bin."),
    Deviation(
        "gradient(STFTLoss(), 0 * x, y).any()",
        False,
        True,
        "A silent prediction is led on: the floor passes gradients.",
    ),
    Deviation(f"{PHASE})(noise()[0].flip(-1), y)", 2 * math.pi**2 / 3, math.pi**2 / 3, "Angles differ by π at most."),
    Deviation(f"{PHASE}, eps=1e9)(x, y) > 0", True, False, "A bin below the floor has no phase to be right or wrong."),
    Deviation(
        f"{PHASE}, reduction='none')(*noise(1, 3)).shape", (), (3, 1), "The phase term has a value for each item."
    ),
    # the STFT
    Deviation(
        "STFTLoss(scale_invariance=True)(*noise(1, 2)).ndim", RuntimeError, 0, "Each item has a scale of its own."
    ),
    Deviation("STFTLoss()(x[0], y[0]).ndim", ValueError, 0, "Any number of dimensions before the samples."),
    Deviation(
        "STFTLoss()(x.expand(2, 2, -1).mT.contiguous().mT, y.expand(2, 2, -1)).ndim", RuntimeError, 0, "Any strides."
    ),
    Deviation("STFTLoss(output='typo')(x, y)", None, ValueError, "A mistake is refused at construction."),
    Deviation(
        "STFTLoss(window='blackmanharris')(x, y).dtype", AttributeError, torch.float32, "SciPy's windows as well."
    ),
    Deviation("STFTLoss(win_length=2048)", "STFTLoss", ValueError, "A mistake is refused at construction."),
    Deviation("STFTLoss()(x[..., :500], y[..., :500])", RuntimeError, ValueError, "Too short a signal: both numbers."),
    Deviation(
        "len(STFTLoss().state_dict())", 0, 1, "The window is a buffer; `load_state_dict` of older files: strict=False."
    ),
    Deviation(
        "MelSTFTLoss(44100, 512, 128, 512)(x, y).isfinite()", False, True, "Mel bands without a bin are left out."
    ),
    Deviation("ChromaSTFTLoss(44100)(x, y).ndim", TypeError, 0, "Chroma works."),
    Deviation(
        "MultiResolutionSTFTLoss([512], [128], [])", AssertionError, ValueError, "A user's mistake is no assertion."
    ),
    Deviation("SumAndDifferenceSTFTLoss()(*noise(2)).ndim", TypeError, 0, "The resolutions have defaults."),
    # random resolutions
    Deviation(
        f"same_draws(lambda: RandomResolutionSTFTLoss({SMALL}))", False, True, "Draws obey torch's seed, not NumPy's."
    ),
    Deviation(
        "RandomResolutionSTFTLoss(1, 64, 64)(x, y).isfinite()",
        ValueError,
        True,
        "The largest FFT size is drawn as well.",
    ),
    Deviation(
        f"deaf(RandomResolutionSTFTLoss(1, {SMALL}, min_hop_size=1.0, windows=['hamming_window']))",
        True,
        False,
        "The hop is a share of the window, not of the FFT: no sample goes unheard.",
    ),
    Deviation(f"RandomResolutionSTFTLoss({SMALL}, eps=1e9)(x, y) > 0", True, False, "Options reach the STFT losses."),
    Deviation(
        "RandomResolutionSTFTLoss()(x, y).isfinite()",
        ValueError,
        True,
        "FFT sizes that do not fit the signal are not drawn.",
    ),
]


def gradient(loss: Callable[[Tensor, Tensor], Tensor], input: Tensor, target: Tensor) -> Tensor:
    input = input.clone().requires_grad_()
    loss(input, target).backward()
    assert input.grad is not None
    return input.grad


def taps(fir: Any) -> list[float]:
    """What an impulse gives, without the zeros."""
    impulse = torch.zeros(1, 1, 200)
    impulse[..., 100] = 1
    filtered = fir(impulse, impulse)[0]
    values: list[float] = filtered[filtered != 0].tolist()
    return values


def louder(loss: Callable[[Tensor, Tensor], Tensor]) -> float:
    """What noise at −60 dB costs more than at −80 dB, the target being silent."""
    loud = noise()[1]
    loud = loud / loud.square().mean().sqrt() * 1e-3
    return (loss(loud, 0 * loud) - loss(0.1 * loud, 0 * loud)).item()


def deaf(loss: Callable[[Tensor, Tensor], Tensor]) -> bool:
    """Whether some of ten draws misses samples altogether."""
    np.random.seed(0)  # noqa: NPY002  of the published draws
    return any(bool((gradient(loss, *noise()) == 0).any()) for _ in range(10))


def same_draws(make: Callable[[], Any]) -> bool:
    """Whether one seed of torch gives the same draws, whatever NumPy's generator has been used for."""
    values = []
    for seed in (1, 2):
        torch.manual_seed(0)
        np.random.seed(seed)  # noqa: NPY002  it should not matter
        loss = make()
        values.append([loss(*noise()).item() for _ in range(3)])
    return values[0] == values[1]


def outcome(package: ModuleType, call: str) -> Any:
    x, y = noise()
    helpers = {"torch": torch, "math": math, "x": x, "y": y, "z": torch.zeros(3, 5, 7), "noise": noise}
    checks = {check.__name__: check for check in (gradient, taps, louder, deaf, same_draws)}
    names = {**vars(package.time), **vars(package.freq), **vars(package.perceptual), **helpers, **checks}
    try:
        result = eval(call, names)
    except Exception as error:
        return type(error)
    if isinstance(result, torch.nn.Module):
        return type(result).__name__
    return result.item() if isinstance(result, Tensor) else result


def matches(found: Any, expected: Any) -> bool:
    """Equal; numbers within 5 %, since some are expected values of noise."""
    if isinstance(expected, float):
        return isinstance(found, float) and math.isclose(found, expected, rel_tol=0.05, abs_tol=1e-12)
    if isinstance(expected, list):
        return isinstance(found, list) and len(found) == len(expected) and all(map(matches, found, expected))
    return bool(found == expected)


@pytest.mark.filterwarnings("ignore:Empty filters detected:UserWarning")
@pytest.mark.parametrize("deviation", DEVIATIONS, ids=[deviation.call for deviation in DEVIATIONS])
def test_deviation(published: ModuleType, deviation: Deviation) -> None:
    there, here = outcome(published, deviation.call), outcome(auraloss, deviation.call)
    assert matches(there, deviation.published), there
    assert matches(here, deviation.ours), here
