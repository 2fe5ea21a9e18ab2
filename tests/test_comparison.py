"""Networks beside the LA-2A at every setting: numbers whose answers are known."""

from __future__ import annotations

import csv
import io
import math
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from devices_under_test import identity, slow_compressor

from models.run import Run
from scripts.measure import __main__
from scripts.measure.comparison import (
    LEVELS_DB,
    Behaviour,
    Comparison,
    behaviour,
    beside,
    comparisons,
    medians,
    settings_of,
    table,
)
from scripts.measure.devices import Device, Setting
from tests import scored_runs
from tests.conftest import LOW_RATE

SETTINGS: list[Setting] = [(0, 50.0), (1, 75.0)]


def compressor_at(slower: float = 1.0, lower_db: float = 0.0) -> object:
    """Ratio 4, threshold from 0 to −40 dBFS; times and threshold are off by so much."""

    def at(switch: int, peak_reduction: float) -> Device:
        return slow_compressor(LOW_RATE, -0.4 * peak_reduction - lower_db, 4.0, 0.01 * slower, 0.1 * slower)

    return at


def targets(slower: float = 1.0) -> dict[Setting, Behaviour]:
    at = compressor_at(slower)
    return {setting: behaviour(at(*setting), LOW_RATE) for setting in SETTINGS}  # type: ignore[operator]


def test_a_device_beside_itself_has_no_error_and_ratios_of_one() -> None:
    for row in comparisons(compressor_at(), targets(), LOW_RATE):  # type: ignore[arg-type]
        assert (row.curve_error_db, row.attack_ratio, row.release_ratio) == (0, 1, 1)


def test_errors_and_ratios_are_those_of_the_compressor() -> None:
    """4 dB below the threshold of the other: 3 dB more reduction above it; 1 + ln(1 / 1.1 …) is as its times are."""
    first, second = comparisons(compressor_at(2.0, 4.0), targets(), LOW_RATE)  # type: ignore[arg-type]
    assert (first.switch, first.peak_reduction, second.switch, second.peak_reduction) == (0, 50, 1, 75)
    for row, threshold in ((first, -20), (second, -30)):
        assert row.curve_error_db == pytest.approx(3, abs=0.05)
        assert row.worst_level_db >= threshold
        attack, slower = (math.log(0.75 * (-5 - t)) for t in (threshold, threshold - 4))
        assert row.device_attack_ms == pytest.approx(10 * attack, abs=1)
        assert row.attack_ratio == pytest.approx(2 * slower / attack, rel=0.05)
        assert row.release_ratio == pytest.approx(2, rel=0.03)


def test_a_model_that_does_not_compress_has_the_whole_reduction_for_an_error_and_no_ratios() -> None:
    found = comparisons(lambda switch, peak_reduction: identity, targets(), LOW_RATE)
    for row, threshold in zip(found, (-20, -30), strict=True):
        assert (row.curve_error_db, row.worst_level_db) == (pytest.approx(-0.75 * threshold, abs=0.01), 0)
        assert math.isnan(row.attack_ratio)
        assert math.isnan(row.release_ms)
        assert row.device_release_ms == pytest.approx(100 * math.log(2), abs=1)
    middle = medians(found)
    assert middle.attacks == middle.releases == (0, 2)
    assert str(middle) == "static curve within 18.75 dB; attack – (0 of 2); release – (0 of 2)"


def of_errors(error: float, attack: float, release: float, device_release: float = 50.0) -> Comparison:
    level = np.zeros(len(LEVELS_DB))
    off = level + np.where(np.array(LEVELS_DB) == -10, -error, 0)
    return beside((0, 50.0), Behaviour(off, attack, release), Behaviour(level, 8.0, device_release))


def test_medians_are_over_the_settings_that_have_a_ratio() -> None:
    nan = math.nan
    found = [of_errors(1, 8, 100), of_errors(9, 16, nan), of_errors(2, 80, 50), of_errors(3, nan, nan, nan)]
    middle = medians(found)
    assert found[1].worst_level_db == -10
    assert (middle.settings, middle.curve_error_db) == (4, 2.5)
    assert (middle.attack_ratio, middle.attacks) == (2, (3, 4))
    assert (middle.release_ratio, middle.releases) == (1.5, (2, 3))


def test_the_table_has_a_row_for_each_model_and_setting() -> None:
    found = [of_errors(1.25, 8, math.nan)]
    rows = list(csv.DictReader(io.StringIO(table({"a, b": found, "c": found}, [(0, 50.0)]))))
    assert [row["model"] for row in rows] == ["a, b", "c"]
    assert rows[0] == {
        "model": "a, b", "trained": "1", "switch": "0", "peak_reduction": "50", "curve_error_db": "1.25",
        "worst_level_db": "-10", "attack_ms": "8", "device_attack_ms": "8", "attack_ratio": "1", "release_ms": "",
        "device_release_ms": "50", "release_ratio": "",
    }  # fmt: skip


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory, low_rate_root: Path) -> Path:
    folder = tmp_path_factory.mktemp("study")
    scored_runs.make_run(folder / "l1-seed1", low_rate_root, 1, sample_rate=LOW_RATE)
    return folder


def test_the_command_prints_each_setting_and_the_medians(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    __main__.main(["--run", str(study / "l1-seed1")])
    first, *settings, last, knob, of_device = capsys.readouterr().out.splitlines()
    assert first == f"{study / 'l1-seed1'}: network / device; curve: largest error of the static curve"
    found, _ = settings_of(Run.read(study / "l1-seed1").source)
    assert [line.split()[:2] for line in settings] == [
        ["Limit" if switch else "Compress", f"{peak_reduction:g}"] for switch, peak_reduction in found
    ]
    assert last.startswith(f"median over {len(found)} settings: static curve within ")
    assert knob.startswith("knob of the network: zipper noise −")
    assert re.fullmatch(r"knob of the LA-2A: zipper noise −8\d dB; steps to 0\.0\d\d dB in .*", of_device)


def test_a_run_of_another_device_is_refused(tmp_path: Path, data_root: Path) -> None:
    scored_runs.make_run(tmp_path / "l1-seed1", data_root, 1)
    with pytest.raises(SystemExit, match=r"Error: .*limiter is not the embedded data set"):
        __main__.main(["--run", str(tmp_path / "l1-seed1")])
    shutil.rmtree(tmp_path / "l1-seed1/checkpoints")
    with pytest.raises(SystemExit, match=r"Error: .*best\.ckpt: missing"):
        __main__.main(["--run", str(tmp_path / "l1-seed1")])
    with pytest.raises(SystemExit, match=r"Error: .*cannot be read"):
        __main__.main(["--run", str(tmp_path / "gone")])
