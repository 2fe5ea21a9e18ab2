"""The benchmark of the losses: its table, its memory, its options. Nothing here depends on how fast the machine is."""

import os
import re
import subprocess
import sys
import types
from pathlib import Path
from types import ModuleType

import pytest
import torch

import auraloss
from scripts.benchmark import evaluate, losses, stream
from scripts.benchmark.cells import number
from scripts.benchmark.losses import CASES, COLUMNS, ONLY_OURS, Row, Setting, measure, step
from scripts.benchmark.memory import peak_bytes
from scripts.benchmark.published import published_package
from tests.conftest import Entry

pytestmark = pytest.mark.usefixtures("little_garbage")
ROOT = Path(__file__).parent.parent
TINY = Setting(batch=2, samples=40_000, repeats=1, seconds=0)
QUICK = ("--batch", "2", "--samples", "40000", "--repeats", "1", "--seconds", "0")


@pytest.fixture
def folder(published: ModuleType) -> str:
    """Where the published package lies."""
    assert published.__file__ is not None
    return str(Path(published.__file__).parent.parent)


@pytest.fixture
def _no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Starting the profiler takes half a second each time; what it counts is tested below."""
    monkeypatch.setattr(losses, "peak_bytes", lambda work, device: 1_000_000)


def tables(out: str) -> list[list[list[str]]]:
    """The Markdown tables of a text, as rows of cells."""
    blocks = re.findall(r"(?:^\|.*\|\n)+", out, re.MULTILINE)
    return [[[cell.strip() for cell in row.strip("|").split("|")] for row in block.splitlines()] for block in blocks]


def test_the_table_has_a_heading_and_a_row_for_each_loss_asked_for(
    folder: str, capsys: pytest.CaptureFixture[str]
) -> None:
    losses.main([*QUICK, "--published", folder, "--only", "STFT", "scale-invariant"])
    out = capsys.readouterr().out
    assert f"torch {torch.__version__}, 2 × 40,000 samples, float32" in out.splitlines()[0]
    (header, rule, *rows), *others = tables(out)
    assert not others
    assert tuple(header) == COLUMNS
    assert len(rule) == len(COLUMNS)
    assert [row[0] for row in rows] == ["STFT", "scale-invariant"]
    for row in rows[:1]:
        published_ms, ours_ms, faster, published_mb, ours_mb, ratio = (float(cell.split()[0]) for cell in row[1:])
        assert faster == pytest.approx(published_ms / ours_ms, rel=0.05, abs=0.01)  # it has two decimals
        assert ratio == pytest.approx(ours_mb / published_mb, abs=0.01)
        # The gradient alone has 2 · 40,000 · 4 bytes.
        assert min(published_mb, ours_mb) >= 0.32
    assert [cell == "–" for cell in rows[1][1:]] == [True, False, True, True, False, True]
    assert "–: the published package has none" in out


@pytest.mark.usefixtures("_no_memory")
def test_relative_costs_are_those_of_l1_even_if_it_was_not_asked_for(
    folder: str, capsys: pytest.CaptureFixture[str]
) -> None:
    losses.main([*QUICK, "--published", folder, "--only", "DC", "--relative"])
    absolute, relative = tables(capsys.readouterr().out)
    assert [row[0] for row in relative[2:]] == ["L1", "DC"]
    assert relative[2][1] == "1.00"
    assert float(relative[3][1]) == pytest.approx(float(absolute[3][2]) / float(absolute[2][2]), rel=0.05)


@pytest.mark.parametrize("name", CASES)
def test_both_packages_compute_the_same_loss_in_every_row(name: str, published: ModuleType) -> None:
    """Otherwise their times could not be compared. One item: the published ratios are of the whole batch."""
    ours = CASES[name](auraloss, 40_000)
    theirs = [] if name in ONLY_OURS else CASES[name](published, 40_000)
    input, target = (signal[:1] for signal in TINY.signals(2 if name == "sum-difference" else 1))
    assert all(torch.isfinite(loss(input, target)) for loss in ours)
    for mine, other in zip(ours if theirs else [], theirs, strict=True):
        torch.testing.assert_close(mine(input, target), other(input, target), rtol=2e-4, atol=1e-6)


@pytest.mark.parametrize("name", CASES)
def test_every_row_holds_as_many_samples(name: str) -> None:
    input, target = TINY.signals(2 if name == "sum-difference" else 1)
    assert input.numel() == target.numel() == 2 * 40_000
    assert target.square().mean().log10().mul(10).item() == pytest.approx(-20, abs=0.2)
    assert input.requires_grad
    assert not target.requires_grad


@pytest.mark.usefixtures("_no_memory")
def test_mixed_precision_gives_the_losses_an_input_in_bfloat16(published: ModuleType) -> None:
    setting = Setting(batch=2, samples=4000, repeats=1, seconds=0, autocast=True)
    input, target = setting.signals(1)
    assert (input.dtype, target.dtype) == (torch.bfloat16, torch.float32)
    for name in ("ESR", "STFT"):
        row = measure(name, published, setting)
        assert len(row.ours_ms) == len(row.published_ms) == 1


@pytest.mark.usefixtures("_no_memory")
def test_pairs_are_repeated_until_there_are_enough(published: ModuleType) -> None:
    row = measure("L1", published, Setting(batch=2, samples=100, repeats=7, seconds=0))
    assert len(row.ours_ms) == len(row.published_ms) == 7


def test_a_row_shows_the_ratio_of_medians_and_the_quartiles_of_the_ratios() -> None:
    row = Row("x", [1.0, 2.0, 4.0], [4.0, 6.0, 8.0], 5.0, 10.0)  # ratios 4, 3, 2
    assert row.cells() == ["x", "6.00", "2.00", "3.00 (2.50–3.50)", "10.0", "5.00", "0.50"]


@pytest.mark.parametrize(
    ("value", "text"), [(0.5, "0.500"), (1.5, "1.50"), (12.34, "12.3"), (123.4, "123"), (12345.6, "12,346")]
)
def test_numbers_have_no_exponent(value: float, text: str) -> None:
    assert number(value) == text


def test_memory_of_known_allocations_is_exact() -> None:
    kept = torch.zeros(250_000)  # was there before: does not count

    def work() -> None:
        first = kept + 1
        second = first + 1  # 2 MB at once
        del first
        third = second + 1  # again 2 MB, not 3
        del second, third

    assert peak_bytes(work) == pytest.approx(2_000_000, abs=100)


def test_memory_counts_what_autograd_keeps_and_temporaries() -> None:
    """`exp` keeps its result for the backward pass, which makes the gradient: two tensors, and the scalars."""
    input = torch.zeros(250_000, requires_grad=True)
    peak = peak_bytes(lambda: step(lambda x, y: x.exp().sum(), input, input))
    assert peak == pytest.approx(2_000_000, abs=100)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="resident memory is read as Linux gives it")
def test_memory_equals_the_peak_of_resident_memory_where_the_c_library_keeps_none(folder: str) -> None:
    """glibc returns blocks above MALLOC_MMAP_THRESHOLD_ at once; by default it keeps up to half as much again."""
    program = f"""
