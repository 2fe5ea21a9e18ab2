"""Rendering of files: the network's output in any format and at any rate, aligned; a fault costs only its file."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from torch.nn import functional as F

from data import audio, audio_blocks
from data.controls import Control
from data.levels import Levels
from data.resample import Resampler
from models.build import build_net
from models.net import Net
from models.run import Run
from scripts import render
from scripts.rendering import panel
from scripts.rendering.chain import through
from tests.conftest import Entry, Result
from tests.scored_runs import MODEL, make_run, save_net

IDENTITY = {"_target_": "models.tcn.TCN", "blocks": 3, "kernel_size": 5, "channels": 2}
RATE = 44_100
GAIN = 0.1  # of the networks with random weights, which saturate otherwise


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose network has a single channel and the controls of the LA-2A."""
    torch.manual_seed(0)  # of the weights that a new network begins with
    made = make_run(tmp_path_factory.mktemp("runs") / "l1-seed1", Path("nowhere"), 1, GAIN)
    save_net(made, "last", 2, GAIN)
    return made


def noise(channels: int, samples: int, seed: int = 0) -> np.ndarray:
    return (0.2 * np.random.default_rng(seed).standard_normal((channels, samples))).astype(np.float32)


def expected(net: Net, x: np.ndarray, controls: tuple[float, ...]) -> np.ndarray:
    """Each channel on its own if the network has one."""
    shape = (1, len(x), -1) if net.in_channels == len(x) else (len(x), 1, -1)
    signal = F.pad(torch.from_numpy(x).reshape(shape), net.context)
    with torch.inference_mode():
        return net(signal, torch.tensor([controls] * len(signal))).flatten(0, 1).numpy()


@pytest.fixture
def command(entry: Entry, folder: Path, capfd: pytest.CaptureFixture[str]) -> Any:
    def run_it(*arguments: object, run: Path = folder) -> Result:
        code = render.main([*map(str, arguments), "--run", str(run)])
        return Result(code, *capfd.readouterr())

    return run_it


