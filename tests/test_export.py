"""An export gives what the network gives, in other runtimes; it is complete and says what it is, or it is not there."""

from __future__ import annotations

import ast
import importlib.util
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import soundfile
import torch
from torch.export import ExportedProgram
from torch.nn import functional as F

from data import audio
from models import levels
from models.build import build_net
from models.net import Net
from models.run import Run
from scripts.benchmark import export as benchmark_export
from scripts.benchmark import live
from scripts.export import __main__ as command
from scripts.export import card, describe, folder, graphs, replay
from scripts.export.replay import Array, Pair, Runner
from tests import export_runs, made_scores

CAUSAL = {"_target_": "models.tcn.TCN", "blocks": 2, "kernel_size": 5, "channels": 4, "causal": True}
PAPER = {"_target_": "models.tcn.TCN"}
RATE = 44_100


@pytest.fixture(scope="module", autouse=True)
def _short_average() -> Iterator[None]:
    """An average over 4 samples in place of 64: the same loop, a third of its graph."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(levels, "SHORTEST_POWER", 1)
        yield


@pytest.fixture(scope="module")
def trained_run(tmp_path_factory: pytest.TempPathFactory, _short_average: None) -> Path:
    return export_runs.make(tmp_path_factory.mktemp("runs") / "study" / "l1-seed1")


@pytest.fixture(scope="module")
def export(trained_run: Path) -> Path:
    """What the command writes."""
    command.main(["--run", str(trained_run), "--seconds", "1.2"])
    return trained_run / "export"


@pytest.fixture(scope="module")
def about(export: Path) -> dict[str, Any]:
    return dict(json.loads((export / "model.json").read_text(encoding="utf-8")))


def sizes() -> Iterator[int]:
    """Every kind of block."""
    return chain([1] * 20, [64] * 50, [513] * 50, [4096] * 50, replay.random_sizes(1))


def whole(net: Net, input: Array, controls: tuple[float, ...]) -> Array:
    """The network over a signal with silence around it."""
    with torch.inference_mode():
        return net(F.pad(torch.from_numpy(input)[None], net.context), torch.tensor([controls]))[0].numpy()


def minute(net: Net, seconds: float = 60, level: float = 0.2) -> Pair:
    """A pair at one setting, of noise with this RMS; the output is that of `forward`."""
    noise = np.random.default_rng(3).standard_normal((net.in_channels, round(seconds * RATE)))
    input = (level * noise).astype(np.float32)
    pair = Pair("minute", input, whole(net, input, (0.0, 0.6)), [(0, (0.0, 0.6))])
    assert 0.05 < pair.output.std() < 0.5  # else there were nothing to compare
    assert np.abs(pair.output).max() < 0.99
    return pair


Loaded = dict[str, tuple[ExportedProgram, dict[str, Any]]]


@pytest.fixture(scope="module")
def loaded(export: Path) -> Loaded:
    """The programs of PyTorch, and what each says of itself, by the names of their files."""
    found = {}
    for name in ("step.pt2", "whole.pt2"):
        extra = {"model.json": ""}
        with graphs.quiet():
            found[name] = torch.export.load(export / name, extra_files=extra), json.loads(extra["model.json"])
    return found


@pytest.fixture
def runner(file: str, export: Path, loaded: Loaded) -> Runner:
    """A graph of the export, by the name of its file."""
    return replay.torch_runner(loaded[file][0]) if file in loaded else replay.onnx_runner(export / file)


# What comes out


@pytest.mark.parametrize(("file", "seconds"), [("step.onnx", 7), ("step.pt2", 6)])
def test_blocks_of_any_size_give_the_networks_output(seconds: float, runner: Runner, about: dict[str, Any]) -> None:
    pair = minute(export_runs.trained(export_runs.SMALL), seconds, 0.16)
    output = replay.stream(runner, about, pair, sizes())
    np.testing.assert_allclose(output, pair.output, rtol=0, atol=1e-5)


@pytest.mark.parametrize("file", ["whole.onnx", "whole.pt2"])
def test_a_signal_of_any_length_gives_an_output_as_long(runner: Runner) -> None:
    net = export_runs.trained(export_runs.SMALL)
    for samples in (1, 2, 6, 7, 13, 100_000):
        input = (0.2 * np.random.default_rng(0).standard_normal((1, samples))).astype(np.float32)
        (output,) = runner(input[None], np.array([[1.0, 0.3]], np.float32))
        np.testing.assert_allclose(output[0], whole(net, input, (1.0, 0.3)), rtol=0, atol=1e-5)


def test_a_causal_networks_blocks_need_no_latency_and_no_empty_state(tmp_path: Path) -> None:
    net = export_runs.trained(CAUSAL)
    causal = describe.describe(Run.read(export_runs.make(tmp_path / "run", CAUSAL)), net, ["onnx"])
    assert causal["latency"] == 0
    assert [part["shape"] for part in causal["state"]] == [[1, 1, 4], [1, 4, 8]]
    step = graphs.trace_step(net, 2)
    assert step.inputs == ["block", "controls", *(part["input"] for part in causal["state"])]
    pair = minute(net, 6)
    output = replay.stream(replay.torch_runner(step.program), causal, pair, sizes())
    np.testing.assert_allclose(output, pair.output, rtol=0, atol=1e-5)


@pytest.mark.parametrize("file", ["step.onnx", "step.pt2"])
def test_the_warm_up_gives_the_state_after_silence(runner: Runner, about: dict[str, Any]) -> None:
    """The averages are those of silence already, so that 4 + 8 samples would do here, and 11 do not."""
    net, setting = export_runs.trained(export_runs.SMALL), np.array([[1.0, 0.2]], np.float32)
    zeros = [np.zeros(part["shape"], np.float32) for part in about["state"]]
    expected = [part.detach().numpy() for part in net.start(torch.from_numpy(setting))]
    _, *state = runner(np.zeros((1, 1, about["receptive_field"] - 1), np.float32), setting, *zeros)
    for part, of_net in zip(state, expected, strict=True):
        np.testing.assert_allclose(part, of_net, rtol=0, atol=1e-6)
    _, *early = runner(np.zeros((1, 1, 11), np.float32), setting, *zeros)
    assert max(np.abs(a - b).max() for a, b in zip(early, expected, strict=True)) > 1e-3


def test_the_recordings_are_the_networks(export: Path, about: dict[str, Any]) -> None:
    """Away from a change of the controls by more than the receptive field, one setting holds for all that is heard."""
    net = export_runs.trained(export_runs.SMALL)
    lengths = []
    for recording in about["recordings"]:
        input, output = (audio.read(export / recording[key]) for key in ("input", "output"))
        lengths.append(input.shape[-1] / RATE)
        assert np.abs(input).max() > 0.3
        starts = [change["sample"] for change in recording["controls"]]
        for change, stop in zip(recording["controls"], [*starts[1:], input.shape[-1] + 6], strict=True):
            span = slice(change["sample"] + net.receptive_field * (change["sample"] > 0), stop - 6)
            expected = whole(net, input, tuple(change["values"]))
            np.testing.assert_allclose(output[:, span], expected[:, span], rtol=0, atol=1e-5)
    assert lengths == [pytest.approx(1.2), pytest.approx(0.2)]
    assert [len(recording["controls"]) for recording in about["recordings"]] == [2, 1]
    first, second = (change["values"] for change in about["recordings"][0]["controls"])
    assert first[0] != second[0]
    assert first[1] != second[1]


@pytest.mark.parametrize(
    ("causal", "averages", "latency", "kept"), [(False, 0, 6, 6), (False, 2, 6, 15), (True, 1, 0, 3)]
)
def test_the_input_has_a_state_of_its_own_for_averages_and_look_ahead(
    causal: bool, averages: int, latency: int, kept: int, tmp_path: Path
) -> None:
    model = export_runs.SMALL | {"causal": causal, "averages": averages}
    run = Run.read(export_runs.make(tmp_path / "run", model))
    about = describe.describe(run, run.net(), [])
    assert about["latency"] == latency
    assert about["state"][0]["shape"] == [1, 1, kept]


@pytest.mark.slow
@pytest.mark.parametrize("causal", [False, True])
def test_the_papers_network_over_a_minute(causal: bool, tmp_path: Path) -> None:
    """Four seconds again and again: but for the first and the last time, all outputs are the same."""
    model, out = PAPER | {"causal": causal}, tmp_path / "out"
    about = folder.write(export_runs.make(tmp_path / "run", model), out, seconds=6)
    assert about["latency"] == (0 if causal else 7161)
    net = export_runs.trained(model)
    for file in ("step.onnx", "whole.onnx"):
        assert (out / file).stat().st_size < 4 * sum(parameter.numel() for parameter in net.parameters()) + 40_000
    pair = minute(net, 4)
    at_once = replay.onnx_runner(out / "whole.onnx")(pair.input[None], np.array([pair.controls[0][1]], np.float32))
    np.testing.assert_allclose(at_once[0][0], pair.output, rtol=0, atol=1e-5)
    first, middle, last = np.split(whole(net, np.tile(pair.input, 3), pair.controls[0][1]), 3, axis=1)
    long = Pair("long", np.tile(pair.input, 15), np.concatenate([first, *[middle] * 13, last], axis=1), pair.controls)
    output = replay.stream(replay.onnx_runner(out / "step.onnx"), about, long, sizes())
    np.testing.assert_allclose(output, long.output, rtol=0, atol=1e-5)


def test_the_benchmark_measures_the_same_computation_twice(export: Path) -> None:
    exported = benchmark_export.onnx_step((export / "step.onnx").read_bytes(), 64)
    eager = benchmark_export.torch_step(export_runs.trained(export_runs.SMALL), 64)
    exported(), eager()  # one starts from zeros, the other after silence: the first block differs
    for _ in range(3):
        np.testing.assert_allclose(exported().numpy(), eager().numpy(), rtol=0, atol=1e-6)


def test_the_benchmark_of_live_networks_has_a_row_for_each_run(
    trained_run: Path, export: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def exported(net: Net, controls: int) -> Any:
        assert controls == 2
        return onnx.load(export / "step.onnx")

    monkeypatch.setattr(graphs, "trace_step", exported)
    monkeypatch.setattr(graphs, "to_onnx", lambda graph: graph)
    (trained_run / "card.md").write_text("| setting | ESR | MR |\n| all | 0.0123 | 0.456 |\n")
    found = live.row(trained_run, repeats=2)
    (trained_run / "card.md").unlink()
    assert len(found) == len(live.COLUMNS)
    net = export_runs.trained(export_runs.SMALL)
    name, latency = trained_run.name, f"{1000 * net.lookahead / RATE:.0f} ms"
    assert found[:3] == [name, f"{net.multiplications():,.0f}", latency]
    assert all(float(speed.replace(",", "")) > 0 for speed in found[3:7])
    assert found[7:] == ["0.0123", "0.456"]


def test_a_row_of_the_benchmark() -> None:
    """441 samples are 10 ms: 5 ms are half of real time, 20 ms twice of it."""
    cells = benchmark_export.cells(441, [(0.005, 0.020), (0.004, 0.020), (0.008, 0.024)])
    assert cells == ["441", "0.500", "2.00", "4.00", "3.50–4.50"]


# What the graphs are made of

# Arithmetic, and what cuts and joins; none of them has a branch or a loop.
ARITHMETIC = {"Conv", "Gemm", "PRelu", "Add", "Sub", "Mul", "Div", "Neg", "Abs", "Exp", "Log", "Tanh"}
JOINTS = {"Concat", "Slice", "Split", "Unsqueeze", "Squeeze", "Reshape", "Shape"}
OF_ONE_GRAPH = {"step": {"ConstantOfShape"}, "whole": {"Pad"}}


@pytest.mark.parametrize("name", ["step", "whole"])
def test_graphs_are_plain(name: str, export: Path) -> None:
    file = export / f"{name}.onnx"
    model = onnx.load(file)
    assert {node.op_type for node in model.graph.node} <= ARITHMETIC | JOINTS | OF_ONE_GRAPH[name]
    assert {node.domain for node in model.graph.node} == {""}
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", 18)]
    assert model.ir_version == 8
    assert not model.functions
    net = export_runs.trained(export_runs.SMALL)
    metadata = sum(len(entry.value) for entry in model.metadata_props)
    weights = 4 * sum(parameter.numel() for parameter in net.parameters())
    assert file.stat().st_size < weights + metadata + 200 * len(model.graph.node)
    dynamic = {d.dim_param for x in (*model.graph.input, *model.graph.output) for d in x.type.tensor_type.shape.dim}
    assert dynamic == {"", "samples"}


def test_files_hold_no_signal_that_was_traced(loaded: Loaded) -> None:
    assert [program.example_inputs for program, _ in loaded.values()] == [None, None]


def test_files_name_no_folder_of_this_machine(export: Path) -> None:
    for file in export.iterdir():
        content = file.read_bytes()
        for name in (b"site-packages", b"/somewhere", str(export.parent).encode(), str(Path.cwd()).encode()):
            assert name not in content, f"{file.name} has {name!r}"


# What it says of itself


def test_the_description_is_beside_the_graphs_and_inside(
    export: Path,
    trained_run: Path,
    about: dict[str, Any],
    loaded: Loaded,
) -> None:
    assert {file.name for file in export.iterdir()} == {
        *("step.onnx", "whole.onnx", "step.pt2", "whole.pt2", "model.json", "card.md", "run_onnx.py"),
        *("long_input.wav", "long_output.wav", "short_input.wav", "short_output.wav"),
    }
    assert about["name"] == "study/l1-seed1"
    assert [about[key] for key in ("sample_rate", "in_channels", "out_channels")] == [44_100, 1, 1]
    assert [about[key] for key in ("receptive_field", "latency")] == [16, 6]
    assert [control["name"] for control in about["controls"]] == ["switch", "peak_reduction"]
    assert about["state"][3] == {"input": "state_3", "output": "next_state_3", "shape": [1, 4, 8]}
    assert about["scores"] is None
    assert about["training"] == {"state": "finished", "epochs": 3}
    assert about["config"]["model"] == export_runs.SMALL
    assert about["config"]["data"]["root"] == "recordings"
    assert about["versions"]["torch"] == version("torch")
    for name in ("step", "whole"):
        inside = {entry.key: entry.value for entry in onnx.load(export / f"{name}.onnx").metadata_props}
        assert inside == describe.metadata(about)
        assert loaded[f"{name}.pt2"][1] == about
    checkpoint = trained_run / "checkpoints" / "best.ckpt"
    done = subprocess.run(["sha256sum", checkpoint], capture_output=True, text=True, check=True)
    assert about["checkpoint_sha256"] == done.stdout.split()[0]


@pytest.mark.parametrize(
    ("target", "count", "names"),
    [
        ("data.signaltrain.recordings", 2, ["switch", "peak_reduction"]),
        ("data.embedded.recordings", 2, ["switch", "peak_reduction"]),
        ("data.embedded.recordings", 3, ["control_1", "control_2", "control_3"]),
        ("data.embedded.recordings", 0, []),
        ("data.audio.recordings", 1, ["control_1"]),
        ("data.missing.recordings", 1, ["control_1"]),
        ("scripts.export.recordings", 2, ["control_1", "control_2"]),
        (None, 1, ["control_1"]),
    ],
)
def test_controls_are_those_that_the_data_set_declares(target: str | None, count: int, names: list[str]) -> None:
    net = build_net(export_runs.SMALL | {"controls": count})
    config = {"data": {"recordings": {"_target_": target}}}
    assert [control.name for control in describe.controls_of(config, net)] == names
    assert len(describe.controls_of({}, net)) == count


def test_scores_are_those_of_this_checkpoint(tmp_path: Path) -> None:
    folder_ = export_runs.make(tmp_path / "study" / "l1-seed1")
    assert describe.scores_of(Run.read(folder_)) is None
    weights = Run.read(folder_).weights
    rows = [
        made_scores.row("l1", "ESR", 0.25, segment=0, samples=100),
        made_scores.row("l1", "ESR", 1.0, segment=1, samples=300),
        made_scores.row("l1", "L1", float("nan"), segment=0, samples=100),
    ]
    name = rows[0]["run"]
    runs = [{"run": name, "weights": weights}]
    (tmp_path / "study" / "results").mkdir()
    made_scores.write(tmp_path / "study" / "results", rows, runs=runs)
    found = describe.scores_of(Run.read(folder_))
    assert found is not None
    (means,) = found["means"].values()
    assert means == {"ESR": pytest.approx((0.25 * 100 + 300) / 400), "L1": None}
    export_runs.save(folder_, export_runs.trained(export_runs.SMALL, seed=5))  # trained further since
    assert describe.scores_of(Run.read(folder_)) is None


# All or nothing


def stamps(out: Path) -> dict[str, int]:
    """When each file was written, by name."""
    return {file.name: file.stat().st_mtime_ns for file in out.iterdir()}


def leftovers(out: Path) -> list[str]:
    return [file.name for file in out.parent.iterdir() if "partial" in file.name]


def test_the_card_tells_what_the_model_is_and_how_to_use_it(export: Path) -> None:
    text = (export / "card.md").read_text(encoding="utf-8")
    assert "Trained on: the embedded data set (1 min), a model of the LA-2A" in text
    assert "Not meant for: claims about a real LA-2A" in text
    assert "Not scored" in text
    assert "Latency: 6 samples (0.1 ms)" in text
    assert "| peak_reduction | 0 to 1 | the knob's 0 … 100, divided by 100 |" in text
    assert "/somewhere" not in text


def test_a_run_that_has_a_card_hands_it_on(tmp_path: Path, about: dict[str, Any]) -> None:
    (tmp_path / "card.md").write_text("# Mine\n", encoding="utf-8")
    card.write(Run(tmp_path, about["config"], about["training"]), tmp_path, about)
    text = (tmp_path / "card.md").read_text(encoding="utf-8")
    assert text.startswith("# Mine\n\n## This export\n")


def test_the_card_has_the_scores(tmp_path: Path, about: dict[str, Any]) -> None:
    scored = {"data": "la2a", "means": {"standard": {"ESR": 0.01234, "MR": None}}}
    card.write(Run(tmp_path, about["config"], about["training"]), tmp_path, about | {"scores": scored})
    text = (tmp_path / "card.md").read_text(encoding="utf-8")
    assert "test split of `la2a`" in text
    assert "| standard | ESR | 0.01234 |\n| standard | MR | not finite |\n" in text


def test_an_export_that_deviates_is_not_there(
    trained_run: Path,
    export: Path,
    loaded: Loaded,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out = tmp_path / "out"
    shutil.copytree(export, out)
    earlier = stamps(out)
    traced = {name: graphs.Graph(loaded[f"{name}.pt2"][0], [], []) for name in ("step", "whole")}
    monkeypatch.setattr(graphs, "trace", lambda net, controls: traced)
    monkeypatch.setattr(torch.export, "save", lambda program, file, extra_files: file.touch())
    monkeypatch.setattr(torch.export, "load", lambda file: loaded[file.name][0])
    stream = replay.stream

    def write() -> None:
        folder.write(trained_run, out, formats=["torch"], seconds=0.6, tell=lambda line: None)

    for change, told in ((2e-5, r"2\.0\de-05"), (np.nan, "nan")):
        with monkeypatch.context() as patch:
            patch.setattr(replay, "stream", lambda *arguments, by=change: stream(*arguments) + by)
            with pytest.raises(ValueError, match=rf"torch: the replay .* deviates by {told} .* allowed is 1e-05"):
                write()
        assert stamps(out) == earlier
        assert not leftovers(out)
    write()
    assert not stamps(out).keys() & {"step.onnx", "run_onnx.py"}
    assert "step.pt2" in stamps(out)
    assert not leftovers(out)


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The message with which the command ends."""
    with pytest.raises(SystemExit) as ended:
        command.main(arguments)
    assert isinstance(ended.value.code, str)
    assert ended.value.code.startswith("error: ")
    assert "Traceback" not in capsys.readouterr().err
    return ended.value.code


