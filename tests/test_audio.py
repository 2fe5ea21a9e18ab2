"""Reading and writing of audio files."""

import io
import struct

import numpy as np
import pytest
import soundfile
from scipy.io import wavfile

from data import audio


@pytest.fixture
def stereo() -> np.ndarray:
    """Values beyond ±1, as a float file may have them."""
    return 3 * np.random.default_rng(0).standard_normal((2, 1000)).astype(np.float32)


def test_round_trip_is_exact(tmp_path, stereo):
    audio.write(tmp_path / "new" / "a.wav", stereo, 48_000)
    assert audio.info(tmp_path / "new" / "a.wav") == (1000, 48_000, 2)
    read = audio.read(tmp_path / "new" / "a.wav")
    assert read.dtype == np.float32
    assert read.flags.c_contiguous
    np.testing.assert_array_equal(read, stereo)


def test_one_dimension_is_one_channel(tmp_path, stereo):
    audio.write(tmp_path / "a.wav", stereo[0], 44_100)
    np.testing.assert_array_equal(audio.read(tmp_path / "a.wav"), stereo[:1])


def test_three_dimensions_are_refused(tmp_path, stereo):
    with pytest.raises(ValueError, match=r"a\.wav.*\(1, 2, 1000\)"):
        audio.write(tmp_path / "a.wav", stereo[None], 44_100)


@pytest.mark.parametrize(("start", "frames"), [(0, 10), (300, 700), (999, 1), (17, 0)])
def test_part_of_a_file(tmp_path, stereo, start, frames):
    audio.write(tmp_path / "a.wav", stereo, 44_100)
    part = audio.read(tmp_path / "a.wav", start, frames)
    np.testing.assert_array_equal(part, stereo[:, start : start + frames])


def test_written_file_is_float32_and_no_time_of_day(tmp_path, stereo):
    audio.write(tmp_path / "a.wav", stereo, 44_100)
    assert soundfile.info(str(tmp_path / "a.wav")).subtype == "FLOAT"
    assert b"PEAK" not in (tmp_path / "a.wav").read_bytes()[:100]  # that chunk holds the time of writing


def test_interrupted_writing_leaves_the_old_file(tmp_path, stereo, monkeypatch):
    audio.write(tmp_path / "a.wav", stereo, 44_100)

    def interrupted(file, rate, samples):
        file.write(b"RIFF half a file")
        raise KeyboardInterrupt

    monkeypatch.setattr(wavfile, "write", interrupted)
    with pytest.raises(KeyboardInterrupt):
        audio.write(tmp_path / "a.wav", np.zeros((2, 5)), 44_100)
    np.testing.assert_array_equal(audio.read(tmp_path / "a.wav"), stereo)
    assert [path.name for path in tmp_path.iterdir()] == ["a.wav"]


@pytest.mark.parametrize(
    ("container", "subtype", "bytes_per_sample"),
    [("WAV", "FLOAT", 4), ("WAV", "PCM_16", 2), ("WAVEX", "PCM_24", 3), ("RF64", "FLOAT", 4)],
)
def test_truncated_file_is_found(tmp_path, stereo, container, subtype, bytes_per_sample):
    path = tmp_path / "cut.wav"
    soundfile.write(str(path), stereo.T / 20, 44_100, format=container, subtype=subtype)
    assert audio.info(path) == (1000, 44_100, 2)
    whole = path.read_bytes()
    data = whole.index(b"data") + 8
    path.write_bytes(whole[: data + 100])
    expected = rf"cut\.wav is truncated.* {2000 * bytes_per_sample} bytes.* holds 100\..*again"
    with pytest.raises(ValueError, match=expected):
        audio.info(path)


