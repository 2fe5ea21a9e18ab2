"""evaluate.py from runs to Table 1: every score recomputed with NumPy, all of the split, all ways to name runs."""

from __future__ import annotations

import math
import os
import shutil
from pathlib import Path

import numpy as np
import pyloudnorm
import pytest
import scipy.signal
import torch

from auraloss.freq import RandomResolutionSTFTLoss
from data import audio
from models.build import build_net
from models.run import Run, find_runs
from scripts.report import build
from tests.conftest import Entry
from tests.scored_runs import (
    BLOCKS,
    CONTEXT,
    FRAMES,
    LENGTH,
    LIGHT_METRICS,
    METRICS,
    MODEL,
    OPTIONS,
    Row,
    info,
    make_run,
    of,
    read,
    write_data,
)

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
            net = Run.read(folder).net()
            switch, reduction = file.stem.split("__")[1:]
            ends = torch.nn.functional.pad(torch.from_numpy(x)[None], (CONTEXT, CONTEXT))
            with torch.no_grad():
                x = net(ends, torch.tensor([[float(switch), float(reduction) / 100]]))[0].numpy()
        found[id] = (x[0].astype(np.float64), audio.read(file)[0].astype(np.float64))
    return [(found[id][0][a : a + n], found[id][1][a : a + n]) for id, a, n in BLOCKS]


def test_all_metrics_of_both_conventions_are_what_numpy_computes(entry: Entry, study: Path, data_root: Path) -> None:
    result = entry("evaluate.py", *OPTIONS, f"runs={study}/l1-seed1")
    assert result.code == 0, result.err
    assert_scores(of(read(study / "results"), "l1-seed1"), rendering(data_root, study / "l1-seed1"))
    assert_scores(of(read(study / "results"), "unprocessed"), rendering(data_root, None), LIGHT_METRICS)


def assert_scores(
    rows: list[Row], pairs: list[tuple[np.ndarray, np.ndarray]], metrics: tuple[str, ...] = METRICS
) -> None:
    """The scores of one network are those of its outputs and targets."""
    assert len(rows) == len(BLOCKS) * len(METRICS) + len(METRICS)
    for metric in metrics:
        standard = [row for row in rows if (row["convention"], row["metric"]) == ("standard", metric)]
        for number, (row, pair) in enumerate(zip(standard, pairs, strict=True)):
            value = expected("standard", metric, [pair], number)
            # Random resolutions may have few bins, in which float32 rounds a near-empty one.
            assert float(row["value"]) == pytest.approx(value, rel=3e-4 if metric == "RR" else 1e-4), (metric, number)
        (pooled,) = [row for row in rows if (row["convention"], row["metric"]) == ("paper2020", metric)]
        assert int(pooled["samples"]) == sum(FRAMES.values())
        assert float(pooled["value"]) == pytest.approx(expected("paper2020", metric, pairs, 0), rel=1e-4), metric


def test_a_model_that_is_inverted_is_told(scoring: Entry, study: Path, data_root: Path) -> None:
    """A new network is tanh(x); here it is beside tanh(−x)."""
    runs = {gain: make_run(study / name, data_root, 3) for name, gain in (("upright", 1), ("inverted", -1))}
    for gain, folder in runs.items():
        weights = {f"net.{name}": value for name, value in build_net(MODEL).state_dict().items()}
        weights["net.mix.weight"] *= gain
        torch.save({"state_dict": weights}, folder / "checkpoints" / "best.ckpt")
    output, target = (np.concatenate(signals) for signals in zip(*rendering(data_root, runs[1]), strict=True))
    correlation = (output @ target) / np.sqrt((output @ output) * (target @ target))
    result = scoring(f"runs=[{runs[1]},{runs[-1]}]", f"out={study}/out")
    assert result.code == 0, result.err
    (note,) = [line for line in result.out.splitlines() if "inverted in polarity" in line]
    assert f"{runs[-1]} is inverted in polarity: its correlation with the target is {-correlation:.2f}." in note


