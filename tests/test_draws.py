"""A call draws random resolutions once, whatever holds the loss, and a repeated call has the draw of its own."""

import itertools
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from auraloss import repeated, together
from auraloss.base import Loss, WeightedSum
from auraloss.freq import RandomResolutionSTFTLoss
from auraloss.perceptual import FIRFilter, PreEmphasis, SumAndDifferenceLoss
from auraloss.time import L1Loss
from tests.loss_calls import noise

INPUT, TARGET = noise(2, 2, 600).float(), noise(2, 2, 600, seed=1).float()


def rr() -> RandomResolutionSTFTLoss:
    """Its first draw is the longest, which fits no signal of 100 samples."""
    return RandomResolutionSTFTLoss(1, 16, 256, seed=17)


class OfAll(Loss):
    """A user's loss of another, that calls it for each item."""

    def __init__(self, loss: Loss) -> None:
        super().__init__()
        self.inner = loss
        self.size = loss.size

    def _statistics(self, input: Tensor, target: Tensor) -> tuple[Tensor, ...]:
        of_items = [self.inner._statistics(x, y) for x, y in zip(input, target, strict=True)]
        return tuple(torch.stack(parts) for parts in zip(*of_items, strict=True))

    def _value(self, *statistics: Tensor) -> Tensor:
        return self.inner._value(*statistics)


def composites() -> dict[str, Loss]:
    return {
        "alone": rr(),
        "sum and difference": SumAndDifferenceLoss(rr()),
        "filtered": PreEmphasis(FIRFilter(), rr()),
        "weighted": WeightedSum({"l1": L1Loss(), "sd": SumAndDifferenceLoss(rr())}),
        "a user's": OfAll(PreEmphasis(FIRFilter(), rr())),
    }


COMPOSITES = pytest.mark.parametrize("name", composites())


def inner(loss: Loss) -> RandomResolutionSTFTLoss:
    (found,) = (module for module in loss.modules() if isinstance(module, RandomResolutionSTFTLoss))
    return found


def resolutions_of(loss: RandomResolutionSTFTLoss) -> list[tuple[int, ...]]:
    """Where the FFT sizes of all draws that follow go."""
    made: list[tuple[int, ...]] = []
    draw = loss.draw

    def noted(*args: Any) -> Any:
        drawn = draw(*args)
        made.append(drawn.fft_sizes)
        return drawn

    loss.draw = noted  # type: ignore[method-assign]
    return made


@COMPOSITES
def test_a_call_draws_once_for_the_shortest_signal(name: str) -> None:
    loss = composites()[name]
    made = resolutions_of(inner(loss))
    for lengths in ([600, 100], [100, 100]):
        loss(INPUT, TARGET, lengths)
        loss.report(INPUT, TARGET, lengths)
        loss.statistics(INPUT, TARGET, lengths)
    assert len(made) == 6
    assert max(max(sizes) for sizes in made) <= 128


def test_ranks_draw_alike_whatever_their_lengths() -> None:
    one, other = rr(), rr()
    for _ in range(3):
        one(INPUT, TARGET, [600, 600])
        other(INPUT, TARGET, [600, 140])
    assert one(INPUT, TARGET) == other(INPUT, TARGET)


def test_lengths_that_do_not_fit_draw_nothing() -> None:
    loss = rr()
    before = loss.get_extra_state()
    with pytest.raises(ValueError, match="from 1 to 600"):
        loss(INPUT, TARGET, [600, 0])
    assert torch.equal(loss.get_extra_state(), before)


# Repeated calls


def two_in_one(loss: Loss) -> Callable[[Tensor], Tensor]:
    return lambda x: loss(x, TARGET) + 2 * loss(0.5 * x, TARGET)


def padded(loss: Loss) -> Callable[[Tensor], Tensor]:
    return lambda x: loss(x, TARGET, [600, 140]) + 0 * x.sum()


def behind_a_network(loss: Loss) -> Callable[[Tensor], Tensor]:
    return lambda x: (loss(x.tanh().tanh(), TARGET) + x.square().mean()).exp()


def nested(loss: Loss) -> Callable[[Tensor], Tensor]:
    return lambda x: 2 * checkpoint(two_in_one(loss), x.tanh(), use_reentrant=False)


