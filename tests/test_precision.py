"""Half precision is computed in float32, float64 stays float64, and autocast changes nothing."""

import torch

from tests.hostile_pairs import EVERY_INPUT, EVERY_TARGET, PAIRS, cases_where
from tests.loss_calls import build, evaluate, every_loss, ordinary, values_of


@every_loss
def test_float64_stays_float64_and_is_finite_on_every_pair(call: str) -> None:
    results = evaluate(values_of(call), EVERY_INPUT, EVERY_TARGET)
    assert {result.dtype for result in results} == {torch.float64}
    assert [cases_where(~result.isfinite()) for result in results] == [[], [], []]


# The cast is the same for all signals: bfloat16 has the fewest digits, float16 the smallest range. So half precision is
# finite where float32 is, which is tried on every pair in `test_hostile_inputs.py`.
@every_loss
def test_half_precision_is_computed_in_float32(call: str) -> None:
    loss = build(call)
    for dtype, case in ((torch.bfloat16, "noise"), (torch.float16, "both 1e4")):
        input, target = (signal.to(dtype) for signal in PAIRS[case])
        value, *gradients = evaluate(loss, input, target)
        expected, *exact = evaluate(loss, input.float(), target.float())
        assert torch.equal(value, expected)
        for gradient, reference in zip(gradients, exact, strict=True):
            assert torch.equal(gradient, reference.to(dtype))


# What autocast changes, products and convolutions, does not depend on the signal.
@every_loss
def test_autocast_changes_nothing(call: str) -> None:
    loss = build(call)
    signals = [signal.float().requires_grad_() for signal in PAIRS["noise"]]
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
def test_moving_a_loss_to_another_precision_does_not_move_its_value(call: str) -> None:
    signals = [signal.float() for signal in ordinary()]
    expected = build(call)(*signals)
    for dtype in (torch.float64, torch.bfloat16):
        loss = build(call).to(dtype)
        moved = loss(*signals)
        assert moved.dtype == torch.float32
        torch.testing.assert_close(moved, expected, rtol=1e-6, atol=0)
    exact = loss(*(signal.double() for signal in signals))
    assert exact.dtype == torch.float64
    torch.testing.assert_close(exact, expected.double(), rtol=1e-4, atol=1e-5)
