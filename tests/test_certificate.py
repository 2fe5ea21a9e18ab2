"""The knob certificate: one table and one file, of the scores by kind of setting and of a knob that turns."""

from __future__ import annotations

import csv
import io
import math
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from data.signaltrain import recordings
from models.tcn import TCN
from scripts.measure.knob_steps import Rise
from scripts.measure.knob_sweep import KnobSweep
from scripts.report import by_setting, certificate, colours, knob
from scripts.report.certificate import Certificate
from scripts.report.knob import Knob, Knobs
from scripts.report.passages import Place
from scripts.report.side_by_side import ALONE
from scripts.results.scores import Evaluation
from tests import made_scores
from tests.conftest import LOW_RATE
from tests.made_scores import row

NONE = np.zeros(0)
STILL = Rise(0.0, 0, 0.0, 0.0, -30.0)
DEVICE = Knob({}, KnobSweep(NONE, NONE, NONE, -96.4, 0.05, 0.0), STILL)
L1 = Knob({"ESR": 0.02, "MR": 0.5}, KnobSweep(NONE, NONE, NONE, -82.6, 0.19, 0.01), Rise(0.04, 0, 10, 15, -30.0))
MR = Knob({"ESR": 0.03, "MR": 0.4}, KnobSweep(NONE, NONE, NONE, -41.26, 0.754, 1.5), Rise(1.5, 1, 20, 40, -15.0))
KNOBS = Knobs(DEVICE, {"L1": L1, "MR": MR}, {"ESR": 4.0, "MR": 2.0}, 4, {})


@pytest.fixture
def scored(tmp_path: Path) -> Evaluation:
    """ESR and MR of two models and the input at a setting of each kind, and SI-SDR."""
    values = {"l1": 0.01, "mrstft": 0.02, "unprocessed": 4.0}
    kinds = {"0__5": 1, "0__50": 2, "0__100": 4}
    rows = [
        row(model, metric, value * factor, setting=setting, recording=setting, convention=convention)
        for model, value in values.items()
        for setting, factor in kinds.items()
        for metric, convention in (("ESR", "standard"), ("MR", "standard"), ("SI-SDR", "further"))
    ]
    return made_scores.evaluation(tmp_path, rows, trained_settings=["0__5", "0__95"])


@pytest.fixture
def full(scored: Evaluation) -> Certificate:
    found = certificate.gather(scored, KNOBS)
    assert found is not None
    return found


def cells(html: str) -> list[list[str]]:
    rows = html.split("<tbody>")[1].split("<tr>")[1:]
    return [
        [re.sub("<[^>]*>", " ", cell).split() for cell in re.findall(r"<t[hd][^>]*>.*?</t[hd]>", line)] for line in rows
    ]


def test_a_row_has_all_that_is_known_of_a_model(full: Certificate) -> None:
    table = certificate.section(full).table
    assert table is not None
    rows = [[" ".join(cell) for cell in line] for line in cells(table.html)]
    assert rows == [
        ["device", *["–"] * 9, "−96", "0.05", "0.00"],
        ["L1", "monotone smooth", "0.0100", "0.0200", "0.0400", "0.0200", "0.010", "0.020", "0.040", "0.500",
         "−83", "0.19", "0.04"],
        ["MR", "turns back zipper noise", "0.0200", "0.0400", "0.0800", "0.0300", "0.020", "0.040", "0.080", "0.400",
         "−41", "0.75", "1.50 Limit 20 → 40, −15 dBFS"],
        ["unprocessed", "–", "4.0000", "8.0000", "16.0000", "4.0000", "4.000", "8.000", "16.000", "2.000", *["–"] * 3],
    ]  # fmt: skip
    heads = table.html.split("</thead>")[0].split("<tr")
    assert re.findall(r"<th[^>]*>(.*?)</th>", heads[2]) == [
        "model", "verdict", *["seen", "between", "extreme", "moving"] * 2, "zipper", "step", "dB",
    ]  # fmt: skip
    above = [int(n) for n in re.findall(r'colspan="(\d+)"', heads[1])]
    assert heads[1].count("<td>") + sum(above) == len(rows[0])


def test_every_column_is_explained(full: Certificate) -> None:
    table = certificate.section(full).table
    assert table is not None
    terms = dict(table.terms)
    assert list(terms) == ["verdict", "seen", "between", "extreme", "moving", "zipper", "step", "wrong way"]
    assert terms["seen"] == "Mean test error at settings of the training, with other material (1 recording)."
    assert "at −30, −15, 0 dBFS" in terms["wrong way"]
    assert "(−71 dB)" in terms["verdict"]
    assert "of 4 passages" in terms["moving"]
    assert "get no verdict" in table.caption


