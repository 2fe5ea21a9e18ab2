"""The report's table of devices, and the file beside the page."""

from __future__ import annotations

import csv
import io
import math
import re

import numpy as np
import pytest
import torch

from models.net import Net
from models.tcn import TCN
from scripts.measure.comparison import LEVELS_DB, Behaviour, Comparison, beside
from scripts.report import device_table
from scripts.report.device_table import Compared, compare, files, sheet
from scripts.report.side_by_side import ALONE


def of_errors(error: float, attack: float, setting: tuple[int, float] = (0, 85.0)) -> Comparison:
    flat = np.zeros(len(LEVELS_DB))
    return beside(setting, Behaviour(flat + error, attack, 75.0), Behaviour(flat, 8.0, 50.0))


def made(label: str = "ESR", limited: list[str] | None = None) -> Compared:
    found = [of_errors(1, 8), of_errors(3, 24, (1, 55.0)), of_errors(2, math.nan)]
    return Compared({label: found}, 3, limited or [], {})


def cells(html: str) -> list[list[str]]:
    return [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row) for row in html.split("<tr>")[2:]]


def test_the_table_has_the_device_and_the_medians_of_each_model() -> None:
    found = sheet(made())
    assert found is not None
    assert cells(found.html) == [
        ["device", "3", "0", "0", "×1", "×1"],
        ["ESR", "3", "2.00", "3.00", "×2 (2 of 3)", "×1.5"],
    ]
    assert 'data-value="1.5"' in found.html
    assert "all 3 test settings" in found.caption
    assert "as they are large" not in found.caption


def test_a_model_without_an_attack_has_none_and_its_name_stays_text() -> None:
    compared = Compared({"<b>": [of_errors(1, math.nan)]}, 1, ["<b>"], {})
    found = sheet(compared)
    assert found is not None
    assert cells(found.html)[1][:5] == ["&lt;b&gt;", "1", "1.00", "1.00", "– (0 of 1)"]
    assert found.caption.endswith("Measured at the settings of the charts alone, as they are large: <b>.")
    assert sheet(Compared({}, 3, [], {})) is None


def test_the_file_has_every_setting() -> None:
    text = files(made(), ["0__85"])
    rows = list(csv.DictReader(io.StringIO(text["devices.csv"])))
    assert [(row["model"], row["switch"], row["peak_reduction"], row["trained"]) for row in rows[:2]] == [
        ("ESR", "0", "85", "1"),
        ("ESR", "1", "55", "0"),
    ]


def test_large_networks_are_measured_where_they_are_drawn_and_broken_ones_left_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    torch.manual_seed(0)
    small = TCN(blocks=2, kernel_size=3, channels=1).eval()
    large = TCN(blocks=2, kernel_size=3, channels=2).eval()
    broken = TCN(blocks=2, kernel_size=3, channels=1).eval()
    torch.nn.init.constant_(broken.mix.bias, float("nan"))  # type: ignore[arg-type]
    monkeypatch.setattr(device_table, "LARGE", sum(weight.numel() for weight in small.parameters()))
    nets: dict[str, Net] = {"small": small, "large": large, "broken": broken}
    compared = compare(nets, {"1__85", "0__0"}, ["1__85"], 44_100, ALONE)()
    assert {label: [row.peak_reduction for row in found] for label, found in compared.models.items()} == {
        "small": [0, 85],
        "large": [85],
    }
    assert compared.limited == ["large"]
    assert list(compared.failed) == ["broken"]
    assert "not finite" in compared.failed["broken"]
    at_0, at_85 = compared.models["small"]  # a new network is tanh, whose fundamental is 1.9 dB low at 0 dBFS
    assert at_0.curve_error_db == pytest.approx(1.7, abs=0.1)
    assert at_85.curve_error_db == pytest.approx(25.2 - 1.9, abs=1)  # between the published curves of 80 and 90
