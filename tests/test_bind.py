"""A loss bound to a target gives what it gives of both signals, and computes nothing of the target twice."""

from typing import Any

import pytest
import torch
from torch import Tensor

from auraloss import stft
from auraloss.freq import MultiResolutionSTFTLoss
from auraloss.perceptual import FIRFilter, PreEmphasis
from auraloss.time import L1Loss
from tests.loss_calls import build, every_loss, ordinary

ordinary_pair = tuple(signal.float() for signal in ordinary())


def with_gradient(loss: Any, *signals: Tensor) -> tuple[Tensor, Tensor]:
    input = signals[0].clone().requires_grad_()
    value = loss(input, *signals[1:])
    return value, torch.autograd.grad(value, input)[0]


@every_loss
def test_a_bound_loss_is_the_loss(call: str) -> None:
    input, target = ordinary_pair
    loss = build(call)
    bound = loss.bind(target)
    for signal in (input, 0 * input, input.half(), input.double()):
        value, gradient = with_gradient(bound, signal)
        expected, its_gradient = with_gradient(loss, signal, target)
        assert torch.equal(value, expected)
        assert torch.equal(gradient, its_gradient)
    report, expected = bound.report(input), loss.report(input, target)
    assert report.keys() == expected.keys()
    assert torch.equal(report["loss"], expected["loss"])
    assert torch.equal(bound.statistics(input), loss.statistics(input, target))


def test_the_target_is_transformed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = []
    original = stft.spectrum
    monkeypatch.setattr(stft, "spectrum", lambda x, *rest: rows.append(len(x)) or original(x, *rest))
    input, target = ordinary_pair
    bound = build("freq.MultiResolutionSTFTLoss([64, 32], [16, 8], [64, 32])").bind(target)
    for count in (16, 24, 32):  # two resolutions of four rows: target and input, then the input alone
        bound(input)
        assert sum(rows) == count


def test_what_was_prepared_in_an_evaluation_serves_a_training() -> None:
    input, target = ordinary_pair
    with torch.inference_mode():
        bound = build("freq.STFTLoss(64, 16, 64)").bind(target + 0)
        bound(input)
    assert with_gradient(bound, input)[1].any()


def test_a_filter_of_both_signals_at_once_is_applied_to_both() -> None:
    class Louder(torch.nn.Module):
        def forward(self, input: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
            return input * target.abs().max(), target

    input, target = ordinary_pair
    for filter in (Louder(), FIRFilter("hp")):
        loss = PreEmphasis(filter, L1Loss())
        assert torch.equal(loss.bind(target)(input), loss(input, target))


class Trained(torch.nn.Module):
    """A filter of two taps in a module that scales what it gives."""

    def __init__(self) -> None:
        super().__init__()
        self.filter = torch.nn.Conv1d(1, 1, 2, bias=False)

    def forward(self, input: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        return self.filter(input) / 2, self.filter(target) / 2


def test_a_filter_within_a_module_is_not_taken_for_the_module_and_may_be_trained() -> None:
    input, target = (signal[:, :1] for signal in ordinary_pair)
    filter = Trained()
    loss = PreEmphasis(filter, L1Loss())
    bound = loss.bind(target)
    for _ in range(2):
        assert torch.equal(bound(input), loss(input, target))
        with torch.no_grad():
            filter.filter.weight.mul_(3.0)


def test_a_target_gets_no_gradient_and_every_output_its_shape() -> None:
    input, target = ordinary_pair
    target = target.clone().requires_grad_()
    value, *terms = build("freq.MultiResolutionSTFTLoss([64], [16], [64], output='full')").bind(target)(input)
    assert not value.requires_grad
    assert [len(term) for term in terms] == [1, 1, 1, 1]
    values = build("time.ESRLoss(reduction='none')").bind(target)(input)
    assert values.shape == (2, 2)


def test_an_input_of_another_shape_is_refused() -> None:
    bound = MultiResolutionSTFTLoss().bind(torch.zeros(1, 4096))
    assert repr(bound) == "MultiResolutionSTFTLoss().bind((1, 4096))"
    with pytest.raises(ValueError, match=r"input \(1, 4095\) and target \(1, 4096\) must have the same shape"):
        bound(torch.zeros(1, 4095))
    with pytest.raises(ValueError, match="hold no samples"):
        MultiResolutionSTFTLoss().bind(torch.zeros(1, 0))
