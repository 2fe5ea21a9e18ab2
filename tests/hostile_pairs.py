"""Pairs of input and target that have broken a loss before, by name."""

from collections.abc import Callable

import torch
from torch import Tensor

from tests.loss_calls import SHAPE, STEPS, Pair, T, build, everywhere, ordinary


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


def one_channel(signal: Tensor) -> Tensor:
    return signal * torch.tensor([[1.0], [0.0]])


def quiet_tail(signal: Tensor) -> Tensor:
    return torch.where(torch.arange(T) < 30, signal, 1e-7 * signal)


x, y = ordinary()
# Input and target of each case, float64, `(2, 2, 300)`.
PAIRS: dict[str, Pair] = {
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

# All of them as one batch, an item of two channels each.
EVERY_INPUT, EVERY_TARGET = (torch.cat([pair[side][:1] for pair in PAIRS.values()]) for side in (0, 1))


def of_each_case(call: str) -> Callable[[Tensor, Tensor], Tensor]:
    """The loss of each case of such a batch: of all at once, where it does not pool them."""
    loss = build(call)
    if "pool" in call:
        return lambda input, target: torch.stack(list(map(loss, input.split(1), target.split(1))))
    everywhere(loss, reduction="none")
    return lambda input, target: loss(input, target).reshape(len(input), -1).mean(-1)


def steps_help(loss: Callable[[Tensor, Tensor], Tensor], gradient: Tensor, input: Tensor, target: Tensor) -> Tensor:
    """For each case, whether a step against its gradient lowers its loss; in float64, as in `some_step_helps`."""

    def peak(signal: Tensor) -> Tensor:
        return signal.abs().amax((1, 2), keepdim=True)

    input, target, gradient = input.double(), target.double(), gradient.double()
    by = gradient / peak(gradient).clamp(min=torch.finfo(torch.float64).tiny) * torch.maximum(peak(input), peak(target))
    with torch.no_grad():
        before = loss(input, target)
        helped = torch.zeros(len(before), dtype=torch.bool)
        for step in STEPS:
            left = ~helped
            if left.any():
                helped[left] = loss(input[left] - step * by[left], target[left]) < before[left]
    return helped


def cases_where(wrong: Tensor) -> list[str]:
    """The names of the cases of `EVERY_INPUT` in which something is wrong; all, if their loss is pooled."""
    of_case = wrong.expand(len(PAIRS), *wrong.shape[1:]).reshape(len(PAIRS), -1).any(-1)
    return [case for case, is_wrong in zip(PAIRS, of_case, strict=True) if is_wrong]
