"""The picture of Table 1: drawn for any study, with an error where there is nothing to draw."""

from __future__ import annotations

import math
from pathlib import Path

import matplotlib
import pytest

from scripts.results import picture, table
from tests import made_scores
from tests.made_scores import Row, row


def draw(monkeypatch: pytest.MonkeyPatch, folder: Path, *arguments: str) -> str:
    """The picture of a folder's scores as the text of an SVG file."""
    file = folder / "table.svg"
    monkeypatch.setattr("sys.argv", ["picture", str(folder), str(file), *arguments])
    with matplotlib.rc_context({"svg.fonttype": "none"}):
        picture.main()
    return file.read_text(encoding="utf-8")


def test_the_picture_shows_both_tables_with_their_marks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    evaluation = made_scores.evaluation(tmp_path, made_scores.study())
    text = draw(monkeypatch, tmp_path)
    ours = table.tables(evaluation)[0]
    tied = 0
    for name, cells in ours.rows.items():
        for column in table.COLUMNS:
            mark = "≈" if cells[column].tied else ""
            tied += cells[column].tied
            assert (f">{mark}{table.rounded(column, cells[column].mean)}<" in text) == (name != "unprocessed")
    assert tied > 0
    assert ">4.87e-03<" in text
    assert "cannot be told apart" in text


def test_names_with_signs_of_formulas_are_drawn_as_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made_scores.write(tmp_path, [row("a$b$c", "ESR", 1.0), row("l1", "ESR", 2.0)])
    assert ">a$b$c<" in draw(monkeypatch, tmp_path)


@pytest.mark.parametrize(
    ("rows", "arguments", "message"),
    [
        ([row("l1", "DC", 1.0)], [], "has none of the metrics"),
        ([row("l1", "ESR", math.nan)], [], "no model has a number in column ESR"),
        ([row("l1", "ESR", 1.0)], ["--convention", "paper2020"], "holds standard"),
    ],
)
def test_what_cannot_be_drawn_is_an_error(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    rows: list[Row],
    arguments: list[str],
    message: str,
) -> None:
    made_scores.write(tmp_path, rows)
    with pytest.raises(SystemExit):
        draw(monkeypatch, tmp_path, *arguments)
    assert message in capsys.readouterr().err
