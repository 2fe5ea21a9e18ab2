"""Controls are turned into what a network is given by what the data set declares, of whatever device."""

from __future__ import annotations

import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data import audio, controls, embedded, signaltrain
from data.controls import Control
from models.run import Run
from scripts import render
from tests.scored_runs import MODEL, make_run
from tests.test_render import RATE, expected, noise

PEDAL = (
    Control("drive", 0, 1, None, "0 … 10 on the panel", "drive", scale=10),
    Control("clip", -1, 1, 2, "-1 soft, 1 hard", "clip", positions=("soft", "hard")),
    Control("tone", -1, 1, None, "-12 … 12 dB", "tone db", scale=12),
)


def test_the_panel_and_the_network_name_the_same() -> None:
    assert controls.given(signaltrain.CONTROLS, (1, 65)) == (1, 0.65)
    assert [c.shown(x) for c, x in zip(signaltrain.CONTROLS, (1, 0.65), strict=True)] == ["limit", "65"]
    assert [c.shown(x) for c, x in zip(PEDAL, (0.5, 1, -0.5), strict=True)] == ["5", "hard", "-6"]
    assert [c.shown(x) for c, x in zip(PEDAL, (0.5, -1, 1), strict=True)] == ["5", "soft", "12"]
    assert signaltrain.MODES == {"0": "Compress", "1": "Limit"}
    assert embedded.CONTROLS is signaltrain.CONTROLS
    for number in (-1, 101, float("nan")):
        with pytest.raises(ValueError, match=f"peak reduction is {number:g}: it has to be a number from 0 to 100"):
            controls.given(signaltrain.CONTROLS, (0, number))
    for number in (-1, 0.5, 2):
        with pytest.raises(ValueError, match=rf"mode is {number:g}: it has to be 0 \(compress\) or 1 \(limit\)"):
            controls.given(signaltrain.CONTROLS, (number, 0))


@pytest.fixture
def pedal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run that was trained on the data set of another device, which data/ has a module for."""
    module = types.ModuleType("data.embedded")  # in the place of one that is there
    module.CONTROLS = PEDAL  # type: ignore[attr-defined]
    monkeypatch.setitem(__import__("sys").modules, "data.embedded", module)
    recordings = {"_target_": "data.embedded.recordings"}
    return make_run(
        tmp_path / "l1-seed1", Path("nowhere"), 1, 0.1, MODEL | {"controls": 3}, sample_rate=RATE, recordings=recordings
    )


def test_the_options_of_render_are_those_of_the_device(pedal: Path, tmp_path: Path) -> None:
    x = noise(1, 400)
    audio.write(tmp_path / "in.wav", x, RATE)
    files = [str(tmp_path / "in.wav"), str(tmp_path / "out.wav"), "--run", str(pedal), "--overwrite"]
    for options, given in (
        (["--drive", "5", "--clip", "hard", "--tone-db", "-6"], (0.5, 1.0, -0.5)),
        (["--drive", "5", "--tone-db", "0"], (0.5, -1.0, 0.0)),
        (["--controls", "0.5", "1", "-0.5"], (0.5, 1.0, -0.5)),
    ):
        assert render.main([*files, *options]) == 0
        right = expected(Run.read(pedal).net(), x, given)
        np.testing.assert_allclose(audio.read(tmp_path / "out.wav"), right, atol=1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--drive", "5"], "--drive needs --tone-db"),
        (["--drive", "11", "--tone-db", "0"], "drive is 11: it has to be a number from 0 to 10"),
        (["--drive", "5", "--controls", "1", "1", "1"], "--controls stands for all controls: leave out --drive"),
        (["--mode", "limit"], "unrecognized arguments"),
        ([], "3 control(s), 0 given: pass --drive --tone-db (and --clip)"),
    ],
)
def test_controls_that_the_device_has_not_are_refused(
    options: list[str], message: str, pedal: Path, tmp_path: Path, capfd: Any
) -> None:
    audio.write(tmp_path / "in.wav", noise(1, 400), RATE)
    arguments = [str(tmp_path / "in.wav"), str(tmp_path / "out.wav"), "--run", str(pedal), *options]
    if options:
        with pytest.raises(SystemExit):
            render.main(arguments)
    else:
        assert render.main(arguments) == 1
    assert message in capfd.readouterr().err
