"""Scores by setting and by kind of setting, and the tables that show them."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path

import pytest

from data.settings import KINDS
from scripts.report import by_setting as report
from scripts.report import colours
from scripts.results import formats, setting_tables, significance
from scripts.results.scores import Evaluation
from scripts.results.setting_scores import by_kind, by_setting
from tests import made_scores
from tests.made_scores import Row, row

TRAINED = ["0__5", "0__95"]
HOSTILE = "<b>|*"


def at(setting: str, value: float, model: str = "l1", metric: str = "ESR", **more: object) -> Row:
    """A score of a recording of its own."""
    return row(model, metric, value, setting=setting, recording=setting, **more)  # type: ignore[arg-type]


@pytest.fixture
def study(tmp_path: Path) -> Evaluation:
    """Settings of all kinds, six losses, three seeds, three conventions."""
    settings = ("0__5", "0__40", "0__50.5", "0__100")
    return made_scores.evaluation(tmp_path, made_scores.study(settings=settings), trained_settings=TRAINED)


def test_settings_are_means_by_samples_then_over_runs(tmp_path: Path) -> None:
    rows = [
        row("l1", "MR", 1.0, samples=300, setting="1__100"),
        row("l1", "MR", 5.0, samples=100, setting="1__100", recording="2"),
        row("l1", "MR", 4.0, samples=300, setting="1__100", seed="2"),
        row("l1", "MR", 4.0, samples=100, setting="1__100", recording="2", seed="2"),
        row("l1", "MR", 7.0, samples=100, setting="0__75", recording="3"),
        row("l1", "MR", 9.0, samples=100, setting="0__75", recording="3", seed="2"),
        row("l1", "MR", 99.0, recording="", convention="paper2020"),
        row("l1", "MR", 99.0, recording="", convention="paper2020", seed="2"),
    ]
    found = by_setting(made_scores.evaluation(tmp_path, rows))
    assert found.to_dict("records") == [
        {
            "convention": "standard",
            "metric": "MR",
            "model": "l1",
            "label": "L1",
            "setting": f"{switch}__{amount:g}",
            "switch": switch,
            "peak_reduction": amount,
            "kind": kind,
            "value": value,
            "lowest": lowest,
            "highest": highest,
            "runs": 2,
        }
        for switch, amount, kind, value, lowest, highest in [
            ("0", 75.0, "seen", 8.0, 7.0, 9.0),
            ("1", 100.0, "extreme", 3.0, 2.0, 4.0),  # (300 · 1 + 100 · 5) / 400 and 4
        ]
    ]


def test_a_setting_with_a_value_that_is_no_number_has_none(tmp_path: Path) -> None:
    found = by_setting(made_scores.evaluation(tmp_path, [row("l1", "MR", 1.0), row("l1", "MR", math.nan, segment=1)]))
    assert math.isnan(found["value"].iloc[0])


def test_settings_are_sorted_by_number(tmp_path: Path) -> None:
    settings = ("1__5", "0__100", "0__20", "0__5")
    rows = [row("l1", "MR", 1.0, setting=setting, recording=str(i)) for i, setting in enumerate(settings)]
    found = by_setting(made_scores.evaluation(tmp_path, rows))
    assert list(zip(found["switch"], found["peak_reduction"], strict=True)) == [
        ("0", 5),
        ("0", 20),
        ("0", 100),
        ("1", 5),
    ]


def test_models_of_a_setting_are_in_the_order_of_the_tables(tmp_path: Path) -> None:
    rows = [row(model, "MR", 1.0) for model in ("unprocessed", "mine", "rrstft", "l1")]
    found = by_setting(made_scores.evaluation(tmp_path, rows))
    assert list(found["label"]) == ["L1", "RR", "mine", "unprocessed"]


def test_the_mean_over_runs_has_no_value_if_one_run_has_none(tmp_path: Path) -> None:
    rows = [at("0__5", 1.0), at("0__5", math.nan, seed="2")]
    assert math.isnan(by_setting(made_scores.evaluation(tmp_path, rows))["value"].iloc[0])


def test_kinds_are_means_by_samples_then_over_runs(tmp_path: Path) -> None:
    rows = [
        at("0__5", 1.0),
        at("0__5", 4.0, segment=1, samples=300),
        at("0__5", 2.0, seed="2"),
        at("0__5", 2.0, segment=1, samples=300, seed="2"),
        *(at(setting, value, seed=seed) for seed in "12" for setting, value in (("0__40", 10.0), ("0__50", 30.0))),
        *(at("0__100", 100.0, seed=seed) for seed in "12"),
        *(row("l1", "ESR", 99.0, seed=seed, recording="", convention="paper2020") for seed in "12"),
    ]
    found = by_kind(made_scores.evaluation(tmp_path, rows, trained_settings=TRAINED))
    assert found.to_dict("records") == [
        {
            "convention": "standard",
            "metric": "ESR",
            "model": "l1",
            "label": "L1",
            "kind": kind,
            "settings": settings,
            "recordings": settings,
            "value": value,
        }
        for kind, settings, value in [("seen", 1, 2.625), ("between", 2, 20.0), ("extreme", 1, 100.0)]
    ]  # ((1 + 3 · 4) / 4 + 2) / 2 = 2.625


def test_the_kinds_together_are_table_1(study: Evaluation) -> None:
    """Recordings are of one length here: their means, weighted by recordings, are those of the main table."""
    means = by_kind(study)
    for metric in ("ESR", "MR", "SI-SDR"):
        convention = "further" if metric == "SI-SDR" else "standard"
        mine = means[(means["metric"] == metric) & (means["model"] == "mrstft")]
        values = study.values(convention, metric)
        assert list(mine["kind"]) == list(KINDS)
        whole = float((mine["value"] * mine["recordings"]).sum() / mine["recordings"].sum())
        assert whole == pytest.approx(significance.mean(values.by_model["mrstft"], values.samples))


def test_kinds_without_recordings_are_left_out(tmp_path: Path) -> None:
    rows = [at("0__95", 1.0), at("0__96", 2.0)]
    evaluation = made_scores.evaluation(tmp_path, rows, trained_settings=TRAINED)
    assert list(by_kind(evaluation)["kind"]) == ["seen", "extreme"]
    assert "between" not in setting_tables.markdown_by_kind(evaluation)


@pytest.mark.parametrize("settings", [("0__5", "0__95"), ("0__0",)])
def test_settings_of_one_kind_have_no_table_of_kinds(settings: tuple[str, ...], tmp_path: Path) -> None:
    rows = [at(setting, 1.0) for setting in settings]
    evaluation = made_scores.evaluation(tmp_path, rows, trained_settings=TRAINED)
    formats.write(tmp_path, evaluation)
    assert setting_tables.legend(evaluation) == setting_tables.html_section(evaluation) == ""
    for file in ("table1.md", "table1.html"):
        assert setting_tables.TITLE not in (tmp_path / file).read_text(encoding="utf-8")
    assert json.loads((tmp_path / "table1.json").read_text(encoding="utf-8"))["kinds_of_settings"] == []
    section, _ = report.section(evaluation, colours.looks([("L1", "l1")]))
    assert section is not None
    assert section.table is None


@pytest.mark.usefixtures("undrawn")
def test_every_format_has_every_metric_of_every_kind(study: Evaluation, tmp_path: Path) -> None:
    formats.write(tmp_path, study)
    expected = {
        (row.metric, row.model, row.kind): row.value
        for row in by_kind(study).itertuples()
        if row.convention != "paper2020"
    }
    assert len(expected) == 9 * 7 * 3  # metrics, models, kinds
    with (tmp_path / "table1_by_kind.csv").open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert {(row["metric"], row["model"], row["kind"]): float(row["value"]) for row in rows} == expected
    records = json.loads((tmp_path / "table1.json").read_text(encoding="utf-8"))["kinds_of_settings"]
    assert {(row["metric"], row["model"], row["kind"]): row["value"] for row in records} == expected
    section, _ = report.section(study, colours.looks([(loss, loss) for loss in made_scores.WAVEFORM]))
    assert section is not None
    assert section.table is not None
    assert "extreme, beyond those of Train (1)" in section.table.caption
    texts = [(tmp_path / f"table1.{suffix}").read_text(encoding="utf-8") for suffix in ("md", "html")]
    for text in (*texts, section.table.html):
        for heading in ("ESR ↓, seen", "ESR ↓, between", "GR (dB) ↓, extreme", "SI-SDR (dB) ↑, seen"):
            assert heading in text


def test_a_kind_without_a_number_is_null(tmp_path: Path) -> None:
    rows = [at("0__5", math.nan), at("0__40", 1.0)]
    evaluation = made_scores.evaluation(tmp_path, rows, trained_settings=TRAINED)
    assert [row["value"] for row in setting_tables.json_by_kind(evaluation)] == [None, 1.0]
    assert "| ESR ↓, seen      |      – |" in setting_tables.markdown_by_kind(evaluation)


def test_names_of_models_stay_text(tmp_path: Path) -> None:
    rows = [at("0__5", 1.0, HOSTILE), at("0__40", 1.0, HOSTILE)]
    evaluation = made_scores.evaluation(tmp_path, rows, trained_settings=TRAINED)
    assert "&lt;b&gt;|*" in setting_tables.html_section(evaluation)
    assert "&lt;b>\\|\\*" in setting_tables.markdown_by_kind(evaluation)


def test_settings_are_rows_with_their_kinds(tmp_path: Path) -> None:
    rows = [row("l1", "MR", 1.5, setting="0__75"), row("l1", "MR", 2.5, setting="1__100", recording="2")]
    assert setting_tables.settings(by_setting(made_scores.evaluation(tmp_path, rows))).splitlines() == [
        "| setting          |    L1 |",
        "| ---------------- | ----: |",
        "| 0 / 75, seen     | 1.500 |",
        "| 1 / 100, extreme | 2.500 |",
    ]


@pytest.fixture
def of_three_knobs(tmp_path: Path) -> Evaluation:
    """Two amounts beside the switch."""
    rows = [
        at(setting, value, metric=m)
        for m in ("ESR", "MR")
        for setting, value in (("0__70__50", 2.5), ("0__8__50", 1.5))
    ]
    return made_scores.evaluation(tmp_path, rows, trained_settings=["0__8__50", "0__60__50"])


def test_settings_of_several_amounts_have_a_row_each(of_three_knobs: Evaluation) -> None:
    assert setting_tables.settings(by_setting(of_three_knobs).query("metric == 'MR'")).splitlines() == [
        "| setting              |    L1 |",
        "| -------------------- | ----: |",
        "| 0 / 8 / 50, seen     | 1.500 |",
        "| 0 / 70 / 50, extreme | 2.500 |",
    ]
    text = setting_tables.markdown_by_setting(of_three_knobs)
    assert "Switch / amounts, convention `standard`." in text
    assert text.count("| 0 / 70 / 50, extreme |") == len(setting_tables.SHOWN)


def test_the_report_does_not_draw_settings_of_several_amounts_and_says_so(of_three_knobs: Evaluation) -> None:
    section, (note,) = report.section(of_three_knobs, colours.looks([("L1", "l1")]))
    assert "but there is 0__8__50. table1.md has the means by setting." in note
    assert section is not None
    assert section.figures == []
    assert section.table is not None
    assert "ESR ↓, extreme" in section.table.html


def test_the_report_does_not_draw_positions_of_a_switch_that_it_does_not_know_and_says_so(tmp_path: Path) -> None:
    evaluation = made_scores.evaluation(tmp_path, [at("2__40", 1.0), at("0__40", 1.0)], trained_settings=["1__40"])
    section, (note,) = report.section(evaluation, colours.looks([("L1", "l1")]))
    assert section is None  # all settings are of one kind
    assert "but there is 2__40." in note
