"""Passages of the player: the right samples, heard as they were scored."""

from __future__ import annotations

import base64
import io
import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from numpy.typing import NDArray

from data import audio
from data.segments import Blocks
from data.signaltrain import Recording
from models.net import Unprocessed
from models.rendering import Rendering
from models.statespace import S4D
from models.stream import Stream
from models.tcn import TCN
from scripts.report import inner_gain, passages
from scripts.report.colours import Look, looks
from scripts.report.passages import Passage, Place
from tests.nets_as_trained import as_trained

RATE = 8000  # Hz


def recording(
    folder: Path, sound: NDArray[np.float64], processed: NDArray[np.float64], setting: str = "0__75", id: str = "1"
) -> Recording:
    files = folder / f"input_{id}_.wav", folder / f"target_{id}_LA2A__{setting}.wav"
    for file, samples in zip(files, (sound, processed), strict=True):
        audio.write(file, samples, RATE)
    switch, amount = setting.split("__")
    channels = 1 if sound.ndim == 1 else len(sound)
    controls = (float(switch), float(amount) / 100)
    return Recording(id, "test", *files, sound.shape[-1], RATE, channels, controls, setting)


def noise(seconds: float, seed: int = 0, level: float = 0.1) -> NDArray[np.float64]:
    return level * np.random.default_rng(seed).standard_normal(round(seconds * RATE))


def read_back(text: str) -> tuple[dict[str, Any], dict[str, NDArray[np.float64]]]:
    """A passage's JSON, and its signals by id."""
    content = json.loads(text)
    signals = {}
    for signal in content["signals"]:
        samples, rate = soundfile.read(io.BytesIO(base64.b64decode(signal["flac"])), always_2d=True)
        assert rate == content["sample_rate"]
        assert samples.shape[1] == 1
        signals[signal["id"]] = samples[:, 0]
    return content, signals


