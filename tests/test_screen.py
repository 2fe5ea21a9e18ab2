"""What evaluate.py prints."""

from __future__ import annotations

from math import ceil
from pathlib import Path

from scripts.results import screen
from tests import made_scores
from tests.made_scores import row

INVERTED = "runs/quick/mrstft-seed{} is inverted in polarity: its correlation with the target is -0.95."


def test_six_models_of_four_seeds_fit_on_a_screen(tmp_path: Path) -> None:
    notes = [INVERTED.format(n) + " A longer remark." * (n == 0) for n in range(9)]
    settings = ("0__75", "1__55", "0__90", "0__76")
    rows = made_scores.study(seeds=("1", "2", "3", "4"), settings=settings)
    trained = ["0__75", "0__90", "1__55"]
    shown = screen.text(tmp_path, made_scores.evaluation(tmp_path, rows, notes=notes, trained_settings=trained))
    lines = shown.splitlines()
    assert sum(ceil(len(line) / 120) or 1 for line in lines[:-2]) <= 38
    heads = [line for line in lines if line.startswith("| training loss")]
    assert [head.count("↓") for head in heads] == [6, 4]  # Table 1, and two metrics of two kinds
    assert sum("* " in line for line in lines if line.startswith("|")) >= 2  # the best of the columns
    head = (
        "Test error, convention standard. Mean of 4 runs of each model, which differ in the seed. *: the best of its "
    )
    assert shown.replace("\n", " ").startswith(
        head + "column; ≈: cannot be told apart from it, tested over segments and"
    )
    assert "columns training on the metric itself minimises it" in shown
    assert "A loss on spectra is best in" in shown
    assert f"- {notes[4]}\n- … and 4 more in table1.md" in shown
    assert notes[5] not in shown
    assert str(tmp_path / "table1.md") in shown
    assert str(tmp_path / "scores.csv") in shown


def test_what_there_is_nothing_to_say_of_is_left_out(tmp_path: Path) -> None:
    """One model, one setting, no note, none of the usual metrics."""
    rows = [row("mine", "Level", 0.5, convention="own")]
    shown = screen.text(tmp_path, made_scores.evaluation(tmp_path, rows))
    assert shown.splitlines()[:5] == [
        "Test error, convention own. One run of each model. *: the best of its column; differences cannot be tested.",
        "",
        "| training loss | Level ↓ |",
        "| ------------- | ------: |",
        "| mine          | * 0.500 |",
    ]
    assert shown.count("\n\n") == 2
