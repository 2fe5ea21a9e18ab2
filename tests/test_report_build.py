"""The report as a whole: what is on the page, and what is left out when something is gone."""

from __future__ import annotations

import contextlib
import csv
import html
import io
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from models import run_files
from models.digest import digest, digest_files
from models.run import Run
from models.tcn import TCN
from scripts.report import __main__, build, trained
from scripts.report.colours import looks
from scripts.report.side_by_side import ALONE
from scripts.results import findings, scores
from scripts.results.scored_run import folder_of
from tests import made_scores
from tests.conftest import LOW_RATE, ROOT

NET = {"blocks": 3, "kernel_size": 5, "channels": 2, "dilation_growth": 1}
SEGMENT = 20_000  # samples, 1.25 s
HOSTILE = "</script><img src=x onerror=alert(1)>$^&"
METRICS = "epoch,train/loss,val/ESR,val/score\n0,2.0,0.5,0.6\n1,1.0,0.4,0.5\n"


def study(folder: Path, root: Path, models: tuple[str, ...] = ("esr", "mrstft"), **info: Any) -> Path:
    """Runs with networks of random weights, and the results of an evaluation of them; the folder of these."""
    rows, runs = [], []
    for number, (model, seed) in enumerate([(model, seed) for model in models for seed in ("2", "1")]):
        torch.manual_seed(number)
        net = TCN(**NET)
        for parameter in net.parameters():
            torch.nn.init.normal_(parameter, std=0.2)
        run = folder / f"run{number}"
        (run / "checkpoints").mkdir(parents=True)
        run_files.write_config(run, {"model": {"_target_": "models.tcn.TCN", **NET}})
        (run / "metrics.csv").write_text(METRICS)
        torch.save(
            {"state_dict": {f"net.{key}": value for key, value in net.state_dict().items()}},
            run / "checkpoints/best.ckpt",
        )
        loss = model if model in ("esr", "mrstft") else "own"
        runs.append({"run": str(run), "model": model, "loss": loss, "seed": seed})
        for metric, value in (("ESR", 0.3 + 0.1 * number), ("MR", 1.3 - 0.1 * number)):
            for id, setting in (("5", "0__85"), ("6", "1__55")):
                row = made_scores.row(
                    model, metric, value + int(id), seed=seed, recording=id, setting=setting, loss=loss
                )
                rows.append({**row, "run": str(run), "samples": SEGMENT})
    for metric in ("ESR", "MR"):
        rows += [
            made_scores.row(scores.UNPROCESSED, metric, 9.0, recording=id, setting=setting, samples=SEGMENT)
            for id, setting in (("5", "0__85"), ("6", "1__55"))
        ]
    results = folder / "results"
    results.mkdir()
    settings = ["0__85", "0__100"]
    about = {"root": str(root), "sample_rate": LOW_RATE, "runs": runs, "trained_settings": settings}
    return made_scores.write(results, rows, **about, **info)


def ids_of(root: Path) -> list[str]:
    return sorted(file.name.split("_")[1] for file in (root / "Test").glob("input_*"))


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory, low_rate_root: Path) -> Path:
    assert ids_of(low_rate_root) == ["5", "6", "7"]
    return study(tmp_path_factory.mktemp("study"), low_rate_root, models=("esr", HOSTILE))


@pytest.fixture(scope="module")
def printed(results: Path) -> str:
    """What the command says; it makes the page."""
    said = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(said):
        patch.setattr(sys, "argv", ["report", str(results)])
        __main__.main()
    return said.getvalue()


@pytest.fixture(scope="module")
def page(results: Path, printed: str) -> str:
    assert printed
    return (results / "report.html").read_text(encoding="utf-8")


def passages(page: str) -> dict[str, dict[str, Any]]:
    found = re.findall(
        r'<script type="application/json" class="passage" id="([^"]*)"[^>]*>(.*?)</script>', page, re.DOTALL
    )
    return {id: json.loads(text) for id, text in found}


def test_the_page_needs_nothing_but_itself(page: str) -> None:
    code = re.sub(r'<script type="application/json".*?</script>', "", page, flags=re.DOTALL)
    outside = [link for link in re.findall(r'(?:src|href)="([^"]*)"', code) if not link.startswith(("#", "data:"))]
    assert outside == []
    assert set(re.findall(r"https?://[^\s\"'<)]+", code)) <= {
        "http://www.w3.org/2000/svg",
        "http://www.w3.org/1999/xlink",
    }


def test_the_sections_stand_in_their_order(page: str) -> None:
    order = [page.index(f'<section id="{id}"') for id in ("learning", "knob", "settings", "devices", "traces")]
    assert order == sorted(order)


