"""Items and channels side by side: each counts by itself, wherever it lies in memory."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from auraloss import stft
from tests.loss_calls import OF_ITEM, PER_ITEM, T, build, evaluate, every_loss, for_each, noise, ordinary, values_of


@for_each(PER_ITEM)
def test_the_loss_of_a_batch_is_the_mean_of_its_items_at_any_level(call: str) -> None:
    loss = build(call)
    gains = torch.tensor([1e-4, 1.0, 100.0, 0.0], dtype=torch.float64)[:, None, None]
    input, target = (gains * noise(4, 2, T, seed=seed) for seed in (5, 6))
    alone = torch.stack([loss(input[i : i + 1], target[i : i + 1]) for i in range(4)])
    torch.testing.assert_close(loss(input, target), alone.mean(), rtol=1e-9, atol=0)
    values = values_of(call)(input, target)
    assert values.shape == ((4, 1) if call in OF_ITEM else (4, 2))
    torch.testing.assert_close(values.mean(-1), alone, rtol=1e-9, atol=1e-12)


@for_each([call for call in PER_ITEM if call not in OF_ITEM])
def test_many_channels_are_many_items(call: str) -> None:
    input, target = noise(3, 17, T, seed=5), noise(3, 17, T, seed=6)
    values = values_of(call)(input, target)
    assert values.shape == (3, 17)
    flat = values_of(call)(input.reshape(51, T), target.reshape(51, T))
    torch.testing.assert_close(values.flatten(), flat, rtol=1e-9, atol=1e-12)


def test_a_large_batch_is_the_sum_of_its_items(monkeypatch: pytest.MonkeyPatch) -> None:
    """A processor computes it in parts that fit its cache; here, one item is more than that."""
    monkeypatch.setattr(stft, "CACHE_BINS", 10_000)
    loss = build("freq.STFTLoss(64, 1, 64, w_phs=0.5, reduction='sum')")
    input, target = noise(3, 1, 400, seed=5), noise(3, 1, 400, seed=6)
    value, *gradients = evaluate(loss, input, target)
    alone = [evaluate(loss, input[i : i + 1], target[i : i + 1]) for i in range(3)]
    torch.testing.assert_close(value, sum(each[0] for each in alone))
    for side, gradient in enumerate(gradients, 1):
        torch.testing.assert_close(gradient, torch.cat([each[side] for each in alone]))


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
def test_inputs_are_left_as_they_were(call: str) -> None:
    input, target = ordinary()
    kept = input.clone(), target.clone()
    with torch.no_grad():
        value = build(call)(input, target)
    assert torch.equal(input, kept[0])
    assert torch.equal(target, kept[1])
    assert not value.requires_grad


@for_each([call for call in PER_ITEM if call not in OF_ITEM])
def test_any_dimensions_before_the_samples(call: str) -> None:
    loss, (input, target) = values_of(call), ordinary()
    values = loss(input, target)
    for shape in ((4, T), (2, 1, 2, T)):
        torch.testing.assert_close(loss(input.view(shape), target.view(shape)), values.view(shape[:-1]))
    torch.testing.assert_close(loss(input[0, 1], target[0, 1]), values[0, 1])
