"""What runs are called in the results: by their loss, and by more where that does not tell them apart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from models.run import Run
from scripts.scoring.candidates import Candidate, labels, repeated

CONFIG: dict[str, Any] = {
    "model": {"channels": 8},
    "data": {"root": "a", "segment_length": 100, "num_workers": 0, "preload": False},
    "trainer": {"accelerator": "cpu", "devices": 1, "strategy": "auto", "precision": "32-true", "max_epochs": 8},
    "optimizer": {"lr": 1e-3, "fused": False},
    "compile": {"backend": None},
    "logger": {},
}


def made(folder: str, **changes: dict[str, Any]) -> Candidate:
    """A run of a folder named ``<loss>-seed<seed>…``, with other values in some sections."""
    loss, _, rest = Path(folder).name.partition("-seed")
    config = {section: values | changes.get(section, {}) for section, values in CONFIG.items()}
    return Candidate(Run(Path(folder), {"choices": {"loss": loss}, "seed": int(rest[0]), **config}, {}), None)


@pytest.mark.parametrize(
    "elsewhere",
    [
        {"trainer": {"accelerator": "gpu"}},
        {"trainer": {"devices": 2, "strategy": "ddp"}},
        {"data": {"root": "/b/a"}},
        {"data": {"num_workers": 4, "preload": True}},
        {"optimizer": {"fused": True}, "compile": {"backend": "inductor"}},
        {"logger": {"project": "x"}},
    ],
)
def test_where_a_run_was_trained_does_not_make_another_model(elsewhere: dict[str, Any]) -> None:
    runs = [made("runs/a/l1-seed1"), made("runs/a/l1-seed2", **elsewhere)]
    assert list(labels(runs).values()) == ["l1", "l1"]


@pytest.mark.parametrize(
    "other",
    [
        {"trainer": {"precision": "bf16-mixed"}},
        {"trainer": {"max_epochs": 9}},
        {"data": {"segment_length": 200}},
        {"optimizer": {"lr": 2e-3}},
        {"model": {"channels": 9}},
    ],
)
def test_how_long_and_on_what_it_was_trained_does(other: dict[str, Any]) -> None:
    runs = [made("runs/a/l1-seed1"), made("runs/a/l1-seed2-other", **other)]
    assert list(labels(runs).values()) == ["l1", "l1-other"]


def test_only_runs_whose_names_clash_get_longer_ones() -> None:
    wide = {"model": {"channels": 16}}
    runs = [
        made("runs/a/l1-seed1"),
        made("runs/b/l1-seed1", **wide),
        made("runs/b/esr-seed1-lr0.1"),
        made("runs/b/esr-seed2-lr0.1"),
        made("runs/a/stft-seed1"),
        made("runs/a/stft-seed1-wide", **wide),
    ]
    assert list(labels(runs).values()) == ["a/l1", "b/l1", "esr", "esr", "stft", "stft-wide"]


def test_a_longer_name_that_is_taken_or_reserved_is_made_longer_still() -> None:
    runs = [made("runs/a/l1-seed1"), made("runs/a/esr-seed1")]
    for name, channels in (("esr", 16), ("unprocessed", 32)):
        config = made("l1-seed1", model={"channels": channels}).run.config
        runs.append(Candidate(Run(Path("runs/a", name), config, {}), None))
    assert list(labels(runs).values()) == ["l1", "esr", "a/esr", "a/unprocessed"]


def test_a_training_that_comes_twice_is_found() -> None:
    runs = [made("runs/a/l1-seed1"), made("runs/a/l1-seed2"), made("runs/b/l1-seed1"), made("runs/b/esr-seed1")]
    assert repeated(runs, labels(runs)) == {Path("runs/b/l1-seed1"): Path("runs/a/l1-seed1")}