def test_the_devices_have_a_table_and_its_numbers_lie_beside_the_page(results: Path, page: str) -> None:
    rows = re.findall(r'<tr><th scope="row">(\w+)</th><td data-value="3">3</td>', page)
    assert rows == ["device", "ESR"]  # and one whose name is no word
    lines = (results / "devices.csv").read_text(encoding="utf-8").splitlines()
    assert [line.split(",")[:4] for line in lines[1:4]] == [
        ["ESR", "1", "0", "85"],
        ["ESR", "1", "0", "100"],
        ["ESR", "0", "1", "55"],
    ]
    assert len(lines) == 1 + 2 * 3


def test_the_knob_certificate_has_a_row_and_a_line_for_each_model(results: Path, page: str) -> None:
    section = page[page.index('<section id="knob"') : page.index('<section id="settings"')]
    rows = re.findall(r'<tr><th scope="row">(\w+)</th>', section)
    assert rows == ["device", "ESR", "unprocessed"]
    with (results / "knob.csv").open(newline="", encoding="utf-8") as stream:
        lines = {row["model"]: row for row in csv.DictReader(stream)}
    assert list(lines) == ["device", "ESR", HOSTILE, "unprocessed"]
    assert float(lines["device"]["zipper_db"]) < -80
    assert float(lines["ESR"]["esr_seen"]) == pytest.approx(0.35 + 5)  # mean of two runs
    assert float(lines["ESR"]["esr_moving"]) > 0
    assert "ipper" in section
    assert "ipper" not in page.replace(section, "")


def test_every_id_is_there_once_and_every_reference_has_one(page: str) -> None:
    code = re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)
    ids = re.findall(r'\sid="([^"]*)"', code)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'(?:url\(#|xlink:href="#)([^)"]+)', code)) <= set(ids)


def test_every_model_has_a_colour_and_can_be_heard(page: str) -> None:
    assert "--c-esr: #cc8400" in page
    first = passages(page)["passage-passage-1"]
    assert [signal["label"] for signal in first["signals"]] == ["input", "target", "ESR", HOSTILE, "anchor"]
    assert [signal["kind"] for signal in first["signals"]] == ["input", "target", "model", "model", "anchor"]
    assert first["title"].startswith("Limit, peak reduction 55")  # never trained on, so it comes first
    assert first["seconds"] == build.heard.SECONDS


def test_the_smallest_seed_stands_for_a_model_and_the_page_says_so(page: str) -> None:
    assert f"smallest seed of each model: ESR (run1), {html.escape(HOSTILE, quote=False)} (run3)." in page


def test_the_worst_segments_are_there_with_their_audio(page: str) -> None:
    worst = [passage for id, passage in passages(page).items() if "worst" in id]
    assert len(worst) == 2
    for passage in worst:
        assert [signal["kind"] for signal in passage["signals"]] == ["input", "target", "model"]
        assert passage["seconds"] == SEGMENT / LOW_RATE  # shorter than 3 s


@pytest.mark.slow
@pytest.mark.parametrize("seed", ["0", "1"])
def test_a_process_of_its_own_gives_equal_bytes(results: Path, page: str, seed: str) -> None:
    """With other hashes of strings, thus another order of what is in a set."""
    subprocess.run(
        [sys.executable, "-m", "scripts.report", str(results)],
        cwd=ROOT,
        env=os.environ | {"PYTHONHASHSEED": seed},
        check=True,
        capture_output=True,
    )
    assert (results / "report.html").read_text(encoding="utf-8") == page


def test_a_report_is_current_until_what_it_was_made_of_changes(results: Path, page: str) -> None:
    assert build.is_current(results)
    for file in (results / "scores.csv", results.parent / "run0" / "metrics.csv"):
        before = file.read_bytes()
        file.write_bytes(before.rstrip() + b"1\n")  # another last digit
        current = build.is_current(results)
        file.write_bytes(before)
        assert not current, file
        assert build.is_current(results), file


def test_hostile_names_stay_text(page: str) -> None:
    assert "<img" not in page
    assert page.count("<script") == page.count("</script>")
    assert html.escape(HOSTILE, quote=False) in page


@pytest.mark.usefixtures("undrawn")
def test_equal_results_give_equal_bytes(results: Path, page: str) -> None:
    """All but the figures: for these see test_charts.py, and above the processes of their own."""
    undrawn = re.sub('<svg class="chart.*?</svg>', "", page, flags=re.DOTALL)
    assert build.write(results).read_text(encoding="utf-8") == undrawn != page
    assert not list(results.glob(".report*"))