def test_a_passage_is_where_the_gain_moves_most(tmp_path: Path) -> None:
    sound = noise(20)
    gain = np.ones(len(sound))
    gain[12 * RATE : 14 * RATE] = np.repeat(np.tile([1, 0.1], 5), RATE // 5)
    place = passages.choose([recording(tmp_path, sound, gain * sound)], set(), 4, 3.0)[0]
    assert place.frames == 3 * RATE
    assert place.start <= 12 * RATE + RATE // 5
    assert place.start + place.frames >= 14 * RATE - RATE // 5


def test_silence_does_not_count_as_moving_gain(tmp_path: Path) -> None:
    sound, hiss = noise(10), noise(10, seed=1, level=1e-4)
    sound[5 * RATE :] = 0
    gain = np.where(np.arange(len(sound)) < 2 * RATE, 1, 0.5)
    place = passages.choose([recording(tmp_path, sound, gain * sound + hiss)], set(), 1, 2.0)[0]
    assert place.start < 2 * RATE < place.start + place.frames + RATE // 10


def test_passages_are_spread_over_settings_and_new_ones_come_first(tmp_path: Path) -> None:
    settings = {"1": "0__75", "2": "0__75", "3": "1__55", "4": "0__20", "5": "1__90"}
    found = []
    for id, setting in settings.items():
        sound = noise(3, seed=int(id))
        depth = 0.1 * int(id)
        moving = 1 - depth * (np.sin(np.arange(len(sound)) / RATE * 20) > 0)
        found.append(recording(tmp_path, sound, moving * sound, setting, id))
    places = passages.choose(found, {"1__90", "0__20"}, 4, 1.0)
    assert [place.recording.id for place in places] == ["3", "2", "5", "4"]
    assert [place.recording.id for place in passages.choose(found, {"1__90"}, 2, 1.0)] == ["4", "3"]
    assert passages.choose(found, set(), 4, 1.0) == passages.choose(found, set(), 4, 1.0)


def test_a_recording_shorter_than_a_passage_is_heard_whole(tmp_path: Path) -> None:
    place = passages.choose([recording(tmp_path, noise(1.03), noise(1.03, 1))], set(), 1, 6.0)[0]
    assert (place.start, place.frames) == (0, round(1.03 * RATE))


def test_input_and_target_are_the_samples_of_the_files(tmp_path: Path) -> None:
    sound, processed = noise(2), noise(2, 1)
    passage = passages.hear(Place(recording(tmp_path, sound, processed), 1234, 4321), {"own": Unprocessed()})
    np.testing.assert_array_equal(passage.input, sound.astype(np.float32)[1234 : 1234 + 4321])
    np.testing.assert_array_equal(passage.target, processed.astype(np.float32)[1234 : 1234 + 4321])
    np.testing.assert_array_equal(passage.outputs["own"], passage.input)


@pytest.mark.parametrize("start", [0, 777, 2 * RATE - 1000])
def test_an_output_is_sample_for_sample_the_scored_one(tmp_path: Path, start: int) -> None:
    torch.manual_seed(0)
    net = TCN(blocks=4, kernel_size=7, channels=4).eval()
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    item = recording(tmp_path, noise(2), noise(2, 1))
    block = Blocks([item], item.frames, net.context)[0]
    whole = Rendering(net).block(block)[0][0, 0].double().numpy()
    heard = passages.hear(Place(item, start, 1000), {"net": net}).outputs["net"]
    np.testing.assert_allclose(heard, whole[start : start + 1000], atol=1e-6)
    assert np.abs(whole).max() > 0.01


@pytest.mark.parametrize("start", [0, 777, 14_000])
def test_a_network_of_endless_memory_hears_the_recording_from_its_first_sample_on(
    start: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passages, "_PART", 6000)
    net = as_trained(partial(S4D, depth=2, channels=3, states=3), warm_up=1).float()
    sound = noise(2)
    place = Place(recording(tmp_path, sound, noise(2, 1)), start, 1000)
    heard = passages.hear(place, {"net": net}).outputs["net"]
    whole = Stream(net, place.recording.controls).feed(torch.from_numpy(sound).float()[None, None])
    np.testing.assert_allclose(heard, whole[0, 0, start : start + 1000], atol=1e-6)
    gain_db = inner_gain.gain_of(net, place)
    assert gain_db is not None
    np.testing.assert_allclose(heard, passages.hear(place, {}).input * 10 ** (gain_db / 20), atol=1e-6)


def test_several_channels_are_heard_as_their_mean(tmp_path: Path) -> None:
    sound = np.stack([noise(1), noise(1, 1)])
    passage = passages.hear(Place(recording(tmp_path, sound, 0.5 * sound), 100, 4000), {"own": Unprocessed()})
    expected = sound.astype(np.float32).astype(float).mean(axis=0)[100:4100]
    np.testing.assert_allclose(passage.input, expected, atol=1e-9)
    np.testing.assert_allclose(passage.outputs["own"], expected, atol=1e-9)
    np.testing.assert_allclose(passage.target, 0.5 * expected, atol=1e-9)


def test_the_worst_part_is_where_the_error_is() -> None:
    item = Recording("1", "test", Path(), Path(), 90_000, RATE, 1, (0.0, 0.5), "0__50")
    target = noise(6)
    output = target.copy()
    output[4 * RATE : 5 * RATE] += 0.3
    part = passages.worst_part(Passage(Place(item, 2000, 6 * RATE), target, target, {"own": output}), 1.5)
    assert part.place.frames == len(part.input) == len(part.outputs["own"]) == 1.5 * RATE
    assert 2000 + 3.5 * RATE <= part.place.start <= 2000 + 4 * RATE
    np.testing.assert_array_equal(part.target, target[part.place.start - 2000 :][: round(1.5 * RATE)])


def test_the_anchor_passes_three_and_a_half_kilohertz_and_stops_four() -> None:
    rate = 44_100
    time = np.arange(rate) / rate
    middle = slice(rate // 4, -rate // 4)
    for frequency, low, high in ((100, -0.1, 0.1), (3500, -0.1, 0.1), (4000, -300, -55), (10_000, -300, -55)):
        tone = np.sin(2 * np.pi * frequency * time)
        filtered = passages.anchor(tone, rate)
        assert filtered is not None
        assert len(filtered) == len(tone)
        level = 20 * np.log10(np.std(filtered[middle]) / np.std(tone[middle]))
        assert low <= level <= high
        if frequency == 100:  # aligned with the target
            np.testing.assert_allclose(filtered[middle], tone[middle], atol=0.01)
    assert passages.anchor(noise(1), 8000) is None


def test_loudness_is_that_of_the_standard() -> None:
    tone = np.sin(2 * np.pi * 997 * np.arange(2 * 48_000) / 48_000)
    assert passages.loudness(tone, 48_000) == pytest.approx(-3.01, abs=0.1)  # BS.1770: 997 Hz at full scale, ±0.1 LU
    assert passages.loudness(0.1 * tone, 48_000) == pytest.approx(-23.01, abs=0.1)
    assert passages.loudness(np.zeros(48_000), 48_000) is None
    assert passages.loudness(1e-5 * tone, 48_000) is None  # below the gate at −70 LUFS
    assert passages.loudness(tone[:1000], 48_000) is None


def made(target_gain: float = 0.5, seconds: float = 2.0) -> tuple[Passage, dict[str, Look]]:
    item = Recording("1", "test", Path(), Path(), 90_000, RATE, 1, (0.0, 0.5), "0__50")
    sound = noise(seconds)
    outputs = {"<b>l1</b>": 0.4 * sound, "esr": 0.6 * sound}
    passage = Passage(Place(item, 0, len(sound)), sound, target_gain * sound, outputs)
    return passage, looks([("<b>l1</b>", "l1"), ("esr", "esr")])


def test_the_signals_of_a_passage_can_be_read_back() -> None:
    passage, look_of = made()
    text, factor = passages.encoded(passage, "passage-1", "A </script> title", look_of)
    content, signals = read_back(text)
    assert factor == 1
    assert "<" not in text
    assert content["title"] == "A </script> title"
    assert content["seconds"] == 2
    assert [signal["kind"] for signal in content["signals"]] == ["input", "target", "model", "model"]
    assert [signal["label"] for signal in content["signals"]] == ["input", "target", "<b>l1</b>", "esr"]
    assert list(signals) == ["input", "target", "b-l1-b", "esr"]
    inner = slice(40, -40)  # without the fades of 5 ms
    for id, expected in (("input", passage.input), ("target", passage.target), ("esr", passage.outputs["esr"])):
        assert len(signals[id]) == len(expected)
        np.testing.assert_allclose(signals[id][inner], expected[inner], atol=1 / 2**15)
        assert signals[id][0] == 0
    for signal in content["signals"]:
        assert signal["lufs"] == pytest.approx(passages.loudness(signals[signal["id"]], RATE), abs=0.02)


def test_a_passage_beyond_full_scale_is_scaled_as_a_whole() -> None:
    passage, look_of = made(target_gain=40.0)
    text, factor = passages.encoded(passage, "passage-1", "loud", look_of)
    _, signals = read_back(text)
    assert factor == pytest.approx(1 / np.abs(passage.target).max())
    inner = slice(40, -40)
    np.testing.assert_allclose(signals["input"][inner], factor * passage.input[inner], atol=1 / 2**15)
    np.testing.assert_allclose(signals["target"][inner], factor * passage.target[inner], atol=1 / 2**15)


def test_equal_passages_give_equal_bytes() -> None:
    assert passages.encoded(*_arguments()) == passages.encoded(*_arguments())


def _arguments() -> tuple[Passage, str, str, dict[str, Look]]:
    passage, look_of = made()
    return passage, "passage-1", "title", look_of


def test_passages_get_shorter_before_the_page_gets_too_big() -> None:
    assert passages.budget(9, 44_100, 4, 6.0, 18.0) == pytest.approx(6.0)
    # 20 signals · 96,000 Hz · 2 bytes · 0.7 · 4/3 = 3.584 MB a second; four passages
    assert passages.budget(20, 96_000, 4, 6.0, 18.0) == pytest.approx(18 / (4 * 3.584))
