"""Every known defect of the published package, version 0.4.0: right here, and still wrong there.

A check states what is right, for either package. It must pass with ours, and with the published one it must end in
the named exception: an `AssertionError` is a wrong result, anything else is how the call crashes.
"""

import math
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import auraloss

Check = Callable[[Any], None]
DEFECTS: list[Any] = []


def ends_there_in(error: type[BaseException]) -> Callable[[Check], Check]:
    """Registers a check, with the exception that it ends in for the published package."""

    def register(check: Check) -> Check:
        DEFECTS.append(pytest.param(check, error, id=check.__name__))
        return check

    return register


def noise(*shape: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    target = 0.3 * torch.randn(shape, generator=generator)
    return 0.8 * target + 0.1 * torch.randn(shape, generator=generator), target


def gradient(loss: Any, input: Tensor, target: Tensor) -> Tensor:
    input = input.clone().requires_grad_()
    loss(input, target).backward()
    assert input.grad is not None
    return input.grad


# FIR filters


@ends_there_in(AssertionError)
def filters_keep_the_length(package: Any) -> None:
    for kind in ("hp", "fd"):
        for filtered in package.perceptual.FIRFilter(kind)(*noise(1, 1, 500)):
            assert filtered.shape == (1, 1, 500)


@ends_there_in(AssertionError)
def filters_look_back(package: Any) -> None:
    impulse = torch.zeros(1, 1, 9)
    impulse[..., 4] = 1
    for kind, expected in (("hp", [1, -0.85, 0]), ("fd", [1, 0, -0.85])):
        filtered, _ = package.perceptual.FIRFilter(kind)(impulse, impulse)
        start = int(filtered.flatten().nonzero()[0])
        torch.testing.assert_close(filtered[0, 0, start : start + 3], torch.tensor(expected))


@ends_there_in(RuntimeError)
def filters_take_any_number_of_channels(package: Any) -> None:
    fir = package.perceptual.FIRFilter("aw")
    input, target = noise(2, 3, 500)
    torch.testing.assert_close(fir(input, target)[0][:, 1:2], fir(input[:, 1:2], target[:, 1:2])[0])


@ends_there_in(RuntimeError)
def filters_follow_the_signal(package: Any) -> None:
    """Of another precision here, since there is always a CPU; of another device by the same conversion."""
    input, target = noise(1, 1, 500)
    filtered, _ = package.perceptual.FIRFilter("aw")(input.double(), target.double())
    assert filtered.dtype == torch.float64


# Spectral losses


@ends_there_in(TypeError)
def chroma_can_be_constructed(package: Any) -> None:
    assert package.freq.ChromaSTFTLoss(44100)(*noise(1, 1, 4000)) > 0


@ends_there_in(RuntimeError)
def scale_invariance_takes_a_batch(package: Any) -> None:
    """Each item is scaled by its own factor: equal items of different gains cost the same."""
    loss = package.freq.STFTLoss(scale_invariance=True)
    input, target = noise(1, 1, 4000)
    batch = torch.cat([target, 0.1 * target, 3 * target])
    torch.testing.assert_close(loss(input.expand(3, 1, -1), batch), loss(input, target), rtol=1e-4, atol=0)


@ends_there_in(RuntimeError)
def several_resolutions_can_be_left_unreduced(package: Any) -> None:
    loss = package.freq.MultiResolutionSTFTLoss(reduction="none")
    assert loss(*noise(3, 2, 4000)).shape == (3, 2)


@ends_there_in(AssertionError)
def unreduced_is_one_value_for_each_item_and_channel(package: Any) -> None:
    values = package.freq.STFTLoss(reduction="none")(*noise(3, 2, 4000))
    assert values.shape == (3, 2)
    input, target = noise(3, 2, 4000)
    alone = package.freq.STFTLoss()(input[1:2, 1:2], target[1:2, 1:2])
    torch.testing.assert_close(values[1, 1], alone)


@ends_there_in(AssertionError)
def mel_bands_may_be_empty(package: Any) -> None:
    loss = package.freq.MelSTFTLoss(44100, fft_size=512, hop_size=128, win_length=512, n_mels=128)
    assert loss(*noise(1, 1, 4000)).isfinite()


@ends_there_in(NameError)
def mel_bands_need_no_librosa(package: Any) -> None:
    with pytest.MonkeyPatch.context() as patch:
        for name in ("librosa", "librosa.filters"):
            patch.setitem(sys.modules, name, None)
        assert package.freq.MelSTFTLoss(44100, n_mels=41)(*noise(1, 1, 4000)) > 0


@ends_there_in(AssertionError)
def a_silent_prediction_is_led_on(package: Any) -> None:
    _, target = noise(1, 1, 4000)
    assert gradient(package.freq.STFTLoss(), torch.zeros_like(target), target).any()


@ends_there_in(ValueError)
def channels_and_batch_may_be_left_out(package: Any) -> None:
    loss = package.freq.STFTLoss()
    input, target = noise(1, 1, 4000)
    assert loss(input[0], target[0]) == loss(input, target)


@ends_there_in(RuntimeError)
def signals_may_be_strided(package: Any) -> None:
    loss = package.freq.STFTLoss(w_sc=0.0)  # of which a batch is the mean over its items in either package
    input, target = noise(3, 2, 4000)
    strided = (signal.transpose(0, 1) for signal in (input, target))
    torch.testing.assert_close(loss(*strided), loss(input, target))


@ends_there_in(pytest.fail.Exception)
def a_mistyped_output_is_refused(package: Any) -> None:
    with pytest.raises(ValueError, match="typo"):
        package.freq.STFTLoss(output="typo")(*noise(1, 1, 4000))


PHASE = {"w_sc": 0.0, "w_log_mag": 0.0, "w_phs": 1.0}


@ends_there_in(AssertionError)
def the_phase_term_is_reduced_like_the_others(package: Any) -> None:
    assert package.freq.STFTLoss(**PHASE, reduction="none")(*noise(3, 2, 4000)).shape == (3, 2)


@ends_there_in(AssertionError)
def differences_of_phase_are_wrapped(package: Any) -> None:
    """The angles of independent noises differ by −π … π, evenly: π²/3 on average, and π² at most."""
    first, second = noise(1, 1, 40_000)[1], torch.randn(1, 1, 40_000, generator=torch.Generator().manual_seed(1))
    assert package.freq.STFTLoss(**PHASE)(first, second).item() == pytest.approx(math.pi**2 / 3, rel=0.05)


# Random resolutions

SMALL = {"min_fft_size": 64, "max_fft_size": 128}


@ends_there_in(AssertionError)
def random_resolutions_obey_torchs_seed(package: Any) -> None:
    values = []
    for seed in (1, 2):
        torch.manual_seed(0)
        np.random.seed(seed)  # noqa: NPY002  it should not matter
        loss = package.freq.RandomResolutionSTFTLoss(**SMALL)
        values.append([loss(*noise(1, 1, 4096)).item() for _ in range(3)])
    assert values[0] == values[1]


@ends_there_in(ValueError)
def the_largest_fft_size_is_drawn(package: Any) -> None:
    loss = package.freq.RandomResolutionSTFTLoss(min_fft_size=64, max_fft_size=64)
    assert loss(*noise(1, 1, 4096)).isfinite()


@ends_there_in(AssertionError)
def the_hop_never_exceeds_the_window(package: Any) -> None:
    """Else there are samples between the windows that no frame hears: they have no gradient."""
    np.random.seed(0)  # noqa: NPY002  of the published draws
    loss = package.freq.RandomResolutionSTFTLoss(1, **SMALL, min_hop_size=1.0, windows=["hamming_window"])
    for _ in range(10):
        assert (gradient(loss, *noise(1, 1, 4096)) != 0).all()


@ends_there_in(AssertionError)
def windows_are_not_built_anew_for_every_call(package: Any) -> None:
    built = []
    original = torch.hann_window
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch, "hann_window", lambda *args, **keys: built.append(args) or original(*args, **keys))
        loss = package.freq.RandomResolutionSTFTLoss(**SMALL, windows=["hann_window"])
        for _ in range(40):
            loss(*noise(1, 1, 4096))
    assert len(built) <= 10  # two FFT sizes, three windows each: four lengths


