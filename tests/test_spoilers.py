"""What the check of a data set tells beside what cannot be read."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import soundfile

from data import signaltrain
from data.segments import Chunks
from data.signaltrain import Recording, check_content
from data.spoilers import spoilers
from scripts import check_dataset

RATE = 16_000  # Hz
SPLITS = {1: "Train", 2: "Train", 3: "Val", 4: "Test"}


def programme(number: int, seconds: float = 1.0) -> np.ndarray:
    noise = np.random.default_rng(number).standard_normal(round(seconds * RATE))
    return 0.15 * np.convolve(noise, np.ones(8) / 3, "same")


def write(root: Path, number: int, x: np.ndarray, y: np.ndarray, kind: str = "wav") -> None:
    folder = root / SPLITS[number]
    folder.mkdir(parents=True, exist_ok=True)
    subtype = "FLOAT" if kind == "wav" else "PCM_24"
    soundfile.write(folder / f"input_{number}_.{kind}", x, RATE, subtype=subtype)
    soundfile.write(folder / f"target_{number}_Dev__0__{10 * number}.{kind}", y, RATE, subtype=subtype)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for number in SPLITS:
        write(tmp_path / "set", number, programme(number), np.tanh(2 * programme(number)) / 2)
    return tmp_path / "set"


def recordings(root: Path, channels: int = 1) -> dict[str, list[Recording]]:
    return signaltrain.recordings(root, RATE, channels)


def told(root: Path, capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    code = check_dataset.main(["--root", str(root), "--sample-rate", str(RATE)])
    shown = capsys.readouterr()
    assert code == (1 if "This would spoil" in shown.err else 0)
    assert "split  pairs" in shown.out
    return shown.err


def test_a_set_without_fault_has_none(root: Path, low_rate_root: Path) -> None:
    assert spoilers(recordings(root)) == []
    assert spoilers(recordings(low_rate_root)) == []


@pytest.mark.parametrize("lag", [1, 37, -3, 4410])
@pytest.mark.parametrize("sign", [1, -1])
def test_an_offset_is_named_in_samples(root: Path, lag: int, sign: int, capsys: pytest.CaptureFixture[str]) -> None:
    x = programme(2)
    write(root, 2, x, sign * np.roll(np.tanh(2 * x) / 2, lag))
    text = told(root, capsys)
    assert text.count("  - ") == 1
    assert f"target_2_Dev__0__20.wav is {abs(lag)} sample(s) {'late' if lag > 0 else 'early'} against" in text
    assert f"input_2_.wav. Cut as many off the start of {'target' if lag > 0 else 'input'}_2_" in text


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (programme(2), 4 * programme(2), "target_2_Dev__0__20.wav goes up to"),
        (programme(2), 0 * programme(2), "target_2_Dev__0__20.wav is silent"),
        (programme(2), 0 * programme(2) + 0.25, "target_2_Dev__0__20.wav is constant at 0.25"),
        (programme(2), 1e-5 * programme(9), "target_2_Dev__0__20.wav is as good as silent: -1"),
        (
            np.clip(programme(2), -0.3, 0.3),
            programme(2) / 2,
            r"input_2_.wav is clipped in \d+ places, first at -?0\.3 from",
        ),
        (
            programme(2),
            np.clip(programme(2), -0.3, 1),
            r"target_2_Dev__0__20.wav is clipped in \d+ places, first at -0\.3 from",
        ),
        (programme(4), programme(4) / 2, "input_2_.wav and"),
    ],
    ids=["beyond", "silent", "constant", "noise", "clipped input", "clipped target", "in two splits"],
)
def test_each_is_named(
    root: Path, x: np.ndarray, y: np.ndarray, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write(root, 2, x, y)
    text = told(root, capsys)
    assert re.search(message, text)
    assert text.count("  - ") == 1


@pytest.fixture
def stereo_root(root: Path) -> Path:
    """A set of two channels that have nothing in common."""
    for number in SPLITS:
        x = np.stack([programme(number), programme(10 + number)], axis=1)
        write(root, number, x, np.tanh(2 * x) / 2)
    return root


def test_a_channel_that_is_clipped_below_the_peak_of_the_other_is_named(stereo_root: Path) -> None:
    x = np.stack([np.clip(programme(2), -0.2, 0.3), programme(12)], axis=1)
    assert np.abs(x[:, 1]).max() > 0.4
    write(stereo_root, 2, x, np.tanh(2 * programme(2))[:, None] * [0.5, 0.4])
    (fault,) = spoilers(recordings(stereo_root, channels=2))
    assert re.search(r"input_2_.wav is clipped in \d+ places, first at (-0\.2|0\.3) from", fault)


def test_one_channel_may_be_constant(stereo_root: Path) -> None:
    x = np.stack([programme(2), np.full_like(programme(2), 0.25)], axis=1)
    write(stereo_root, 2, x, x)
    assert spoilers(recordings(stereo_root, channels=2)) == []


@pytest.mark.parametrize("second", [-1, 0, 1])
def test_an_offset_is_found_in_channels_that_cancel_or_are_silent(stereo_root: Path, second: int) -> None:
    x = programme(2)[:, None] * [1, second]
    write(stereo_root, 2, x, np.roll(np.tanh(2 * x) / 2, 40, axis=0))
    (fault,) = spoilers(recordings(stereo_root, channels=2))
    assert "target_2_Dev__0__20.wav is 40 sample(s) late against" in fault


def test_a_recording_in_two_splits_is_found_in_other_formats_too(root: Path) -> None:
    x = np.round(programme(4) * 2**15) / 2**15
    write(root, 4, x, x / 2)
    for file in (root / "Train").glob("*_2_*"):
        file.unlink()
    write(root, 2, x, x / 2, "flac")
    (fault,) = spoilers(recordings(root))
    assert "in train and in test" in fault


def test_formats_may_be_mixed(root: Path) -> None:
    for file in (root / "Train").glob("*_2_*"):
        file.unlink()
    write(root, 2, programme(2), programme(2) / 2, "flac")
    found = recordings(root)
    assert [recording.input.suffix for recording in found["train"]] == [".wav", ".flac"]
    check_content(found)
    chunks = Chunks(found["train"], RATE // 2, polarity_flip=False)
    batch = chunks.__getitems__([(0, index) for index in range(len(chunks))])
    assert float((batch.target[2:] - batch.input[2:] / 2).abs().max()) < 1e-6
    assert float(batch.input[2:].abs().max()) > 0.1


def test_a_pair_in_both_formats_and_one_with_losses_are_refused(root: Path) -> None:
    write(root, 2, programme(2), programme(2) / 2, "flac")
    (root / "Val" / "input_9_.mp3").write_bytes(b"")
    with pytest.raises(ValueError, match=r"id 2 is there 2 times") as error:
        recordings(root)
    assert "input_9_.mp3 is in a format with losses" in str(error.value)
