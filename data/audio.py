"""Audio files: the one place of the study that reads and writes them."""

import io
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

import numpy as np
import soundfile
from scipy.io import wavfile

_UNKNOWN_SIZE = 0xFFFFFFFF  # in RF64 files, and in files written to a pipe

READABLE = frozenset(
    {
        ".wav",
        ".wave",
        ".w64",
        ".rf64",
        ".aif",
        ".aiff",
        ".aifc",
        ".caf",
        ".flac",
        ".ogg",
        ".oga",
        ".opus",
        ".mp3",
        ".au",
    }
)
"""Suffixes by which files of audio are known in a folder."""

WRITABLE = {
    ".wav": ("WAV", "FLOAT"),
    ".w64": ("W64", "FLOAT"),
    ".caf": ("CAF", "FLOAT"),
    ".aif": ("AIFF", "PCM_24"),
    ".aiff": ("AIFF", "PCM_24"),
    ".flac": ("FLAC", "PCM_24"),
}
"""What `Writer` writes, by suffix: the lossless formats, in float where readers commonly expect that."""

_LONGEST_WAV = 2**32 - 2**16  # bytes of audio; more needs RF64, which keeps the suffix


class AudioInfo(NamedTuple):
    """What the header of an audio file tells."""

    frames: int  # samples per channel
    sample_rate: int  # Hz
    channels: int


def info(path: str | Path) -> AudioInfo:
    """Length, sample rate and number of channels of a file, from its header.

    Raises:
        ValueError: if the file cannot be read, or ends before the length that its header announces.
    """
    try:
        header = soundfile.info(str(path))
        announced, present = _wav_data_bytes(path)
    except (soundfile.SoundFileError, OSError) as error:
        raise ValueError(f"{path} cannot be read: {error}. Replace it by a readable audio file.") from error
    if announced > present:  # soundfile opens such a file with a short length and no error
        raise ValueError(
            f"{path} is truncated: its header announces {announced} bytes of audio, the file holds {present}."
            " Copy or download it again."
        )
    return AudioInfo(header.frames, header.samplerate, header.channels)


def read(path: str | Path, start: int = 0, frames: int = -1) -> np.ndarray:
    """Part of a file, as float32.

    Args:
        path: any format that libsndfile reads
        start: first sample
        frames: number of samples; -1 reads to the end

    Shape:
        output: (channels, frames)

    Raises:
        ValueError: if the file cannot be read, or does not hold the range asked for.
    """
    try:
        with soundfile.SoundFile(str(path)) as file:
            file.seek(start)
            audio = file.read(frames, dtype="float32", always_2d=True)
    except (soundfile.SoundFileError, OSError) as error:
        raise ValueError(f"{path} cannot be read at sample {start}: {error}.") from error
    if 0 <= frames != len(audio):
        raise ValueError(
            f"{path} ends too early: samples {start} to {start + frames} were asked for, "
            f"only {len(audio)} of these {frames} are there. Copy or download it again."
        )
    return np.ascontiguousarray(audio.T)


def blocks(path: str | Path, length: int) -> Iterator[np.ndarray]:
    """A whole file as float32, block after block of at most `length` samples.

    Shape:
        each (channels, n)

    Raises:
        ValueError: if the file cannot be read, ends before the length its header announces, or holds NaN or infinity.
    """
    header = info(path)
    done = 0
    try:
        with soundfile.SoundFile(str(path)) as file:
            while len(block := file.read(length, dtype="float32", always_2d=True)):
                if not np.isfinite(block).all():
                    bad = done + int(np.argmin(np.isfinite(block).all(axis=1)))
                    raise ValueError(
                        f"{path}: sample {bad} ({bad / header.sample_rate:.3f} s) is NaN or infinite. "
                        "Render the file again."
                    )
                done += len(block)
                yield np.ascontiguousarray(block.T)
    except (soundfile.SoundFileError, OSError) as error:
        raise ValueError(f"{path} cannot be read at sample {done}: {error}. Replace it by a readable file.") from error
    if done < header.frames:
        raise ValueError(
            f"{path} ends too early: its header announces {header.frames} samples, {done} are there. "
            "Copy or download it again."
        )


