"""A report holds the loss and its terms, under the names that the documentation gives, from one pass."""

import pytest
import torch

from tests.hostile_pairs import PAIRS
from tests.loss_calls import (
    LOSSES,
    MAGNITUDE,
    MULTI,
    OF_ITEM,
    STFT,
    build,
    evaluate,
    every_loss,
    finite,
    for_each,
    ordinary,
    values_of,
)

DEFAULT = {"spectral_convergence": 1.0, "log_magnitude": 1.0}
ALL_FOUR = "w_sc=0.1, w_log_mag=2.0, w_lin_mag=3.0, w_phs=0.4"
OF_ALL_FOUR = {"spectral_convergence": 0.1, "log_magnitude": 2.0, "linear_magnitude": 3.0, "phase": 0.4}
# The names in a report of each loss that is made of terms, and the weights that add them up to the loss.
TERMS: dict[str, dict[str, float]] = {
    f"{STFT})": DEFAULT,
    f"{STFT}, w_sc=0.0)": {"log_magnitude": 1.0},
    f"{STFT}, {ALL_FOUR})": OF_ALL_FOUR,
    f"{STFT}, {ALL_FOUR}, pool='batch')": OF_ALL_FOUR,
    f"freq.MelSTFTLoss(44100, 64, 16, 64, n_mels=20, {ALL_FOUR})": OF_ALL_FOUR,
    f"freq.ChromaSTFTLoss(8000, 64, 16, 64, {ALL_FOUR})": OF_ALL_FOUR,
    f"{MULTI}, {ALL_FOUR})": OF_ALL_FOUR,
    f"freq.RandomResolutionSTFTLoss(2, 16, 64, {ALL_FOUR}, randomize_rate=10**6, seed=0)": OF_ALL_FOUR,
    "freq.SumAndDifferenceSTFTLoss([32], [8], [32], w_sum=3.0, w_diff=0.5)": {"sum": 1.5, "difference": 0.25},
    "perceptual.SumAndDifferenceLoss(time.ESRLoss(), 3.0, 0.5)": {"sum": 1.5, "difference": 0.25},
    f"perceptual.PreEmphasis(perceptual.FIRFilter('hp'), {STFT}))": DEFAULT,
    "base.WeightedSum({'esr': time.ESRLoss(), 'dc': time.DCLoss()}, {'dc': 0.5, 'esr': 2.0})": {"esr": 2.0, "dc": 0.5},
    f"base.WeightedSum({{'l1': time.L1Loss(), 'stft': {STFT}, w_phs=0.1)}}, {{'l1': 9.0, 'stft': 0.2}})": {
        "l1": 9.0,
        "stft": 0.2,
        "stft/spectral_convergence": 0.0,
        "stft/log_magnitude": 0.0,
        "stft/phase": 0.0,
    },
}
weighted_sums = pytest.mark.parametrize(("call", "weights"), TERMS.items())


@every_loss
def test_a_report_holds_the_loss_and_finite_terms(call: str) -> None:
    loss = build(call)
    for case in ("noise", "silent input", "silent target", "both silent", "both 1e4"):
        input, target = (signal.float() for signal in PAIRS[case])
        report = loss.report(input, target)
        assert report["loss"] == loss(input, target), case
        assert finite(*report.values()), case


@weighted_sums
def test_terms_add_up_to_the_loss_with_their_weights(call: str, weights: dict[str, float]) -> None:
    report = build(call).report(*ordinary())
    assert set(report) == {"loss", *weights}
    torch.testing.assert_close(sum(weight * report[name] for name, weight in weights.items()), report["loss"])


@for_each([call for call in LOSSES if call.startswith("time.")])
def test_a_loss_that_is_one_term_reports_itself_alone(call: str) -> None:
    assert list(build(call).report(*ordinary())) == ["loss"]


@for_each(MAGNITUDE)
def test_losses_of_magnitudes_report_themselves(call: str) -> None:
    x, y = (signal.abs() for signal in ordinary())
    report = build(call).report(x, y)
    assert list(report) == ["loss"]
    assert report["loss"] == build(call)(x, y)


@weighted_sums
def test_gradients_flow_from_the_loss_and_from_every_term(call: str, weights: dict[str, float]) -> None:
    loss, (input, target) = build(call), ordinary()
    _, expected, _ = evaluate(loss, input, target)
    report = loss.report(input.requires_grad_(), target)
    gradients = {name: torch.autograd.grad(term, input, retain_graph=True)[0] for name, term in report.items()}
    torch.testing.assert_close(gradients["loss"], expected)
    assert all(gradient.any() and finite(gradient) for gradient in gradients.values())
    torch.testing.assert_close(sum(weight * gradients[name] for name, weight in weights.items()), expected)


@for_each([*LOSSES, *TERMS])
def test_terms_are_reduced_like_the_loss(call: str) -> None:
    shape = () if "pool='batch'" in call else (2, 1) if call in OF_ITEM or "SumAndDifference" in call else (2, 2)
    each = values_of(call).report(*ordinary())
    assert {values.shape for values in each.values()} == {shape}
    for name, mean in build(call).report(*ordinary()).items():
        torch.testing.assert_close(each[name].mean(), mean)


NAMES = ("loss", *OF_ALL_FOUR)


def test_full_output_is_the_report_of_one_resolution() -> None:
    loss = build(f"{STFT}, {ALL_FOUR}, output='full')")
    assert dict(zip(NAMES, loss(*ordinary()), strict=True)) == loss.report(*ordinary())


@pytest.mark.parametrize(
    "call",
    [f"{MULTI}, {ALL_FOUR}, output='full')", f"freq.RandomResolutionSTFTLoss(2, 16, 64, {ALL_FOUR}, output='full')"],
)
def test_full_output_lists_the_terms_of_every_resolution(call: str) -> None:
    loss = build(call).draw(0) if "Random" in call else build(call)
    value, *terms = loss(*ordinary())
    report = loss.report(*ordinary())
    assert value == report["loss"]
    for name, parts in zip(OF_ALL_FOUR, terms, strict=True):
        assert len(parts) == 2
        torch.testing.assert_close(sum(parts) / 2, report[name])


def test_full_output_has_zeros_for_terms_without_weight() -> None:
    assert [float(term) for term in build(f"{STFT}, w_sc=0.0, output='full')")(*ordinary())[1::2]] == [0.0, 0.0]


def test_full_output_of_sum_and_difference_is_its_report() -> None:
    loss = build("perceptual.SumAndDifferenceLoss(time.ESRLoss(), 3.0, 0.5, output='full')")
    assert loss(*ordinary()) == tuple(loss.report(*ordinary()).values())
