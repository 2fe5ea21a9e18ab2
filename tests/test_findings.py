"""The paper's question and the worst segments, from scores that are made up."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from scripts.results import findings, legend, table
from scripts.results.findings import Finding
from scripts.results.scores import Evaluation
from scripts.results.table import Cell, Column, Table
from tests import made_scores
from tests.made_scores import Row, row

EASY = np.linspace(1.0, 2.0, 12)  # error of twelve segments
# Of the same mean. No two segments differ from another model's by as much: of ties SciPy tries all 4096 signs in turn.
BENT, TWISTED = EASY + np.linspace(-0.03, 0.03, 12), EASY + np.linspace(0.03, -0.03, 12)


def segments(model: str, values: Sequence[float], metric: str = "ESR", loss: str | None = None) -> list[Row]:
    return [row(model, metric, float(value), segment=i, loss=loss) for i, value in enumerate(values)]


def answer(folder: Path, rows: list[Row]) -> Finding:
    """Of the first column."""
    return findings.question(table.tables(made_scores.evaluation(folder, rows))[0])[0]


def test_a_loss_that_minimises_its_own_metric_is_compared_with_the_next_best(tmp_path: Path) -> None:
    rows = [*segments("esr", EASY), *segments("l1", 1.5 * BENT), *segments("mrstft", 9 * TWISTED)]
    assert answer(tmp_path, rows) == Finding(
        "standard",
        "ESR",
        winner="ESR",
        own="ESR",
        own_wins=True,
        significant=True,
        sentence="ESR: training on ESR, the metric itself, gives the smallest (1.5000); the next best is L1 (2.2500); "
        "the difference is significant (p = 0.0015).",  # 3 · 2 / 2^12
    )


def test_a_loss_that_loses_in_its_own_metric_is_compared_with_the_winner(tmp_path: Path) -> None:
    rows = [*segments("esr", 2 * TWISTED), *segments("l1", 1.5 * BENT), *segments("mrstft", EASY)]
    found = answer(tmp_path, rows)
    assert (found.winner, found.own, found.own_wins, found.significant) == ("MR", "ESR", False, True)
    assert found.sentence == (
        "ESR: training on MR gives the smallest (1.5000), not training on the metric itself (3.0000); the difference "
        "is significant (p = 0.0015)."
    )


def test_a_difference_that_may_be_chance_is_called_so(tmp_path: Path) -> None:
    wobble = np.tile([0.1, -0.1], 6)
    found = answer(tmp_path, [*segments("esr", EASY + wobble + 0.001), *segments("l1", EASY)])
    assert (found.winner, found.own_wins, found.significant) == ("L1", False, False)
    assert "the two cannot be told apart (p = " in found.sentence


def test_a_difference_that_cannot_be_tested_is_called_so(tmp_path: Path) -> None:
    found = answer(tmp_path, [row("esr", "ESR", 1.0), row("l1", "ESR", 2.0)])
    assert (found.own_wins, found.significant) == (True, False)
    assert "whether the difference is more than chance cannot be tested" in found.sentence


def test_a_metric_that_no_model_was_trained_on_has_a_winner_alone(tmp_path: Path) -> None:
    rows = [*segments("l1", 5 - EASY, "SI-SDR"), *segments("mrstft", 3 - BENT, "SI-SDR")]
    found = answer(tmp_path, rows)
    assert (found.winner, found.own, found.own_wins, found.significant) == ("L1", "", None, True)
    assert found.sentence.startswith(
        "SI-SDR: training on L1 gives the largest (3.500 dB); the next best is MR (1.500 dB)"
    )


def test_the_own_loss_is_that_of_the_training_not_the_models_name(tmp_path: Path) -> None:
    rows = [
        *segments("small", 2 * BENT, loss="esr"),
        *segments("large", EASY, loss="esr"),
        *segments("l1", 3 * TWISTED),
    ]
    found = answer(tmp_path, rows)
    assert (found.winner, found.own, found.own_wins) == ("large", "large", True)
    assert "the best of another loss is L1 (4.5000)" in found.sentence


ALONE = "ESR: the smallest is that of {} (1.5000); there is no other loss to compare it with."


def test_one_model_alone_answers_nothing(tmp_path: Path) -> None:
    found = answer(tmp_path, [*segments("esr", EASY), *segments("unprocessed", 0 * EASY)])
    assert (found.winner, found.own, found.own_wins, found.significant) == ("ESR", "ESR", None, False)
    assert found.sentence == ALONE.format("ESR")


def test_sizes_of_one_loss_alone_answer_nothing(tmp_path: Path) -> None:
    rows = [*segments("small", 2 * BENT, loss="esr"), *segments("large", EASY, loss="esr")]
    found = answer(tmp_path, rows)
    assert (found.winner, found.own, found.own_wins, found.significant) == ("large", "large", None, False)
    assert found.sentence == ALONE.format("large")
    assert findings.overall([found]) == ""


def test_columns_in_which_no_model_beats_the_input_are_named(tmp_path: Path) -> None:
    rows = [*segments("esr", 2 * BENT), *segments("l1", 3 * TWISTED), *segments("unprocessed", EASY)]
    found = table.tables(made_scores.evaluation(tmp_path, rows))[0]
    assert findings.no_better_than_the_input(found) == "In ESR no model is better than the unprocessed input."
    rows = [*segments("esr", EASY), *segments("l1", 3 * BENT), *segments("unprocessed", 2 * TWISTED)]
    assert findings.no_better_than_the_input(table.tables(made_scores.evaluation(tmp_path, rows))[0]) == ""


def test_a_score_that_falls_short_of_the_inputs_is_named(tmp_path: Path) -> None:
    rows = [row("l1", "SI-SDR", 10.0), row("unprocessed", "SI-SDR", 12.0)]
    found = table.tables(made_scores.evaluation(tmp_path, rows, metrics={"SI-SDR": {"higher_is_better": True}}))[0]
    assert findings.no_better_than_the_input(found) == "In SI-SDR no model is better than the unprocessed input."


def test_a_column_without_a_number_has_no_winner(tmp_path: Path) -> None:
    found = answer(tmp_path, [row("esr", "ESR", math.nan), row("l1", "ESR", math.nan)])
    assert (found.winner, found.own_wins) == ("", None)
    assert found.sentence == "ESR: no model has a number."


def finding(own_wins: bool | None, significant: bool) -> Finding:
    return Finding("standard", "ESR", "L1", "ESR", own_wins, significant, "")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([], ""),
        ([finding(None, True)], ""),
        (
            [finding(True, True), finding(True, False), finding(False, True), finding(None, False)],
            "In 2 of 3 columns training on the metric itself minimises it, significantly in 1 of these. In the other "
            "another loss is better, significantly.",
        ),
        (
            [finding(True, False)],
            "In 1 of 1 columns training on the metric itself minimises it, not significantly.",
        ),
        (
            [finding(True, True), *[finding(False, True)] * 5],
            "In 1 of 6 columns training on the metric itself minimises it, significantly. In the other 5 another loss "
            "is better, each time significantly.",
        ),
        (
            [finding(False, False)] * 2,
            "In 0 of 2 columns training on the metric itself minimises it. In all of them another loss is better, "
            "significantly in none of these.",
        ),
    ],
)
def test_the_answer_counts_columns(given: list[Finding], said: str) -> None:
    assert findings.overall(given) == said


def test_small_p_are_printed_as_bounds() -> None:
    assert [legend.probability(p) for p in (0.0004, 0.001, 0.0234, 0.5, 1.0)] == [
        "p < 0.001",
        "p = 0.001",
        "p = 0.023",
        "p = 0.5",
        "p = 1",
    ]


def test_which_kind_of_loss_wins_is_told(tmp_path: Path) -> None:
    found = table.tables(made_scores.evaluation(tmp_path, made_scores.study()))[0].part(*table.COLUMNS)
    waveform, spectra = findings.waveform_or_spectra(found).split(". ")
    assert waveform.startswith("A loss on the waveform is best in L1, ESR and Logcosh, ")
    assert spectra.startswith("A loss on spectra is best in STFT, MR and RR, ")


@pytest.mark.parametrize(
    ("clear", "told"),
    [
        ((), "never significantly better than the best on spectra."),
        (("L1",), "significantly better than the best on spectra in L1."),
        (("L1", "ESR"), "each time significantly better than the best on spectra."),
    ],
)
def test_in_which_columns_a_kind_of_loss_wins_by_more_than_chance(clear: tuple[str, ...], told: str) -> None:
    """The best other loss is compared, not the worst."""
    p = {name: 0.01 if name in clear else 0.2 for name in ("L1", "ESR")}
    pairs = {name: {frozenset(("L1", "MR")): p[name], frozenset(("L1", "STFT")): 1 - p[name]} for name in p}
    columns = tuple(Column(name, p=pairs[name]) for name in p)
    means = {"L1": 1.0, "MR": 2.0, "STFT": 3.0}
    rows = {row: {name: Cell(mean, best=row == "L1") for name in p} for row, mean in means.items()}
    found = Table("standard", "", columns, rows, dict.fromkeys(means, 3), {"L1": "l1", "MR": "mrstft", "STFT": "stft"})
    assert findings.waveform_or_spectra(found) == f"A loss on the waveform is best in L1 and ESR, {told}"
    one = (
        f"A loss on the waveform is best in L1, {'' if clear else 'not '}significantly better than the best on spectra."
    )
    assert findings.waveform_or_spectra(found.part("L1")) == one


def test_one_kind_of_loss_alone_has_no_rival(tmp_path: Path) -> None:
    rows = [row(loss, "ESR", 1.0) for loss in ("l1", "esr")]
    assert findings.waveform_or_spectra(table.tables(made_scores.evaluation(tmp_path, rows))[0]) == ""


def test_every_shipped_loss_is_of_one_kind() -> None:
    shipped = {file.stem for file in (Path(__file__).parents[1] / "configs/loss").glob("*.yaml")}
    kinds = [*findings.SPECTRAL, *findings.WAVEFORM, *findings.BOTH]
    assert sorted(shipped) == sorted(kinds)  # none is named twice


def worst_of(folder: Path, rows: list[Row], count: int = 10) -> list[findings.Worst]:
    return findings.worst(made_scores.evaluation(folder, rows), count)


def test_the_worst_segments_are_those_far_above_the_runs_own_median(tmp_path: Path) -> None:
    good, bad = [1.0, 1.0, 1.0, 3.0, 1.1], [10.0, 10.0, 10.0, 20.0, 12.0]
    rows = [*segments("l1", good, "MR"), *segments("esr", bad, "MR"), *segments("unprocessed", [1, 1, 1, 1, 99], "MR")]
    first, second = worst_of(tmp_path, rows, 2)
    assert (first.label, first.segment, first.start, first.samples, first.value, first.ratio) == (
        "L1",
        3,
        300,
        100,
        3,
        3,
    )
    assert (first.run, first.model, first.setting, first.metric) == ("runs/made/l1-seed1", "l1", "0__75", "MR")
    assert (second.label, second.segment, second.ratio) == ("ESR", 4, 1.2)


def test_each_segment_is_listed_once_and_no_more_than_asked(tmp_path: Path) -> None:
    rows = [made for model in ("l1", "esr", "stft") for made in segments(model, EASY, "MR")]
    found = worst_of(tmp_path, rows)
    assert [item.segment for item in found] == [11, 10, 9, 8, 7, 6, 5, 4, 3, 2]


def test_without_mr_the_first_error_of_the_convention_is_taken(tmp_path: Path) -> None:
    rows = [*segments("l1", EASY, "SI-SDR"), *segments("l1", EASY[::-1], "ESR")]
    found = worst_of(tmp_path, rows, 1)
    assert (found[0].metric, found[0].segment) == ("ESR", 0)


def test_values_that_are_no_numbers_are_not_among_the_worst(tmp_path: Path) -> None:
    rows = segments("l1", [1.0, math.nan, math.inf, 2.0], "MR")
    assert [item.segment for item in worst_of(tmp_path, rows)] == [3, 0]


def test_without_scores_of_the_standard_convention_there_is_no_worst(tmp_path: Path) -> None:
    rows = [row("l1", "MR", 1.0, recording="", convention="paper2020")]
    assert worst_of(tmp_path, rows) == []


def test_a_study_answers_the_question_by_the_qualities_it_was_made_with(tmp_path: Path) -> None:
    evaluation: Evaluation = made_scores.evaluation(tmp_path, made_scores.study())
    found = {item.column: item for item in findings.question(table.tables(evaluation)[0])}
    assert [found[name].winner for name in ("L1", "ESR", "Logcosh")] == ["Logcosh"] * 3  # the best of the waveform
    assert {found[name].winner for name in ("STFT", "MR", "RR")} <= {"STFT", "MR", "RR"}
    assert found["DC"].own_wins is None