class Writer:
    """Writes a file block by block; it appears when all is written, or not at all.

        with Writer(path, 44_100, channels=2, frames=1_000_000) as writer:
            for block in blocks:
                writer.write(block)

    Args:
        path: where to; the suffix tells the format (`WRITABLE`); folders on the way are made
        sample_rate: in Hz
        channels: of every block
        frames: samples per channel that will be written, about

    Raises:
        ValueError: for another suffix, or what the format cannot hold.
    """

    def __init__(self, path: str | Path, sample_rate: int, channels: int, frames: int) -> None:
        self.path = Path(path)
        self.clipped = 0
        """Samples so far that were beyond full scale, and are clipped as the format holds integers."""
        suffix = self.path.suffix.lower()
        if suffix not in WRITABLE:
            raise ValueError(f"{path}: {suffix or 'no suffix'} cannot be written; choose one of {' '.join(WRITABLE)}")
        container, self.subtype = WRITABLE[suffix]
        if container == "WAV" and 4 * channels * frames > _LONGEST_WAV:
            container = "RF64"
        self._part = self.path.with_name(f".{self.path.name}.{os.getpid()}.part")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = soundfile.SoundFile(
                str(self._part), "w", sample_rate, channels, format=container, subtype=self.subtype
            )
        except (soundfile.SoundFileError, OSError) as error:
            self._part.unlink(missing_ok=True)
            raise self._fault(error) from error

    def write(self, block: np.ndarray) -> None:
        """Appends a block (channels, n)."""
        if self.subtype != "FLOAT":
            self.clipped += int(np.count_nonzero(np.abs(block) > 1))
        try:
            self._file.write(block.T)
        except (soundfile.SoundFileError, OSError) as error:
            raise self._fault(error) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        try:
            self._file.close()
            if kind is None:
                self._part.replace(self.path)
        except (soundfile.SoundFileError, OSError) as fault:
            raise self._fault(fault) from fault
        finally:
            self._part.unlink(missing_ok=True)

    def _fault(self, error: Exception) -> ValueError:
        return ValueError(f"{self.path} cannot be written: {error}")


def write(path: str | Path, audio: np.ndarray, sample_rate: int) -> None:
    """Write a float32 WAV. The file appears whole or not at all, and equal audio gives equal bytes.

    Args:
        path: where to; folders on the way are made
        audio: (samples,) or (channels, samples)
        sample_rate: in Hz
    """
    path = Path(path)
    if audio.ndim not in (1, 2):
        raise ValueError(f"{path}: audio must be (samples,) or (channels, samples), not {audio.shape}")
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        # SciPy writes it, as libsndfile puts the time of day into a float WAV (its PEAK chunk).
        with part.open("wb") as file:
            wavfile.write(file, sample_rate, np.ascontiguousarray(audio.T, dtype=np.float32))
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def encode_flac(audio: np.ndarray, sample_rate: int) -> bytes:
    """The bytes of a FLAC file of 16 bits; equal audio gives equal bytes.

    Args:
        audio: (samples,) or (channels, samples), within ±1
        sample_rate: in Hz

    Raises:
        ValueError: for audio beyond ±1, which FLAC would clip, or that is NaN.
    """
    if audio.ndim not in (1, 2):
        raise ValueError(f"audio must be (samples,) or (channels, samples), not {audio.shape}")
    peak = float(np.abs(audio).max(initial=0))
    if not peak <= 1:
        raise ValueError(f"FLAC holds samples within ±1, the largest here is {peak:.4g}: scale the audio down first.")
    file = io.BytesIO()
    soundfile.write(file, audio.T, sample_rate, format="FLAC", subtype="PCM_16")
    return file.getvalue()


def _wav_data_bytes(path: str | Path) -> tuple[int, int]:
    """Bytes of audio that a WAV's header announces, and those in the file; zeros for other formats."""
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        riff, _, wave = struct.unpack("<4sI4s", file.read(12).ljust(12, b"\0"))
        if riff not in (b"RIFF", b"RF64") or wave != b"WAVE":
            return 0, 0
        long_size = 0
        while len(head := file.read(8)) == 8:
            name, length = struct.unpack("<4sI", head)
            if name == b"data":
                if length == _UNKNOWN_SIZE:
                    length = long_size
                return length, size - file.tell()
            if name == b"ds64":  # RF64: the 64-bit length of the data is its second number
                long_size = struct.unpack("<QQ", file.read(16))[1]
                length -= 16
            file.seek(length + length % 2, os.SEEK_CUR)
    return 0, 0
