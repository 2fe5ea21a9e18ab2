"""Which options may change while a run stays the same run."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from models.same_run import changed, kind

CONFIG: dict[str, Any] = {
    "seed": 1,
    "model": {"channels": 8},
    "data": {"batch_size": 4, "num_workers": 0},
    "optimizer": {"lr": 0.001, "fused": True},
    "trainer": {"precision": "32-true", "max_epochs": 2, "accelerator": "cpu"},
    "compile": {"backend": None, "mode": "default"},
    "logger": {},
}


def with_option(option: str, value: Any) -> dict[str, Any]:
    config = copy.deepcopy(CONFIG)
    section, _, key = option.partition(".")
    if key:
        config[section][key] = value
    else:
        config[section] = value
    return config


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("trainer.max_epochs", 20),
        ("trainer.accelerator", "gpu"),
        ("trainer.benchmark", True),
        ("data.num_workers", 4),
        ("data.preload", True),
        ("optimizer.fused", None),
        ("compile.backend", "inductor"),
        ("logger", {"_target_": "x"}),
        ("study", "renamed"),
        ("crops", {"tcn": {"length": 8192}}),  # of one's own, for other sections to refer to
    ],
)
def test_a_run_goes_on_for_longer_elsewhere_and_at_another_speed(option: str, value: Any) -> None:
    assert changed(CONFIG, with_option(option, value)) == {}
    assert changed(with_option(option, value), CONFIG) == {}


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("seed", 2),
        ("model.channels", 32),
        ("model.fused", True),
        ("data.batch_size", 8),
        ("optimizer.lr", 0.1),
        ("trainer.precision", "bf16-mixed"),
        ("trainer.gradient_clip_val", 1.0),
    ],
)
def test_what_changes_the_training_is_told(option: str, value: Any) -> None:
    section = option.partition(".")[0]
    other = with_option(option, value)
    assert changed(CONFIG, other) == {section: (CONFIG[section], other[section])}


def test_runs_of_before_these_options_are_continued() -> None:
    old = {key: value for key, value in CONFIG.items() if key != "compile"} | {"optimizer": {"lr": 0.001}}
    assert changed(old, CONFIG) == {}


def test_a_model_is_the_same_whatever_else_a_version_recorded_of_it() -> None:
    old = CONFIG | {"choices": {"loss": "l1", "model": "tcn", "data": "synthetic"}}
    assert kind(old | {"seed": 2}) == kind(CONFIG | {"choices": {"loss": "l1"}})
    assert kind(old) != kind(CONFIG | {"choices": {"loss": "mrstft"}})
    assert kind(old) != kind(with_option("trainer.max_epochs", 20) | {"choices": {"loss": "l1"}})


def test_a_budget_makes_the_model_not_the_steps_that_it_was_measured_to_be() -> None:
    first = with_option("trainer.max_epochs", 8) | {"budget": 1.0, "seed": 1}
    second = with_option("trainer.max_epochs", 9) | {"budget": 1.0, "seed": 2}
    assert kind(first) == kind(second)
    assert kind(first) != kind(second | {"budget": 2.0})
    assert kind(first) != kind(first | {"budget": None})
