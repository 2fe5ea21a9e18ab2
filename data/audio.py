"""Audio files: parts of them, for training, and whole ones. Beside it `data.audio_blocks`, for those of any length."""

import io
import os
import struct
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile
from scipy.io import wavfile

_UNKNOWN_SIZE = 0xFFFFFFFF  # in RF64 files, and in files written to a pipe
_IEEE_FLOAT, _EXTENSIBLE = 3, 0xFFFE  # formats of a WAV's samples; the latter names the format further on


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
        wav = _wav(path)
    except (soundfile.SoundFileError, OSError) as error:
        raise ValueError(f"{path} cannot be read: {error}. Replace it by a readable audio file.") from error
    if wav and wav.announced > wav.present:  # soundfile opens such a file with a short length and no error
        raise ValueError(
            f"{path} is truncated: its header announces {wav.announced} bytes of audio, the file holds {wav.present}."
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
        raise _too_short(path, start, frames, len(audio))
    return np.ascontiguousarray(audio.T)


class Reader:
    """Reads parts of one file into arrays that are there already; a WAV of float32 samples without any detour.

    The file is opened anew for each part, so that any number of them can be read, by any process.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = path
        try:
            self._wav = _wav(path)
        except (OSError, struct.error):  # `read` says what is wrong, once it is asked
            self._wav = None

    def into(self, out: np.ndarray, start: int) -> None:
        """Fill `out` with the samples from `start` on.

        Shape:
            out: (channels, frames), float32

        Raises:
            ValueError: if the file cannot be read, or does not hold the range asked for.
        """
        channels, frames = out.shape
        if self._wav is None or not self._wav.plain_float or self._wav.channels != channels:
            out[:] = read(self.path, start, frames)
            return
        there = self._wav.announced // (4 * channels) - start
        if there < frames:
            raise _too_short(self.path, start, frames, max(there, 0))
        direct = channels == 1 and out.flags.c_contiguous
        interleaved = out.reshape(-1) if direct else np.empty(channels * frames, dtype=np.float32)
        try:
            with open(self.path, "rb", buffering=0) as file:
                file.seek(self._wav.offset + 4 * channels * start)
                present = file.readinto(interleaved.data.cast("B"))
        except OSError as error:
            raise ValueError(f"{self.path} cannot be read at sample {start}: {error}.") from error
        if present != interleaved.nbytes:
            raise _too_short(self.path, start, frames, present // (4 * channels))
        if not direct:
            out[:] = interleaved.reshape(frames, channels).T


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


def _too_short(path: str | Path, start: int, frames: int, present: int) -> ValueError:
    return ValueError(
        f"{path} ends too early: samples {start} to {start + frames} were asked for, "
        f"only {present} of these {frames} are there. Copy or download it again."
    )


class _Wav(NamedTuple):
    """What the chunks of a WAV file tell."""

    plain_float: bool  # little-endian float32 samples
    channels: int
    offset: int  # bytes before the first sample
    announced: int  # bytes of audio, by the header
    present: int  # bytes of the file after `offset`


def _wav(path: str | Path) -> _Wav | None:
    """Where the samples of a WAV file lie; None for other formats."""
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        riff, _, wave = struct.unpack("<4sI4s", file.read(12).ljust(12, b"\0"))
        if riff not in (b"RIFF", b"RF64") or wave != b"WAVE":
            return None
        long_size, channels, plain_float = 0, 0, False
        while len(head := file.read(8)) == 8:
            name, length = struct.unpack("<4sI", head)
            if name == b"data":
                if length == _UNKNOWN_SIZE:
                    length = long_size
                return _Wav(plain_float, channels, file.tell(), length, size - file.tell())
            content = file.read(min(length, 40)) if name in (b"fmt ", b"ds64") else b""
            if name == b"ds64":  # RF64: the 64-bit length of the data is its second number
                long_size = struct.unpack("<QQ", content[:16])[1]
            if name == b"fmt ":
                kind, channels, _, _, _, bits = struct.unpack("<HHIIHH", content[:16])
                if kind == _EXTENSIBLE and len(content) >= 26:
                    kind = struct.unpack("<H", content[24:26])[0]
                plain_float = kind == _IEEE_FLOAT and bits == 32
            file.seek(length + length % 2 - len(content), os.SEEK_CUR)
    return None
