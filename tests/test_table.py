"""Table 1 from scores that are made up: means, marks, the paper's table and its footnotes, the files."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path
from typing import Any

import pytest

from scripts import table

COLUMNS = table.COLUMNS


def score(model: str, metric: str, value: float, samples: int = 1, run: str = "", **more: Any) -> dict[str, Any]:
    return {"convention": "standard", "model": model, "run": run or model, "metric": metric} | {
        "samples": samples,
        "value": value,
        **more,
    }


def scores_of(model: str, *values: float, **more: Any) -> list[dict[str, Any]]:
    """One score in each column."""
    return [score(model, column, value, **more) for column, value in zip(COLUMNS, values, strict=True)]


def cells(text: str) -> dict[str, list[str]]:
    """The lines of a Markdown table by their first cell."""
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:1] == "|"]
    return {line[0]: line[1:] for line in lines}


def test_a_mean_weighs_every_sample_the_same() -> None:
    scores = [score("l1", "ESR", 1.0, samples=300), score("l1", "ESR", 5.0, samples=100)]
    (made,) = table.tables(scores)
    assert made.rows["L1"]["ESR"] == 2.0  # (300 · 1 + 100 · 5) / 400


def test_runs_of_several_seeds_count_the_same_each() -> None:
    scores = [
        score("l1", "ESR", 1.0, samples=1000, run="l1-seed1"),
        score("l1", "ESR", 4.0, samples=10, run="l1-seed2"),
        score("esr", "ESR", 3.0, run="esr-seed1"),
    ]
    (made,) = table.tables(scores)
    assert made.rows["L1"]["ESR"] == 2.5
    assert made.runs == {"L1": 2, "ESR": 1}
    assert "L1 (2 runs)" in table.markdown(made, ["ESR"])
    assert made.best("ESR") == "L1"


def test_values_read_from_a_file_are_numbers() -> None:
    (made,) = table.tables([score("l1", "ESR", "0.25", samples="8")])  # type: ignore[arg-type]
    assert made.rows["L1"]["ESR"] == 0.25


def test_rows_are_in_the_papers_order_others_after_them_and_the_input_last() -> None:
    models = ("unprocessed", "mel", "rrstft", "esr", "l1-channels8", "mrstft", "l1", "stft", "logcosh")
    (made,) = table.tables(row for model in models for row in scores_of(model, *range(1, 7)))
    assert list(made.rows) == ["L1", "ESR", "Logcosh", "STFT", "MR", "RR", "mel", "l1-channels8", "unprocessed"]
    assert made.columns == COLUMNS


def test_the_best_of_each_column_is_bold_the_unprocessed_input_never() -> None:
    scores = [
        *scores_of("unprocessed", 0, 0, 0, 0, 0, 0),
        *scores_of("l1", 1, 2, 3, 4, 5, 6),
        *scores_of("mrstft", 2, 1, 4, 3, 6, 5),
    ]
    (made,) = table.tables(scores)
    lines = cells(table.markdown(made))
    assert lines["training loss"] == [f"{column} ↓" for column in COLUMNS]
    assert lines["L1"] == ["**1.00e+00**", "2.0000", "**3.00e+00**", "4.000", "**5.000**", "6.000"]
    assert lines["MR"] == ["2.00e+00", "**1.0000**", "4.00e+00", "**3.000**", "6.000", "**5.000**"]
    assert lines["unprocessed"] == ["0.00e+00", "0.0000", "0.00e+00", "0.000", "0.000", "0.000"]


@pytest.mark.parametrize("models", [("l1", "esr"), ("esr", "l1")])
def test_a_model_that_has_no_number_is_never_the_best(models: tuple[str, str]) -> None:
    values = {"l1": math.nan, "esr": 2.0}
    (made,) = table.tables(score(model, "ESR", values[model]) for model in models)
    assert made.best("ESR") == "ESR"


def test_each_convention_has_a_table_of_its_own() -> None:
    other = [row | {"convention": "paper2020"} for row in scores_of("l1", *[7.0] * 6)]
    first, second = table.tables([*scores_of("l1", *[1.0] * 6), *other])
    assert (first.title, first.rows["L1"]["RR"]) == ("standard", 1.0)
    assert (second.title, second.rows["L1"]["RR"]) == ("paper2020", 7.0)


def test_the_papers_table_is_as_printed() -> None:
    lines = cells(table.markdown(table.paper_table()))
    assert lines["L1"] == ["**4.87e-03**", "**0.0085**", "**2.78e-05**", "0.824", "0.797", "0.558"]
    assert lines["ESR ² ³"] == ["5.56e-03", "0.0099", "3.23e-05", "0.806", "0.779", "0.549"]
    assert lines["Logcosh ²"] == ["5.30e-03", "0.0093", "3.03e-05", "0.831", "0.805", "0.566"]
    assert lines["STFT"] == ["9.00e-03", "0.0542", "1.76e-04", "0.451", "0.432", "0.339"]
    assert lines["MR"] == ["8.98e-03", "0.0553", "1.80e-04", "**0.440**", "**0.420**", "**0.331**"]
    assert lines["RR"] == ["1.55e-02", "0.2187", "7.05e-03 ¹", "0.525", "0.504", "0.392"]


def test_the_report_holds_both_tables_the_footnotes_and_the_notes() -> None:
    scores = [*scores_of("l1", *[0.5] * 6), score("l1", "DC", 0.125)]
    text = table.report(table.tables(scores), ["runs/a/b is left out"])
    titles = [line for line in text.splitlines() if line.startswith("#")]
    assert titles[1] == "## standard"
    assert titles[2].startswith("## Table 1 of the paper")
    assert titles[-1] == "## Notes"
    assert "- runs/a/b is left out" in text
    assert "1.25e-01" in text
    for fact in ("7.05e-4", "labels swapped", "ESR + DC", "one run of each loss"):
        assert fact in text


def test_the_three_files_agree(tmp_path: Path) -> None:
    scores = [*scores_of("unprocessed", *[9.0] * 6), *scores_of("l1", 1, 2, 3, 4, 5, 6), score("l1", "DC", 0.5)]
    scores += [score("unprocessed", "DC", 0.25)]
    text = table.write(tmp_path, scores, ["a note"])
    assert (tmp_path / "table1.md").read_text(encoding="utf-8") == text
    with (tmp_path / "table1.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    ours = {row["training_loss"]: row for row in rows if row["source"] == "standard"}
    paper = {row["training_loss"]: row for row in rows if row["source"] != "standard"}
    assert [float(ours["L1"][column]) for column in (*COLUMNS, "DC")] == [1, 2, 3, 4, 5, 6, 0.5]
    assert ours["L1"]["runs"] == "1"
    assert float(paper["MR"]["STFT"]) == 0.44
    assert len(paper) == 6
    assert paper["MR"]["DC"] == ""
    document = json.loads((tmp_path / "table1.json").read_text(encoding="utf-8"))
    assert document["tables"][0]["rows"]["unprocessed"]["DC"] == 0.25
    assert document["tables"][0]["convention"] == "standard"
    assert document["paper"]["RR"]["Logcosh"] == 7.05e-3
    assert document["notes"] == ["a note"]
    assert len(document["footnotes"]) == len(table.FOOTNOTES)


def test_the_command_prints_the_table_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    scores = scores_of("stft", 1, 2, 3, 4, 5, 6)
    with (tmp_path / "scores.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(scores[0]))
        writer.writeheader()
        writer.writerows(scores)
    monkeypatch.setattr("sys.argv", ["table", str(tmp_path / "scores.csv")])
    table.main()
    assert capsys.readouterr().out.strip() == table.report(table.tables(scores), []).strip()