@ends_there_in(AssertionError)
def random_resolutions_pass_options_on(package: Any) -> None:
    loss = package.freq.RandomResolutionSTFTLoss(**SMALL, eps=1e9)  # above which there is nothing to compare
    assert loss(*noise(1, 1, 4096)) == 0


@ends_there_in(ValueError)
def random_resolutions_run_on_the_papers_crops(package: Any) -> None:
    assert package.freq.RandomResolutionSTFTLoss()(*noise(1, 1, 18_446)).isfinite()


# Time domain


@ends_there_in(AssertionError)
def log_cosh_of_a_large_error_is_finite(package: Any) -> None:
    error = torch.full((1, 1, 10), 200.0)
    value = package.time.LogCoshLoss()(error, torch.zeros_like(error))
    assert value.item() == pytest.approx(200 - math.log(2))


@ends_there_in(AssertionError)
def log_cosh_of_a_small_error_is_exact(package: Any) -> None:
    error = torch.full((1, 1, 10), 1e-4)
    value = package.time.LogCoshLoss()(error, torch.zeros_like(error))
    assert value.item() == pytest.approx(5e-9, rel=1e-4)


@ends_there_in(AssertionError)
def a_silent_target_does_not_outweigh_everything(package: Any) -> None:
    """The error at −40 dB of a target that counts as −90 dB: 50 dB, in place of 3e12 for noise at full scale."""
    error = torch.full((1, 1, 44_100), 0.01)
    assert package.time.ESRLoss()(error, torch.zeros_like(error)).item() == pytest.approx(1e5, rel=1e-3)


