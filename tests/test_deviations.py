"""What differs from the published package, version 0.4.0, on purpose: what happens there, what here, and why."""

import math
from collections.abc import Callable
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor

import auraloss
from tests.material import SAMPLES, noise


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