def test_the_whole_split_is_scored_the_ends_of_files_included(scoring: Entry, study: Path) -> None:
    assert scoring(f"runs={study}").code == 0
    rows = read(study / "results")
    for name in ("l1-seed1", "mrstft-seed1", "unprocessed"):
        for metric in LIGHT_METRICS:
            mine = [row for row in of(rows, name) if row["metric"] == metric]
            assert [(row["recording"], int(row["start"]), int(row["samples"])) for row in mine] == BLOCKS
            assert sum(int(row["samples"]) for row in mine) == sum(FRAMES.values())
    settings = {(row["recording"], row["switch"], row["peak_reduction"]) for row in rows if row["recording"]}
    assert settings == {("3", "0", "40"), ("12", "1", "65")}
    assert {row["seed"] for row in of(rows, "mrstft-seed1")} == {"2"}


def test_scores_do_not_depend_on_what_was_scored_before(scoring: Entry, study: Path) -> None:
    a, b = study / "l1-seed1", study / "mrstft-seed1"
    found = []
    for number, runs in enumerate(([a, b], [b])):
        out = study / f"out{number}"
        shutil.rmtree(b / "scores", ignore_errors=True)  # else they are kept, not scored
        assert scoring(f"runs=[{','.join(map(str, runs))}]", f"out={out}").code == 0
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
    (tmp_path / "link").symlink_to(l1)
    relative = Path("runs", "study", "l1-seed1")
    assert find_runs([str(relative), str(l1), "link", "runs/study/../study"]) == [
        relative,
        Path("runs/study/../study/mrstft-seed1"),
    ]


def test_results_lie_in_the_study_or_the_working_directory(
    evaluate: Entry, study: Path, data_root: Path, tmp_path: Path
) -> None:
    assert evaluate().code == 0
    files = {file.name for file in (study / "results").iterdir()}
    assert files >= {"scores.csv", "evaluation.json", "table1.csv", "table1.json", "table1.md"}
    other = make_run(tmp_path / "runs" / "other" / "esr-seed1", data_root, 3)
    assert evaluate(f"runs=[{study}/l1-seed1,{other}]").code == 0
    assert (tmp_path / "results" / "scores.csv").exists()
    assert [folder.name for folder in find_runs(str(study))] == ["l1-seed1", "mrstft-seed1"]  # not the results
    (study / "results" / "scores.csv").unlink()
    assert evaluate(f"runs=[runs/study/l1-seed1,{study}/mrstft-seed1]").code == 0
    assert (study / "results" / "scores.csv").exists()


@pytest.mark.parametrize("form", ["runs=nowhere", "runs=[runs/study,runs/stduy]", "runs=runs/*/esr-*"])
def test_runs_that_are_not_there_are_named(form: str, evaluate: Entry, study: Path) -> None:
    result = evaluate(form)
    assert result.code == 1
    pattern = form.removeprefix("runs=").strip("[]").split(",")[-1]
    assert f"runs={pattern}: finds no folder with a config.yaml" in result.err
    assert "Traceback" not in result.err


def test_a_folder_without_a_run_costs_the_others_nothing(scoring: Entry, study: Path) -> None:
    empty = study / "esr-seed1"
    empty.mkdir()
    result = scoring(f"runs=[{study}/l1-seed1,{empty}]")
    assert result.code == 1
    (left_out,) = info(study / "results")["left_out"]
    assert left_out["run"] == str(empty)
    assert f"config.yaml: cannot be read (No such file or directory); is {empty} the folder" in left_out["reason"]
    assert len(of(read(study / "results"), "l1-seed1")) == 3 * len(LIGHT_METRICS)
    alone = scoring(f"runs={empty}")
    assert alone.code == 1
    assert f"runs={empty}: finds no folder with a config.yaml" in alone.err


def test_no_runs_at_all(evaluate: Entry) -> None:
    result = evaluate()
    assert result.code == 1
    assert "python train.py" in result.err
    assert "Traceback" not in result.err


# What is written


