"""Kinds of settings: what a setting is to a network, the scores of each kind, and the screen that shows them."""

from __future__ import annotations

import doctest
from pathlib import Path

import pytest

from data import settings
from data.settings import kind
from scripts import findings, table
from scripts.screen import screen
from tests import made_scores
from tests.made_scores import row

TRAINED = ["0__5", "0__95", "1__40", "1__60.5"]


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("0__5", "seen"),
        ("0__50", "between"),
        ("0__94.9", "between"),
        ("0__95.1", "extreme"),
        ("0__0", "extreme"),
        ("1__60.5", "seen"),
        ("1__61", "extreme"),
        ("2__50", "extreme"),  # a position of the switch that was never trained
    ],
)
def test_kinds(setting: str, expected: str) -> None:
    assert kind(setting, TRAINED) == expected
    assert doctest.testmod(settings).failed == 0


def test_scores_by_kind_are_means_over_its_settings(tmp_path: Path) -> None:
    """Two segments of 1 and 3 at a seen setting, 10 and 30 at two between, 100 beyond."""
    values = [("0__5", 1.0), ("0__5", 3.0), ("0__40", 10.0), ("0__50", 30.0), ("0__100", 100.0)]
    rows = [row("l1", "ESR", v, setting=s, recording=s, segment=i) for i, (s, v) in enumerate(values)]
    found = findings.by_kind(made_scores.evaluation(tmp_path, rows, trained_settings=TRAINED))
    of = {name: (n, value) for name, n, value in zip(found["kind"], found["settings"], found["value"], strict=True)}
    assert of == {"seen": (1, 2.0), "between": (2, 20.0), "extreme": (1, 100.0)}


def test_which_kind_of_loss_wins_is_told_with_what_is_more_than_chance(tmp_path: Path) -> None:
    of = table.tables(made_scores.evaluation(tmp_path, made_scores.study()))[0]
    told = findings.other_kind(of)
    spectral, waveform = told.split("; ")
    assert spectral.startswith("A loss on spectra is best in STFT")
    assert waveform.startswith("a loss on the waveform is best in L1 *, ESR *, Logcosh *")
    for name in ("STFT", "MR", "RR"):
        p = min(of.column(name).p[frozenset((of.best(name) or "", row))] for row in ("L1", "ESR", "Logcosh"))
        assert (f"{name} *" in spectral) <= (p <= 0.05)


def test_one_kind_of_loss_alone_has_no_rival(tmp_path: Path) -> None:
    rows = [row(loss, "ESR", 1.0) for loss in ("l1", "esr")]
    assert findings.other_kind(table.tables(made_scores.evaluation(tmp_path, rows))[0]) == ""


def test_the_screen_is_one_screen(tmp_path: Path) -> None:
    notes = [f"note {n}" for n in range(9)]
    evaluation = made_scores.evaluation(tmp_path, made_scores.study(), notes=notes)
    shown = screen(tmp_path, evaluation)
    lines = shown.splitlines()
    assert len(lines) <= 40
    assert max(map(len, lines[:-2])) <= 120
    assert "by kind of setting" in shown
    assert "note 4" in shown
    assert "note 5" not in shown
    assert "and 4 more notes in table1.md" in shown
    assert str(tmp_path / "table1.md") in shown
    assert sum(line.startswith("|") and "* " in line for line in lines) >= 2  # the best of the columns
