"""The trained models that come with the product: they load, and score what their cards say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

from auraloss.freq import MultiResolutionSTFTLoss
from auraloss.time import ESRLoss
from data import embedded, signaltrain
from data.segments import Blocks
from models import run_files
from models.net import Net
from models.rendering import Rendering
from models.run import Run
from scripts import trained
from tests import made_scores, scored_runs

MODELS = sorted(folder.parent for folder in trained.KEPT.glob("*/card.md"))
MODES = {"0": "Compress", "1": "Limit"}
SCORED = (0, 1, 10)  # test recordings: Compress 85, Limit 55, Compress 45


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> list[signaltrain.Recording]:
    """Some of the test split that the models were scored on; as it is made from numbers, without the rest; the other
    splits have to hold something."""
    root = tmp_path_factory.mktemp("test") / "la2a"
    planned = embedded.plan(8)
    of_test = [p for p in planned if p.split == "test"]
    others = [next(p for p in planned if p.split == split)._replace(seconds=0.1) for split in ("train", "val")]
    for p in [*others, *(of_test[number] for number in SCORED)]:
        embedded._write_recording(root, p, 0, 44_100)
    return signaltrain.recordings(root)["test"]


def scores(net: Net, recording: signaltrain.Recording) -> tuple[float, float]:
    """ESR and MR of a recording, in blocks as evaluate.py has them."""
    rendering = Rendering(net)
    blocks, sums, samples = Blocks([recording], 262_144, rendering.context, 65_536), torch.zeros(2), 0
    for block in blocks:  # type: ignore[attr-defined]
        output, target = rendering.block(block)
        count = output.shape[-1]
        sums += count * torch.tensor(
            [float(metric(output, target)) for metric in (ESRLoss(), MultiResolutionSTFTLoss())]
        )
        samples += count
    esr, mr = (sums / samples).tolist()
    return esr, mr


def test_the_six_of_the_quick_study_and_two_other_networks_are_there() -> None:
    assert {folder.name for folder in MODELS} == {"l1", "esr", "logcosh", "stft", "mr", "rr", "live-mr", "s4d-mr"}
    assert sum(file.stat().st_size for folder in MODELS for file in folder.rglob("*")) < 2e6


def test_every_card_says_what_the_model_is_and_what_it_is_not_meant_for() -> None:
    """Also those of the GPU; an export takes the card along."""
    cards = sorted(trained.KEPT.rglob("card.md"))
    assert len(cards) == len(list(trained.KEPT.rglob("config.yaml")))
    for card in cards:
        points = re.findall(r"^- ([\w ]+): \S", card.read_text(encoding="utf-8"), re.MULTILINE)
        assert points == ["Network", "Trained on", "Training", "Controls", "Use", "Not meant for"], card


def check_card(folder: Path, recordings: list[signaltrain.Recording]) -> None:
    net, card = Run.read(folder).net(), (folder / "card.md").read_text(encoding="utf-8")
    for recording in recordings:
        switch, _, knob = recording.setting.partition("__")
        line = re.search(rf"^\| {MODES[switch]} {knob}(?: \(new\))? \| ([\d.]+) \| ([\d.]+) \|$", card, re.MULTILINE)
        assert line is not None
        esr, mr = scores(net, recording)
        assert esr == pytest.approx(float(line[1]), rel=0.01, abs=1e-4)
        assert mr == pytest.approx(float(line[2]), rel=0.01)
    assert f"--run models/trained/{folder.name} " in card
    assert Run.read(folder).status["state"] == "finished"


@pytest.mark.parametrize("folder", MODELS, ids=lambda folder: folder.name)
def test_a_model_scores_what_its_card_says(folder: Path, recordings: list[signaltrain.Recording]) -> None:
    """At one of the settings, not the same for all."""
    check_card(folder, [recordings[MODELS.index(folder) % len(SCORED)]])


@pytest.mark.slow
@pytest.mark.parametrize("folder", MODELS, ids=lambda folder: folder.name)
def test_a_model_scores_what_its_card_says_at_each_setting(
    folder: Path, recordings: list[signaltrain.Recording]
) -> None:
    check_card(folder, recordings)


def test_no_run_of_the_seed_is_said(tmp_path: Path) -> None:
    made_scores.write(tmp_path, made_scores.study())
    with pytest.raises(ValueError, match="holds no run of seed 7"):
        trained.keep(tmp_path, "7", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def scored(tmp_path: Path, data_root: Path, weights: str = "") -> Path:
    """A run whose results lie in a folder."""
    source = scored_runs.make_run(tmp_path / "study" / "l1", data_root, 1)
    rows = [made_scores.row("l1", metric, 0.25, setting="0__40") | {"run": str(source)} for metric in ("ESR", "MR")]
    runs = [{"run": str(source), "model": "l1", "loss": "l1", "seed": "1", "weights": weights}]
    made_scores.write(tmp_path, rows, runs=runs)
    (source / "metrics.csv").write_text("epoch\n0\n")
    config = Run.read(source).config
    config["data"] |= {"recordings": {"minutes": 1}, "batch_size": 4, "segment_length": 8192}
    run_files.write_config(source, config | {"loss": {"_target_": "auraloss.time.L1Loss"}, "seed": 1})
    run_files.write_status(source, "finished", steps=10, seconds=3.0)
    return source


def test_a_kept_run_has_the_weights_of_its_best_checkpoint_and_nothing_else(tmp_path: Path, data_root: Path) -> None:
    source = scored(tmp_path, data_root)
    (folder,) = trained.keep(tmp_path, "1", tmp_path / "out")
    assert folder.name == "l1"
    expected, kept = Run.read(source).net().state_dict(), Run.read(folder).net().state_dict()
    assert all(torch.equal(expected[name], kept[name]) for name in expected)
    assert list(torch.load(folder / "checkpoints" / "best.ckpt", weights_only=True)) == ["state_dict"]
    assert "| Compress 40 (new) | 0.2500 | 0.250 |" in (folder / "card.md").read_text(encoding="utf-8")


def test_weights_that_were_not_scored_are_not_kept(tmp_path: Path, data_root: Path) -> None:
    source = scored(tmp_path, data_root, weights="others")
    with pytest.raises(ValueError, match="l1: has been trained further since it was scored: evaluate again"):
        trained.keep(tmp_path, "1", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    scored(tmp_path / "same", data_root, weights=Run.read(source).weights)
    assert trained.keep(tmp_path / "same", "1", tmp_path / "out") == [tmp_path / "out" / "l1"]


def test_a_model_may_be_kept_where_it_is(tmp_path: Path, data_root: Path) -> None:
    source = scored(tmp_path, data_root)
    before = Run.read(source).net().state_dict()
    assert trained.keep(tmp_path, "1", source.parent) == [source]
    assert [file.name for file in source.parent.iterdir()] == ["l1"]
    assert {file.name for file in source.iterdir()} == {
        "card.md", "checkpoints", "config.yaml", "metrics.csv", "status.json",
    }  # fmt: skip
    assert all(torch.equal(before[name], value) for name, value in Run.read(source).net().state_dict().items())