def test_scores_are_a_tidy_table_beside_what_was_scored_and_how(entry: Entry, study: Path, data_root: Path) -> None:
    make_run(study / "l1-seed2", data_root, 5)
    without_spectra = (
        f"~conventions.{name}.{metric}" for name in ("standard", "paper2020") for metric in ("STFT", "MR", "RR")
    )
    result = entry("evaluate.py", *OPTIONS, *without_spectra, f"runs={study}")
    assert result.code == 0, result.err
    rows = read(study / "results")
    assert list(rows[0]) == [
        *("run", "model", "loss", "seed", "recording", "switch", "peak_reduction", "segment", "start", "samples"),
        *("convention", "metric", "value"),
    ]
    models = dict.fromkeys((row["run"], row["model"], row["loss"], row["seed"]) for row in rows)
    assert list(models) == [
        ("unprocessed", "unprocessed", "", ""),
        (f"{study}/l1-seed1", "l1", "l1", "1"),
        (f"{study}/l1-seed2", "l1", "l1", "5"),
        (f"{study}/mrstft-seed1", "mrstft", "mrstft", "2"),
    ]
    for row in rows:
        empty = {key for key, value in row.items() if value == ""} - {"loss", "seed"}
        pooled = row["convention"] == "paper2020"
        assert empty == ({"recording", "switch", "peak_reduction", "start"} if pooled else set())

    said = info(study / "results")
    assert said.pop("notes") == [
        f"Test split: {data_root}, 2 recordings, {sum(FRAMES.values()) / 44100 / 60:.1f} minutes, all scored."
    ]
    weights = [of_run.pop("weights") for of_run in said["runs"]]
    assert [len(word) for word in weights] == [64, 64, 64]
    assert len(set(weights)) == 3
    assert said == {
        "format": 1,
        "root": str(data_root),
        "sample_rate": 44100,
        "channels": 1,
        "eval_length": LENGTH,
        "checkpoint": "best",
        "trained_settings": ["0__40"],  # of Train's one recording
        "runs": [
            {"run": f"{study}/l1-seed1", "model": "l1", "loss": "l1", "seed": "1"},
            {"run": f"{study}/l1-seed2", "model": "l1", "loss": "l1", "seed": "5"},
            {"run": f"{study}/mrstft-seed1", "model": "mrstft", "loss": "mrstft", "seed": "2"},
        ],
        "left_out": [],
        "metrics": {metric: {"higher_is_better": False, "unit": ""} for metric in LIGHT_METRICS},
    }
    assert "## Notes" in (study / "results" / "table1.md").read_text(encoding="utf-8")
    assert str(study / "results" / "table1.md") in result.out


def test_runs_of_one_loss_that_differ_in_more_than_the_seed_have_longer_names(
    scoring: Entry, study: Path, data_root: Path
) -> None:
    for seed in (1, 2):
        make_run(study / f"l1-seed{seed}-channels3", data_root, seed, model=MODEL | {"channels": 3})
    assert scoring(f"runs={study}").code == 0
    models = {(Path(row["run"]).name, row["model"], row["loss"]) for row in read(study / "results")}
    assert models == {
        ("unprocessed", "unprocessed", ""),
        ("l1-seed1", "l1", "l1"),
        ("l1-seed1-channels3", "l1-channels3", "l1"),
        ("l1-seed2-channels3", "l1-channels3", "l1"),
        ("mrstft-seed1", "mrstft", "mrstft"),
    }


def test_further_metrics_come_in_their_natural_sign(scoring: Entry, study: Path, data_root: Path) -> None:
    result = scoring(f"runs={study}/l1-seed1", "+conventions.further.SI-SDR._target_=auraloss.time.SISDRLoss")
    assert result.code == 0, result.err
    assert info(study / "results")["metrics"]["SI-SDR"] == {"higher_is_better": True, "unit": "dB"}
    rows = [row for row in of(read(study / "results"), "unprocessed") if row["metric"] == "SI-SDR"]
    for row, (x, y) in zip(rows, rendering(data_root, None), strict=True):
        x, y = x - x.mean(), y - y.mean()
        scaled = np.dot(x, y) / np.dot(y, y) * y
        expected_db = 10 * np.log10(np.sum(scaled**2) / np.sum((x - scaled) ** 2))
        assert float(row["value"]) == pytest.approx(expected_db, abs=0.01)
        assert expected_db > 0