def test_the_file_has_the_same_numbers(full: Certificate) -> None:
    rows = list(csv.DictReader(io.StringIO(certificate.file(full)["knob.csv"])))
    assert [line["model"] for line in rows] == ["device", "L1", "MR", "unprocessed"]
    assert rows[2] == {
        "model": "MR", "esr_seen": "0.02", "esr_between": "0.04", "esr_extreme": "0.08", "esr_moving": "0.03",
        "mr_seen": "0.02", "mr_between": "0.04", "mr_extreme": "0.08", "mr_moving": "0.4",
        "zipper_db": "-41.26", "step_db": "0.754", "backwards_db": "1.5",
        "rise_db": "1.5", "switch": "1", "from": "20", "to": "40", "level_db": "-15",
    }  # fmt: skip
    assert rows[0]["esr_seen"] == rows[3]["zipper_db"] == ""


@pytest.mark.parametrize(
    ("zipper", "rise", "said"),
    [
        (-71.0, 0.1, ["monotone", "smooth"]),
        (-70.9, 0.1, ["monotone"]),  # between the two no verdict is possible
        (-62.1, 0.11, []),
        (-80.0, 0.49, ["smooth"]),
        (-80.0, 0.5, ["turns back", "smooth"]),
        (-62.0, 0.0, ["monotone", "zipper noise"]),
    ],
)
def test_a_verdict_is_given_where_the_numbers_allow_one(zipper: float, rise: float, said: list[str]) -> None:
    turned = Knob({}, KnobSweep(NONE, NONE, NONE, zipper, 0.1, 0.0), Rise(rise, 0, 0, 5, 0.0))
    assert [text for text, _ in certificate.verdict(turned)] == said


def test_a_device_that_cannot_be_run_has_errors_alone(scored: Evaluation) -> None:
    found = certificate.gather(scored, None)
    assert found is not None
    section = certificate.section(found)
    assert section.table is not None
    assert [len(line) for line in cells(section.table.html)] == [7, 7, 7]
    assert "verdict" not in section.table.html
    assert [term for term, _ in section.table.terms] == ["seen", "between", "extreme"]
    assert certificate.file(found)["knob.csv"].splitlines()[0] == (
        "model,esr_seen,esr_between,esr_extreme,mr_seen,mr_between,mr_extreme"
    )


def test_settings_of_one_kind_leave_what_was_measured(tmp_path: Path) -> None:
    evaluation = made_scores.evaluation(tmp_path, [row("l1", "ESR", 1.0)])
    assert certificate.gather(evaluation, None) is None
    found = certificate.gather(evaluation, KNOBS)
    assert found is not None
    assert [column for column in found.columns if column[1] != "moving"] == []
    table = certificate.section(found).table
    assert table is not None
    assert table.caption == "All numbers are in knob.csv."
    assert "seen" not in dict(table.terms)


@pytest.mark.usefixtures("undrawn")
def test_nothing_stands_twice(scored: Evaluation) -> None:
    looks = colours.looks([("L1", "l1"), ("MR", "mrstft")])
    section, _ = by_setting.section(scored, looks, certificate.shown(scored))
    assert section is not None
    assert section.table is not None
    assert "SI-SDR (dB) ↑, seen" in section.table.html
    assert "ESR" not in section.table.html
    assert section.table.caption.endswith("For ESR and MR see the knob certificate.")


def test_names_of_models_stay_text(tmp_path: Path) -> None:
    knobs = Knobs(DEVICE, {"<b>": L1}, {}, 1, {})
    found = certificate.gather(made_scores.evaluation(tmp_path, [row("<b>", "ESR", 1.0)]), knobs)
    assert found is not None
    table = certificate.section(found).table
    assert table is not None
    assert "&lt;b&gt;" in table.html
    assert "<b>" not in table.html


def test_networks_and_the_device_are_measured_and_broken_ones_left_out(low_rate_root: Path) -> None:
    torch.manual_seed(0)
    good, broken = (TCN(blocks=2, kernel_size=3, channels=1).eval() for _ in range(2))
    torch.nn.init.constant_(broken.mix.bias, float("nan"))  # type: ignore[arg-type]
    places = [Place(recording, 0, recording.frames) for recording in recordings(low_rate_root, LOW_RATE, 1)["test"][:2]]
    found = knob.measure({"good": good, "broken": broken}, places, LOW_RATE, ALONE)()
    assert list(found.models) == ["good"]
    assert "not finite" in found.failed["broken"]
    assert found.passages == 2
    turned = found.models["good"]
    assert turned.rise.gain_db < 1e-3  # a new network does not know the knob
    assert all(math.isfinite(value) and value > 0 for value in turned.errors.values())
    assert turned.errors["ESR"] == pytest.approx(found.unprocessed["ESR"], rel=0.2)  # nor does anything but tanh
    assert found.device.sweep.zipper_db < -80
    assert knob.measure({"good": good}, [], LOW_RATE, ALONE)().models["good"].errors == {}