@pytest.mark.parametrize("channels", [1, 2, 5])
def test_every_channel_passes_through_the_network(
    channels: int, tmp_path: Path, folder: Path, command: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(render, "BLOCK", 1000)
    x = noise(channels, 4321)
    audio.write(tmp_path / "in.wav", x, RATE)
    result = command(tmp_path / "in.wav", tmp_path / "new" / "out.wav", "--peak-reduction", 65, "--mode", "limit")
    assert (result.code, result.err) == (0, "")
    assert soundfile.info(tmp_path / "new" / "out.wav").subtype == "FLOAT"
    y = audio.read(tmp_path / "new" / "out.wav")
    right = expected(Run.read(folder).net(), x, (1.0, 0.65))
    assert right.std() > 0.01
    np.testing.assert_allclose(y, right, atol=1e-5)
    assert not np.allclose(y, expected(Run.read(folder).net(), x, (0.0, 0.65)), atol=1e-4)
    assert [file.name for file in (tmp_path / "new").iterdir()] == ["out.wav"]


def test_as_a_command(entry: Entry, folder: Path, tmp_path: Path) -> None:
    audio.write(tmp_path / "in.wav", noise(1, 100), RATE)
    arguments = ("in.wav", "out.wav", "--run", str(folder), "--peak-reduction", "65")
    assert entry("scripts/render.py", *arguments).code == 0
    again = entry("scripts/render.py", *arguments)
    assert again.code == 1
    assert "out.wav: exists; --overwrite replaces it" in again.err
    assert "Traceback" not in again.err
    assert entry("scripts/render.py", *arguments, "--overwrite").code == 0


def test_the_checkpoint_is_the_one_asked_for(tmp_path: Path, folder: Path, command: Any) -> None:
    x = noise(1, 500)
    audio.write(tmp_path / "in.wav", x, RATE)
    command(tmp_path / "in.wav", tmp_path / "out.wav", "--peak-reduction", 30, "--checkpoint", "last")
    y, last, best = (
        audio.read(tmp_path / "out.wav"),
        *(expected(Run.read(folder, checkpoint).net(), x, (0, 0.3)) for checkpoint in ("last", "best")),
    )
    np.testing.assert_allclose(y, last, atol=1e-5)
    assert not np.allclose(y, best, atol=1e-2)


@pytest.mark.parametrize("controls", [0, 1, 3])
def test_networks_of_other_controls_and_channels(controls: int, tmp_path: Path, command: Any) -> None:
    model = MODEL | {"controls": controls, "in_channels": 2, "out_channels": 2}
    other = make_run(tmp_path / "l1-seed2", Path("nowhere"), 2, GAIN, model, channels=2)
    values = [0.25 * (number + 1) for number in range(controls)]
    x = noise(2, 700)
    audio.write(tmp_path / "in.wav", x, RATE)
    passed = ["--controls", *values] if controls else []
    assert command(tmp_path / "in.wav", tmp_path / "out.wav", *passed, run=other).code == 0
    right = expected(Run.read(other).net(), x, tuple(values))
    np.testing.assert_allclose(audio.read(tmp_path / "out.wav"), right, atol=1e-5)
    audio.write(tmp_path / "mono.wav", x[:1], RATE)
    refused = command(tmp_path / "mono.wav", tmp_path / "none.wav", *passed, run=other)
    assert refused.code == 1
    assert "mono.wav: it has 1 channel(s), the network takes 2" in refused.err
    refused = command(tmp_path / "in.wav", tmp_path / "none.wav", "--controls", *range(4), run=other)
    assert f"the network has {controls} control(s), 4 given" in refused.err
    assert not (tmp_path / "none.wav").exists()


# Formats


@pytest.mark.parametrize(
    ("suffix", "subtype", "error"),
    [
        (".wav", "FLOAT", 0),
        (".W64", "FLOAT", 0),
        (".caf", "FLOAT", 0),
        (".flac", "PCM_24", 2**-23),
        (".aiff", "PCM_24", 2**-23),
    ],
)
def test_formats_are_read_and_written(suffix: str, subtype: str, error: float, tmp_path: Path, command: Any) -> None:
    audio.write(tmp_path / "in.wav", noise(2, 3000), 48_000)
    command(tmp_path / "in.wav", tmp_path / "reference.wav", "--peak-reduction", 50)
    soundfile.write(tmp_path / "in.flac", noise(2, 3000).T, 48_000, subtype="PCM_24")
    assert command(tmp_path / "in.flac", tmp_path / f"out{suffix}", "--peak-reduction", 50).code == 0
    header = soundfile.info(tmp_path / f"out{suffix}")
    assert (header.subtype, header.samplerate, header.channels, header.frames) == (subtype, 48_000, 2, 3000)
    reference = audio.read(tmp_path / "reference.wav")
    np.testing.assert_allclose(audio.read(tmp_path / f"out{suffix}"), reference, atol=error + 1e-6)


def test_what_cannot_be_written_is_named(tmp_path: Path, command: Any) -> None:
    audio.write(tmp_path / "in.wav", noise(9, 100), RATE)
    for name, message in (
        ("out.mp3", r".mp3 cannot be written"),
        ("out", "no suffix"),
        ("out.flac", "out.flac cannot"),
    ):
        result = command(tmp_path / "in.wav", tmp_path / name, "--peak-reduction", 50)
        assert result.code == 1
        assert message in result.err
    assert [file.name for file in tmp_path.iterdir()] == ["in.wav"]


def test_clipping_is_counted_in_formats_of_integers(tmp_path: Path) -> None:
    block = np.array([[0, 1.0, -1.5, 2.0, -1.0]], dtype=np.float32)
    for name, clipped in (("a.wav", 0), ("a.flac", 2)):
        with audio_blocks.Writer(tmp_path / name, RATE, 1, 5) as writer:
            writer.write(block)
        assert writer.clipped == clipped
    np.testing.assert_array_equal(audio.read(tmp_path / "a.wav"), block)
    np.testing.assert_allclose(audio.read(tmp_path / "a.flac"), block.clip(-1, 1), atol=2**-22)


def test_a_wav_of_more_than_four_gigabytes_has_a_header_for_it(tmp_path: Path) -> None:
    for name, frames, container in (("short.wav", 2**28, "WAV"), ("long.wav", 2**29, "RF64")):
        with audio_blocks.Writer(tmp_path / name, RATE, 2, frames) as writer:
            writer.write(noise(2, 10))
        assert soundfile.info(tmp_path / name).format == container
        np.testing.assert_array_equal(audio.read(tmp_path / name), noise(2, 10))


# Sample rates


@pytest.mark.parametrize("rate", [8_000, 22_050, 48_000, 96_000, 192_000])
@pytest.mark.parametrize("samples", [0, 1, 10_007])
def test_resampling_there_and_back_keeps_length_and_time(rate: int, samples: int) -> None:
    """An identity between two resamplers: a sine below the lower band edge comes back at the same place."""
    x = np.sin(2 * np.pi * 1000 / rate * np.arange(samples))[None].astype(np.float32)
    blocks = np.split(x, [1, 5, 4000], axis=1)
    y = np.concatenate(list(through([Resampler(rate, RATE, 1), Resampler(RATE, rate, 1)], blocks)), axis=1)
    assert y.shape[1] >= samples
    inside = slice(rate // 50, samples - rate // 50)
    np.testing.assert_allclose(y[0, inside], x[0, inside], atol=1e-4)


@pytest.mark.parametrize("rate", [16_000, 48_000])
def test_a_file_of_another_rate_is_aligned_to_the_sample(
    rate: int, tmp_path: Path, command: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new network passes its input on: tanh(x), which is x where it is soft."""
    net = build_net(IDENTITY).eval()
    monkeypatch.setattr(Run, "net", lambda _: net)
    monkeypatch.setattr(render, "BLOCK", 700)
    x = np.zeros((2, 6000), dtype=np.float32)
    x[0, 2500] = x[1, 5990] = 0.01
    audio.write(tmp_path / "in.wav", x, rate)
    assert command(tmp_path / "in.wav", tmp_path / "out.wav", "--peak-reduction", 0).code == 0
    assert audio.info(tmp_path / "out.wav") == (6000, rate, 2)
    y = audio.read(tmp_path / "out.wav")
    assert np.abs(y).argmax(axis=1).tolist() == [2500, 5990]
    # The delay is the slope of the phase: of the 3000 bins from 0 Hz to half the rate, those up to a quarter of it.
    bins = np.arange(100, 1500)
    phase = np.angle(np.fft.rfft(y[0]) / np.fft.rfft(x[0]))[bins]
    delay = -phase / (2 * np.pi * bins / 6000)
    assert np.abs(delay).max() < 2e-3  # samples


def test_another_rate_gives_what_the_resampled_file_gives(tmp_path: Path, folder: Path, command: Any) -> None:
    t = np.arange(20_000) / 48_000
    x = np.stack([0.3 * np.sin(2 * np.pi * f * t) for f in (440, 1000)]).astype(np.float32)
    audio.write(tmp_path / "in.wav", x, 48_000)
    command(tmp_path / "in.wav", tmp_path / "out.wav", "--peak-reduction", 65)
    t = np.arange(18_375) / RATE
    there = np.stack([0.3 * np.sin(2 * np.pi * f * t) for f in (440, 1000)]).astype(np.float32)
    at_net = torch.from_numpy(expected(Run.read(folder).net(), there, (0, 0.65)))
    y = audio.read(tmp_path / "out.wav")
    # Compared where both sample grids meet: every 160th sample at 48 kHz is every 147th at 44.1 kHz.
    np.testing.assert_allclose(y[:, ::160][:, 4:-4], at_net[:, ::147].numpy()[:, 4:-4], atol=2e-4)


# Folders and faults


def test_a_folder_keeps_its_shape_and_a_damaged_file_costs_itself(tmp_path: Path, command: Any) -> None:
    stems, out = tmp_path / "stems", tmp_path / "out"
    audio.write(stems / "a.wav", noise(1, 100), RATE)
    audio.write(stems / "drums" / "b.wav", noise(1, 200), RATE)
    audio.write(stems / "drums" / ".hidden.wav", noise(1, 200), RATE)
    soundfile.write(stems / "drums" / "b.ogg", noise(1, 300).T, RATE)
    (stems / "drums" / "broken.wav").write_bytes(b"RIFF and nothing else")
    whole = (stems / "a.wav").read_bytes()
    (stems / "cut.wav").write_bytes(whole[:-40])
    (stems / "notes.txt").write_text("no audio")
    bad = noise(1, 90_000)
    bad[0, 80_123] = np.nan
    audio.write(stems / "nan.wav", bad, RATE)
    result = command(stems, out, "--peak-reduction", 50)
    assert result.code == 1
    files = sorted(str(file.relative_to(out)) for file in out.rglob("*") if file.is_file())
    assert files == ["a.wav", "drums/b.ogg.wav", "drums/b.wav"]
    assert [audio.info(out / file).frames for file in files] == [100, 300, 200]
    for name, reason in (
        ("drums/broken.wav", "cannot be read"),
        ("cut.wav", "is truncated"),
        ("nan.wav", "sample 80123 (1.817 s) is NaN or infinite"),
    ):
        assert any(str(stems / name) in line and reason in line for line in result.err.splitlines())
    assert "3 of 6 files could not be rendered" in result.err
    assert "Traceback" not in result.err


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError("disk full"), RuntimeError])
def test_nothing_is_left_of_a_render_that_did_not_end(
    error: Any, tmp_path: Path, command: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    audio.write(tmp_path / "in.wav", noise(1, 3000), RATE)
    audio.write(tmp_path / "out.wav", noise(1, 7), RATE)
    monkeypatch.setattr(render, "BLOCK", 1000)
    blocks = audio_blocks.blocks

    def interrupted(*arguments: Any) -> Any:
        found = blocks(*arguments)
        yield next(found)
        raise error

    monkeypatch.setattr(audio_blocks, "blocks", interrupted)
    arguments = (tmp_path / "in.wav", tmp_path / "out.wav", "--peak-reduction", 50, "--overwrite")
    if error is RuntimeError:  # a defect is not hidden
        with pytest.raises(RuntimeError):
            command(*arguments)
    else:
        assert command(*arguments).code == (130 if error is KeyboardInterrupt else 1)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["in.wav", "out.wav"]
    np.testing.assert_array_equal(audio.read(tmp_path / "out.wav"), noise(1, 7))


def test_a_network_that_gives_nan_writes_nothing(tmp_path: Path, folder: Path, command: Any) -> None:
    damaged = make_run(tmp_path / "l1-seed9", Path("nowhere"), 1, gain=math.nan)
    audio.write(tmp_path / "in.wav", noise(1, 300), RATE)
    result = command(tmp_path / "in.wav", tmp_path / "out.wav", "--peak-reduction", 50, run=damaged)
    assert result.code == 1
    assert "in.wav: the output of the network is not finite" in result.err
    assert not (tmp_path / "out.wav").exists()


def test_outputs_never_take_the_place_of_inputs(tmp_path: Path, command: Any) -> None:
    source = tmp_path / "in" / "a.wav"
    audio.write(source, noise(1, 100), RATE)
    before = source.read_bytes()
    (tmp_path / "link.wav").symlink_to(source)
    flags = ("--peak-reduction", 50, "--overwrite")
    for target in (source, tmp_path / "link.wav"):
        result = command(source, target, *flags)
        assert result.code == 1
        assert "is the input itself" in result.err
    for target in (source.parent, source.parent / "new"):
        result = command(source.parent, target, *flags)
        assert result.code == 1
        assert "lies in the folder that is rendered" in result.err
    assert "is a folder" in command(source, source.parent, *flags).err
    assert "no such file" in command(tmp_path / "none.wav", tmp_path / "out.wav", *flags).err
    assert "holds no audio file" in command(folder_without_audio(tmp_path), tmp_path / "out", *flags).err
    assert source.read_bytes() == before


def folder_without_audio(tmp_path: Path) -> Path:
    (tmp_path / "empty").mkdir()
    return tmp_path / "empty"


@pytest.mark.parametrize("rate", [None, "44100", 0, -44_100, 44_100.0, True, 10**9])
def test_a_strangers_run_with_another_kind_of_rate_is_refused(rate: Any, tmp_path: Path, command: Any) -> None:
    strange = make_run(tmp_path / "l1-seed3", Path("nowhere"), sample_rate=rate)
    audio.write(tmp_path / "in.wav", noise(1, 100), RATE)
    result = command(tmp_path / "in.wav", tmp_path / "out.wav", "--peak-reduction", 50, run=strange)
    assert result.code == 1
    assert f"data.sample_rate, {rate!r}, is not a sample rate in Hz" in result.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "2 control(s), 0 given: pass --peak-reduction"),
        (["--controls", "0.5"], "2 control(s), 1 given: pass --peak-reduction"),
        (["--peak-reduction", "50", "--device", "nowhere"], "--device nowhere:"),
    ],
)
def test_options_that_do_not_fit_the_run(arguments: list[str], message: str, tmp_path: Path, command: Any) -> None:
    audio.write(tmp_path / "in.wav", noise(1, 100), RATE)
    result = command(tmp_path / "in.wav", tmp_path / "out.wav", *arguments)
    assert result.code == 1
    assert message in result.err
    assert "Traceback" not in result.err


@pytest.mark.parametrize(
    "arguments",
    [
        ["--peak-reduction", "101"],
        ["--peak-reduction", "nan"],
        ["--mode", "limit"],
        ["--controls", "1", "nan"],
        ["--controls", "1", "0.5", "--peak-reduction", "50"],
    ],
)
def test_options_that_make_no_sense_are_refused(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        render.main(["in.wav", "out.wav", "--run", "runs/x", *arguments])
    assert ended.value.code == 2


# Panels of other devices
OTHER = (
    Control("ratio", 0, 2, 1, "", "ratio", positions=("4", "8", "12")),
    Control("input", 0, 1, None, "", "input", scale=10),
    Control("output", 0, 1, None, "", "output", scale=10),
    Control("low_cut", 0, 1, None, "", "low-cut", scale=100),
    Control("device", 0, 1, None, "", "device"),
    Control("no_name_on_the_panel", 0, 1, None, ""),
)


def test_controls_may_have_any_name(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(panel, "declared", lambda section: OTHER)
    knobs = "--ratio 12 --input 5 --output 2 --low-cut 80 --knob-device 0.25 --no-name-on-the-panel 1"
    options = panel.parsed(["a.wav", "b.wav", "--run", str(folder), *knobs.split()], None)
    assert options.controls == (2, 0.5, 0.2, 0.8, 0.25, 1)
    assert (options.input, options.output, options.device) == (Path("a.wav"), Path("b.wav"), "cpu")


def test_a_control_takes_no_other_options_name(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(panel.signaltrain, "CONTROLS", ())
    with pytest.raises(SystemExit):
        panel.parsed(["--help"], None)
    assert set(re.findall(r"--([a-z]+)", capsys.readouterr().out)) == set(panel.OWN)


# Levels


def test_levels_of_a_sine_and_of_silence() -> None:
    sine = 0.5 * np.sin(2 * np.pi * np.arange(1000) / 100)
    levels = Levels()
    assert (levels.peak_db, levels.rms_db) == (-math.inf, -math.inf)
    for block in np.split(sine[None], [1, 70, 999], axis=1):
        levels.add(block)
    assert levels.peak_db == pytest.approx(-6.0206, abs=1e-3)
    assert levels.rms_db == pytest.approx(-6.0206, abs=1e-3)  # the level of a sine is that of its peak


def test_the_report_tells_levels_and_length(tmp_path: Path, command: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    net = build_net(IDENTITY).eval()
    monkeypatch.setattr(Run, "net", lambda _: net)
    audio.write(tmp_path / "in.wav", np.full((2, 22_050), 0.1, dtype=np.float32), RATE)
    out = command(tmp_path / "in.wav", tmp_path / "out.wav", "--peak-reduction", 50).out.splitlines()
    assert "0.5 s, 44100 Hz, 2 channel(s)" in out[0]
    assert out[1].split() == ["input", "peak", "-20.0", "dBFS", "RMS", "-17.0", "dBFS"]
    assert out[2].split() == ["output", "peak", "-20.0", "dBFS", "RMS", "-17.0", "dBFS"]  # tanh(0.1) = 0.0997
