"""The compiled network: one graph a shape, the same training, the same names in the checkpoint."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._dynamo.testing import CompileCounterWithBackend

from auraloss.time import ESRLoss
from data.segments import Segment
from models.run import Run
from models.system import System
from models.tcn import TCN
from tests.conftest import Entry

# dynamo's own imports, on first use
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:.*isinstance.treespec, LeafSpec.*")


@pytest.fixture(autouse=True)
def _forget_graphs() -> Iterator[None]:
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def batch(size: int, samples: int, seed: int = 0) -> Segment:
    generator = torch.Generator().manual_seed(seed)
    input, target = torch.randn(2, size, 1, samples, generator=generator) / 10
    return Segment(input, target, torch.rand(size, 2, generator=generator))


def system(backend: Any = None) -> System:
    torch.manual_seed(0)
    net = TCN(blocks=2, kernel_size=5, channels=4)
    for parameter in net.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    made = System(net, ESRLoss(), {}, torch.optim.Adam)
    if backend is not None:
        made.compile_net(backend)
    return made


def gradients(system: System, segment: Segment, dtype: torch.dtype) -> dict[str, Tensor]:
    with torch.autocast("cpu", torch.bfloat16, enabled=dtype is torch.bfloat16):
        output, target = system.predict(segment)
    loss = system.loss(output, target)
    system.zero_grad()
    loss.backward()
    found = {name: copy.deepcopy(parameter.grad) for name, parameter in system.net.named_parameters()}
    assert all(gradient is not None for gradient in found.values())
    return found | {"output": output.detach()}


@pytest.mark.parametrize(
    ("backend", "dtype"), [("eager", torch.float32), ("aot_eager", torch.bfloat16)], ids=["float32", "bfloat16"]
)
def test_a_compiled_step_is_the_same_step(backend: str, dtype: torch.dtype) -> None:
    """In bfloat16 the convolutions are the library's, as they are on a GPU."""
    plain, compiled = gradients(system(), batch(3, 200), dtype), gradients(system(backend), batch(3, 200), dtype)
    tolerance = {torch.float32: 1e-5, torch.bfloat16: 2e-2}[dtype]
    for name, expected in plain.items():
        torch.testing.assert_close(
            compiled[name], expected, rtol=tolerance, atol=tolerance, msg=lambda m, n=name: f"{n}: {m}"
        )


def test_there_is_a_graph_for_each_size_of_batch_and_none_for_validation() -> None:
    counter = CompileCounterWithBackend("eager")
    made = system(counter)
    for size, graphs in ((3, 1), (3, 1), (2, 2), (3, 2), (2, 2)):
        made.predict(batch(size, 200))
        assert counter.frame_count == graphs
    made.eval()
    with torch.no_grad():
        for samples in (300, 301, 500):
            made.predict(batch(1, samples))
    assert counter.frame_count == 2


def test_compiling_changes_no_name() -> None:
    assert list(system("eager").state_dict()) == list(system().state_dict())


def test_a_compiled_training_leaves_a_run_that_anybody_can_load(train: Entry, tmp_path: Path) -> None:
    few = "trainer.limit_train_batches=2"
    result = train("name=a", "compile.backend=eager", few)
    assert result.code == 0, result.err
    folder = tmp_path / "runs" / "tiny" / "a"
    Run.read(folder).net()
    assert Run.read(folder).config["compile"] == {"backend": "eager", "mode": "default"}
    again = train("name=a", "compile.backend=null", few, "trainer.max_epochs=2")  # the same run, elsewhere
    assert again.code == 0, again.err
    assert Run.read(folder).status["epochs"] == 2


def test_a_network_that_cannot_be_compiled_is_told_with_the_remedy(
    train: Entry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: TCN, x: Tensor, controls: Tensor) -> Tensor:
        torch._dynamo.graph_break()
        return self.mix(x)

    monkeypatch.setattr(TCN, "forward", broken)
    monkeypatch.setattr("scripts.training.train.check_memory", lambda *_: None)
    result = train("name=a", "compile.backend=eager")
    assert result.code == 1
    assert "compile.backend=null" in result.err
    assert "Traceback" not in result.err
    assert Run.read(tmp_path / "runs" / "tiny" / "a").status["state"] == "failed"