from pathlib import Path
import torch
from scripts.benchmark.losses import Setting, CASES, step
from scripts.benchmark.memory import peak_bytes
from scripts.benchmark.published import published_package
torch.set_num_threads(1)
(loss,) = CASES["MR"](published_package(Path({folder!r})), 65536)
input, target = Setting(4, 65536, 1, 0).signals(1)
step(loss, input, target)
input.grad = None
def resident(name):
    return 1024 * int(next(line for line in open("/proc/self/status") if line.startswith(name)).split()[1])
Path("/proc/self/clear_refs").write_text("5")
before = resident("VmRSS")
step(loss, input, target)
print(resident("VmHWM") - before)
input.grad = None
print(peak_bytes(lambda: step(loss, input, target)))
"""
    environment = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536"}
    ran = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    by_system, by_profiler = map(int, ran.stdout.split())
    assert by_profiler == pytest.approx(by_system, rel=0.03)
    assert by_profiler > 100e6


def test_a_missing_published_package_is_an_error_with_the_remedy(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        losses.main(["--published", str(tmp_path / "none")])
    assert ended.value.code == 2
    error = capsys.readouterr().err
    assert "make test" in error
    assert f"pip install --target {tmp_path / 'none'} --no-deps auraloss==0.4.0" in error
    assert "Traceback" not in error


@pytest.mark.parametrize("arguments", [["--batch", "3"], ["--only", "L3"], ["--device", "cuda"]])
def test_what_cannot_be_measured_is_refused(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SystemExit) as ended:
        losses.main(arguments)
    assert ended.value.code == 2


def test_the_published_package_does_not_shadow_ours(folder: str) -> None:
    package = published_package(Path(folder))
    assert isinstance(package, types.ModuleType)
    assert sys.modules["auraloss"] is auraloss
    assert package.freq.STFTLoss is not auraloss.freq.STFTLoss
    assert package.freq.STFTLoss.__module__ == "auraloss_published.freq"


@pytest.mark.parametrize(
    ("subject", "option"),
    [
        ("losses", "--relative"),
        ("train", "--switches"),
        ("stream", "--blocks"),
        ("data", "--root"),
        ("evaluate", "--models"),
        ("export", "--channels"),
    ],
)
def test_the_command_line_knows_all_subjects(subject: str, option: str, entry: Entry) -> None:
    result = entry("scripts/benchmark/__main__.py", subject, "--help")
    assert result.code == 0
    assert f"python -m scripts.benchmark {subject}" in result.out
    assert option in result.out


@pytest.mark.slow
def test_the_cost_of_scoring_is_told_with_its_memory(capsys: pytest.CaptureFixture[str]) -> None:
    evaluate.main(["--blocks", "1", "--repeats", "1", "--models", "2", "--length", "65536", "--only", "small"])
    out = capsys.readouterr().out
    assert f"torch {torch.__version__}, 1 block of 65,536 samples, 2 models scored at once" in out.splitlines()[0]
    (header, _, row), (_, _, *memory) = tables(out)
    assert tuple(header) == evaluate.COLUMNS
    bare, scored = float(row[1]), float(row[2])
    assert row[0].startswith("small")
    assert (
        row[3] == f"{100 * (scored / bare - 1):.0f} %" or abs(float(row[3].split()[0]) - 100 * (scored / bare - 1)) < 5
    )
    assert len(memory) == 2


@pytest.mark.slow
def test_memory_of_scoring_does_not_grow_with_the_recording() -> None:
    short, long = (evaluate.peak_megabytes(blocks, 65_536, 1) for blocks in (2, 8))
    assert long == pytest.approx(short, rel=0.05)


def test_a_row_of_the_stream_follows_from_the_times_of_its_blocks() -> None:
    net = stream.network(32, causal=False)
    # Counted on paper: convolutions 15·(1·32 + 9·32·32), residuals 10·32, mixing 32.
    assert net.multiplications() == 15 * (32 + 9 * 1024) + 320 + 32
    times = {"stream": [0.004, 0.005, 0.020], "step": [0.01] * 3, "again": [0.1] * 3}
    row = stream.row("x", net, 441, times, best=441 * 139_072 / 0.0025)
    assert row[:4] == ["x", "441", "2.00", "50 %"]
    assert row[4].split(" of ")[1] == "10.00 ms"
    assert float(row[4].split()[0]) == pytest.approx(20, abs=0.1)
    assert row[5:] == ["2.00", "20.0"]


def test_the_table_of_the_stream_has_both_networks(capsys: pytest.CaptureFixture[str]) -> None:
    stream.main(["--channels", "2", "--blocks", "16", "2000", "--seconds", "0.01"])
    out = capsys.readouterr().out
    assert f"1 thread, torch {torch.__version__}" in out.splitlines()[0]
    ((header, _, *rows),) = tables(out)
    assert tuple(header) == stream.COLUMNS
    assert [row[:2] for row in rows] == [
        [f"{name}, 2 channels", length] for name in ("centred", "causal") for length in ("16", "2,000")
    ]
