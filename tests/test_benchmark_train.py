"""The benchmark of a training step: what it compares is equal, what it counts is right, its table has all rows."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial

import pytest
import torch

from models.product import ProductTCN
from models.tcn import TCN
from scripts.benchmark import train
from scripts.benchmark.plain_tcn import PlainTCN
from scripts.benchmark.step_count import Count, training_step
from scripts.benchmark.train import AGAINST_PLAIN, COLUMNS, COMPILED, LOSSES, SWITCHES, Limits, Setting, Step, measure


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("kind", [TCN, partial(ProductTCN, averages=1)], ids=["TCN", "ProductTCN"])
@pytest.mark.parametrize("channels", [1, 3])
def test_the_plain_network_is_ours(kind: Callable[..., TCN], channels: int, causal: bool) -> None:
    torch.manual_seed(0)
    ours = kind(blocks=3, kernel_size=5, channels=channels, dilation_growth=3, causal=causal).double()
    for parameter in ours.parameters():
        parameter.data += 0.3 * torch.randn_like(parameter)
    plain = PlainTCN(ours).double()
    x, controls = torch.randn(2, 1, 150, dtype=torch.float64), torch.rand(2, 2, dtype=torch.float64)
    weights = torch.randn(2, 1, 150 - ours.receptive_field + 1, dtype=torch.float64)
    for training in (True, False):
        outputs = []
        for net in (ours, plain):
            net.train(training).zero_grad()
            outputs.append(net(x, controls))
            (outputs[-1] * weights).sum().backward()
        torch.testing.assert_close(outputs[1], outputs[0])
        gradients = [{name: parameter.grad for name, parameter in net.named_parameters()} for net in (ours, plain)]
        torch.testing.assert_close(gradients[1], gradients[0])
        torch.testing.assert_close(plain.state_dict(), ours.state_dict())


def test_a_step_is_counted_as_by_hand() -> None:
    """Two blocks of 3 channels and 5 taps, dilations 1 and 2: 20 samples enter, 16 leave the first, 8 the second."""
    net = TCN(blocks=2, kernel_size=5, channels=3)
    convolutions = [2 * 1 * 3 * 5 * 16, 2 * 3 * 3 * 5 * 8]  # of the forward pass
    mix = 2 * 3 * 8
    operations = 2 * convolutions[0] + 3 * convolutions[1] + 3 * mix  # no gradient of the first one's input
    entering, leaving = [1 * 20, 3 * 16], [3 * 16, 3 * 8]
    first = 3 * entering[0] + 10 * leaving[0]
    second = 4 * entering[1] + 12 * leaving[1]
    total = 2 * 3 * 8 + 8  # both outputs are read where the last one is valid, the mix is written
    assert training_step(net, 20) == Count(operations, first + second + total)


def test_the_papers_network_is_counted() -> None:
    """Samples that leave its blocks: 32,754 the first, 266,422 the other nine together; 18,446 the last."""
    count = training_step(TCN(), 32_768)
    assert count.operations == 2 * 960 * 32_754 + 3 * 30_720 * 266_422 + 3 * 64 * 18_446
    assert count.operations / 1e9 == pytest.approx(24.6, abs=0.05)  # a crop
    assert "78 TFLOP/s" in train.wanted(count)
    assert "10 % and 20 %" in train.wanted(count)


def test_the_least_times_follow_from_the_rates() -> None:
    assert Count(operations=6, elements=10).seconds(3.0, 5.0, element_size=2) == (2.0, 4.0)


def cells(row: list[str]) -> list[float]:
    return [float(cell.replace(",", "").split()[0]) for cell in row[1:]]


@pytest.mark.usefixtures("little_garbage")
def test_rows_are_relative_to_the_first_and_follow_from_its_time() -> None:
    def small() -> TCN:
        return TCN(blocks=4, kernel_size=5, channels=2)

    setting = Setting("cpu", batch=2, samples=4096, repeats=2, backend="eager")
    rows = measure(AGAINST_PLAIN, "2 channels", small, setting, Limits({torch.float32: 1e8}, 1e9))
    assert [row[0].partition(", ")[2] for row in rows] == ["plain modules", "ours", "ours, recompute"]
    operations = 2 * training_step(small(), 4096).operations
    for row in rows:
        ms, faster, mb, memory, audio, arithmetic, _ = cells(row)
        assert faster == pytest.approx(cells(rows[0])[0] / ms, rel=0.02)
        assert memory == pytest.approx(mb / cells(rows[0])[2], abs=0.01)
        assert audio == pytest.approx(2 * 4096 / 44_100 / (ms / 1e3), rel=0.02)
        assert arithmetic == pytest.approx(100 * operations / 1e8 / (ms / 1e3), abs=1, rel=0.02)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # dynamo's own imports, on first use
def test_every_switch_makes_the_same_step() -> None:
    """On the CPU, with a backend that compiles nothing: the code that a GPU's table runs."""
    setting = Setting("cpu", batch=2, samples=200, repeats=1, backend="eager")
    start = TCN(blocks=2, kernel_size=3, channels=2).state_dict()
    losses = []
    for variant in (*SWITCHES, *COMPILED):
        net = TCN(blocks=2, kernel_size=3, channels=2)
        net.load_state_dict(start)
        step = Step(variant, net, setting)
        losses.append(torch.stack([step(), step()]))
    for variant, loss in zip((*SWITCHES, *COMPILED), losses, strict=True):
        torch.testing.assert_close(loss, losses[0], rtol=2e-2 if variant.bfloat16 else 1e-4, atol=0)


@pytest.mark.parametrize("switch", ["bfloat16", "tf32", "benchmark", "fused", "recompute"])
def test_every_switch_has_a_row_of_its_own(switch: str) -> None:
    """Of two rows that differ in nothing else."""
    on = [{name for name, value in vars(variant).items() if value is True} for variant in (*SWITCHES, *COMPILED)]
    assert any(own - {switch} in on for own in on if switch in own)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_command_prints_both_tables(capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--batch", "1", "--samples", "16384", "--channels", "2", "--repeats", "1", "--threads", "1"]
    train.main([*options, "--switches", "--compiled", "--backend", "eager", "--losses"])
    out = capsys.readouterr().out
    first, second = re.findall(r"(?:^\|.*\|\n)+", out, re.MULTILINE)
    assert [cell.strip() for cell in first.splitlines()[0].strip("|").split("|")] == list(COLUMNS)
    assert len(first.splitlines()) == 2 + len(SWITCHES) + len(COMPILED)
    assert [row.split("|")[1].strip() for row in second.splitlines()[2:]] == list(LOSSES)
    assert "a step of 1 × 16,384 samples" in out.splitlines()[0]
    assert "of what an H200 has" in out


@pytest.mark.parametrize("arguments", [["--batch", "-1"], ["--samples", "14000"], ["--device", "cuda"]])
def test_what_cannot_be_measured_is_refused(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SystemExit) as ended:
        train.main(arguments)
    assert ended.value.code == 2