def test_chunks_before_the_audio_are_skipped(tmp_path):
    samples = np.arange(8, dtype="<f4")
    chunks = b"fmt " + struct.pack("<IHHIIHH", 16, 3, 1, 44_100, 4 * 44_100, 4, 32)
    chunks += b"note" + struct.pack("<I", 3) + b"abc\0"  # of odd length, hence a byte of padding
    chunks += b"data" + struct.pack("<I", 32) + samples.tobytes()
    path = tmp_path / "a.wav"
    path.write_bytes(b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WAVE" + chunks)
    assert audio.info(path) == (8, 44_100, 1)
    np.testing.assert_array_equal(audio.read(path, 2, 3), [[2, 3, 4]])
    path.write_bytes(path.read_bytes()[:-12])
    with pytest.raises(ValueError, match="32 bytes of audio, the file holds 20"):
        audio.info(path)


def test_other_formats_are_read(tmp_path):
    samples = np.arange(-50, 50).astype(np.float32) / 128
    soundfile.write(str(tmp_path / "a.flac"), samples, 22_050)
    assert audio.info(tmp_path / "a.flac") == (100, 22_050, 1)
    np.testing.assert_array_equal(audio.read(tmp_path / "a.flac"), samples[None])


def test_unreadable_file_is_named(tmp_path):
    (tmp_path / "text.wav").write_text("this is no audio file")
    for path in (tmp_path / "text.wav", tmp_path / "missing.wav"):
        with pytest.raises(ValueError, match=path.name):
            audio.info(path)
        with pytest.raises(ValueError, match=path.name):
            audio.read(path)


def test_reading_beyond_the_end_says_what_is_there(tmp_path, stereo):
    audio.write(tmp_path / "a.wav", stereo, 44_100)
    with pytest.raises(ValueError, match=r"a\.wav ends too early.*990 to 1010.*only 10 of these 20"):
        audio.read(tmp_path / "a.wav", 990, 20)


@pytest.mark.parametrize(
    ("container", "subtype"),
    [
        ("WAV", "FLOAT"),
        ("WAVEX", "FLOAT"),
        ("RF64", "FLOAT"),
        ("WAV", "PCM_16"),
        ("WAVEX", "PCM_24"),
        ("AIFF", "FLOAT"),
    ],
)
@pytest.mark.parametrize("channels", [1, 2])
def test_a_reader_gives_the_same_samples_for_every_format(tmp_path, stereo, container, subtype, channels):
    path = tmp_path / "a.wav"
    soundfile.write(str(path), stereo[:channels].T / 20, 44_100, format=container, subtype=subtype)
    reader = audio.Reader(path)
    for start, frames in ((0, 1000), (317, 200), (999, 1), (1000, 0)):
        out = np.full((channels, frames), np.nan, dtype=np.float32)
        reader.into(out, start)
        np.testing.assert_array_equal(out, audio.read(path, start, frames))
    wide = np.full((channels, 2, 100), np.nan, dtype=np.float32)
    reader.into(wide[:, 1], 50)  # rows that do not follow each other
    np.testing.assert_array_equal(wide[:, 1], audio.read(path, 50, 100))
    assert np.isnan(wide[:, 0]).all()


def test_a_reader_takes_no_bytes_behind_the_audio_for_samples(tmp_path):
    path = tmp_path / "a.wav"
    audio.write(path, np.zeros(100), 44_100)
    path.write_bytes(path.read_bytes() + b"LIST" + struct.pack("<I", 400) + bytes(400))
    with pytest.raises(ValueError, match=r"a\.wav ends too early.*90 to 110.*only 10 of these 20"):
        audio.Reader(path).into(np.empty((1, 20), dtype=np.float32), 90)


def test_a_file_that_was_cut_or_removed_after_a_reader_was_made_is_named(tmp_path):
    path = tmp_path / "a.wav"
    audio.write(path, np.zeros(100), 44_100)
    reader = audio.Reader(path)
    path.write_bytes(path.read_bytes()[: -4 * 60])
    with pytest.raises(ValueError, match=r"a\.wav ends too early.*30 to 50.*only 10 of these 20"):
        reader.into(np.empty((1, 20), dtype=np.float32), 30)
    path.unlink()
    for made in (reader, audio.Reader(path)):
        with pytest.raises(ValueError, match=r"a\.wav cannot be read at sample 30"):
            made.into(np.empty((1, 20), dtype=np.float32), 30)


def test_flac_keeps_sixteen_bits():
    samples = np.random.default_rng(1).uniform(-1, 1, (2, 5000))
    samples[:, :2] = [[1, -1], [-1, 1]]
    data = audio.encode_flac(samples, 48_000)
    read, rate = soundfile.read(io.BytesIO(data), always_2d=True)
    assert data[:4] == b"fLaC"
    assert soundfile.info(io.BytesIO(data)).subtype == "PCM_16"
    assert rate == 48_000
    np.testing.assert_allclose(read.T, samples, atol=1 / 2**15, rtol=0)
    assert audio.encode_flac(samples, 48_000) == data


def test_flac_of_one_dimension_is_mono():
    read, _ = soundfile.read(io.BytesIO(audio.encode_flac(np.zeros(100), 44_100)), always_2d=True)
    np.testing.assert_array_equal(read, np.zeros((100, 1)))


@pytest.mark.parametrize("worst", [1.001, -7, np.nan])
def test_flac_never_clips(worst):
    with pytest.raises(ValueError, match=r"within ±1.*scale"):
        audio.encode_flac(np.array([0, 0.5, worst]), 44_100)


def test_flac_refuses_three_dimensions():
    with pytest.raises(ValueError, match=r"\(1, 2, 10\)"):
        audio.encode_flac(np.zeros((1, 2, 10)), 44_100)
