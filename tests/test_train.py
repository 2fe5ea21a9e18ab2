"""Runs of training, as the command line starts them: repeatable, continued, skipped, refused; early errors."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
import yaml
from hydra.utils import instantiate
from omegaconf import OmegaConf

from data import signaltrain
from data.fingerprint import fingerprint
from models.callbacks import TrainingBar
from models.run import Run
from models.system import System
from models.tcn_block import TCNBlock
from tests.conftest import RANDOM, ROOT, TINY, TINY_RECEPTIVE_FIELD, Entry

pytestmark = pytest.mark.filterwarnings("ignore:Checkpoint directory .* exists and is not empty")  # on continuing

SHORT = "trainer.limit_train_batches=2"  # of an epoch
FILES = ["checkpoints/best.ckpt", "checkpoints/last.ckpt", "config.yaml", "metrics.csv", "status.json"]


def weights(folder: Path, checkpoint: str = "last") -> dict[str, torch.Tensor]:
    state = torch.load(folder / "checkpoints" / f"{checkpoint}.ckpt", weights_only=True)["state_dict"]
    return {name: value for name, value in state.items() if isinstance(value, torch.Tensor)}


def same(a: Path, b: Path) -> bool:
    """Whether all weights (and the state of the loss's generator) of two runs are equal to the bit."""
    first, second = weights(a), weights(b)
    assert first.keys() == second.keys()
    assert any(name.startswith("net.") for name in first)
    return all(torch.equal(first[name], second[name]) for name in first)


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "metrics.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


def state(folder: Path) -> str:
    return str(Run.read(folder).status["state"])


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    return tmp_path / "runs" / "tiny"


@pytest.fixture
def interrupt(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes Ctrl-C fall into the training after a number of batches; returns how to undo that."""

    def after(batches: int) -> Any:
        update = TrainingBar.on_train_batch_end
        seen: list[int] = []

        def stop(self: TrainingBar, *arguments: Any) -> None:
            update(self, *arguments)
            seen.append(1)
            if len(seen) == batches:
                raise KeyboardInterrupt

        monkeypatch.setattr(TrainingBar, "on_train_batch_end", stop)
        return lambda: monkeypatch.setattr(TrainingBar, "on_train_batch_end", update)

    return after


# What a run leaves behind


def test_a_run_is_a_folder_that_anybody_can_read_and_load(
    train: Entry, runs: Path, tiny_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    systems: list[System] = []
    configure = System.configure_optimizers
    monkeypatch.setattr(System, "configure_optimizers", lambda self: (systems.append(self), configure(self))[1])
    result = train("name=a", "trainer.max_epochs=2")
    folder = runs / "a"
    assert result.code == 0, result.err
    assert sorted(str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()) == FILES

    text = (folder / "config.yaml").read_text()
    config = yaml.safe_load(text)
    assert config["seed"] == 42
    assert config["loss"] == {"_target_": "auraloss.time.L1Loss"}
    assert config["model"]["in_channels"] == 1
    assert config["data"]["root"] == str(tiny_root)
    assert "${" not in text
    assert str(ROOT) not in text
    assert str(runs.parent) not in text
    assert "hydra" not in config

    status = json.loads((folder / "status.json").read_text())
    assert (status["state"], status["epochs"], status["steps"]) == ("finished", 2, 8)
    assert status["seconds"] > 0
    assert status["versions"]["torch"] == torch.__version__
    assert status["test_split"] == fingerprint(signaltrain.recordings(tiny_root)["test"])  # evaluate.py compares it
    assert [row["epoch"] for row in rows(folder)] == ["0", "1"]
    assert set(rows(folder)[0]) == {"epoch", "step", "lr", "train/loss", "val/ESR", "val/MR", "val/score"}
    for row in rows(folder):
        score = (float(row["val/ESR"]) * float(row["val/MR"])) ** 0.5
        assert float(row["val/score"]) == pytest.approx(score, rel=1e-5)

    (system,) = systems
    net = Run.read(folder, "last").net()
    x, controls = torch.randn(1, 1, 500), torch.rand(1, 2)
    with torch.no_grad():
        assert torch.equal(net(x, controls), system.net.eval()(x, controls))
    best = torch.load(folder / "checkpoints" / "best.ckpt", weights_only=True)
    scores = [float(row["val/score"]) for row in rows(folder)]
    assert best["epoch"] == scores.index(min(scores))
    Run.read(folder, "best").net()


# Repeatability


def test_the_same_command_gives_the_same_weights_and_another_seed_others(train: Entry, runs: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        assert train(f"name={name}", f"seed={seed}", *RANDOM, SHORT).code == 0
    assert same(runs / "a", runs / "b")
    assert not same(runs / "a", runs / "c")
    assert rows(runs / "a") == rows(runs / "b")
    assert rows(runs / "a") != rows(runs / "c")


def test_recomputing_saves_memory_and_changes_nothing(
    train: Entry, runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[bool] = []
    applied = TCNBlock._applied
    monkeypatch.setattr(TCNBlock, "_applied", lambda self, *given: (seen.append(given[-1]), applied(self, *given))[1])
    for name, option in (("a", False), ("b", True)):
        assert train(f"name={name}", f"recompute={option}", SHORT).code == 0
        assert set(seen) == {option}
        seen.clear()
    assert same(runs / "a", runs / "b")


def test_a_training_continued_with_more_epochs_is_the_same_training(train: Entry, runs: Path) -> None:
    """Also the learning rate: here the plateau lowers it after every epoch but the first, from which it counts."""
    plateau = ("scheduler.patience=0", "+scheduler.threshold=0.99", "scheduler.factor=0.5", SHORT)
    assert train("name=whole", "trainer.max_epochs=4", *plateau).code == 0
    for epochs in (2, 4):
        assert train("name=parts", f"trainer.max_epochs={epochs}", *plateau).code == 0
    assert [row["lr"] for row in rows(runs / "whole")] == ["0.001", "0.001", "0.0005", "0.00025"]
    assert rows(runs / "parts") == rows(runs / "whole")
    assert same(runs / "parts", runs / "whole")
    assert yaml.safe_load((runs / "parts" / "config.yaml").read_text())["trainer"]["max_epochs"] == 4


def test_a_training_interrupted_before_its_first_checkpoint_starts_again(
    train: Entry, runs: Path, finished: Path, interrupt: Any
) -> None:
    undo = interrupt(2)
    assert train("name=b").code != 0
    undo()
    assert state(runs / "b") == "interrupted"
    assert train("name=b").code == 0
    assert same(runs / "b", finished)


# The test split, by whose fingerprint evaluate.py knows whether it has changed


def test_a_continued_training_keeps_the_fingerprint_of_its_start(
    train: Entry, runs: Path, interrupt: Any, tmp_path: Path, tiny_root: Path
) -> None:
    root = shutil.copytree(tiny_root, tmp_path / "data")
    undo = interrupt(3)  # within the second epoch
    options = ("name=a", f"data.root={root}", "trainer.max_epochs=2", SHORT)
    assert train(*options).code != 0
    undo()
    recorded = Run.read(runs / "a").status["test_split"]
    target = next((root / "Test").glob("target_*"))
    target.write_bytes(target.read_bytes()[:-2] + b"\0\0")
    assert fingerprint(signaltrain.recordings(root)["test"]) != recorded
    assert train(*options).code == 0
    assert Run.read(runs / "a").status["test_split"] == recorded


# Folders that are there already


def test_a_finished_run_is_left_as_it_is(train: Entry, runs: Path, finished: Path) -> None:
    before = {file: file.stat().st_mtime_ns for file in runs.rglob("*")}
    result = train("name=a")
    assert result.code == 0
    assert "is finished already" in result.out
    assert {file: file.stat().st_mtime_ns for file in runs.rglob("*")} == before


def test_a_run_without_a_limit_of_epochs_is_left_as_it_is(train: Entry, runs: Path) -> None:
    options = ("name=a", "trainer.max_epochs=null", "+trainer.max_steps=1")
    assert train(*options).code == 0
    result = train(*options)
    assert result.code == 0, result.err
    assert "is finished already" in result.out


def test_a_folder_of_another_configuration_is_refused_with_both_values(
    train: Entry, runs: Path, finished: Path
) -> None:
    kept = {file: file.read_bytes() for file in runs.rglob("*") if file.is_file()}
    result = train("name=a", "seed=7", "optimizer.lr=0.5")
    assert result.code == 1
    assert str(Path("runs/tiny/a")) in result.err
    for value in ("seed is 42 there and 7 here", "optimizer.lr is 0.001 there and 0.5 here"):
        assert value in result.err
    assert "{" not in result.err.split("another configuration: ")[1]
    assert "Traceback" not in result.err
    assert {file: file.read_bytes() for file in runs.rglob("*") if file.is_file()} == kept


def test_a_damaged_status_counts_as_interrupted(train: Entry, finished: Path) -> None:
    (finished / "status.json").write_text('{"state": 3}')
    result = train("name=a")
    assert result.code == 0, result.err
    assert state(finished) == "finished"
    assert len(rows(finished)) == 1


# Errors before anything is trained


def test_a_segment_shorter_than_the_receptive_field_is_named(train: Entry) -> None:
    result = train("data.segment_length=10")
    assert result.code == 1
    assert "10 samples" in result.err
    assert f"{TINY_RECEPTIVE_FIELD} samples" in result.err
    assert "Traceback" not in result.err


def test_a_segment_too_short_for_the_loss_is_named(train: Entry) -> None:
    result = train("loss=mrstft", "data.segment_length=1000")
    assert result.code == 1
    assert f"{1000 - TINY_RECEPTIVE_FIELD + 1} samples" in result.err  # what the network returns
    assert "1024" in result.err  # what the loss needs more than
    assert "data.segment_length" in result.err
    assert "Traceback" not in result.err


def test_real_data_without_a_folder_are_refused(entry: Entry) -> None:
    result = entry("train.py", "data=signaltrain", "trainer=cpu")
    assert result.code == 1
    assert "data.root" in result.err
    assert "Traceback" not in result.err


def test_a_loss_for_stereo_is_refused_with_mono_data(train: Entry) -> None:
    result = train("loss=sdstft")
    assert result.code == 1
    assert "1 channel(s)" in result.err
    assert "Traceback" not in result.err


def test_a_missing_data_set_is_named(entry: Entry, tmp_path: Path) -> None:
    result = entry(
        "train.py", "data=signaltrain", f"data.root={tmp_path / 'nowhere'}", "trainer=cpu", "data.batch_size=2"
    )
    assert result.code == 1
    assert f"{tmp_path / 'nowhere'} does not exist" in result.err
    assert "data.root=" in result.err
    assert "Traceback" not in result.err


@pytest.mark.parametrize("option", ["+trainer.strategy=ddp", "trainer.devices=2"])
def test_a_sweep_over_several_devices_is_refused(train: Entry, option: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pytorch_lightning.Trainer", lambda **_: pytest.fail("it was about to start"))
    result = train("-m", "loss=l1", option)
    assert result.code == 1
    assert "a sweep cannot use several devices" in result.err
    assert "for loss in" in result.err


def test_a_diverging_training_fails_with_the_remedy(train: Entry, runs: Path) -> None:
    result = train("name=a", "loss=mse", "optimizer.lr=1e30", "seed=1")
    assert result.code == 1
    assert "optimizer.lr" in result.err
    assert "name=a tries its last epoch again" in result.out
    assert state(runs / "a") == "failed"
    assert "FloatingPointError" in Run.read(runs / "a").status["error"]


# Sweeps


def test_a_failing_job_does_not_prevent_the_later_ones(train: Entry, runs: Path) -> None:
    result = train("-m", "loss=sdstft,l1", SHORT)
    assert result.code == 1
    assert "1 channel(s)" in result.err
    (folder,) = runs.glob("l1*")
    assert state(folder) == "finished"
    again = train("-m", "loss=l1,esr", SHORT)  # the sweep is taken up where it was left
    assert again.code == 0, again.err
    assert "is finished already" in again.out
    for loss in ("l1", "esr"):  # a folder for each job
        (folder,) = runs.glob(f"{loss}-*")
        assert sorted(str(f.relative_to(folder)) for f in folder.rglob("*") if f.is_file()) == FILES
        assert state(folder) == "finished"
    assert {file.name for file in runs.iterdir() if file.is_file()} <= {"multirun.yaml"}  # Hydra's own


# Separate processes


def start(tmp_path: Path, tiny_root: Path, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "train.py", *TINY, f"data.root={tiny_root}", *arguments]
    return subprocess.Popen(
        [*command, f"hydra.run.dir={tmp_path}/run"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.mark.slow
def test_ctrl_c_leaves_a_run_that_continues(tmp_path: Path, tiny_root: Path) -> None:
    process = start(tmp_path, tiny_root, "trainer.max_epochs=500")
    checkpoint = tmp_path / "run" / "checkpoints" / "last.ckpt"
    for _ in range(600):
        if checkpoint.exists() or process.poll() is not None:
            break
        time.sleep(0.1)
    os.kill(process.pid, signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert process.returncode != 0
    assert "Traceback" not in output
    status = Run.read(tmp_path / "run").status
    assert status["state"] == "interrupted"
    done = status["epochs"]
    assert 1 <= done < 500
    assert len(rows(tmp_path / "run")) >= done - 1
    Run.read(tmp_path / "run").net()

    process = start(tmp_path, tiny_root, f"trainer.max_epochs={done + 2}")
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0, output
    assert state(tmp_path / "run") == "finished"
    assert [int(row["epoch"]) for row in rows(tmp_path / "run")] == list(range(done + 2))


@pytest.mark.slow
def test_two_devices_train_one_run(tmp_path: Path, tiny_root: Path) -> None:
    process = start(tmp_path, tiny_root, "trainer.devices=2", "+trainer.strategy=ddp", "trainer.max_epochs=2")
    output, _ = process.communicate(timeout=170)
    assert process.returncode == 0, output
    assert [folder.name for folder in tmp_path.iterdir()] == ["run"]
    assert sorted(str(f.relative_to(tmp_path / "run")) for f in (tmp_path / "run").rglob("*") if f.is_file()) == FILES
    assert state(tmp_path / "run") == "finished"
    assert [row["step"] for row in rows(tmp_path / "run")] == ["2", "4"]  # 4 batches an epoch, shared by two
    Run.read(tmp_path / "run").net()


def test_the_checks_before_training_leave_random_resolutions_alone(train: Entry, tmp_path: Path) -> None:
    assert train(*RANDOM, "name=run", "seed=3").code == 0
    state = torch.load(tmp_path / "runs/tiny/run/checkpoints/last.ckpt", weights_only=True)["state_dict"]
    pl.seed_everything(3, workers=True, verbose=False)
    config = OmegaConf.load(tmp_path / "runs/tiny/run/config.yaml")
    instantiate(config.model)
    loss = instantiate(config.loss)
    samples = config.data.segment_length - TINY_RECEPTIVE_FIELD + 1
    noise = torch.randn(2, 1, 1, samples, generator=torch.Generator().manual_seed(0))
    calls = 0
    while not torch.equal(loss.get_extra_state(), state["loss._extra_state"]):
        loss(*noise)
        calls += 1
        assert calls <= 4, "the draws of training are not the first ones of the seed"
    assert calls == 4  # batches in an epoch
