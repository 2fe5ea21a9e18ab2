"""Losses inside torch's own transforms: `torch.compile`, `torch.func.vmap` and `torch.func.grad`."""

from pathlib import Path

import pytest
import torch

from tests.loss_calls import SPECTRAL, TIME, build, evaluate, ordinary
from tests.training_step import Step, trained

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
    compiled_equals_eager(call, "inductor", fullgraph=call.startswith("time."))


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