def test_what_cannot_be_exported_is_told_without_a_traceback(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = export_runs.make(tmp_path / "run")
    assert "is" in refused(capsys, "--run", str(tmp_path / "none"))
    assert "last.ckpt: missing" in refused(capsys, "--run", str(made), "--checkpoint", "last")
    assert "must be > 0" in refused(capsys, "--run", str(made), "--seconds", "0")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("…")
    assert "something else than an export" in refused(capsys, "--run", str(made), "--out", str(tmp_path / "mine"))
    assert (tmp_path / "mine" / "thesis.txt").exists()
    with monkeypatch.context() as patch:
        patch.setattr(importlib.util, "find_spec", lambda name: None if name == "onnxscript" else name)
        assert "needs onnxscript: pip install" in refused(capsys, "--run", str(made))
    net = export_runs.trained(export_runs.SMALL)
    with torch.no_grad():
        next(net.parameters()).fill_(float("nan"))
    export_runs.save(made, net)
    assert "not finite" in refused(capsys, "--run", str(made), "--seconds", "1")
    (made / "checkpoints" / "best.ckpt").write_bytes(b"no checkpoint")
    assert "is damaged" in refused(capsys, "--run", str(made))
    assert not (made / "export").exists()
    assert not leftovers(made / "export")


# The example beside the graphs


@pytest.mark.parametrize(("frames", "channels"), [(50_001, 2), (5, 1)])
def test_the_example_gives_the_networks_output(frames: int, channels: int, export: Path, tmp_path: Path) -> None:
    input = (0.2 * np.random.default_rng(0).standard_normal((channels, frames))).astype(np.float32)
    soundfile.write(tmp_path / "in.wav", input.T, RATE, "FLOAT")
    done = subprocess.run(
        [sys.executable, "-I", export / "run_onnx.py", "in.wav", "out.wav", "1", "0.3"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    net = export_runs.trained(export_runs.SMALL)
    expected = np.concatenate([whole(net, channel[None], (1.0, 0.3)) for channel in input])
    np.testing.assert_allclose(audio.read(tmp_path / "out.wav"), expected, rtol=0, atol=1e-5)


def test_the_example_needs_three_libraries_and_fewer_than_fifty_lines() -> None:
    source = folder.EXAMPLE.read_text(encoding="utf-8")
    imported = {
        name.name if isinstance(node, ast.Import) else node.module
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in node.names
    }
    assert imported == {"sys", "pathlib", "numpy", "onnxruntime", "soundfile"}
    assert len(source.splitlines()) < 50
