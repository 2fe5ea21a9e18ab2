"""Losses inside torch's own transforms: `torch.compile`, `torch.func.vmap` and `torch.func.grad`."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from tests.loss_calls import SPECTRAL, TIME, build, evaluate, ordinary
from tests.training_step import Step, trained

# torch's compiler makes an instance of each autograd function, and warns of that itself.
compiles = pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")


EXACT_ENOUGH = {"rtol": 1e-4, "atol": 1e-5}
QUICK = {"time.L1Loss()", "time.ESRLoss()", "time.LogCoshLoss()", "time.SISDRLoss()"}


def compiled_and_eager(call: str, backend: str, fullgraph: bool) -> tuple[list[Tensor], list[Tensor]]:
    """Loss and gradients of a step of training, compiled and not."""
    torch._dynamo.reset()
    plain, step = Step(call), Step(call)
    compiled = torch.compile(step, backend=backend, fullgraph=fullgraph)
    return trained(compiled, step.network), trained(plain, plain.network)


@compiles
@pytest.mark.parametrize(
    "call", [call if call in QUICK else pytest.param(call, marks=pytest.mark.slow) for call in TIME]
)
def test_a_loss_of_the_waveform_compiles_as_one_graph(call: str) -> None:
    compiled, eager = compiled_and_eager(call, "aot_eager", fullgraph=True)
    torch.testing.assert_close(compiled, eager, **EXACT_ENOUGH)


def test_the_quick_ones_are_among_the_losses_of_the_waveform() -> None:
    assert set(TIME) >= QUICK


# Random resolutions are left to eager code; the compiler looks at `.grad` of what it hands over, and warns itself.
@compiles
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor")
@pytest.mark.slow
@pytest.mark.parametrize("call", SPECTRAL)
def test_spectral_losses_work_inside_a_compiled_step(call: str) -> None:
    compiled, eager = compiled_and_eager(call, "aot_eager", fullgraph=False)
    torch.testing.assert_close(compiled, eager, **EXACT_ENOUGH)


# Warnings of the compiler itself: of its own imports, and that it leaves complex numbers to eager code.
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:Torchinductor does not support")
@pytest.mark.slow
@pytest.mark.parametrize(
    "call",
    [
        "time.ESRLoss()",
        "time.SISDRLoss()",
        "freq.STFTLoss(64, 16, 64)",
        "freq.MelSTFTLoss(44100, 64, 16, 64, n_mels=64)",
    ],
)
def test_generated_code_gives_the_same_step(call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    compiled, eager = compiled_and_eager(call, "inductor", fullgraph=call.startswith("time."))
    torch.testing.assert_close(compiled, eager, **EXACT_ENOUGH)


# What torch maps with a loop of its own: `clamp_`, `square_` and the gradient of `unfold`.
maps = pytest.mark.filterwarnings("ignore:There is a performance drop:UserWarning")
mapped = pytest.mark.parametrize(
    "call",
    [
        "time.ESRLoss()",
        "time.LogCoshLoss()",
        "time.SISDRLoss()",
        "perceptual.PreEmphasis(perceptual.FIRFilter('aw'), time.MSELoss())",
        "base.WeightedSum({'esr': time.ESRLoss(), 'dc': time.DCLoss()})",
        "freq.STFTLoss(64, 16, 64, w_lin_mag=1.0, w_phs=0.5)",
        "freq.STFTLoss(64, 16, 64, scale_invariance=True)",
        "freq.MelSTFTLoss(44100, 64, 16, 64, n_mels=20)",
        "freq.MultiResolutionSTFTLoss([32, 64], [8, 20], [32, 48])",
        "freq.RandomResolutionSTFTLoss(2, 16, 64, randomize_rate=100, seed=0)",
        "freq.SumAndDifferenceSTFTLoss([32], [8], [32])",
    ],
)


@maps
@mapped
def test_vmap_over_items_is_a_loop(call: str) -> None:
    loss, signals = build(call), ordinary()
    expected = torch.stack([loss(*item) for item in zip(*signals, strict=True)])
    torch.testing.assert_close(torch.func.vmap(loss)(*signals), expected)


@maps
@mapped
def test_gradients_of_each_item_are_those_of_a_loop(call: str) -> None:
    loss, signals = build(call), ordinary()
    of_both = torch.func.grad(loss, argnums=(0, 1))
    expected = [evaluate(loss, *item)[1:] for item in zip(*signals, strict=True)]
    found = torch.func.vmap(of_both)(*signals)
    for gradients, references in zip(found, zip(*expected, strict=True), strict=True):
        torch.testing.assert_close(gradients, torch.stack(references))
    torch.testing.assert_close(of_both(*signals), evaluate(loss, *signals)[1:])
