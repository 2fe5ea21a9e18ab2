"""First and second derivatives of every loss, for both signals, against finite differences."""

from typing import Any

import torch

from tests.loss_calls import build, evaluate, every_loss, ordinary, pooled

# Whether gradients may be missing, `check_undefined_grad`, matters to functions of several outputs.
FAST: dict[str, Any] = {"fast_mode": True, "check_undefined_grad": False}


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
    assert torch.autograd.gradcheck(loss, pair, eps=1e-4, atol=1e-10, rtol=1e-4, **FAST)


@every_loss
def test_gradients_flow_through_a_pool(call: str) -> None:
    # Loud enough that A-weighting leaves no bin below the floor of the power.
    signals = tuple((1e3 * signal).requires_grad_() for signal in ordinary())
    assert torch.autograd.gradcheck(pooled(call), signals, eps=1e-4, atol=1e-10, rtol=1e-4, **FAST)


@every_loss
def test_second_derivatives_are_right(call: str) -> None:
    signals = tuple((10 * signal[:1, :, :150]).requires_grad_() for signal in ordinary())
    assert torch.autograd.gradgradcheck(build(call), signals, eps=1e-5, atol=1e-8, rtol=1e-3, **FAST)
