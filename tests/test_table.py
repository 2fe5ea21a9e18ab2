"""Table 1 from scores that are made up: means, intervals, marks, order of the rows, the paper's table."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from scripts.results import __main__, formats, significance, table
from scripts.results.table import COLUMNS, Table
from tests import made_scores
from tests.made_scores import Row, row


def made(folder: Path, rows: Sequence[Row]) -> Table:
    """The only table of some scores."""
    (found,) = table.tables(made_scores.evaluation(folder, rows))
    return found


def scores_of(model: str, *values: float, seed: str = "1") -> list[Row]:
    """One score in each of the paper's columns."""
    return [row(model, column, value, seed=seed) for column, value in zip(COLUMNS, values, strict=True)]


def segments(model: str, values: Sequence[float], metric: str = "ESR", seed: str = "1") -> list[Row]:
    """A score for each segment, four segments a recording."""
    return [
        row(model, metric, value, seed=seed, recording=str(i // 4), segment=i % 4) for i, value in enumerate(values)
    ]


def means(found: Table, column: str) -> dict[str, float]:
    return {name: cells[column].mean for name, cells in found.rows.items()}


def test_a_mean_weighs_every_sample_the_same(tmp_path: Path) -> None:
    rows = [row("l1", "ESR", 1.0, samples=300), row("l1", "ESR", 5.0, segment=1, samples=100)]
    assert means(made(tmp_path, rows), "ESR") == {"L1": 2.0}  # (300 · 1 + 100 · 5) / 400


def test_runs_of_several_seeds_count_the_same_each(tmp_path: Path) -> None:
    rows = [row("l1", "ESR", 1.0), row("l1", "ESR", 4.0, seed="2"), row("esr", "ESR", 3.0)]
    found = made(tmp_path, rows)
    assert means(found, "ESR") == {"L1": 2.5, "ESR": 3.0}
    assert found.runs == {"L1": 2, "ESR": 1}
    assert found.best("ESR") == "L1"


def test_rows_are_in_the_papers_order_others_after_them_and_the_input_last(tmp_path: Path) -> None:
    models = ("unprocessed", "mel", "rrstft", "esr", "l1-channels8", "mrstft", "l1", "stft", "logcosh")
    found = made(tmp_path, [made_row for model in models for made_row in scores_of(model, *range(1, 7))])
    assert list(found.rows) == ["L1", "ESR", "Logcosh", "STFT", "MR", "RR", "mel", "l1-channels8", "unprocessed"]


def test_columns_are_in_the_papers_order_and_others_after_them(tmp_path: Path) -> None:
    found = made(tmp_path, [row("l1", metric, 1.0) for metric in ("DC", "MR", "SI-SDR", "L1")])
    assert [column.name for column in found.columns] == ["L1", "MR", "DC", "SI-SDR"]
    assert [column.heading for column in found.columns] == ["L1 ↓", "MR ↓", "DC ↓", "SI-SDR (dB) ↑"]


def test_a_model_with_the_name_of_a_row_keeps_its_own_row(tmp_path: Path) -> None:
    found = made(tmp_path, [row("l1", "ESR", 1.0), row("L1", "ESR", 2.0, loss="mine")])
    assert means(found, "ESR") == {"l1": 1.0, "L1": 2.0}


def test_the_best_is_the_smallest_error_and_the_largest_score_of_a_trained_model(tmp_path: Path) -> None:
    rows = [
        *(row("unprocessed", metric, value) for metric, value in (("ESR", 0.0), ("SI-SDR", 99.0))),
        *(row("l1", metric, value) for metric, value in (("ESR", 1.0), ("SI-SDR", -3.0))),
        *(row("esr", metric, value) for metric, value in (("ESR", 2.0), ("SI-SDR", 5.0))),
    ]
    found = made(tmp_path, rows)
    assert (found.best("ESR"), found.best("SI-SDR")) == ("L1", "ESR")
    assert [cells["SI-SDR"].best for cells in found.rows.values()] == [False, True, False]


@pytest.mark.parametrize("models", [("l1", "esr"), ("esr", "l1")])
def test_a_model_that_has_no_number_is_never_the_best(tmp_path: Path, models: tuple[str, str]) -> None:
    values = {"l1": math.nan, "esr": 2.0}
    found = made(tmp_path, [row(model, "ESR", values[model]) for model in models])
    assert found.best("ESR") == "ESR"
    assert not found.rows["L1"]["ESR"].tied


def test_without_any_number_nothing_is_the_best(tmp_path: Path) -> None:
    assert made(tmp_path, [row("l1", "ESR", math.nan)]).best("ESR") is None


def test_each_convention_has_a_table_of_its_own(tmp_path: Path) -> None:
    rows = [row("l1", "RR", 1.0), row("l1", "RR", 7.0, convention="paper2020", recording="")]
    first, second = table.tables(made_scores.evaluation(tmp_path, rows))
    assert (first.title, means(first, "RR")) == ("standard", {"L1": 1.0})
    assert (second.title, means(second, "RR")) == ("paper2020", {"L1": 7.0})
    assert "per block of 262,144 samples" in first.description
    assert "128 blocks of 262,144 samples" in second.description


def test_the_description_tells_the_length_of_the_blocks_that_were_scored(tmp_path: Path) -> None:
    evaluation = made_scores.evaluation(tmp_path, [row("l1", "RR", 1.0)], eval_length=65536)
    (found,) = table.tables(evaluation)
    assert "per block of 65,536 samples" in found.description


def test_what_cannot_be_told_apart_from_the_best_is_marked_what_can_is_not(tmp_path: Path) -> None:
    base = np.linspace(1.0, 2.0, 8)
    wobble = 0.02 * np.tile([1.0, -1.0], 4)
    rows = [
        *segments("l1", list(base)),
        *segments("esr", list(base + wobble + 0.001)),
        *segments("mrstft", list(base * 1.2)),
    ]
    found = made(tmp_path, rows)
    assert {name: (cells["ESR"].best, cells["ESR"].tied) for name, cells in found.rows.items()} == {
        "L1": (True, False),
        "ESR": (False, True),
        "MR": (False, False),
    }
    assert found.rows["MR"]["ESR"].p == pytest.approx(3 * 2 / 2**8)  # the smallest of three pairs
    assert found.column("ESR").tested_over == "segments"
    assert found.rows["L1"]["ESR"].p is None


def test_with_nothing_to_test_nothing_is_marked_as_tied(tmp_path: Path) -> None:
    found = made(tmp_path, [row("l1", "ESR", 1.0), row("esr", "ESR", 1.001)])
    assert not any(cells["ESR"].tied for cells in found.rows.values())
    assert found.column("ESR").tested_over == ""


def test_the_input_takes_no_part_in_comparisons(tmp_path: Path) -> None:
    rows = [*segments("l1", [1.0] * 12), *segments("esr", [1.0] * 12), *segments("unprocessed", [1.0] * 12)]
    found = made(tmp_path, rows)
    assert set(found.column("ESR").p) == {frozenset(("L1", "ESR"))}
    assert not found.rows["unprocessed"]["ESR"].tied


def test_an_interval_is_that_of_the_models_runs_and_recordings(tmp_path: Path) -> None:
    values = np.random.default_rng(0).random((2, 12)) + 0.5
    rows = [made_row for seed in (0, 1) for made_row in segments("l1", list(values[seed]), seed=str(seed))]
    cell = made(tmp_path, rows).rows["L1"]["ESR"]
    expected = significance.interval(values, np.full(12, 100.0), np.repeat(np.arange(3), 4), ratio=True)
    assert cell.interval == expected
    assert cell.over == "seeds and recordings"
    assert cell.low is not None
    assert cell.high is not None
    assert cell.low < cell.mean < cell.high


@pytest.mark.parametrize(("seeds", "recordings", "over"), [(1, 3, "recordings"), (2, 1, "seeds"), (1, 1, "")])
def test_an_interval_says_what_it_covers(tmp_path: Path, seeds: int, recordings: int, over: str) -> None:
    rows = [
        row("l1", "ESR", 1.0 + i + j, seed=str(i), recording=str(j)) for i in range(seeds) for j in range(recordings)
    ]
    assert made(tmp_path, rows).rows["L1"]["ESR"].over == over


def test_pooled_rows_are_drawn_as_groups(tmp_path: Path) -> None:
    several = [row("l1", "ESR", 1.0 + i, recording="", segment=i) for i in range(3)]
    assert made(tmp_path, several).rows["L1"]["ESR"].over == "groups"
    one = [row("l1", "ESR", 1.0 + i, recording="", seed=str(i)) for i in range(3)]
    assert made(tmp_path, one).rows["L1"]["ESR"].over == "seeds"


def test_scores_that_can_be_negative_are_compared_on_their_own_scale(tmp_path: Path) -> None:
    rows = [row("l1", "SI-SDR", value, recording=str(i)) for i, value in enumerate((-4.0, 1.0, 2.0, 5.0))]
    cell = made(tmp_path, rows).rows["L1"]["SI-SDR"]
    assert cell.low is not None
    assert cell.low < -4.0 < 1.0 == cell.mean


def test_the_papers_table_is_as_printed() -> None:
    found = table.paper_table()
    assert means(found, "L1") == {
        "L1": 4.87e-3,
        "ESR": 5.56e-3,
        "Logcosh": 5.30e-3,
        "STFT": 9.00e-3,
        "MR": 8.98e-3,
        "RR": 1.55e-2,
    }
    assert [cell.mean for cell in found.rows["RR"].values()] == [1.55e-2, 0.2187, 7.05e-3, 0.525, 0.504, 0.392]
    assert [found.best(column) for column in COLUMNS] == ["L1", "L1", "L1", "MR", "MR", "MR"]
    assert not any(cell.interval or cell.tied for cells in found.rows.values() for cell in cells.values())


@pytest.mark.parametrize(
    ("column", "value", "printed"),
    [
        ("L1", 0.00859, "8.59e-03"),
        ("ESR", 0.41957, "0.4196"),
        ("MR", 1.6044, "1.604"),
        ("SI-SDR", -3.25, "−3.250"),
        ("ESR", math.nan, "–"),
        ("MR", math.inf, "∞"),
        ("SI-SDR", -math.inf, "−∞"),
        ("own", 0.00042, "4.20e-04"),
        ("own", -0.00042, "−4.20e-04"),
        ("own", 0.01, "0.010"),
        ("own", 0.0, "0.000"),
        ("GR", 0.0042, "0.004"),
    ],
)
def test_figures_are_printed_as_in_the_paper(column: str, value: float, printed: str) -> None:
    assert table.rounded(column, value) == printed


def test_one_run_that_collapsed_costs_all_pairs_their_power(tmp_path: Path) -> None:
    generator = np.random.default_rng(1)
    hard = np.exp(0.3 * generator.standard_normal(12))
    levels = {"l1": (1.0, 1.02, 0.98), "esr": (1.313, 1.3, 1.261), "stft": (1.1, 1.111, 22.0)}  # docs/statistics.md
    rows = {
        model: [
            r
            for seed, level in enumerate(of_model)
            for r in segments(model, level * hard * np.exp(0.02 * generator.standard_normal(12)), "ESR", str(seed))
        ]
        for model, of_model in levels.items()
    }
    pair = frozenset(("L1", "ESR"))
    assert made(tmp_path, [*rows["l1"], *rows["esr"]]).column("ESR").p[pair] == pytest.approx(0.0012, abs=1e-4)
    assert made(tmp_path, [r for of_model in rows.values() for r in of_model]).column("ESR").p[pair] == pytest.approx(
        0.77, abs=0.005
    )


def test_the_command_writes_the_files_again_and_prints_the_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    evaluation = made_scores.evaluation(tmp_path, scores_of("stft", 1, 2, 3, 4, 5, 6))
    monkeypatch.setattr("sys.argv", ["results", str(tmp_path)])
    __main__.main()
    printed = capsys.readouterr().out
    assert (tmp_path / "table1.md").read_text(encoding="utf-8").strip() == printed.strip()
    assert printed.strip() == formats.document(table.tables(evaluation), evaluation).strip()


def test_the_command_says_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["results", str(tmp_path)])
    with pytest.raises(SystemExit) as error:
        __main__.main()
    assert error.value.code == 2
    assert "scores.csv does not exist" in capsys.readouterr().err