def test_stereo_at_48_khz_is_scored_with_the_shipped_further_metrics(entry: Entry, tmp_path: Path) -> None:
    """Loudness is that of both channels together; a level is taken over 20 ms, 960 samples."""
    root = write_data(tmp_path / "stereo", sample_rate=48_000, channels=2)
    stereo = {"in_channels": 2, "out_channels": 2}
    folder = make_run(tmp_path / "runs" / "a" / "l1-seed1", root, model=MODEL | stereo, sample_rate=48_000, channels=2)
    options = ("device=cpu", "report=false", "~metrics@conventions.standard", "~metrics@conventions.paper2020")
    result = entry("evaluate.py", f"runs={folder}", f"eval_length={LENGTH}", *options)
    assert result.code == 0, result.err
    results = folder.parent / "results"
    assert list(info(results)["metrics"]) == ["SI-SDR", "Mel", "MR-mel", "Loudness", "GR"]
    rows = read(results)
    assert len(rows) == 2 * len(BLOCKS) * 5
    assert all(math.isfinite(float(row["value"])) for row in rows)
    for number, (id, start, samples) in enumerate(BLOCKS):
        target = next((root / "Test").glob(f"target_{id}_*.wav"))
        files = (root / "Test" / f"input_{id}_.wav", target)
        x, y = (audio.read(file, start, samples).astype(np.float64) for file in files)
        loudness = [pyloudnorm.Meter(48_000).integrated_loudness(signal.T) for signal in (x, y)]
        starts = range(0, samples - 960 + 1, 480)
        ends = [*(start + 960 for start in starts[:-1]), samples]  # the last frame takes what remains
        frames = [[2 * np.mean(s[:, a:b] ** 2, axis=-1) for a, b in zip(starts, ends, strict=True)] for s in (x, y)]
        levels = [10 * np.log10(of_signal) for of_signal in frames]
        assert levels[1].min() > -60.0  # no frame is too quiet to count
        expected = {"Loudness": abs(loudness[0] - loudness[1]), "GR": np.mean(np.abs(levels[0] - levels[1]))}
        for metric, value in expected.items():
            row = [row for row in of(rows, "unprocessed") if row["metric"] == metric][number]
            assert (row["recording"], int(row["start"]), int(row["samples"])) == (id, start, samples)
            assert value > 0.5
            tolerance = 0.05 if metric == "Loudness" else 1e-3  # its filters and pyloudnorm's differ a little
            assert float(row["value"]) == pytest.approx(value, abs=tolerance), (metric, number)


def test_last_is_another_checkpoint_than_best(scoring: Entry, study: Path) -> None:
    folder = study / "l1-seed1"
    for checkpoint in ("best", "last"):
        assert scoring(f"runs={folder}", f"checkpoint={checkpoint}", f"out={study / checkpoint}").code == 0
    assert of(read(study / "best"), "l1-seed1") != of(read(study / "last"), "l1-seed1")
    assert of(read(study / "best"), "unprocessed") == of(read(study / "last"), "unprocessed")


# From training to the table


def test_a_trained_run_is_scored_as_it_is(finished: Path, evaluate: Entry) -> None:
    result = evaluate()
    assert result.code == 0, result.err
    said = info(finished.parent / "results")
    assert [of_run["model"] for of_run in said["runs"]] == ["l1"]
    assert not said["left_out"]


# The report


@pytest.fixture
def reported(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The folders for which evaluate.py asks for a report, in place of making one."""
    asked: list[Path] = []

    def write(out: Path) -> Path:
        assert (out / "evaluation.json").exists()
        assert (out / "table1.md").exists()
        asked.append(out)
        return out / "report.html"

    monkeypatch.setattr(build, "write", write)
    return asked


def test_the_report_is_made_after_the_tables(evaluate: Entry, study: Path, reported: list[Path]) -> None:
    result = evaluate(f"runs={study}", "report=true")
    assert result.code == 0, result.err
    assert reported == [study / "results"]
    assert f"The report is {study / 'results' / 'report.html'}" in result.out
    assert evaluate(f"runs={study}", "report=false").code == 0
    assert len(reported) == 1


@pytest.mark.parametrize("error", [ValueError("no passage"), OSError("disk full")])
def test_a_report_that_fails_leaves_the_scores(
    error: Exception, scoring: Entry, study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(out: Path) -> Path:
        raise error

    monkeypatch.setattr(build, "write", write)
    result = scoring(f"runs={study}", "report=true")
    assert result.code == 1
    assert f"The report could not be made: {error}" in result.out
    assert "Traceback" not in result.err
    assert of(read(study / "results"), "mrstft-seed1")