def backward_gradients(
    part: Callable[[Loss], Callable[[Tensor], Tensor]], loss: Loss, order: str, reentrant: bool | None
) -> list[Tensor]:
    """Gradients of three calls, of which the order of the backward passes is not that of the forward ones."""
    inputs = [(scale * INPUT).requires_grad_() for scale in (1.0, 0.5, 0.3)]
    compute = part(loss)
    values = [compute(x) if reentrant is None else checkpoint(compute, x, use_reentrant=reentrant) for x in inputs]
    loss(INPUT, TARGET)  # a validation
    if order == "together":
        torch.stack(values).sum().backward()
    else:
        for number in map(int, order):
            values[number].backward()
    return [x.grad for x in inputs if x.grad is not None]


@pytest.mark.parametrize(
    ("part", "name"),
    [
        *((two_in_one, name) for name in composites()),
        *((part, "weighted") for part in (padded, behind_a_network, nested)),
    ],
)
def test_a_repeated_call_has_its_own_draw(part: Any, name: str) -> None:
    plain = backward_gradients(part, composites()[name], "together", None)
    assert len(plain) == 3
    for order, reentrant in itertools.product(("together", "201"), (False, True)):
        gradients = backward_gradients(part, composites()[name], order, reentrant)
        torch.testing.assert_close(gradients, plain, rtol=1e-5, atol=1e-7)


def test_a_backward_pass_may_be_repeated_and_come_by_another_way() -> None:
    """Without reentry: of the graph kept, and first of an output that the loss did not make."""

    def gradient(repeat: bool) -> Tensor:
        loss = rr()
        x = INPUT.clone().requires_grad_()

        def both(x: Tensor) -> tuple[Tensor, Tensor]:
            hidden = x.tanh().exp()
            return hidden, loss(hidden, TARGET)

        outputs = [checkpoint(both, x, use_reentrant=False) if repeat else both(x) for _ in range(2)]
        for hidden, value in outputs:
            hidden.sum().backward(retain_graph=True)
            value.backward(retain_graph=True)
            value.backward()
        assert x.grad is not None
        return x.grad

    torch.testing.assert_close(gradient(True), gradient(False), rtol=1e-5, atol=1e-7)


def test_a_call_that_came_too_long_ago_is_not_repeated_with_the_draw_of_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(repeated, "REMEMBERED", 3)
    loss = rr()
    value = checkpoint(loss, INPUT.clone().requires_grad_(), TARGET, use_reentrant=False)
    for _ in range(3):
        loss(INPUT, TARGET)
    with pytest.raises(RuntimeError, match="more than 3 other calls"):
        value.backward()


# Frozen draws


@COMPOSITES
def test_a_loss_is_frozen_with_its_parts(name: str) -> None:
    loss = composites()[name]
    before = inner(loss).get_extra_state()
    frozen = loss.draw(7, 600)
    assert frozen(INPUT, TARGET) == frozen(INPUT, TARGET) == loss.draw(7, 600)(INPUT, TARGET)
    assert frozen(INPUT, TARGET) != loss.draw(8, 600)(INPUT, TARGET)
    assert torch.equal(inner(loss).get_extra_state(), before)
    assert loss(INPUT, TARGET) != loss(INPUT, TARGET)
    assert WeightedSum({"l1": L1Loss()}).draw(7)(INPUT, TARGET) == L1Loss()(INPUT, TARGET)


def test_inputs_of_one_target_are_compared_at_the_same_resolutions() -> None:
    one = INPUT[:1]
    for sums in together.statistics(composites(), torch.cat([one, one, one]), TARGET[:1]).values():
        assert torch.equal(sums[0], sums[1])
        assert torch.equal(sums[0], sums[2])
    bound = rr().bind(TARGET)
    assert bound(INPUT) == bound(INPUT) == rr()(INPUT, TARGET)


def test_the_default_device_is_not_that_of_the_draws() -> None:
    with torch.device("meta"):
        loss = rr()
        state = loss.state_dict()
        value = loss(INPUT, TARGET)
    assert value == rr()(INPUT, TARGET)
    assert all(tensor.device.type == "cpu" for tensor in state.values())
    with torch.device("meta"):
        assert RandomResolutionSTFTLoss().draw(3).fft_sizes == RandomResolutionSTFTLoss().draw(3).fft_sizes
