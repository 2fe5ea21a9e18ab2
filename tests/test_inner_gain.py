"""Gains that networks tell, and the device's own, at the samples of a passage."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from data import audio
from data.la2a import la2a
from data.signaltrain import Recording
from models.net import Net, Unprocessed
from scripts.report import colours, passages, traces
from scripts.report.inner_gain import add, gain_of, la2a_reduction
from scripts.report.passages import Passage, Place

RATE = 44_100


class Follower(Net):
    """Halves its input wherever the sample 2 before is positive, else passes it; looks 3 ahead."""

    receptive_field = 6
    lookahead = 3
    bad = 0.0  # added to the gain

    def gain_db(self, x: Tensor, controls: Tensor) -> Tensor:
        trigger = x[..., : x.shape[-1] - 5]
        return torch.where(trigger > 0, -6.0206, 0.0) + self.bad

    def forward(self, x: Tensor, controls: Tensor) -> Tensor:
        return self.align(x) * 10 ** (self.gain_db(x, controls) / 20)


class TooLong(Follower):
    def gain_db(self, x: Tensor, controls: Tensor) -> Tensor:
        return x


@pytest.fixture
def recording(tmp_path: Path) -> Recording:
    """A burst of a tone at −5 dBFS through the LA-2A, Limit 80."""
    tone = 10 ** (-5 / 20) * np.sin(2 * np.pi * 1000 / RATE * np.arange(2 * RATE))
    tone[: RATE // 2] *= 0.01
    tone[3 * RATE // 2 :] *= 0.01
    files = tmp_path / "input_1_.wav", tmp_path / "target_1_LA2A__1__80.wav"
    for file, samples in zip(files, (tone, la2a(tone, 80, 1, RATE)), strict=True):
        audio.write(file, samples, RATE)
    return Recording("1", "test", *files, len(tone), RATE, 1, (1.0, 0.8), "1__80")


def test_a_gain_belongs_to_the_samples_that_it_multiplies(recording: Recording) -> None:
    place = Place(recording, 30_000, 5000)
    gain = gain_of(Follower(), place)
    assert gain is not None
    assert set(gain.round(4)) == {0.0, -6.0206}
    x = audio.read(recording.input, 30_000, 5000)[0]
    np.testing.assert_allclose(passages.output(Follower(), place), x * 10 ** (gain / 20), atol=1e-6)
    assert gain_of(Unprocessed(), place) is None


def test_the_reduction_of_the_la2a_is_what_its_recording_shows(recording: Recording) -> None:
    """From the start of the recording, wherever the passage begins."""
    whole = la2a_reduction(Place(recording, 0, recording.frames))
    part = la2a_reduction(Place(recording, 40_000, 9000))
    np.testing.assert_array_equal(part, whole[40_000:49_000])
    x, y = (audio.read(file)[0].astype(float) for file in (recording.input, recording.target))
    loud = np.abs(x) > 0.3
    error = -20 * np.log10(y[loud] / x[loud]) - whole[loud]
    assert np.abs(error).max() < 0.5  # coupling and tube are in the recording as well
    assert np.abs(error).mean() < 0.1
    assert whole[: RATE // 2].max() < 0.1


def test_what_is_known_is_added_and_what_is_wrong_is_noted(recording: Recording) -> None:
    place = Place(recording, 10_000, 2000)
    bad = Follower()
    bad.bad = float("nan")
    nets = {"follower": Follower(), "plain": Unprocessed(), "long": TooLong(), "bad": bad, "gone": Follower()}
    silence = np.zeros(2000)
    passage = Passage(place, silence, silence, dict.fromkeys(("follower", "plain", "long", "bad"), silence))
    assert add(passage, nets, embedded=False) == [
        "The inner gain of long is not drawn: it has 2005 samples for 2000.",
        "The inner gain of bad is not drawn: it has 2000 samples that are not finite.",
    ]
    assert list(passage.gains_db) == ["follower"]
    assert passage.reduction_db is None
    add(passage, nets, embedded=True)
    np.testing.assert_array_equal(passage.reduction_db, la2a_reduction(place))


def passage_of(recording: Recording) -> Passage:
    """The target is 6 dB below the input; one model 4 dB, of which its inner gain is 3; another is the target."""
    x = 0.1 * np.random.default_rng(0).standard_normal(RATE)
    outputs = {"ESR": x * 10 ** (-4 / 20), "MR": x / 10 ** (6 / 20)}
    place = Place(recording, 0, len(x))
    return Passage(place, x, x / 10 ** (6 / 20), outputs, gains_db={"ESR": np.full(len(x), -3.0)})


def test_the_figure_says_how_far_the_gains_are_off(recording: Recording) -> None:
    looks = colours.looks([("ESR", "esr"), ("MR", "mrstft")])
    passage = passage_of(recording)
    section = traces.section([passage], looks)
    assert section is not None
    said = "Mean error of the gain reduction: ESR 2.00 dB (inner gain 3.00 dB); MR 0.00 dB."
    assert section.figures[0].caption.endswith(said)
    assert "Dotted" in section.text
    assert "thin line in the colour" not in section.text
    assert "model's inner gain" in section.figures[0].svg

    passage.reduction_db = np.full(RATE, 5.5)
    section = traces.section([passage], looks)
    assert section is not None
    assert "(inner gain 2.50 dB)" in section.figures[0].caption
    assert "thin line in the colour" in section.text
    assert "device's own" in section.figures[0].svg


def test_without_inner_gains_there_is_no_word_of_them(recording: Recording) -> None:
    passage = passage_of(recording)
    passage.gains_db.clear()
    section = traces.section([passage], colours.looks([("ESR", "esr"), ("MR", "mrstft")]))
    assert section is not None
    assert section.figures[0].caption.endswith("ESR 2.00 dB; MR 0.00 dB.")
    assert "inner" not in section.text + section.figures[0].svg
