"""What a production needs of a rendered file: start time, tags, markers and loudspeakers of its source."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile

from data import audio, audio_blocks, wav_metadata
from data.audio_blocks import Writer
from data.wav_metadata import WavMetadata

BEXT = b"Scene 5".ljust(256, b"\0") + bytes(82) + struct.pack("<Q", 158_760_000) + bytes(256)  # an hour after midnight
INFO = b"INFO" + b"INAM" + struct.pack("<I", 6) + b"Vocal\0"
CUE = struct.pack("<I", 0)


def broadcast(
    path: Path, channels: int = 2, mask: int | None = None, after: bool = False, unknown: bool = False
) -> None:
    """A WAV with chunks before its audio, and others after it."""
    audio_bytes = np.random.default_rng(0).uniform(-0.5, 0.5, 1001 * channels).astype("<f4").tobytes()
    form = struct.pack("<HHIIHH", 3, channels, 48_000, 48_000 * 4 * channels, 4 * channels, 32)
    if mask is not None:
        guid = struct.pack("<H", 3) + bytes.fromhex("000000001000800000aa00389b71")
        form = struct.pack("<H", 0xFFFE) + form[2:] + struct.pack("<HHI", 22, 32, mask) + guid
    extra = b"".join(n + struct.pack("<I", len(c)) + c for n, c in ((b"bext", BEXT), (b"LIST", INFO), (b"cue ", CUE)))
    head = b"fmt " + struct.pack("<I", len(form)) + form
    size = 0xFFFFFFFF if unknown else len(audio_bytes)
    body = (
        head + (b"" if after else extra) + b"data" + struct.pack("<I", size) + audio_bytes + (extra if after else b"")
    )
    path.write_bytes(b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WAVE" + body)


def copied(source: Path, target: Path) -> Writer:
    header = audio.info(source)
    metadata, tags = wav_metadata.read(source), audio_blocks.tags(source)
    with Writer(target, header.sample_rate, header.channels, header.frames, metadata, tags) as writer:
        for block in audio_blocks.blocks(source, 100):
            writer.write(block)
    return writer


@pytest.mark.parametrize("after", [False, True])
def test_a_wav_keeps_what_its_source_tells(tmp_path: Path, after: bool) -> None:
    source, target = tmp_path / "a.wav", tmp_path / "b.wav"
    broadcast(source, after=after)
    assert copied(source, target).keeps
    assert wav_metadata.read(target).chunks == ((b"bext", BEXT), (b"LIST", INFO), (b"cue ", CUE))
    np.testing.assert_array_equal(audio.read(target), audio.read(source))
    content = target.read_bytes()
    assert struct.unpack_from("<I", content, 4)[0] == len(content) - 8
    with soundfile.SoundFile(target) as file:
        assert file.title == "Vocal"


def test_of_a_file_from_a_pipe_too(tmp_path: Path) -> None:
    broadcast(tmp_path / "a.wav", unknown=True)
    copied(tmp_path / "a.wav", tmp_path / "b.wav")
    assert wav_metadata.read(tmp_path / "b.wav").chunks[0] == (b"bext", BEXT)


@pytest.mark.parametrize(("channels", "mask"), [(2, 0x3), (4, 0x33), (6, 0x60F), (2, 0)])
def test_the_loudspeakers_stay(tmp_path: Path, channels: int, mask: int) -> None:
    source, target = tmp_path / "a.wav", tmp_path / "b.wav"
    broadcast(source, channels, mask)
    copied(source, target)
    assert wav_metadata.read(target).mask == mask
    np.testing.assert_array_equal(audio.read(target), audio.read(source))
    assert soundfile.info(target).subtype == "FLOAT"


def test_beyond_four_gibibytes(tmp_path: Path) -> None:
    metadata = WavMetadata(((b"bext", BEXT),), 0x3)
    with Writer(tmp_path / "a.wav", 48_000, 2, 2**30, metadata) as writer:
        writer.write(np.ones((2, 10), dtype=np.float32) / 2)
    assert (tmp_path / "a.wav").read_bytes()[:4] == b"RF64"
    assert wav_metadata.read(tmp_path / "a.wav") == metadata
    assert audio.info(tmp_path / "a.wav").frames == 10


@pytest.mark.parametrize("suffix", [".flac", ".aiff", ".caf", ".w64"])
def test_other_formats_keep_the_tags_that_they_can(tmp_path: Path, suffix: str) -> None:
    broadcast(tmp_path / "a.wav")
    assert not copied(tmp_path / "a.wav", tmp_path / f"b{suffix}").keeps
    assert audio.info(tmp_path / f"b{suffix}").frames == 1001
    if suffix != ".w64":
        assert audio_blocks.tags(tmp_path / f"b{suffix}")["title"] == "Vocal"
        copied(tmp_path / f"b{suffix}", tmp_path / "c.wav")
        assert audio_blocks.tags(tmp_path / "c.wav")["title"] == "Vocal"


def test_files_without_metadata_stay_as_they_were(tmp_path: Path) -> None:
    audio.write(tmp_path / "a.wav", np.zeros((1, 10)), 48_000)
    assert wav_metadata.read(tmp_path / "a.wav") == WavMetadata()
    (tmp_path / "b.txt").write_text("no audio")
    assert wav_metadata.read(tmp_path / "b.txt") == WavMetadata()
