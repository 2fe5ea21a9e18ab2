"""Which metric tracks the device: errors against the device itself, rank correlations, the files that are written."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from data import embedded, signaltrain
from data.la2a import la2a
from models.product import ProductTCN
from scripts.measure.comparison import la2a_behaviour
from scripts.report import tracking
from scripts.results import scores
from scripts.results.scores import Evaluation
from scripts.tracking import ranks, study
from scripts.tracking.errors import ERRORS, Heard, floor, of_net, ratio
from tests import made_scores

SETTING = "0__75"


@pytest.fixture(scope="module")
def heard(tmp_path_factory: pytest.TempPathFactory) -> Heard:
    """A recording of the embedded set in two segments, the first of a second."""
    root = tmp_path_factory.mktemp("tracking") / "la2a"
    plans = embedded.plan(2)
    for split in signaltrain.SPLITS:
        p = next(p for p in plans if p.split == split)
        embedded._write_recording(root, p._replace(seconds=3.0, setting=(0, 75)), 0, 44_100)
    recording = signaltrain.recordings(root)["test"][0]
    return Heard(recording, {0: (0, 44_100), 1: (44_100, recording.frames - 44_100)})


def test_the_device_without_noise_has_no_gain_error_and_one_that_is_louder_has_that(heard: Heard) -> None:
    clean = la2a(heard.input, 75, 0, 44_100, seed=None)
    found = heard.gain_errors(clean)
    assert found.keys() == {0, 1}
    assert max(found.values()) < 0.25  # the tube
    louder = heard.gain_errors(clean * 10 ** (3 / 20))
    assert list(louder.values()) == pytest.approx([3.0, 3.0], abs=0.3)
    assert floor([heard]) == pytest.approx(np.mean(list(found.values())), abs=0.05)  # the noise is far below


def test_a_segment_without_a_loud_window_has_no_error(heard: Heard) -> None:
    silent = Heard.__new__(Heard)
    silent.__dict__.update(heard.__dict__, input=1e-5 * heard.input)
    assert all(math.isnan(error) for error in silent.gain_errors(heard.target).values())


def test_all_errors_of_a_network(heard: Heard) -> None:
    net = ProductTCN(blocks=2, kernel_size=3, channels=4, averages=0).eval()  # new: its gain is nearly 1
    found = of_net(net, {"7": heard}, la2a_behaviour([heard.setting], 44_100)).set_index(["error", "segment"])["value"]
    assert found["gain", 1] == pytest.approx(heard.gain_errors(heard.input)[1], abs=0.5)
    assert found["curve", 0] == found["curve", 1] > 5
    assert found["attack", 0] == found["release", 0] == math.inf  # a gain of 1 has neither


def test_a_time_of_nothing_and_one_before_the_step_are_the_worst() -> None:
    assert [ratio(time, 10.0) for time in (0.0, -0.5, math.nan)] == [math.inf] * 3
    assert ratio(20.0, 10.0) == ratio(5.0, 10.0) == pytest.approx(math.log(2))
    assert all(math.isnan(ratio(1.0, of_device)) for of_device in (0.0, -0.5, math.nan))


def test_spearman_is_that_of_scipy_and_nan_where_nothing_differs() -> None:
    from scipy import stats

    rng = np.random.default_rng(0)
    a, b = rng.integers(6, size=(2, 9, 5)).astype(float)
    a[:, 4] = 2.0
    found = ranks.spearman(a, b)
    assert found[:4] == pytest.approx([stats.spearmanr(a[:, n], b[:, n]).statistic for n in range(4)])
    assert math.isnan(found[4])


@pytest.mark.slow
def test_intervals_contain_the_correlation_of_many_draws() -> None:
    """Metric = error + noise: of 40 studies, at least 34 intervals hold the mean correlation of very many models."""
    rng = np.random.default_rng(1)
    recordings = np.repeat(np.arange(12), 2)

    def draw(models: int) -> tuple[np.ndarray, np.ndarray]:
        error = rng.standard_normal((models, 1)) + rng.standard_normal((models, 12))[:, recordings]
        return error + rng.standard_normal(error.shape), error

    truth = ranks.mean(ranks.spearman(*draw(4000)))
    held = 0
    for _ in range(40):
        metric, error = draw(20)
        interval = ranks.correlations({"m": metric}, error, recordings)["m"]
        assert interval.low < interval.mean < interval.high
        held += interval.low <= truth <= interval.high
    assert held >= 34


def test_few_models_are_refused() -> None:
    with pytest.raises(ValueError, match="4 models cannot be ranked: at least 5"):
        ranks.correlations({"m": np.ones((4, 2))}, np.ones((4, 2)), np.arange(2))


@pytest.fixture
def evaluation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Evaluation:
    """Six models, of which ESR follows the error of the gain, SI-SDR as well, DC its contrary."""
    monkeypatch.setattr(ranks, "RESAMPLES", 100)
    rows = []
    for n in range(6):
        for recording in ("1", "2"):
            for metric, value in (("ESR", 0.1 * n), ("SI-SDR", -float(n)), ("DC", 1.0 - 0.1 * n)):
                rows.append(made_scores.row(f"m{n}", metric, value, recording=recording))
            rows.append(made_scores.row(f"m{n}", "RR", 7.0 * n, recording="", convention="paper2020"))
    return made_scores.evaluation(tmp_path, rows)


def errors(evaluation: Evaluation, name: str) -> pd.DataFrame:
    runs = [run for run in evaluation.rows["run"].unique() if run != "unprocessed"]
    return pd.DataFrame(
        [(r, 0, name, float(n), run) for n, run in enumerate(runs) for r in ("1", "2")],
        columns=["recording", "segment", "error", "value", "run"],
    )


def test_metrics_are_turned_so_that_more_is_worse_and_pooled_ones_left_out(evaluation: Evaluation) -> None:
    found = study.tracked(evaluation, errors(evaluation, "gain"))
    assert {metric: interval.mean for metric, interval in found.items()} == pytest.approx(
        {"ESR": 1, "SI-SDR": 1, "DC": -1}
    )


def test_an_error_that_the_device_does_not_have_is_left_out(evaluation: Evaluation) -> None:
    found = {"gain": study.tracked(evaluation, errors(evaluation, "gain")), "attack": {}}
    text = study.page(found, evaluation, 0.25)
    assert ERRORS["gain"] in text
    assert ERRORS["attack"] not in text
    assert "| ESR " in text
    assert "0.25 dB" in text


def test_other_data_are_refused(evaluation: Evaluation, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is not the embedded data set"):
        study.write(tmp_path)


def table_of(folder: Path, results: str) -> None:
    head = "metric,error,correlation,low,high,results\n"
    lines = f"MR,gain,0.8,0.7,0.9,{results}\nDC,gain,0.1,-0.1,0.3,{results}\n"
    (folder / tracking.FILE).write_text(head + lines)


def test_the_report_has_a_section_where_there_is_a_file_and_says_what_is_wrong_with_it(tmp_path: Path) -> None:
    made_scores.write(tmp_path, [made_scores.row("l1", "ESR", 1.0)])
    assert tracking.section(tmp_path) == (None, [])
    table_of(tmp_path, scores.word(tmp_path))
    section, notes = tracking.section(tmp_path)
    assert section is not None
    assert "MR" in section.figures[0].svg
    assert "DC" in section.figures[0].svg
    assert notes == []
    (tmp_path / tracking.FILE).write_text("metric,error\nMR,gain\n")
    with pytest.raises(ValueError, match=r"tracking\.csv cannot be read.*again"):
        tracking.section(tmp_path)


def test_a_table_of_other_results_is_no_section_of_these_but_a_note_with_the_remedy(tmp_path: Path) -> None:
    made_scores.write(tmp_path, [made_scores.row("l1", "ESR", 1.0)])
    table_of(tmp_path, scores.word(tmp_path))
    made_scores.write(tmp_path, [made_scores.row("l1", "ESR", 2.0)])
    section, (note,) = tracking.section(tmp_path)
    assert section is None
    assert f"{tmp_path / tracking.FILE} is of other results than these" in note
    assert f"run python -m scripts.tracking {tmp_path} again" in note
    (tmp_path / tracking.FILE).write_text("metric,error,correlation,low,high\nMR,gain,0.8,0.7,0.9\n")  # as once
    assert tracking.section(tmp_path) == (None, [note])


@pytest.mark.usefixtures("undrawn")
def test_what_is_written_is_a_section_of_the_same_results(
    evaluation: Evaluation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(study, "recordings", lambda evaluation: {})
    monkeypatch.setattr(study, "floor", lambda heard: 0.1)
    of_all = pd.concat([errors(evaluation, name) for name in ERRORS])
    monkeypatch.setattr(study, "of_runs", lambda evaluation, heard, folder: of_all)
    study.write(tmp_path)
    section, notes = tracking.section(tmp_path)
    assert section is not None
    assert notes == []
