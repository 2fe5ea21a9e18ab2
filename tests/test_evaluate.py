"""evaluate.py from runs to Table 1: every score recomputed with NumPy, all of the split, all ways to name runs."""

from __future__ import annotations

import csv
import json
import math
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import scipy.signal
import torch

from auraloss.freq import RandomResolutionSTFTLoss
from data import audio
from models import run
from models.run import find_runs
from scripts import table
from tests.conftest import Entry, Result

MODEL = {"_target_": "models.tcn.TCN", "blocks": 3, "kernel_size": 5, "channels": 2}
CONTEXT = 14  # samples of input on each side of an output sample: 4·(1 + 2 + 4) in all
LENGTH = 65536  # output samples of a segment
FRAMES = {"3": 70_000, "12": 140_000}  # of the test recordings, by id; both end in a segment longer than the others
BLOCKS = [("3", 0, 70_000), ("12", 0, LENGTH), ("12", LENGTH, 140_000 - LENGTH)]
METRICS = ("L1", "ESR", "Logcosh", "STFT", "MR", "RR", "DC")

Row = dict[str, str]
Evaluate = Callable[..., Result]


@pytest.fixture(scope="module")
def data_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Noise that swells, and the same through a soft limiter with an offset, in SignalTrain's layout."""
    root = tmp_path_factory.mktemp("data") / "limiter"
    rng = np.random.default_rng(0)
    lengths = {"Train": {"1": 9000}, "Val": {"2": 9000}, "Test": FRAMES}
    for split, of_split in lengths.items():
        (root / split).mkdir(parents=True)
        for number, (id, frames) in enumerate(of_split.items()):
            swell = 0.02 + 0.3 * np.sin(np.arange(frames) / 9000) ** 2
            x = swell * scipy.signal.lfilter([0.3], [1, -0.7], rng.standard_normal(frames))
            y = 0.7 * np.tanh(x) + 0.01
            audio.write(root / split / f"input_{id}_.wav", x[None].astype(np.float32), 44100)
            name = f"target_{id}_limiter__{number % 2}__{40 + 25 * number}.wav"
            audio.write(root / split / name, y[None].astype(np.float32), 44100)
    return root


def save_net(folder: Path, checkpoint: str, seed: int, gain: float = 1.0) -> None:
    """A checkpoint of a network with random weights."""
    generator = torch.Generator().manual_seed(seed)
    net = run.build_net(MODEL)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))
        for parameter in net.mix.parameters():  # type: ignore[union-attr]
            parameter.mul_(gain)
    weights = {f"net.{name}": value for name, value in net.state_dict().items()}
    torch.save({"state_dict": weights}, folder / "checkpoints" / f"{checkpoint}.ckpt")


def make_run(folder: Path, root: Path, seed: int = 0, gain: float = 1.0) -> Path:
    """A run as training leaves it, with a network of random weights."""
    (folder / "checkpoints").mkdir(parents=True)
    save_net(folder, "best", seed, gain)
    save_net(folder, "last", seed + 100)
    data = {"_target_": "data.datamodule.AudioDataModule", "root": str(root), "sample_rate": 44100, "channels": 1}
    run.write_config(folder, {"seed": seed, "model": MODEL, "data": data})
    run.write_status(folder, "finished")
    return folder


@pytest.fixture
def study(tmp_path: Path, data_root: Path) -> Path:
    folder = tmp_path / "runs" / "study"
    make_run(folder / "l1-seed1", data_root, 1)
    make_run(folder / "mrstft-seed1", data_root, 2)
    return folder


@pytest.fixture
def evaluate(entry: Entry) -> Evaluate:
    def run_it(*arguments: str) -> Result:
        return entry("evaluate.py", f"eval_length={LENGTH}", "device=cpu", *arguments)

    return run_it