@pytest.mark.usefixtures("undrawn")
def test_runs_and_recordings_that_are_gone_are_noted(tmp_path: Path) -> None:
    results = study(tmp_path, tmp_path / "gone", models=("esr",))
    assert not build.is_current(results)
    shutil.rmtree(tmp_path / "run1")
    (results / "tracking.csv").write_text("metric,error,correlation,low,high,results\nMR,gain,0.8,0.7,0.9,earlier\n")
    page = build.write(results).read_text(encoding="utf-8")
    assert passages(page) == {}
    assert "run1: the folder is gone" in page
    assert "There is nothing to hear" in page
    assert "tracking.csv is of other results than these; run python -m scripts.tracking" in page
    assert '<section id="tracking"' not in page
    assert '<section id="learning"' in page
    assert "smallest seed of each model: ESR (run0)." in page  # the next seed stands for the model
    shutil.rmtree(tmp_path / "run0")
    page = build.write(results).read_text(encoding="utf-8")
    assert '<section id="learning"' not in page
    assert '<section id="settings"' in page


def weights_of(folder: Path) -> str:
    return digest(digest_files([folder / "checkpoints/best.ckpt"]), Run.read(folder).config.get("model"))


def test_the_network_that_was_scored_is_preferred_to_another_of_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = study(tmp_path / "moved", tmp_path, models=("esr",))
    study(tmp_path / "here/runs/quick", tmp_path, models=("mrstft", "esr"))  # networks of other weights, same names
    decoy = tmp_path / "here/runs/quick/run1"
    shutil.copytree(tmp_path / "here/runs/quick/run2", decoy, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path / "here")
    beside, item = tmp_path / "moved/run1", {"run": "runs/quick/run1"}
    assert weights_of(decoy) != weights_of(beside)
    assert folder_of(item, made) == beside
    assert folder_of({**item, "weights": weights_of(beside)}, made) == beside
    assert folder_of({**item, "weights": weights_of(decoy)}, made) == Path("runs/quick/run1")


def test_a_run_that_was_trained_further_is_neither_heard_nor_measured(tmp_path: Path, low_rate_root: Path) -> None:
    results = study(tmp_path, low_rate_root, models=("esr", "mrstft"))
    file = results / "evaluation.json"
    info = json.loads(file.read_text())
    for item in info["runs"]:
        item["weights"] = weights_of(Path(item["run"]))
    file.write_text(json.dumps(info))
    for number in (0, 1):
        shutil.copy(tmp_path / "run2/checkpoints/best.ckpt", tmp_path / f"run{number}/checkpoints/best.ckpt")
    found, notes = trained.load(info["runs"], results)
    assert [network.label for network in found] == ["mrstft"]
    assert len(notes) == 2
    assert all("has been trained further since it was scored: evaluate again" in note for note in notes)
    _, without_audio = build._worst(scores.read(results), results, found)
    assert any("trained further" in note for note in without_audio)


def broken() -> TCN:
    """A network whose output is no number."""
    net = TCN(**NET).eval()
    torch.nn.init.constant_(net.mix.bias, float("nan"))  # type: ignore[arg-type]
    return net


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize("embedded", [True, False])
def test_a_network_that_fails_is_left_out_alone(
    low_rate_root: Path, monkeypatch: pytest.MonkeyPatch, embedded: bool
) -> None:
    torch.manual_seed(0)
    nets = {"ESR": TCN(**NET).eval(), "MR": broken()}
    worst = findings.Worst("runs/m", "mrstft", "MR", "5", "0__85", 0, 0, SEGMENT, "MR", 1.0, 2.0)
    info = {"root": str(low_rate_root), "sample_rate": LOW_RATE, "channels": 1, "trained_settings": ["0__85"]}
    monkeypatch.setattr(build.heard, "is_embedded", lambda root: embedded)
    monkeypatch.setattr(build.heard, "PASSAGES", 1)
    heard = build.heard.gather(info, nets, [(worst, nets["MR"])], looks([("ESR", "esr"), ("MR", "mrstft")]), ALONE)
    labels = [signal["label"] for passage in heard.passages for signal in json.loads(passage["data"])["signals"]]
    assert "ESR" in labels
    assert "MR" not in labels
    assert heard.worst == []
    assert [section.id for section in heard.sections] == ["devices", "traces"]
    assert heard.sections[0].title == ("As a device under test" if embedded else "Beside the recordings")
    assert all(note.startswith("MR ") and "not finite" in note for note in heard.notes)
    assert any("is missing among the device curves" in note for note in heard.notes)
    assert any("is not heard in “Compress, peak reduction 100" in note for note in heard.notes)
    assert any("is not heard in its worst segments" in note for note in heard.notes)


def test_the_command_says_what_it_made(results: Path, printed: str) -> None:
    assert re.fullmatch(
        rf"{re.escape(str(results))}/report\.html: \d+\.\d MB, made in \d+ s \(\d+ s of the processor\)\n", printed
    )


def test_a_folder_without_results_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["report", str(tmp_path)])
    with pytest.raises(SystemExit, match=r"Error: .*scores\.csv does not exist"):
        __main__.main()
    assert list(tmp_path.iterdir()) == []
