"""A budget of minutes: what fits, chosen once for a run, and repeatable by two numbers."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from models.run import Run
from scripts.training import budget
from tests.conftest import RANDOM, Entry


@pytest.mark.parametrize("batches", [3, 50, 10_000])
@pytest.mark.parametrize("validation", [0.1, 4.0])
def test_the_training_takes_the_time(batches: int, validation: float) -> None:
    found = budget.length(2, 0.05, validation, batches)
    epochs, of_epoch = found.values()
    assert epochs >= 8
    assert of_epoch <= batches
    seconds = epochs * (of_epoch * 0.05 + validation)
    assert 120 - epochs * 0.05 - (0.15 + validation if of_epoch == batches else 0) <= seconds + batches * 0.05
    assert seconds <= 120 + batches * 0.05 + validation


def test_too_short_a_budget_is_refused() -> None:
    with pytest.raises(ValueError, match=r"budget=0\.1 minutes is too short: a step takes 0\.5 s"):
        budget.length(0.1, 0.5, 1.0, 100)


def test_a_run_is_as_long_as_was_chosen_once_and_repeated_by_its_numbers(
    train: Entry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = {"max_epochs": 2, "limit_train_batches": 3}
    monkeypatch.setattr(budget, "length", lambda *_: chosen)
    monkeypatch.setattr(budget, "WARM_UP", 1)
    monkeypatch.setattr(budget, "TIMED", 1)
    runs = tmp_path / "runs" / "tiny"
    assert train("name=a", "budget=0.01", "scheduler=cosine", *RANDOM).code == 0
    assert Run.read(runs / "a").status["steps"] == 6
    assert {key: Run.read(runs / "a").config["trainer"][key] for key in chosen} == chosen
    monkeypatch.setattr(budget, "measured", None)  # a second measurement would fail
    again = train("name=a", "budget=0.01", "scheduler=cosine", *RANDOM)
    assert "is finished already" in again.out
    repeated = ("trainer.max_epochs=2", "trainer.limit_train_batches=3")
    assert train("name=b", *repeated, "scheduler=cosine", *RANDOM).code == 0
    a, b = (Run.read(runs / name, "last").net().state_dict() for name in "ab")
    assert all(torch.equal(a[key], b[key]) for key in a)