def read(out: Path) -> list[Row]:
    with (out / "scores.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


def of(rows: list[Row], name: str) -> list[Row]:
    """The rows of a run, which is named by its folder's name."""
    return [row for row in rows if Path(row["run"]).name == name]


# Every metric in NumPy, from the definitions in 64 bits


def spectrum(signal: np.ndarray, fft: int, hop: int, length: int, window: str) -> np.ndarray:
    """Power, frames × bins: reflected ends, frames centred, window in the middle of the frame."""
    name = window.removesuffix("_window")
    values = scipy.signal.get_window(("kaiser", 12.0) if name == "kaiser" else name, length)
    left = (fft - length) // 2
    frame = np.zeros(fft)
    frame[left : left + length] = values
    padded = np.pad(signal, fft // 2, mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(padded, fft)[::hop]
    return np.abs(np.fft.rfft(frames * frame)) ** 2


def stft(pairs: list[tuple[np.ndarray, np.ndarray]], resolutions: list[tuple[int, int, int, str]], eps: float) -> float:
    """Spectral convergence + log magnitude of all pairs together, mean over resolutions."""
    losses = []
    for resolution in resolutions:
        error = energy = log = count = 0.0
        for x, y in pairs:
            x_mag, y_mag = (np.sqrt(np.maximum(spectrum(s, *resolution), eps)) for s in (x, y))
            error += np.sum((y_mag - x_mag) ** 2)
            energy += np.sum(y_mag**2)
            log += np.sum(np.abs(np.log(y_mag) - np.log(x_mag)))
            count += y_mag.size
        losses.append(math.sqrt(error / energy) + log / count)
    return float(np.mean(losses))


def expected(convention: str, metric: str, pairs: list[tuple[np.ndarray, np.ndarray]], number: int) -> float:
    """A metric of one segment (standard), or of all segments together (paper2020)."""
    old = convention == "paper2020"
    eps, power = (0.0, 1e-7) if old else (1e-8, 1e-8)
    error = np.concatenate([x - y for x, y in pairs])
    target = np.concatenate([y for _, y in pairs])
    if metric == "L1":
        return float(np.mean(np.abs(error)))
    if metric == "ESR":
        return float(np.sum(error**2) / (np.sum(target**2) + eps))
    if metric == "Logcosh":
        return float(np.mean(np.log(np.cosh(error) + (1e-12 if old else 0))))
    if metric == "DC":
        return float(np.mean(error) ** 2 / (np.mean(target**2) + eps))
    if metric == "STFT":
        return stft(pairs, [(1024, 120, 600, "hann") if old else (1024, 256, 1024, "hann")], power)
    if metric == "MR":
        resolutions = [(1024, 120, 600, "hann"), (2048, 240, 1200, "hann"), (512, 50, 240, "hann")]
        return stft(pairs, resolutions, power)
    limits = (16384, 0.25) if old else (32768, 0.1)
    draw = RandomResolutionSTFTLoss(max_fft_size=limits[0], min_hop_size=limits[1]).draw(number, len(pairs[0][0]))
    resolutions = list(zip(draw.fft_sizes, draw.hop_sizes, draw.win_lengths, draw.window, strict=True))
    return stft(pairs, resolutions, power)


def rendering(root: Path, folder: Path | None) -> list[tuple[np.ndarray, np.ndarray]]:
    """Output and target of every segment; the network goes over a whole recording at once."""
    found = {}
    for id in FRAMES:
        x = audio.read(root / "Test" / f"input_{id}_.wav")
        (file,) = (root / "Test").glob(f"target_{id}_*.wav")
        if folder is not None:
            net = run.load_net(folder)
            switch, reduction = file.stem.split("__")[1:]
            ends = torch.nn.functional.pad(torch.from_numpy(x)[None], (CONTEXT, CONTEXT))
            with torch.no_grad():
                x = net(ends, torch.tensor([[float(switch), float(reduction) / 100]]))[0].numpy()
        found[id] = (x[0].astype(np.float64), audio.read(file)[0].astype(np.float64))
    return [(found[id][0][a : a + n], found[id][1][a : a + n]) for id, a, n in BLOCKS]


@pytest.mark.parametrize("name", ["l1-seed1", "unprocessed"])
def test_all_metrics_of_both_conventions_are_what_numpy_computes(
    name: str, evaluate: Evaluate, study: Path, data_root: Path
) -> None:
    result = evaluate(f"runs={study}/l1-seed1")
    assert result.code == 0, result.err
    rows = of(read(study / "results"), name)
    pairs = rendering(data_root, None if name == "unprocessed" else study / name)
    assert len(rows) == len(BLOCKS) * len(METRICS) + len(METRICS)
    for metric in METRICS:
        standard = [row for row in rows if (row["convention"], row["metric"]) == ("standard", metric)]
        for number, (row, pair) in enumerate(zip(standard, pairs, strict=True)):
            value = expected("standard", metric, [pair], number)
            assert float(row["value"]) == pytest.approx(value, rel=1e-4), (metric, number)
        (pooled,) = [row for row in rows if (row["convention"], row["metric"]) == ("paper2020", metric)]
        assert float(pooled["value"]) == pytest.approx(expected("paper2020", metric, pairs, 0), rel=1e-4), metric


def test_the_whole_split_is_scored_the_ends_of_files_included(evaluate: Evaluate, study: Path) -> None:
    assert evaluate(f"runs={study}").code == 0
    rows = read(study / "results")
    for name in ("l1-seed1", "mrstft-seed1", "unprocessed"):
        for metric in METRICS:
            mine = [row for row in of(rows, name) if row["metric"] == metric]
            for convention in ("standard", "paper2020"):
                samples = [int(row["samples"]) for row in mine if row["convention"] == convention]
                assert sum(samples) == sum(FRAMES.values())
            blocks = [
                (row["recording"], int(row["start"]), int(row["samples"]))
                for row in mine
                if row["convention"] == "standard"
            ]
            assert blocks == BLOCKS
    settings = {(row["recording"], row["switch"], row["peak_reduction"]) for row in rows if row["recording"]}
    assert settings == {("3", "0", "40"), ("12", "1", "65")}
    assert {row["seed"] for row in of(rows, "mrstft-seed1")} == {"2"}


def test_scores_do_not_depend_on_what_was_scored_before(evaluate: Evaluate, study: Path) -> None:
    a, b = study / "l1-seed1", study / "mrstft-seed1"
    found = []
    for number, runs in enumerate(([a, b], [b])):
        out = study / f"out{number}"
        assert evaluate(f"runs=[{','.join(map(str, runs))}]", f"out={out}").code == 0
        found.append(of(read(out), b.name))
    assert found[0] == found[1]
    assert found[0]


# Which runs


def test_runs_are_found_by_list_pattern_study_and_newest_study(
    study: Path, data_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = make_run(tmp_path / "runs" / "older" / "esr-seed1", data_root, 3)
    for checkpoint in (other / "checkpoints").iterdir():
        os.utime(checkpoint, (1, 1))
    monkeypatch.chdir(tmp_path)
    l1, mr = study / "l1-seed1", study / "mrstft-seed1"
    assert find_runs([str(l1), str(other)]) == [l1, other]
    assert find_runs(f"{study.parent}/*/l1-*") == [l1]
    assert find_runs(str(study)) == [l1, mr]
    assert find_runs([str(study), str(l1)]) == [l1, mr]  # each once
    assert [folder.absolute() for folder in find_runs(None)] == [l1, mr]


def test_results_lie_in_the_study_or_the_working_directory(
    evaluate: Evaluate, study: Path, data_root: Path, tmp_path: Path
) -> None:
    assert evaluate().code == 0
    assert {file.name for file in (study / "results").iterdir()} >= {
        "scores.csv",
        "table1.csv",
        "table1.json",
        "table1.md",
    }
    other = make_run(tmp_path / "runs" / "other" / "esr-seed1", data_root, 3)
    assert evaluate(f"runs=[{study}/l1-seed1,{other}]").code == 0
    assert (tmp_path / "results" / "scores.csv").exists()
    assert [folder.name for folder in find_runs(str(study))] == ["l1-seed1", "mrstft-seed1"]  # not the results


@pytest.mark.parametrize("form", ["runs=nowhere", "runs=[runs/study,runs/stduy]", "runs=runs/*/esr-*"])
def test_runs_that_are_not_there_are_named(form: str, evaluate: Evaluate, study: Path) -> None:
    result = evaluate(form)
    assert result.code == 1
    pattern = form.removeprefix("runs=").strip("[]").split(",")[-1]
    assert f"runs={pattern}: finds no folder with a config.yaml" in result.err
    assert "Traceback" not in result.err


def test_no_runs_at_all(evaluate: Evaluate) -> None:
    result = evaluate()
    assert result.code == 1
    assert "python train.py" in result.err
    assert "Traceback" not in result.err


# Runs that cannot be used


def damage_nothing_trained(folder: Path) -> str:
    shutil.rmtree(folder / "checkpoints")
    return "best.ckpt: missing"


def damage_checkpoint(folder: Path) -> str:
    file = folder / "checkpoints" / "best.ckpt"
    file.write_bytes(file.read_bytes()[:1000])
    return "best.ckpt: is damaged"


def damage_another_network(folder: Path) -> str:
    run.write_config(folder, run.read_config(folder) | {"model": MODEL | {"channels": 5}})
    return "not a checkpoint of this network"


def damage_hostile_target(folder: Path) -> str:
    run.write_config(
        folder, run.read_config(folder) | {"model": {"_target_": "os.mkdir", "path": str(folder / "trap")}}
    )
    return "'os.mkdir' is not allowed"


def damage_hostile_yaml(folder: Path) -> str:
    (folder / "config.yaml").write_text(f"model: !!python/object/apply:os.mkdir ['{folder / 'trap'}']\n")
    return "not a plain YAML file"


def damage_hostile_data(folder: Path) -> str:
    config = run.read_config(folder)
    trap = {"_target_": "os.mkdir", "path": str(folder / "trap")}
    run.write_config(folder, config | {"data": config["data"] | {"root": trap}})
    return "root"


def damage_data_of_another_kind(folder: Path) -> str:
    run.write_config(folder, run.read_config(folder) | {"data": ["a", "list"]})
    return "data"


@pytest.mark.parametrize(
    "damage",
    [
        damage_nothing_trained,
        damage_checkpoint,
        damage_another_network,
        damage_hostile_target,
        damage_hostile_yaml,
        damage_hostile_data,
        damage_data_of_another_kind,
    ],
)
def test_a_run_that_cannot_be_used_is_named_and_the_others_are_scored(
    damage: Callable[[Path], str], evaluate: Evaluate, study: Path, data_root: Path
) -> None:
    bad = make_run(study / "esr-seed1", data_root, 3)
    reason = damage(bad)
    result = evaluate(f"runs={study}")
    assert result.code == 1
    assert "Traceback" not in result.err
    assert not (bad / "trap").exists()
    rows = read(study / "results")
    assert of(rows, "l1-seed1")
    assert of(rows, "mrstft-seed1")
    assert not of(rows, "esr-seed1")
    (note,) = [
        note for note in json.loads((study / "results" / "table1.json").read_text())["notes"] if "left out" in note
    ]
    assert str(bad) in note
    assert reason in note
    assert note in result.out


def test_if_no_run_can_be_used_all_are_named(evaluate: Evaluate, study: Path) -> None:
    reasons = [damage_checkpoint(study / "l1-seed1"), damage_hostile_target(study / "mrstft-seed1")]
    result = evaluate(f"runs={study}")
    assert result.code == 1
    for folder, reason in zip(("l1-seed1", "mrstft-seed1"), reasons, strict=True):
        assert folder in result.err
        assert reason in result.err
    assert "Traceback" not in result.err
    assert not (study / "results").exists()


@pytest.mark.parametrize("status", [None, "{}", "nonsense", '{"state": "running"}'])
def test_a_run_that_is_not_finished_is_scored_with_a_note(status: str | None, evaluate: Evaluate, study: Path) -> None:
    file = study / "l1-seed1" / "status.json"
    if status is None:
        file.unlink()
    else:
        file.write_text(status)
    result = evaluate(f"runs={study}/l1-seed1")
    assert result.code == 0, result.err
    word = "running" if status and "running" in status else "interrupted"
    assert f"l1-seed1 is {word}: its best checkpoint so far is scored." in result.out


def test_a_model_that_has_collapsed_to_silence_is_told(evaluate: Evaluate, study: Path, data_root: Path) -> None:
    make_run(study / "esr-seed1", data_root, 3, gain=1e-9)
    result = evaluate(f"runs={study}")
    assert result.code == 0, result.err
    (note,) = [line for line in result.out.splitlines() if "collapsed to silence" in line]
    assert "esr-seed1" in note


# Which data


def test_a_missing_data_set_is_named(evaluate: Evaluate, tmp_path: Path) -> None:
    make_run(tmp_path / "runs" / "study" / "l1-seed1", tmp_path / "gone")
    result = evaluate()
    assert result.code == 1
    assert f"{tmp_path / 'gone'} does not exist" in result.err
    assert "data.root=" in result.err
    assert "Traceback" not in result.err


def test_runs_of_different_data_are_refused_unless_data_are_named(
    evaluate: Evaluate, study: Path, data_root: Path, tmp_path: Path
) -> None:
    make_run(study / "esr-seed1", tmp_path / "other", 3)
    result = evaluate(f"runs={study}")
    assert result.code == 1
    assert "trained on different data" in result.err
    assert str(data_root) in result.err
    assert str(tmp_path / "other") in result.err
    assert "Traceback" not in result.err

    result = evaluate(f"runs={study}", "data=signaltrain", f"data.root={data_root}")
    assert result.code == 0, result.err
    assert {Path(row["run"]).name for row in read(study / "results")} == {
        "esr-seed1",
        "l1-seed1",
        "mrstft-seed1",
        "unprocessed",
    }


# The table


def test_all_files_agree(evaluate: Evaluate, study: Path, data_root: Path) -> None:
    make_run(study / "l1-seed2", data_root, 5)
    result = evaluate(f"runs={study}")
    assert result.code == 0, result.err
    out = study / "results"
    text = (out / "table1.md").read_text(encoding="utf-8")
    assert text.strip() in result.out
    assert f"Results are in {out}" in result.out
    document = json.loads((out / "table1.json").read_text(encoding="utf-8"))
    with (out / "table1.csv").open(newline="") as stream:
        lines = {(line["source"], line["training_loss"]): line for line in csv.DictReader(stream)}
    rows = read(out)
    assert [made["convention"] for made in document["tables"]] == ["standard", "paper2020"]
    labels = {"L1": ["l1-seed1", "l1-seed2"], "MR": ["mrstft-seed1"], "unprocessed": ["unprocessed"]}
    for made in document["tables"]:
        assert list(made["rows"]) == list(labels)
        assert made["runs"] == {"L1": 2, "MR": 1, "unprocessed": 1}
        for label, names in labels.items():
            for metric in METRICS:
                means = []
                for name in names:
                    mine = [r for r in of(rows, name) if (r["convention"], r["metric"]) == (made["convention"], metric)]
                    values, weights = ([float(r[key]) for r in mine] for key in ("value", "samples"))
                    means.append(np.average(values, weights=weights))
                assert made["rows"][label][metric] == pytest.approx(np.mean(means))
                assert float(lines[made["convention"], label][metric]) == made["rows"][label][metric]
    assert "## standard" in text
    assert "## paper2020" in text
    assert "L1 (2 runs)" in text
    assert f"{sum(FRAMES.values()) / 44100 / 60:.1f} minutes" in text
    assert table.FOOTNOTES[0] in text


def test_last_is_another_checkpoint_than_best(evaluate: Evaluate, study: Path) -> None:
    folder = study / "l1-seed1"
    for checkpoint in ("best", "last"):
        assert evaluate(f"runs={folder}", f"checkpoint={checkpoint}", f"out={study / checkpoint}").code == 0
    assert of(read(study / "best"), "l1-seed1") != of(read(study / "last"), "l1-seed1")
    assert of(read(study / "best"), "unprocessed") == of(read(study / "last"), "unprocessed")


# From training to the table


@pytest.mark.filterwarnings("ignore:Checkpoint directory .* exists and is not empty")
def test_trained_runs_are_scored_as_they_are(train: Entry, evaluate: Evaluate, tmp_path: Path) -> None:
    result = train("-m", "loss=l1,mrstft", "name=${choices.loss}-seed1")
    assert result.code == 0, result.err
    result = evaluate()
    assert result.code == 0, result.err
    document = json.loads((tmp_path / "runs" / "tiny" / "results" / "table1.json").read_text())
    assert list(document["tables"][0]["rows"]) == ["L1", "MR", "unprocessed"]
    assert not [note for note in document["notes"] if "left out" in note]