@ends_there_in(pytest.fail.Exception)
def unequal_shapes_are_refused(package: Any) -> None:
    input, target = noise(4, 100)
    with pytest.raises(ValueError, match=r"\(4, 100\).*\(4, 1, 100\)"):
        package.time.ESRLoss()(input, target[:, None])


# Buffers and precision


@ends_there_in(AssertionError)
def windows_are_buffers(package: Any) -> None:
    """What `.to()` moves, to whatever device, and `state_dict` holds."""
    loss = package.freq.MultiResolutionSTFTLoss()
    assert len(loss.state_dict()) == 3
    assert {buffer.device.type for buffer in loss.to("meta").buffers()} == {"meta"}


@ends_there_in(AssertionError)
def taps_are_buffers(package: Any) -> None:
    """Not parameters, which an optimizer would be given."""
    fir = package.perceptual.FIRFilter("hp")
    assert list(fir.parameters()) == []
    assert [tuple(buffer.shape)[-1] for buffer in fir.buffers()] == [2]


@ends_there_in(AttributeError)
def scipys_windows_keep_float32(package: Any) -> None:
    input, target = noise(1, 1, 4000)
    assert package.freq.STFTLoss(window="blackmanharris")(input, target).dtype == torch.float32


@ends_there_in(RuntimeError)
def half_precision_can_be_filtered(package: Any) -> None:
    input, target = noise(1, 1, 4000)
    for dtype in (torch.float16, torch.bfloat16):
        value = package.freq.STFTLoss(perceptual_weighting=True, sample_rate=44100)(input.to(dtype), target.to(dtype))
        assert value.dtype == torch.float32


@ends_there_in(AssertionError)
def half_precision_is_summed_in_float32(package: Any) -> None:
    input, target = (10 * signal.half() for signal in noise(1, 1, 10_000))  # whose energy is beyond 65,504
    torch.testing.assert_close(
        package.time.ESRLoss()(input, target), package.time.ESRLoss()(input.float(), target.float())
    )


@ends_there_in(RuntimeError)
def half_precision_can_be_transformed_in_a_module_of_half_precision(package: Any) -> None:
    """There, the filterbank follows the module and the window does not; nor does an FFT take every size and type."""
    input, target = noise(1, 1, 4000)
    for dtype in (torch.float16, torch.bfloat16):
        loss = package.freq.MelSTFTLoss(44100, fft_size=600, win_length=600, n_mels=20).to(dtype)
        assert loss(input.to(dtype), target.to(dtype)).isfinite()


@pytest.mark.filterwarnings("ignore:Empty filters detected:UserWarning")
@pytest.mark.parametrize(("check", "error"), DEFECTS)
def test_is_right_here(check: Check, error: type[BaseException]) -> None:
    check(auraloss)


@pytest.mark.filterwarnings("ignore:Empty filters detected:UserWarning")
@pytest.mark.parametrize(("check", "error"), DEFECTS)
def test_is_wrong_there(published: ModuleType, check: Check, error: type[BaseException]) -> None:
    with pytest.raises(error):
        check(published)
