"""Every public loss on every input that has broken a loss before: silence, extremes, strides, precisions."""

import copy
import math
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import auraloss
from auraloss.base import Loss

STFT = "freq.STFTLoss(64, 16, 64"
MULTI = "freq.MultiResolutionSTFTLoss([32, 64], [8, 20], [32, 48]"

DECIBELS = [
    "time.SNRLoss()",
    "time.SNRLoss(zero_mean=False)",
    "time.SISDRLoss()",
    "time.SISDRLoss(zero_mean=False)",
    "time.SDSDRLoss()",
    "time.SDSDRLoss(zero_mean=False)",
]
TIME = [
    "time.L1Loss()",
    "time.MSELoss()",
    "time.ESRLoss()",
    "time.ESRLoss(pool='batch')",
    "time.DCLoss()",
    "time.LogCoshLoss()",
    "time.LogCoshLoss(a=100.0)",
    *DECIBELS,
    "perceptual.PreEmphasis(perceptual.FIRFilter('hp'), time.ESRLoss())",
    "perceptual.PreEmphasis(perceptual.FIRFilter('fd'), time.L1Loss())",
    "perceptual.PreEmphasis(perceptual.FIRFilter('aw', fs=48000), time.MSELoss())",
    "base.WeightedSum({'esr': time.ESRLoss(), 'dc': time.DCLoss()}, {'esr': 1.0, 'dc': 0.5})",
    "perceptual.SumAndDifferenceLoss(time.ESRLoss())",
]
SPECTRAL = [
    f"{STFT})",
    f"{STFT}, pool='batch')",
    f"{STFT}, window='kaiser_window', w_sc=0.0)",
    f"{STFT}, window='blackmanharris', w_log_mag=0.0)",
    f"{STFT}, w_sc=0.0, w_log_mag=0.0, w_lin_mag=1.0)",
    f"{STFT}, w_lin_mag=1.0, mag_distance='L2')",
    f"{STFT}, w_phs=0.5)",
    f"{STFT}, log_eps=1.0, log_fac=10.0)",
    f"{STFT}, log_eps=1e-5, mag_distance='L2', w_sc=0.0)",
    f"{STFT}, eps=1e-12)",
    f"{STFT}, scale_invariance=True)",
    f"{STFT}, perceptual_weighting=True, sample_rate=44100)",
    f"{STFT}, scale='mel', n_bins=20, sample_rate=44100)",
    f"{STFT}, scale='mel', n_bins=8, sample_rate=8000, log_eps=1.0, log_fac=10.0, w_lin_mag=1.0)",
    f"{STFT}, scale='mel', n_bins=8, sample_rate=8000, scale_invariance=True)",
    f"{STFT}, scale='chroma', n_bins=12, sample_rate=8000)",
    "freq.MelSTFTLoss(44100, 64, 16, 64, n_mels=64)",
    "freq.ChromaSTFTLoss(8000, 64, 16, 64)",
    f"{MULTI})",
    f"{MULTI}, w_lin_mag=1.0, w_phs=0.5, perceptual_weighting=True, sample_rate=48000)",
    f"{MULTI}, scale='mel', n_bins=[8, 16], sample_rate=8000)",
    "freq.RandomResolutionSTFTLoss(2, 16, 64, randomize_rate=10**6, seed=0)",
    "freq.SumAndDifferenceSTFTLoss([32, 64], [8, 20], [32, 48])",
    "freq.SumAndDifferenceSTFTLoss([64], [16], [64], w_sum=2.0, w_diff=0.5, w_phs=1.0)",
    f"perceptual.PreEmphasis(perceptual.FIRFilter('hp'), {STFT}))",
    f"perceptual.SumAndDifferenceLoss({STFT}), w_sum=1.0, w_diff=2.0)",
    f"base.WeightedSum({{'l1': time.L1Loss(), 'stft': {STFT})}})",
]
LOSSES = TIME + SPECTRAL
PER_ITEM = [call for call in LOSSES if "pool" not in call]
# One value for an item, not for a channel of it.
STEREO = [call for call in LOSSES if "SumAndDifference" in call]

