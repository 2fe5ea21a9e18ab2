"""Audio files: parts of them, for training, and whole ones. Beside it `data.audio_blocks`, for those of any length."""

import io
import os
import struct
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import soundfile
from scipy.io import wavfile

from data.audio_layout import Layout, layout
from data.replacing import replacing


class AudioInfo(NamedTuple):
    """What an audio file holds."""

    frames: int  # samples per channel
    sample_rate: int  # Hz
    channels: int


def _reason(error: Exception) -> str:
    """What a library says of a file, without the full stop that it may end with."""
    return str(error).rstrip(".")


def info(path: str | Path) -> AudioInfo:
    """Length, sample rate and number of channels of a file; where its header is wrong, the length that is there.

    Raises:
        ValueError: if the file cannot be read, or ends before the length that its header announces.
    """
    try:
        with opened(path) as file:
            return AudioInfo(file.frames, file.samplerate, file.channels)
    except (soundfile.SoundFileError, OSError) as error:
        raise ValueError(f"{path} cannot be read: {_reason(error)}. Replace it by a readable audio file.") from error


def read(path: str | Path, start: int = 0, frames: int = -1, there: Layout | None = None) -> np.ndarray:
    """Part of a file, as float32.

    Args:
        path: any format that libsndfile reads
        start: first sample
        frames: number of samples; -1 reads to the end
        there: the layout of the file, if it is known

    Shape:
        output: (channels, frames)

    Raises:
        ValueError: if the file cannot be read, or does not hold the range asked for.
    """
    try:
        with opened(path, there) as file:
            file.seek(start)
            audio = file.read(frames, dtype="float32", always_2d=True)
    except (soundfile.SoundFileError, OSError) as error:
        raise ValueError(f"{path} cannot be read at sample {start}: {_reason(error)}.") from error
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
            self._layout = layout(path)
        except (ValueError, OSError, struct.error):  # `read` says what is wrong, once it is asked
            self._layout = None

    def into(self, out: np.ndarray, start: int) -> None:
        """Fill `out` with the samples from `start` on.

        Shape:
            out: (channels, frames), float32

        Raises:
            ValueError: if the file cannot be read, or does not hold the range asked for.
        """
        channels, frames = out.shape
        if self._layout is None or not self._layout.plain_float or self._layout.channels != channels:
            out[:] = read(self.path, start, frames, self._layout)
            return
        there = self._layout.present // (4 * channels) - start
        if there < frames:
            raise _too_short(self.path, start, frames, max(there, 0))
        direct = channels == 1 and out.flags.c_contiguous
        interleaved = out.reshape(-1) if direct else np.empty(channels * frames, dtype=np.float32)
        try:
            with open(self.path, "rb", buffering=0) as file:
                file.seek(self._layout.offset + 4 * channels * start)
                present = file.readinto(interleaved.data.cast("B"))
        except OSError as error:
            raise ValueError(f"{self.path} cannot be read at sample {start}: {_reason(error)}.") from error
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
    # SciPy writes it, as libsndfile puts the time of day into a float WAV (its PEAK chunk).
    with replacing(path) as part, part.open("wb") as file:
        wavfile.write(file, sample_rate, np.ascontiguousarray(audio.T, dtype=np.float32))


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


def flac_to_wav(content: bytes) -> bytes:
    """The bytes of a WAV file of 16 bits with the samples of a FLAC file.

    Raises:
        ValueError: if they are not those of a FLAC file.
    """
    try:
        samples, rate = soundfile.read(io.BytesIO(content), dtype="int16")
    except soundfile.LibsndfileError as error:
        raise ValueError(f"{len(content)} bytes are no FLAC file: {error}") from error
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format="WAV", subtype="PCM_16")
    return file.getvalue()


def _too_short(path: str | Path, start: int, frames: int, present: int) -> ValueError:
    return ValueError(
        f"{path} ends too early: samples {start} to {start + frames} were asked for, "
        f"only {present} of these {frames} are there. Copy or download it again."
    )


class _Corrected(io.RawIOBase):
    """A file as it would be with another header, for libsndfile."""

    def __init__(self, path: str | Path, there: Layout) -> None:
        assert there.header is not None
        self._file = open(path, "rb", buffering=0)  # noqa: SIM115  # closed by `close`
        self._header = there.header
        self._skipped = there.offset - len(there.header)
        end = os.fstat(self._file.fileno()).st_size if there.end is None else there.end
        self._size = end - self._skipped
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._at = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        return self._at

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        if inside := self._header[self._at : self._at + len(view)]:
            view[: len(inside)] = inside
            self._at += len(inside)
            return len(inside)
        self._file.seek(self._at + self._skipped)
        count = self._file.readinto(view[: max(self._size - self._at, 0)]) or 0
        self._at += count
        return count

    def close(self) -> None:
        self._file.close()
        super().close()


@contextmanager
def opened(path: str | Path, there: Layout | None = None) -> Iterator[soundfile.SoundFile]:
    """A file of audio, of which all is read that is there, whatever its header says.

    Raises:
        ValueError: if the file has lost its end.
        SoundFileError, OSError: if it cannot be read.
    """
    with ExitStack() as stack:
        try:
            there = there or layout(path)
        except struct.error as error:
            raise OSError(f"its header is damaged ({error})") from error
        source: Any = str(path)
        if there is not None and there.header is not None:
            source = stack.enter_context(io.BufferedReader(_Corrected(path, there), 1 << 16))
        yield stack.enter_context(soundfile.SoundFile(source))
