"""What a reader sees of the library: every class and function explains itself, and `repr` gives a loss back."""

import importlib
import inspect
import pkgutil
from typing import Any

import pytest
import torch
from torch import Tensor

import auraloss
from auraloss import base, freq, level, perceptual, time

MODULES = [importlib.import_module(f"auraloss.{module.name}") for module in pkgutil.iter_modules(auraloss.__path__)]
PUBLIC = {
    f"{module.__name__}.{name}": value
    for module in MODULES
    for name, value in vars(module).items()
    if (inspect.isclass(value) or inspect.isroutine(value))
    and not name.startswith("_")
    and getattr(value, "__module__", None) == module.__name__
}
WITHOUT_EXAMPLE = {
    "auraloss.base.check_choice": "raises or does nothing",
    "auraloss.base.check_shapes": "raises or does nothing",
    "auraloss.base.computed_once": "what it saves is time",
    "auraloss.base.common_type": "a type, and the docstring says which",
    "auraloss.base.Constants": "what it keeps is a precision, at a `.to()`",
    "auraloss.base.reduce": "a mean or a sum, and the docstring says so",
    "auraloss.filterbank.sum_into_bands": "a product of matrices, and the docstring says which",
    "auraloss.magnitude.Distances": "four sums, and the docstring gives their formulas",
    "auraloss.magnitude.bin_count": "a count",
    "auraloss.magnitude.log_shift": "a quotient",
    "auraloss.magnitude.root": "a square root; only its gradient is special",
    "auraloss.perceptual.a_weighting": "one call of FIRFilter, which has an example",
    "auraloss.perceptual.a_weighting_taps": "101 numbers; FIRFilter has an example",
    "auraloss.spectrum.check_length": "raises or does nothing",
    "auraloss.spectrum.check_sizes": "raises or does nothing",
    "auraloss.spectrum.frame_count": "a count",
    "auraloss.spectrum.overlap_add": "used within the spectrum alone, and tested by hand",
    "auraloss.spectrum.spectrum": "complex numbers; STFTLoss has an example",
    "auraloss.stft.SpectralLoss": "abstract",
    "auraloss.stft.Target": "three tensors, and the docstring says which",
    "auraloss.time.squared_error": "a sum of squares",
}


def test_every_class_and_function_has_a_docstring_with_an_example() -> None:
    for name, value in PUBLIC.items():
        assert value.__doc__, f"{name} has no docstring"
        assert (">>>" in value.__doc__) != (name in WITHOUT_EXAMPLE), name


def test_only_what_exists_is_excused_from_an_example() -> None:
    assert set(WITHOUT_EXAMPLE) <= set(PUBLIC)


