"""What runs on a GPU gives what a CPU gives: ``pytest -m cuda`` where there is one, in less than a minute."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from data.segments import Segment
from models.product import ProductTCN
from models.stream import Stream
from models.system import System
from models.tcn import TCN
from tests.conftest import TINY_MINUTES, Entry
from tests.loss_calls import LOSSES, build, ordinary

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no GPU"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:.*isinstance.treespec, LeafSpec.*"),
    pytest.mark.filterwarnings("ignore:Online softmax is disabled", "ignore:TensorFloat32 tensor cores"),
    pytest.mark.filterwarnings("ignore:Specified kernel cache directory"),
]

NETS = {
    "paper": lambda: TCN(blocks=4, channels=32),
    "frozen": lambda: TCN(blocks=3, channels=8, norm="frozen"),
    "product": lambda: ProductTCN(blocks=4),
    "product of 32 channels": lambda: ProductTCN(blocks=4, channels=32),
}


@pytest.fixture(autouse=True)
def _float32() -> Iterator[None]:
    """Convolutions in float32 instead of TF32, so that a CPU can be compared with."""
    with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=False, allow_tf32=False):
        yield
    torch._dynamo.reset()


def distance(found: Tensor, expected: Tensor) -> float:
    """Relative, of the norms."""
    return float((found.cpu().double() - expected.double()).norm() / expected.double().norm().clamp_min(1e-12))


@pytest.mark.parametrize("call", LOSSES)
def test_loss_and_gradient_are_those_of_the_cpu(call: str) -> None:
    found = {}
    for device in ("cpu", "cuda"):
        loss = build(call).to(device)
        output, target = (signal.float().to(device) for signal in ordinary())
        output.requires_grad_()
        torch.manual_seed(0)
        value = loss(output, target)
        value.backward()
        assert value.device.type == device
        found[device] = value.detach(), output.grad
    for on_gpu, on_cpu in zip(found["cuda"], found["cpu"], strict=True):
        assert distance(on_gpu, on_cpu) < 2e-3  # float32, other order of sums, kinks of the distances


def batch(device: str, samples: int) -> Segment:
    generator = torch.Generator().manual_seed(0)
    input, target = 0.1 * torch.randn(2, 3, 1, samples, generator=generator)
    return Segment(input.to(device), target.to(device), torch.rand(3, 2, generator=generator).to(device))


def gradients(net: TCN, segment: Segment, compiled: bool = False, bfloat16: bool = False) -> dict[str, Tensor]:
    system = System(net, nn.MSELoss(), {}, torch.optim.Adam).to(segment.input.device)
    if compiled:
        system.compile_net()
    with torch.autocast(segment.input.device.type, torch.bfloat16, enabled=bfloat16):
        output, target = system.predict(segment)
    system.loss(output, target).backward()
    return {"output": output.detach()} | {name: p.grad for name, p in net.named_parameters() if p.grad is not None}


def lively(name: str) -> TCN:
    """A network whose parameters all matter."""
    torch.manual_seed(0)
    net = NETS[name]()
    for parameter in net.parameters():
        parameter.data += 0.05 * torch.randn_like(parameter)
    return net


@pytest.mark.parametrize(("name", "compiled"), [*((name, False) for name in NETS), ("paper", True)])
def test_network_and_gradients_are_those_of_the_cpu(name: str, compiled: bool) -> None:
    net = lively(name)
    samples = net.receptive_field + 5000
    on_cpu = gradients(copy.deepcopy(net), batch("cpu", samples))
    on_gpu = gradients(net, batch("cuda", samples), compiled)
    assert on_gpu.keys() == on_cpu.keys()
    for key, value in on_cpu.items():
        assert distance(on_gpu[key], value) < 5e-3, key


@pytest.mark.parametrize("name", NETS)
def test_bfloat16_is_close_to_float32(name: str) -> None:
    net = lively(name)
    samples = net.receptive_field + 5000
    on_cpu = gradients(copy.deepcopy(net), batch("cpu", samples))
    rough = gradients(net, batch("cuda", samples), bfloat16=True)
    assert distance(rough["output"], on_cpu["output"]) < 0.03
    assert all(torch.isfinite(value).all() for value in rough.values())


@pytest.mark.parametrize("name", NETS)
def test_stream_on_a_gpu(name: str) -> None:
    net = lively(name).eval().cuda()
    segment = batch("cuda", net.receptive_field + 3000)
    parts = segment.input.split([50, 1, 700, segment.input.shape[-1] - 751], dim=-1)
    with torch.no_grad():
        expected = net(nn.functional.pad(segment.input, net.context), segment.controls)
        stream = Stream(net, segment.controls)
        found = torch.cat([*(stream.feed(part) for part in parts), stream.flush()], dim=-1)
    assert found.shape == expected.shape
    assert distance(found, expected.cpu()) < 1e-3


def test_training_goes_through_on_a_gpu_is_continued_and_scored(entry: Entry, tmp_path: Path, tiny_root: Path) -> None:
    small = (
        f"data.root={tiny_root}",
        f"data.recordings.minutes={TINY_MINUTES}",
        "experiment=smoke",
        "trainer=gpu",
        "study=s",
    )
    assert (result := entry("train.py", *small)).code == 0, result.err
    assert (result := entry("train.py", *small, "trainer.max_epochs=2")).code == 0, result.err
    (folder,) = (path for path in (tmp_path / "runs/s").iterdir() if path.is_dir())
    status = json.loads((folder / "status.json").read_text())
    assert status["state"] == "finished"
    assert status["epochs"] == 2
    assert (result := entry("evaluate.py", "runs=runs/s", "device=cuda")).code == 0, result.err
    assert "ESR" in (tmp_path / "runs/s/results/table1.md").read_text()
