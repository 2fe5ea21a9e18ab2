"""What a setting is to a network that was trained at others."""

from __future__ import annotations

import pytest

from data.settings import KINDS, kind

TRAINED = ["0__5", "0__95", "1__40", "1__60.5"]


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("0__5", "seen"),
        ("0__5.0", "seen"),
        ("0__50", "between"),
        ("0__94.9", "between"),
        ("0__95.1", "extreme"),
        ("0__0", "extreme"),
        ("1__60.5", "seen"),
        ("1__60.4", "between"),
        ("1__61", "extreme"),
        ("1__5", "extreme"),  # trained in the other position only
        ("2__50", "extreme"),  # a position of the switch that was never trained
    ],
)
def test_kinds(setting: str, expected: str) -> None:
    assert kind(setting, TRAINED) == expected
    assert expected in KINDS


@pytest.mark.parametrize(
    ("setting", "expected"),
    [("0__10__0.9", "seen"), ("0__20__0.5", "between"), ("0__10__0.1", "between"), ("0__20__1", "extreme")],
)
def test_all_amounts_have_to_lie_between_those_of_train(setting: str, expected: str) -> None:
    assert kind(setting, ["0__10__0.9", "0__30__0.1"]) == expected


def test_nothing_trained_is_all_extreme() -> None:
    assert kind("0__5", []) == "extreme"


def test_a_setting_that_is_no_number_is_refused() -> None:
    with pytest.raises(ValueError, match="loud"):
        kind("0__loud", TRAINED)
