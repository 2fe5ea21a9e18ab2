"""Every option of Lightning's trainer works, or is refused by name."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
from omegaconf import OmegaConf

from models.callbacks import TrainingBar
from models.run import Run
from scripts.training import trainer_options
from tests.conftest import Entry


@pytest.mark.parametrize(
    ("option", "remedy"),
    [
        ("+trainer.default_root_dir=x", "study="),
        ("+trainer.logger=true", "logger=none"),
        ("+trainer.logger=false", "logger=none"),
        ("+trainer.enable_checkpointing=false", "checkpoints"),
        ("+trainer.sync_batchnorm=true", "norm=frozen"),
        ("+trainer.fast_dev_run=0.5", "a number of batches"),
        ("+trainer.overfit_batches=1.5", "a share of them between 0 and 1"),
        ("+trainer.overfit_batches=-1", "a number of batches"),
        ("+trainer.overfit_batches=true", "a number of batches"),
        ("+trainer.barebones=true", "score"),
        ("+trainer.limit_test_batches=3", "evaluate.py"),
        ("+trainer.limit_predict_batches=3", "scripts.render"),
        ("+trainer.model_registry=x", "uploaded"),
        ("trainer.limit_train_batches=0", "1.0"),
        ("+trainer.max_steps=0", "null"),
    ],
)
def test_what_does_not_apply_is_refused_by_name(option: str, remedy: str) -> None:
    options = OmegaConf.from_dotlist([option.lstrip("+")]).trainer
    with pytest.raises(ValueError, match=remedy) as error:
        trainer_options.refuse(options)
    assert str(error.value).startswith(option.lstrip("+").split("=")[0])


def test_what_is_refused_comes_before_a_run_and_without_a_traceback(train: Entry, tmp_path: Path) -> None:
    result = train("name=a", "+trainer.logger=true")
    assert result.code == 1
    assert "Error: trainer.logger=True cannot be used here" in result.err
    assert "Traceback" not in result.err
    assert not (tmp_path / "runs/tiny/a/checkpoints").exists()


def test_limits_that_contradict_are_refused(train: Entry) -> None:
    result = train("+trainer.max_steps=3", "+trainer.min_epochs=2")
    assert "trainer.min_epochs=2 and trainer.max_steps=3" in result.err


def test_what_lightning_refuses_comes_without_a_traceback(train: Entry) -> None:
    result = train("+trainer.callbacks._target_=pytorch_lightning.callbacks.DeviceStatsMonitor")
    assert result.code == 1
    assert "Error: Cannot use `DeviceStatsMonitor`" in result.err
    assert "Traceback" not in result.err


def test_an_unknown_option_is_named(train: Entry) -> None:
    result = train("+trainer.colour=red")
    assert result.code == 1
    assert "colour" in result.err


@pytest.mark.parametrize(
    "options",  # at once, where they are of different matters
    [
        [
            "+trainer.enable_progress_bar=false",
            "+trainer.profiler=simple",
            "+trainer.reload_dataloaders_every_n_epochs=1",
            "+trainer.enable_checkpointing=true",
            "+trainer.fast_dev_run=false",
            "+trainer.overfit_batches=0.0",
            "+trainer.deterministic=true",
            "+trainer.detect_anomaly=true",
            "+trainer.inference_mode=false",
            "+trainer.log_every_n_steps=1",
            "+trainer.sync_batchnorm=false",
            "+trainer.enable_autolog_hparams=false",
            "+trainer.min_steps=2",
            "trainer.num_sanity_val_steps=1",
            "trainer.use_distributed_sampler=true",
            "+trainer.gradient_clip_algorithm=value",
            "+trainer.min_epochs=1",
        ],
        [
            "+trainer.callbacks._target_=pytorch_lightning.callbacks.ModelSummary",
            "+trainer.val_check_interval={minutes: 5}",
        ],
        [
            "+trainer.callbacks={bar: {_target_: pytorch_lightning.callbacks.TQDMProgressBar}}",
            "trainer.max_time='00:01:00:00'",
        ],
    ],
)
@pytest.mark.filterwarnings("ignore::UserWarning")  # of Lightning, on what these options do
def test_others_work(train: Entry, tmp_path: Path, options: list[str]) -> None:
    result = train("name=a", *options)
    assert result.code == 0, result.err
    assert Run.read(tmp_path / "runs/tiny/a").status["state"] == "finished"
    assert {"best.ckpt", "last.ckpt"} <= {file.name for file in (tmp_path / "runs/tiny/a/checkpoints").iterdir()}
    assert ("run_training_epoch" in result.out + result.err) == ("+trainer.profiler=simple" in options)


@pytest.mark.parametrize("callback", ["ModelCheckpoint", "ModelSummary"])
def test_a_trial_keeps_nothing(train: Entry, tmp_path: Path, callback: str) -> None:
    callbacks = f"+trainer.callbacks._target_=pytorch_lightning.callbacks.{callback}"
    result = train("name=a", "+trainer.fast_dev_run=true", callbacks)
    assert result.code == 0, result.err
    assert "Tried 1 step(s) and a validation, its score" in result.out
    assert list(tmp_path.iterdir()) == [tmp_path / "runs"]
    assert not list((tmp_path / "runs").iterdir())


def test_a_trial_leaves_the_run_of_its_folder_as_it_is(train: Entry, tmp_path: Path, finished: Path) -> None:
    def files() -> dict[Path, bytes]:
        return {file: file.read_bytes() for file in (tmp_path / "runs").rglob("*") if file.is_file()}

    before = files()
    assert "Tried 2 step(s)" in train("name=a", "+trainer.fast_dev_run=2", "trainer.max_epochs=5", "seed=2").out
    assert files() == before
    result = train("name=a", "+trainer.fast_dev_run=-1")
    assert result.code == 1
    assert "Error: fast_dev_run=-1 is not a valid configuration" in result.err


FEW = ("+trainer.overfit_batches=2", "data.batch_size=2", "scheduler=none")


def test_every_epoch_has_the_same_few_batches(train: Entry, tmp_path: Path) -> None:
    result = train("name=a", *FEW, "trainer.max_epochs=2", "optimizer.lr=0.0")
    assert result.code == 0, result.err
    assert "Every epoch trains on the same crops: trainer.overfit_batches=2" in result.out
    run = Run.read(tmp_path / "runs/tiny/a")
    assert (run.status["steps"], run.config["trainer"]["overfit_batches"]) == (4, 2)
    assert len({*column(run.folder, "train/loss")}) == 1
    drawn = ("trainer.limit_train_batches=2", "trainer.max_epochs=2", "optimizer.lr=0.0")
    assert train("name=b", *FEW[1:], *drawn).code == 0
    assert len({*column(tmp_path / "runs/tiny/b", "train/loss")}) == 2  # drawn anew


def test_a_network_learns_a_few_batches_by_heart(train: Entry, tmp_path: Path) -> None:
    once = "+trainer.check_val_every_n_epoch=6"
    assert train("name=a", *FEW, "trainer.max_epochs=6", "optimizer.lr=0.03", once).code == 0
    losses = [float(loss) for loss in column(tmp_path / "runs/tiny/a", "train/loss")]
    assert len(losses) == 6
    assert losses[-1] < 0.5 * losses[0]


def test_what_a_few_batches_do_not_go_with_is_refused(train: Entry) -> None:
    result = train(*FEW[:2])
    assert (
        "pass scheduler=none or scheduler=cosine" in result.err
    )  # in the place of the schedule that follows val/score
    result = train(*FEW, "budget=1")
    assert "trainer.max_epochs" in result.err


def test_a_summary_that_was_ordered_is_shown(train: Entry) -> None:
    result = train("trainer.enable_model_summary=true")
    assert "Trainable params" in result.out + result.err


def test_steps_end_a_training_with_a_validation(train: Entry, tmp_path: Path) -> None:
    assert train("name=a", "+trainer.max_steps=3").code == 0
    with (tmp_path / "runs/tiny/a/metrics.csv").open(newline="") as stream:
        (row,) = csv.DictReader(stream)
    assert (row["step"], bool(row["val/score"])) == ("3", True)
    assert Run.read(tmp_path / "runs/tiny/a", "best").net()


def test_a_training_without_validation_has_a_best_checkpoint(train: Entry, tmp_path: Path) -> None:
    assert train("name=a", "trainer.limit_val_batches=0", "scheduler=none").code == 0
    assert Run.read(tmp_path / "runs/tiny/a", "best").net()
    result = train("name=b", "trainer.limit_val_batches=0")
    assert "limit_val_batches=0" in result.err
    assert "scheduler=none" in result.err


def column(folder: Path, name: str) -> list[str]:
    with (folder / "metrics.csv").open(newline="") as stream:
        return [row.get(name, "") for row in csv.DictReader(stream)]


COSINE = (["scheduler=cosine", "scheduler.warmup=0"], [1e-3, 5e-4])  # counts steps
STEP_LR = "{_target_: torch.optim.lr_scheduler.StepLR, _partial_: true, step_size: 1}"
STEP = (["scheduler=none", f"+scheduler={STEP_LR}"], [1e-3, 1e-4])  # counts epochs


@pytest.mark.parametrize(
    ("validations", "schedule", "rates"),
    [
        (["+trainer.val_check_interval=0.5"], *COSINE),
        (["+trainer.check_val_every_n_epoch=null", "+trainer.val_check_interval=3"], *COSINE),
        (["+trainer.val_check_interval=0.5"], *STEP),
        (["+trainer.check_val_every_n_epoch=2"], *STEP),
    ],
    ids=str,
)
def test_schedules_count_epochs_and_steps_however_often_there_is_a_validation(
    train: Entry, tmp_path: Path, validations: list[str], schedule: list[str], rates: list[float]
) -> None:
    result = train("name=a", "trainer.max_epochs=2", "trainer.limit_train_batches=2", *validations, *schedule)
    assert result.code == 0, result.err
    assert [float(rate) for rate in column(tmp_path / "runs/tiny/a", "lr")] == pytest.approx(rates, rel=1e-4)


def test_more_validations_leave_the_plateau_as_it_is(train: Entry, tmp_path: Path) -> None:
    never = "+scheduler.threshold=0.99"  # so much nothing improves
    plateau = ("scheduler.patience=1", never, "trainer.limit_train_batches=2")
    assert train("name=a", *plateau, "trainer.max_epochs=4").code == 0
    assert train("name=b", *plateau, "trainer.max_epochs=4", "+trainer.val_check_interval=0.5").code == 0
    runs = tmp_path / "runs/tiny"
    rates = [float(rate) for rate in column(runs / "a", "lr")]
    assert rates == pytest.approx([1e-3, 1e-3, 1e-3, 1e-4])
    assert column(runs / "a", "lr") == column(runs / "b", "lr")
    assert column(runs / "a", "val/score") == column(runs / "b", "val/score")
    assert train("name=c", *plateau, "trainer.max_epochs=5", "+trainer.check_val_every_n_epoch=2").code == 0
    rates = [float(rate) for rate in column(runs / "c", "lr")]  # the first figure comes after the second epoch
    assert rates == pytest.approx([1e-3, 1e-3, 1e-3, 1e-3, 1e-4])
    assert [bool(score) for score in column(runs / "c", "val/score")] == [False, True, False, True, False]
    result = train("name=d", "+trainer.check_val_every_n_epoch=4", *plateau)
    assert "scheduler.patience=1 epochs is over before the next validation" in result.err


def test_the_bar_of_the_options_takes_the_place_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, Any] = {}
    monkeypatch.setattr(trainer_options, "get_class", lambda name: lambda **given: seen.update(given))
    other = {"_target_": "pytorch_lightning.callbacks.TQDMProgressBar"}
    for options, kinds in (({}, ["TrainingBar"]), ({"callbacks": [other]}, ["TQDMProgressBar"])):
        trainer_options.trainer(OmegaConf.create({"_target_": "x"} | options), bar=TrainingBar("a"))
        assert [type(callback).__name__ for callback in seen["callbacks"]] == kinds
    assert isinstance(seen["callbacks"][0], pl.callbacks.ProgressBar)
