"""What is read of a folder of results, and the errors where it does not hold what it should."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from scripts.results import scores
from tests import made_scores
from tests.made_scores import row


def change(folder: Path, old: str, new: str, file: str = "scores.csv") -> None:
    """Replaces the first occurrence in a file."""
    path = folder / file
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rows = [row("l1", "ESR", 0.25, segment=0), row("l1", "ESR", 0.75, segment=1, samples=300)]
    return made_scores.write(tmp_path, rows)


def test_text_stays_text_and_numbers_are_numbers(tmp_path: Path) -> None:
    found = made_scores.evaluation(
        tmp_path, [row("NA", "ESR", 0.5, seed="007", recording="012", setting="0__5", segment=3, samples=8)]
    )
    first = found.rows.iloc[0]
    assert (first["model"], first["seed"], first["recording"], first["peak_reduction"]) == ("NA", "007", "012", "5")
    assert (first["segment"], first["start"], first["samples"], first["value"]) == (3, 300, 8, 0.5)


def test_a_pooled_row_has_no_recording_and_no_start(tmp_path: Path) -> None:
    found = made_scores.evaluation(tmp_path, [row("l1", "ESR", 0.5, recording="")])
    first = found.rows.iloc[0]
    assert (first["recording"], first["switch"], first["peak_reduction"]) == ("", "", "")
    assert found.rows["start"].isna().all()
    assert found.values("standard", "ESR").pooled


def test_values_may_be_no_numbers_or_infinite(tmp_path: Path) -> None:
    rows = [row("l1", "ESR", value, segment=i) for i, value in enumerate([math.nan, math.inf, -math.inf])]
    values = made_scores.evaluation(tmp_path, rows).values("standard", "ESR").by_model["l1"][0]
    assert math.isnan(values[0])
    assert list(values[1:]) == [math.inf, -math.inf]


def test_values_are_runs_by_segments_whatever_the_order_of_the_rows(tmp_path: Path) -> None:
    rows = [
        row("l1", "ESR", 1.0, segment=0, recording="a"),
        row("l1", "ESR", 2.0, segment=1, recording="a", samples=50),
        row("l1", "ESR", 3.0, segment=0, recording="b"),
        row("l1", "ESR", 6.0, segment=0, recording="b", seed="2"),
        row("l1", "ESR", 5.0, segment=1, recording="a", seed="2", samples=50),
        row("l1", "ESR", 4.0, segment=0, recording="a", seed="2"),
        row("esr", "ESR", 8.0, segment=1, recording="a", samples=50),
        row("esr", "ESR", 7.0, segment=0, recording="a"),
        row("esr", "ESR", 9.0, segment=0, recording="b"),
    ]
    found = made_scores.evaluation(tmp_path, rows)
    values = found.values("standard", "ESR")
    np.testing.assert_array_equal(values.by_model["l1"], [[1, 2, 3], [4, 5, 6]])
    np.testing.assert_array_equal(values.by_model["esr"], [[7, 8, 9]])
    np.testing.assert_array_equal(values.samples, [100, 50, 100])
    np.testing.assert_array_equal(values.units, [0, 0, 1])
    assert values.seeds == {"l1": ["1", "2"], "esr": ["1"]}
    assert not values.pooled
    assert found.models == ["l1", "esr"]
    assert found.losses == {"l1": "l1", "esr": "esr"}


def test_direction_and_unit_are_those_of_the_evaluation_and_an_unknown_metric_is_an_error(folder: Path) -> None:
    found = scores.read(folder)
    assert found.higher_is_better("SI-SDR")
    assert found.unit("SI-SDR") == "dB"
    assert not found.higher_is_better("my metric")
    assert found.unit("my metric") == ""


def test_a_run_that_was_left_out_is_a_note_once(tmp_path: Path) -> None:
    said = "runs/a is left out: no checkpoint"
    left_out = [{"run": "runs/a", "reason": "no checkpoint"}, {"run": "runs/b", "reason": "damaged"}]
    found = made_scores.evaluation(tmp_path, [row("l1", "ESR", 1.0)], left_out=left_out, notes=[said, "a note"])
    assert found.notes == ["runs/b is left out: damaged", said, "a note"]


@pytest.mark.parametrize("file", ["scores.csv", "evaluation.json"])
def test_a_file_that_is_missing_is_named_with_the_remedy(folder: Path, file: str) -> None:
    (folder / file).unlink()
    with pytest.raises(ValueError, match=rf"{file} does not exist.*evaluate\.py"):
        scores.read(folder)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (",0.75", ",abc", r"line 3, value: 'abc' is not a number"),
        (",0.75", ",", r"line 3, value: '' is not a number"),
        (",300,", ",0,", r"line 3, samples: '0' is not a whole number above 0"),
        (",300,", ",,", r"line 3, samples: '' is not"),
        (",0,0,100", ",0.5,0,100", r"line 2, segment: '0.5' is not a whole number"),
        (",0,0,100", ",0,x,100", r"line 2, start: 'x' is not a whole number"),
        ("peak_reduction", "amount", r"has no column peak_reduction"),
    ],
)
def test_a_wrong_cell_is_named_by_line_and_column_with_the_remedy(
    folder: Path, old: str, new: str, message: str
) -> None:
    change(folder, old, new)
    with pytest.raises(ValueError, match=message) as error:
        scores.read(folder)
    assert "scores.csv" in str(error.value)
    assert "run evaluate.py again" in str(error.value)


@pytest.mark.parametrize("content", ["", "run,model\n", "\x00\x01", '"run', "a\nb,c,d\n"])
def test_a_file_that_is_no_table_of_scores_is_an_error(folder: Path, content: str) -> None:
    (folder / "scores.csv").write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match=r"scores\.csv.*run evaluate\.py again"):
        scores.read(folder)


def test_a_table_without_rows_is_an_error(folder: Path) -> None:
    made_scores.write(folder, [])
    with pytest.raises(ValueError, match=r"has no rows; run evaluate\.py again"):
        scores.read(folder)


def test_a_file_that_is_not_utf8_is_an_error(folder: Path) -> None:
    (folder / "scores.csv").write_bytes(b"\xff\xfe\x00run")
    with pytest.raises(ValueError, match="cannot be read"):
        scores.read(folder)


@pytest.mark.parametrize("key", ["trained_settings", "metrics", "notes", "sample_rate"])
def test_a_part_missing_from_the_description_is_named_with_the_remedy(folder: Path, key: str) -> None:
    file = folder / "evaluation.json"
    info = json.loads(file.read_text(encoding="utf-8"))
    del info[key]
    file.write_text(json.dumps(info), encoding="utf-8")
    with pytest.raises(ValueError, match=rf"evaluation\.json has no {key}.*run evaluate\.py again"):
        scores.read(folder)


@pytest.mark.parametrize("content", ["", "{", "[]", "1"])
def test_a_damaged_description_is_an_error(folder: Path, content: str) -> None:
    (folder / "evaluation.json").write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match=r"evaluation\.json.*run evaluate\.py again"):
        scores.read(folder)


def test_runs_that_were_scored_on_different_segments_are_an_error(tmp_path: Path) -> None:
    rows = [row("l1", "ESR", 1.0, segment=0), row("l1", "ESR", 1.0, segment=1), row("esr", "ESR", 1.0, segment=0)]
    found = made_scores.evaluation(tmp_path, rows)
    with pytest.raises(ValueError, match=r"standard\.ESR has 0 values of run runs/made/esr-seed1 for segment 1 of rec"):
        found.values("standard", "ESR")


def test_a_run_without_a_metric_of_the_others_is_an_error(tmp_path: Path) -> None:
    rows = [row("l1", "ESR", 1.0), row("l1", "MR", 1.0), row("esr", "ESR", 1.0)]
    found = made_scores.evaluation(tmp_path, rows)
    with pytest.raises(ValueError, match=r"standard\.MR has no value of run runs/made/esr-seed1"):
        found.values("standard", "MR")


def test_a_segment_that_is_scored_twice_or_with_other_samples_is_an_error(tmp_path: Path) -> None:
    twice = made_scores.evaluation(tmp_path, [row("l1", "ESR", 1.0), row("l1", "ESR", 1.0)])
    with pytest.raises(ValueError, match="has 2 values of run"):
        twice.values("standard", "ESR")
    other = made_scores.evaluation(tmp_path, [row("l1", "ESR", 1.0), row("esr", "ESR", 1.0, samples=99)])
    with pytest.raises(ValueError, match="differ in their samples"):
        other.values("standard", "ESR")


def test_a_run_of_two_models_is_an_error(tmp_path: Path) -> None:
    rows = [row("l1", "ESR", 1.0), row("l1", "MR", 1.0) | {"model": "esr"}]
    with pytest.raises(ValueError, match="run runs/made/l1-seed1 has several models"):
        made_scores.evaluation(tmp_path, rows)