# A call of every class with another value than the default for every argument.
RESOLUTION = "64, 16, 48, 'hamming_window', 0.5, 2.0, 0.3, 0.1"
OPTIONS = "scale_invariance=True, eps=1e-06, output='full', reduction='sum', mag_distance='L2', device='cpu'"
LISTS = "[64, 32], [16, 8], [48, 32], ['hamming_window', ('kaiser', 8.0)]"
DISTORTION = "zero_mean=False, eps=1e-06, reduction='none', pool='batch', floor_db=-60.0"
CALLS = [
    "L1Loss('sum', 'batch')",
    "MSELoss('sum', 'batch')",
    "ESRLoss(1e-06, 'none', 'batch', None)",
    "DCLoss(1e-06, 'none', 'batch', -60.0)",
    "LogCoshLoss(2.0, 0.5, 'sum', 'batch')",
    *(f"{name}({DISTORTION})" for name in ("SNRLoss", "SISDRLoss", "SDSDRLoss")),
    "GainReductionLoss(8000, -50.0, 0.005, 'sum', 'batch')",
    "LoudnessLoss(8000, 'sum', 'batch')",
    "CumulativeEnergyLoss('sum', 'batch', -50.0)",
    "SpectralConvergenceLoss('sum', 'batch')",
    "STFTMagnitudeLoss(False, 'L2', 'sum', 0.5, 3.0, 'batch')",
    f"STFTLoss({RESOLUTION}, 44100, 'mel', 9, True, {OPTIONS}, log_eps=0.5, log_fac=3.0, pool='batch',"
    " f_min=900.0, f_max=9000.0)",
    f"MelSTFTLoss(16000, {RESOLUTION}, 9, perceptual_weighting=True, {OPTIONS})",
    f"ChromaSTFTLoss(16000, {RESOLUTION}, 24, {OPTIONS})",
    "MultiScaleMelLoss(16000, [4, 9], [32, 64], 100.0, 7000.0, 1e-3, 2.0, 0.5, 'hamming_window', 'full', 'sum',"
    " 'batch')",
    f"MultiResolutionSTFTLoss({LISTS}, 0.5, 2.0, 0.3, 0.1, 44100, 'mel', [9, 5], True, {OPTIONS}, pool='batch')",
    "RandomResolutionSTFTLoss(2, 32, 64, 0.2, 0.6, [('tukey', 0.25), 'hann_window'], 0.5, 2.0, 0.3, 0.1, 44100,"
    " 'mel', 9, 4, 'full', 'sum', 'batch', 5, eps=1e-06, mag_distance='L2')",
    f"SumAndDifferenceSTFTLoss({LISTS}, 2.0, 0.5, 'full', w_phs=0.1, eps=1e-06)",
    "ComplexSTFTLoss(64, 16, 48, 'hamming_window', 0.5, 2.0, 0.3, 1e-6, 'sum', 'batch')",
    "SpectralTransportLoss(64, 16, 48, 'hamming_window', 1, 1e-6, 'sum', 'batch')",
    "SumAndDifferenceLoss(ESRLoss(eps=1e-06), 2.0, 0.5, 'full')",
    "SumAndDifference()",
    "FIRFilter('aw', 0.95, 16000, 51)",
    "DCBlocker(0.9)",
    "PreEmphasis(FIRFilter('fd', coef=0.5), STFTLoss(64, 16, 48, pool='batch'))",
    "WeightedSum({'b': L1Loss('sum'), 'a': STFTLoss(64, 16, 48, reduction='sum')}, {'a': 0.5, 'b': 2.0})",
]
NAMES = {name: value for module in (base, time, freq, level, perceptual) for name, value in vars(module).items()}
NOT_OF_THE_LOSS = {("FIRFilter", "plot")}  # an order, not a property


def results(made: Any) -> list[Tensor]:
    """Whatever it gives for two stereo signals, as a list of tensors."""
    signals = torch.randn(2, 2, 2, 300, generator=torch.Generator().manual_seed(0)).abs()
    given = made(*signals) if not isinstance(made, perceptual.SumAndDifference) else made(signals[0])
    return torch.utils._pytree.tree_leaves(given)


@pytest.mark.parametrize("call", CALLS)
def test_the_repr_of_a_loss_makes_it_again(call: str) -> None:
    made = eval(call, NAMES)
    again = eval(repr(made), NAMES)
    assert repr(again) == repr(made)
    assert type(again) is type(made)
    torch.testing.assert_close(results(again), results(made), rtol=0, atol=0)


def test_every_argument_of_every_public_class_is_tried() -> None:
    classes = {
        name: value
        for name, value in NAMES.items()
        if inspect.isclass(value) and issubclass(value, torch.nn.Module) and not name.startswith("_")
    }
    del classes["Loss"], classes["Constants"]  # which are abstract
    assert {call.partition("(")[0] for call in CALLS} == set(classes)
    at_default = set()
    for call in CALLS:
        made = eval(call, NAMES)
        for argument, parameter in inspect.signature(type(made)).parameters.items():
            named = parameter.kind is parameter.POSITIONAL_OR_KEYWORD
            if named and repr(getattr(made, argument, parameter.default)) == repr(parameter.default):
                at_default.add((type(made).__name__, argument))
    assert at_default == NOT_OF_THE_LOSS


@pytest.mark.parametrize(
    "call",
    ["ESRLoss(eps=1e-06, pool='batch')", "STFTLoss()", "MultiResolutionSTFTLoss()", "RandomResolutionSTFTLoss()"],
)
def test_the_repr_of_a_loss_holds_no_defaults(call: str) -> None:
    assert repr(eval(call, NAMES)) == call