SHAPE = (2, 2, 300)
T = SHAPE[-1]


def build(call: str) -> Any:
    names = {name: getattr(auraloss, name) for name in ("base", "freq", "perceptual", "time")}
    return eval(call, names)


def noise(*shape: int, seed: int = 0) -> Tensor:
    return 0.3 * torch.randn(shape or SHAPE, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def silence() -> Tensor:
    return torch.zeros(SHAPE, dtype=torch.float64)


def constant(value: float) -> Tensor:
    return torch.full(SHAPE, value, dtype=torch.float64)


def impulse(sample: int) -> Tensor:
    signal = silence()
    signal[..., sample] = 1
    return signal


def nyquist() -> Tensor:
    return 0.5 * torch.tensor([1.0, -1.0], dtype=torch.float64).repeat(T // 2).expand(SHAPE)


def ordinary() -> tuple[Tensor, Tensor]:
    """Noise, and noise that is partly the same."""
    target = noise()
    return 0.8 * target + 0.1 * noise(seed=1) + 0.01, target


def one_channel(signal: Tensor) -> Tensor:
    return signal * torch.tensor([[1.0], [0.0]])


def quiet_tail(signal: Tensor) -> Tensor:
    return torch.where(torch.arange(T) < 30, signal, 1e-7 * signal)


x, y = ordinary()
# Input and target of each case, float64, `(2, 2, 300)`.
PAIRS: dict[str, tuple[Tensor, Tensor]] = {
    "noise": (x, y),
    "silent input": (silence(), y),
    "silent target": (x, silence()),
    "both silent": (silence(), silence()),
    "full scale and silence": (torch.sign(y), silence()),
    "both 1e-9": (1e-9 * x, 1e-9 * y),
    "input 1e-9": (1e-9 * x, y),
    "target 1e-9": (x, 1e-9 * y),
    "input 1e-9, target silent": (1e-9 * x, silence()),
    "both 1e-5": (1e-5 * x, 1e-5 * y),
    "both 1e4": (1e4 * x, 1e4 * y),
    "input 1e4": (1e4 * x, y),
    "target 1e4": (x, 1e4 * y),
    "denormals": (1e-40 * x, 1e-40 * y),
    "denormal input": (1e-40 * x, y),
    "denormal target": (x, 1e-40 * y),
    "both constant": (constant(0.3), constant(0.5)),
    "constant input": (constant(0.5), y),
    "constant target": (x, constant(0.5)),
    "constant and its opposite": (constant(0.5), constant(-0.5)),
    "impulse at the first sample": (impulse(0), y),
    "impulse in the middle": (impulse(T // 2), y),
    "impulse at the last sample": (impulse(T - 1), y),
    "impulse as target": (x, impulse(0)),
    "impulses apart": (impulse(40), impulse(250)),
    "impulses one sample apart": (impulse(150), impulse(151)),
    "impulse and half of it": (0.5 * impulse(150), impulse(150)),
    "identical": (y, y.clone()),
    "opposite polarity": (-y, y),
    "one sample late": (torch.nn.functional.pad(y, (1, 0))[..., :-1], y),
    "one sample off": (y + 1e-3 * impulse(77), y),
    "half the gain": (0.5 * y, y),
    "square at the Nyquist rate": (nyquist(), y),
    "target a square at the Nyquist rate": (x, nyquist()),
    "squares at the Nyquist rate, opposite": (-nyquist(), nyquist()),
    "clipped": (torch.sign(x), torch.sign(y)),
    "one channel silent": (one_channel(x), one_channel(y)),
    "one channel of the input silent": (one_channel(x), y),
    "one channel of the target silent": (x, one_channel(y)),
    "equal channels": (x[:, :1].expand(SHAPE), y[:, :1].expand(SHAPE)),
    "long quiet tail": (quiet_tail(x), quiet_tail(y)),
    "quiet tail of the target": (x, quiet_tail(y)),
}
SILENT_TARGET = ["silent target", "full scale and silence", "input 1e-9, target silent"]

# Magnitudes know no polarity: they agree already, in a kink that no small step towards the other polarity leaves.
POLARITY = {"opposite polarity", "constant and its opposite", "squares at the Nyquist rate, opposite"}
# Below the floor all bins are equal. A gain on the target fits them as they are, so some are led below the floor.
BELOW_THE_FLOOR = {"silent input", "input 1e-9", "denormal input"}

# All of them as one batch, two items each.
EVERY_INPUT, EVERY_TARGET = (torch.cat([pair[side] for pair in PAIRS.values()]) for side in (0, 1))

every_loss = pytest.mark.parametrize("call", LOSSES)


def is_scale_invariant(call: str) -> bool:
    """Whether the target's magnitudes are scaled to the input's, whose level then does not matter."""
    return "scale_invariance" in call


def no_step_helps(call: str) -> set[str]:
    """The cases in which the loss has a local minimum that is not its least value."""
    if is_scale_invariant(call):
        return BELOW_THE_FLOOR
    return POLARITY if "w_phs" in call or ("WeightedSum" in call and "STFT" in call) else set()


def evaluate(loss: Any, input: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The loss and the gradients of its sum with respect to both signals."""
    input, target = input.detach().clone().requires_grad_(), target.detach().clone().requires_grad_()
    value = loss(input, target)
    value.sum().backward()
    assert input.grad is not None
    assert target.grad is not None
    return value.detach(), input.grad, target.grad


def values_of(call: str) -> Any:
    """The same loss with one value for each item and channel."""
    loss = build(call)
    for module in loss.modules():
        if isinstance(module, Loss):
            module.reduction = "none"
    return loss


def cases_where(wrong: Tensor) -> list[str]:
    """The names of the cases of `EVERY_INPUT` in which something is wrong; all, if their loss is pooled."""
    return [
        case
        for case, any_wrong in zip(
            PAIRS, wrong.expand(2 * len(PAIRS), *wrong.shape[1:]).reshape(len(PAIRS), -1).any(-1), strict=True
        )
        if any_wrong
    ]


def finite(*results: Tensor) -> bool:
    return all(bool(result.isfinite().all()) for result in results)


def some_step_helps(loss: Any, gradient: Tensor, input: Tensor, target: Tensor) -> bool:
    """Whether a step against the gradient lowers the loss; in float64, where rounding hides no small step."""
    if not gradient.any():
        return False
    input, target = input.double(), target.double()
    direction = gradient.double() / gradient.abs().max()
    level = torch.maximum(input.abs(), target.abs()).max()
    with torch.no_grad():
        before = loss(input, target)
        return any(loss(input - level * 10.0**-k * direction, target) < before for k in range(1, 13))


@every_loss
def test_values_and_gradients_are_finite_and_a_step_against_them_helps(call: str) -> None:
    loss = build(call)
    wrong = []
    for case, (input, target) in PAIRS.items():
        input, target = input.float(), target.float()
        value, gradient, of_target = evaluate(loss, input, target)
        if not finite(value, gradient, of_target) or (value < 0 and call not in DECIBELS):
            wrong.append(f"{case}: value {value}, largest gradients {gradient.abs().max()}, {of_target.abs().max()}")
        elif not (
            case in no_step_helps(call)
            or value <= loss(target, target) + (1e-3 if call in DECIBELS else 0)
            or some_step_helps(loss, gradient, input, target)
        ):
            wrong.append(f"{case}: value {value}, largest gradient {gradient.abs().max()}, no step lowers it")
    assert not wrong, "\n".join(wrong)


@every_loss
def test_float64_stays_float64_and_is_finite_on_every_pair(call: str) -> None:
    results = evaluate(values_of(call), EVERY_INPUT, EVERY_TARGET)
    assert {result.dtype for result in results} == {torch.float64}
    assert [cases_where(~result.isfinite()) for result in results] == [[], [], []]


# float16 is the one whose narrow range makes silence of 1e-9, and infinity of large gradients.
@every_loss
def test_float16_is_finite_on_every_pair(call: str) -> None:
    value, *gradients = evaluate(values_of(call), EVERY_INPUT.half(), EVERY_TARGET.half())
    assert value.dtype == torch.float32
    assert cases_where(~value.isfinite()) == []
    # Infinite only where float16 holds no number so large, as the exact gradients below: gradient scaling sees it.
    assert [cases_where(gradient.isnan()) for gradient in gradients] == [[], []]


@every_loss
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("case", ["noise", "silent input", "silent target", "both 1e4"])
def test_half_precision_is_computed_in_float32(call: str, case: str, dtype: torch.dtype) -> None:
    loss = build(call)
    input, target = (signal.to(dtype) for signal in PAIRS[case])
    value, *gradients = evaluate(loss, input, target)
    expected, *exact = evaluate(loss, input.float(), target.float())
    assert torch.equal(value, expected)
    for gradient, reference in zip(gradients, exact, strict=True):
        assert torch.equal(gradient, reference.to(dtype))


# What autocast could change does not depend on the level.
@every_loss
@pytest.mark.parametrize("case", ["noise", "silent input", "silent target", "identical"])
def test_autocast_changes_nothing(call: str, case: str) -> None:
    loss = build(call)
    signals = [signal.float().requires_grad_() for signal in PAIRS[case]]
    expected, *gradients = evaluate(loss, *signals)
    with torch.autocast("cpu", torch.bfloat16):
        value = loss(*signals)
    value.backward()
    assert value.dtype == torch.float32
    assert torch.equal(value, expected)
    assert [torch.equal(signal.grad, gradient) for signal, gradient in zip(signals, gradients, strict=True)] == [
        True,
        True,
    ]


@every_loss
def test_equal_signals_of_every_kind_cost_least_and_have_no_gradient(call: str) -> None:
    loss, target = values_of(call), EVERY_TARGET.float()
    value, gradient, _ = evaluate(loss, target, target)
    if call in DECIBELS:
        worse = loss(0.9 * target + 0.1 * target.roll(1, -1), target)
        assert set(cases_where(value > worse)) <= {"both 1e-5"}  # below the floor, where eps outweighs the target
    elif is_scale_invariant(call):
        assert cases_where(value > 1e-6) == []  # the gain that fits best is 1 up to rounding
    else:
        # The phases of two equal numbers differ by the rounding of their product.
        assert cases_where(value > 1e-15) == []
        assert cases_where(gradient.abs() > 1e-8) == []


def test_the_phase_alone_leads_to_the_phase_of_the_target() -> None:
    loss = build(f"{STFT}, w_sc=0.0, w_log_mag=0.0, w_phs=1.0)")
    for case, (input, target) in PAIRS.items():
        assert finite(*evaluate(loss, input.float(), target.float())), case
    value, gradient, _ = evaluate(loss, *ordinary())
    assert loss(x - 1e-2 * gradient / gradient.abs().max(), y) < value


# A silent target means one thing for every loss.

# The flat spectrum of a silent target scaled to the prediction's is as near to it at any level.
HEARS_LEVELS = [call for call in LOSSES if not is_scale_invariant(call)]


def audible() -> Tensor:
    """Noise with an offset, which is all that the DC loss hears."""
    return noise(seed=2) + 0.1


@pytest.mark.parametrize("call", HEARS_LEVELS)
def test_a_silent_target_costs_more_the_louder_the_prediction(call: str) -> None:
    loss = build(call)
    levels = [0.0, 1e-9, 1e-7, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0]
    values = [loss(level * audible(), silence()).item() for level in levels]
    assert all(map(math.isfinite, values))
    assert values == sorted(values)
    heard = [values[0], *values[levels.index(1e-3) :]]
    assert len(set(heard)) == len(heard)


@pytest.mark.parametrize("call", HEARS_LEVELS)
@pytest.mark.parametrize("level", [1e-3, 0.1, 1.0])
def test_a_silent_target_leads_the_prediction_towards_silence(call: str, level: float) -> None:
    loss = build(call)
    input = level * audible()
    value, gradient, _ = evaluate(loss, input, silence())
    along = (gradient * input).sum()
    assert along > 0  # the loss falls when the prediction is turned down
    assert loss((1 - 1e-3) * input, silence()) < value
    assert some_step_helps(loss, gradient, input, silence())


@every_loss
def test_a_silent_target_and_a_silent_prediction_are_at_rest(call: str) -> None:
    value, gradient, _ = evaluate(build(call), silence().float(), silence().float())
    assert not gradient.any()
    if call not in DECIBELS:
        assert value <= 1e-6 if is_scale_invariant(call) else value == 0


# What is not a number stays visible.


def with_sample(signal: Tensor, sample: int, value: float) -> Tensor:
    signal = signal.float()
    signal[1, 1, sample] = value
    return signal


@every_loss
@pytest.mark.parametrize("case", ["noise", "both silent", "both 1e4"])
def test_a_nan_gives_nan(call: str, case: str) -> None:
    loss = build(call)
    input, target = PAIRS[case]
    for sample in (0, 150, T - 1):
        assert loss(with_sample(input, sample, math.nan), target.float()).isnan()
        assert loss(input.float(), with_sample(target, sample, math.nan)).isnan()


@every_loss
@pytest.mark.parametrize("value", [math.inf, -math.inf])
def test_an_infinity_is_never_scored_as_a_number(call: str, value: float) -> None:
    loss = build(call)
    for input, target in (PAIRS["noise"], PAIRS["both silent"]):
        assert not loss(with_sample(input, 150, value), target.float()).isfinite()
        assert not loss(input.float(), with_sample(target, 150, value)).isfinite()


# Batches, channels, strides.


@pytest.mark.parametrize("call", PER_ITEM)
def test_the_loss_of_a_batch_is_the_mean_of_its_items_at_any_level(call: str) -> None:
    loss = build(call)
    gains = torch.tensor([1e-4, 1.0, 100.0, 0.0], dtype=torch.float64)[:, None, None]
    input, target = (gains * noise(4, 2, T, seed=seed) for seed in (5, 6))
    alone = torch.stack([loss(input[i : i + 1], target[i : i + 1]) for i in range(4)])
    torch.testing.assert_close(loss(input, target), alone.mean(), rtol=1e-9, atol=0)
    values = values_of(call)(input, target)
    assert values.shape == ((4, 1) if call in STEREO else (4, 2))
    torch.testing.assert_close(values.mean(-1), alone, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("call", [call for call in PER_ITEM if call not in STEREO])
def test_many_channels_are_many_items(call: str) -> None:
    input, target = noise(3, 17, T, seed=5), noise(3, 17, T, seed=6)
    values = values_of(call)(input, target)
    assert values.shape == (3, 17)
    flat = values_of(call)(input.reshape(51, T), target.reshape(51, T))
    torch.testing.assert_close(values.flatten(), flat, rtol=1e-9, atol=1e-12)


def test_a_large_batch_is_the_sum_of_its_items() -> None:
    """A processor computes it in parts that fit its cache."""
    loss = build("freq.STFTLoss(64, 1, 64, w_phs=0.5, reduction='sum')")
    input, target = noise(3, 1, 20_000, seed=5), noise(3, 1, 20_000, seed=6)
    value, *gradients = evaluate(loss, input, target)
    alone = [evaluate(loss, input[i : i + 1], target[i : i + 1]) for i in range(3)]
    torch.testing.assert_close(value, sum(each[0] for each in alone))
    for side, gradient in enumerate(gradients, 1):
        torch.testing.assert_close(gradient, torch.cat([each[side] for each in alone]))


@every_loss
@pytest.mark.parametrize("case", ["noise", "silent input", "silent target", "both silent", "both 1e4"])
def test_a_report_holds_the_loss_and_finite_terms(call: str, case: str) -> None:
    loss = build(call)
    input, target = (signal.float() for signal in PAIRS[case])
    report = loss.report(input, target)
    assert report["loss"] == loss(input, target)
    assert finite(*report.values())


@every_loss
def test_strides_change_neither_value_nor_gradient(call: str) -> None:
    loss = build(call)
    input, target = (signal.float() for signal in ordinary())
    expected = evaluate(loss, input, target)

    def check(view: Callable[[Tensor], Tensor], whole: Callable[[Tensor], Tensor]) -> None:
        """`whole` makes the memory that `view` sees the signal in; clones would make it contiguous."""
        leaves = [whole(signal).requires_grad_() for signal in (input, target)]
        views = [view(leaf) for leaf in leaves]
        assert not views[0].is_contiguous()
        value = loss(*views)
        value.backward()
        gradients = [view(leaf.grad) for leaf in leaves if leaf.grad is not None]
        torch.testing.assert_close([value.detach(), *gradients], list(expected), rtol=1e-5, atol=1e-6)

    check(lambda memory: memory[..., ::2], lambda signal: signal.repeat_interleave(2, -1))
    check(lambda memory: memory[..., 5:-3], lambda signal: torch.nn.functional.pad(signal, (5, 3)))
    check(lambda memory: memory.mT, lambda signal: signal.mT.contiguous())
    check(lambda memory: memory.transpose(0, 1), lambda signal: signal.transpose(0, 1).contiguous())


@every_loss
def test_an_expanded_batch_is_the_item_it_repeats(call: str) -> None:
    loss = build(call)
    input, target = (signal[:1] for signal in ordinary())
    value, gradient, of_target = evaluate(loss, input, target)
    leaves = [signal.clone().requires_grad_() for signal in (input, target)]
    repeated = loss(*(leaf.expand(3, 2, T) for leaf in leaves))
    repeated.backward()
    torch.testing.assert_close(repeated.detach(), value)
    torch.testing.assert_close([leaf.grad for leaf in leaves], [gradient, of_target])


@every_loss
def test_gradients_are_right_for_either_signal_alone_and_for_both(call: str) -> None:
    loss = build(call)
    input, target = (signal[:1] for signal in ordinary())
    _, of_input, of_target = evaluate(loss, input, target)
    alone = input.clone().requires_grad_()
    loss(alone, target).backward()
    torch.testing.assert_close(alone.grad, of_input)
    alone = target.clone().requires_grad_()
    loss(input, alone).backward()
    torch.testing.assert_close(alone.grad, of_target)
    # Loud enough that A-weighting leaves no bin below the floor of the power.
    pair = ((1e3 * input).requires_grad_(), (1e3 * target).requires_grad_())
    assert torch.autograd.gradcheck(loss, pair, eps=1e-4, atol=1e-6, rtol=1e-4, fast_mode=True)


@every_loss
def test_inputs_are_left_as_they_were(call: str) -> None:
    input, target = ordinary()
    kept = input.clone(), target.clone()
    with torch.no_grad():
        value = build(call)(input, target)
    assert torch.equal(input, kept[0])
    assert torch.equal(target, kept[1])
    assert not value.requires_grad


# The losses of magnitudes, `[*, bins, frames]`.

MAGNITUDE = [
    "freq.SpectralConvergenceLoss()",
    "freq.SpectralConvergenceLoss(pool='batch')",
    "freq.STFTMagnitudeLoss(log=False)",
    "freq.STFTMagnitudeLoss(log=False, distance='L2')",
    "freq.STFTMagnitudeLoss(log_eps=1e-5)",
    "freq.STFTMagnitudeLoss(log_eps=1.0, log_fac=10.0, distance='L2')",
]


@pytest.mark.parametrize("call", MAGNITUDE)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
def test_losses_of_magnitudes_are_finite_on_every_pair(call: str, dtype: torch.dtype) -> None:
    loss = build(call)
    wrong = []
    for case, pair in PAIRS.items():
        input, target = (signal.to(dtype).abs().unflatten(-1, (20, 15)) for signal in pair)
        value, *gradients = evaluate(loss, input, target)
        same = loss(target, target)
        if not finite(value, *gradients) or value < 0 or same != 0:
            wrong.append(f"{case}: value {value}, {same} for equal magnitudes")
    assert not wrong, "\n".join(wrong)


# Users' mistakes.

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


@pytest.mark.parametrize("call", [call for call in SPECTRAL if "Random" not in call])
def test_signals_too_short_for_a_resolution_are_refused_with_both_numbers(call: str) -> None:
    with pytest.raises(ValueError, match=r"fft_size=64.*32 samples, got 32"):
        build(call)(torch.ones(1, 2, 32), torch.ones(1, 2, 32))
    assert build(call)(torch.ones(1, 2, 33), torch.ones(1, 2, 33)).isfinite()


@pytest.mark.parametrize("call", STEREO)
@pytest.mark.parametrize("shape", [(2, 1, 300), (2, 3, 300), (300,)])
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
        ("freq.STFTMagnitudeLoss(distance='L3')", r"distance='L3'.*'L1', 'L2'"),
        ("perceptual.FIRFilter('lp')", r"filter_type='lp'.*'hp', 'fd', 'aw'"),
        ("perceptual.FIRFilter('aw', ntaps=100)", "ntaps=100.*odd"),
        ("perceptual.FIRFilter('aw', ntaps=-1)", "ntaps=-1"),
        ("perceptual.FIRFilter('aw', fs=0)", "fs=0"),
        ("time.LogCoshLoss(a=0.0)", "a=0.0.*positive"),
        ("base.WeightedSum({})", r"\[\]"),
        (f"base.WeightedSum({{'esr': {ESR}}}, {{'dc': 1.0}})", r"\['esr'\].*\['dc'\]"),
        (f"base.WeightedSum({{'a': {ESR}, 'b': time.L1Loss('sum')}})", "mean.*sum"),
    ],
)
def test_bad_arguments_are_refused_at_construction_by_name(call: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build(call)


# Windows, filterbanks and taps go where the loss goes.


@every_loss
def test_a_loss_keeps_its_value_through_copies_and_state(call: str) -> None:
    loss = build(call)
    signals = [signal.float() for signal in ordinary()]
    expected = loss(*signals)
    for copied in (copy.deepcopy(loss), pickle.loads(pickle.dumps(loss)), build(call)):
        copied.load_state_dict(loss.state_dict())
        assert copied(*signals) == expected
        assert list(copied.state_dict()) == list(loss.state_dict())
    assert not list(loss.parameters())


@every_loss
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64], ids=str)
def test_moving_a_loss_to_another_precision_does_not_move_its_value(call: str, dtype: torch.dtype) -> None:
    loss = build(call)
    signals = [signal.float() for signal in ordinary()]
    expected = loss(*signals)
    moved = loss.to(dtype)(*signals)
    assert moved.dtype == torch.float32
    torch.testing.assert_close(moved, expected, rtol=1e-6, atol=0)
    exact = loss(*(signal.double() for signal in signals))
    assert exact.dtype == torch.float64
    torch.testing.assert_close(exact, expected.double(), rtol=1e-4, atol=1e-5)


@every_loss
def test_a_loss_made_without_memory_is_filled_by_its_state(call: str) -> None:
    loss, empty = build(call), build(call).to("meta")
    assert {buffer.device.type for buffer in empty.buffers()} <= {"meta"}
    empty.to_empty(device="cpu").load_state_dict(loss.state_dict())
    signals = [signal.float() for signal in ordinary()]
    assert empty(*signals) == loss(*signals)


@pytest.mark.parametrize("call", [call for call in SPECTRAL if "Random" not in call])
def test_spectral_losses_hold_every_tensor_as_a_buffer(call: str) -> None:
    loss = build(call)
    loose = [name for module in loss.modules() for name, value in vars(module).items() if isinstance(value, Tensor)]
    assert not loose
    assert list(loss.buffers())


class Step(torch.nn.Module):
    """A network and its loss in one module, as one wraps them for training in parallel."""

    def __init__(self, call: str) -> None:
        super().__init__()
        self.network = torch.nn.Conv1d(2, 2, 3, padding=1)
        generator = torch.Generator().manual_seed(0)
        for parameter in self.network.parameters():
            parameter.data = 0.5 * torch.randn(parameter.shape, generator=generator)
        self.loss = build(call)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        value: Tensor = self.loss(self.network(input), target)
        return value


def trained(step: Callable[[Tensor, Tensor], Tensor], network: torch.nn.Module) -> list[Tensor]:
    """The loss and the gradients of the network's parameters."""
    network.zero_grad()
    value = step(*(signal.float() for signal in ordinary()))
    value.backward()
    return [value.detach(), *(parameter.grad for parameter in network.parameters() if parameter.grad is not None)]


@pytest.fixture(scope="module")
def one_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A process group of this process alone."""
    store = torch.distributed.FileStore(str(tmp_path_factory.mktemp("ddp") / "store"), 1)
    torch.distributed.init_process_group("gloo", store=store, rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()


@every_loss
@pytest.mark.usefixtures("one_process")
def test_distributed_training_gives_the_same_step(call: str) -> None:
    plain, step = Step(call), Step(call)
    expected = trained(plain, plain.network)
    distributed = torch.nn.parallel.DistributedDataParallel(step)
    for result in (trained(distributed, step.network), trained(distributed, step.network)):
        torch.testing.assert_close(result, expected)


# torch's compiler makes an instance of each autograd function, and warns of that itself.
compiles = pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")


def compiled_equals_eager(call: str, backend: str, fullgraph: bool) -> None:
    torch._dynamo.reset()
    plain, step = Step(call), Step(call)
    compiled = torch.compile(step, backend=backend, fullgraph=fullgraph)
    torch.testing.assert_close(trained(compiled, step.network), trained(plain, plain.network), rtol=1e-4, atol=1e-5)


@compiles
@pytest.mark.parametrize("call", ["time.L1Loss()", "time.ESRLoss()", "time.LogCoshLoss()", "time.SISDRLoss()"])
def test_a_loss_of_the_waveform_compiles_as_one_graph(call: str) -> None:
    compiled_equals_eager(call, "aot_eager", fullgraph=True)


@compiles
@pytest.mark.slow
@pytest.mark.parametrize("call", TIME)
def test_every_loss_of_the_waveform_compiles_as_one_graph(call: str) -> None:
    compiled_equals_eager(call, "aot_eager", fullgraph=True)


# Random resolutions are left to eager code; the compiler looks at `.grad` of what it hands over, and warns itself.
@compiles
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor")
@pytest.mark.slow
@pytest.mark.parametrize("call", SPECTRAL)
def test_spectral_losses_work_inside_a_compiled_step(call: str) -> None:
    compiled_equals_eager(call, "aot_eager", fullgraph=False)


# Warnings of the compiler itself: of its own imports, and that it leaves complex numbers to eager code.
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:Torchinductor does not support")
@pytest.mark.slow
@pytest.mark.parametrize("call", [TIME[2], TIME[9], SPECTRAL[0], SPECTRAL[12]])
def test_generated_code_gives_the_same_step(call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    compiled_equals_eager(call, "inductor", fullgraph=call in TIME)
