"""Audio files of any length, read and written block by block: memory stays flat."""

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import soundfile

from data import wav_metadata
from data.audio import info, opened
from data.wav_metadata import WavMetadata

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
        with opened(path) as file:
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


def tags(path: str | Path) -> dict[str, str]:
    """Title, artist, comment and the like of a file that can be read."""
    with opened(path) as file:
        return dict(file.copy_metadata())


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
        metadata: of a WAV, which another WAV keeps
        tags: title and the like, for formats that have a place for them

    Raises:
        ValueError: for another suffix, or what the format cannot hold.
    """

    def __init__(
        self,
        path: str | Path,
        sample_rate: int,
        channels: int,
        frames: int,
        metadata: WavMetadata | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        self.path = Path(path)
        self._metadata = metadata or WavMetadata()
        self.clipped = 0
        """Samples so far that were beyond full scale, and are clipped as the format holds integers."""
        suffix = self.path.suffix.lower()
        if suffix not in WRITABLE:
            raise ValueError(f"{path}: {suffix or 'no suffix'} cannot be written; choose one of {' '.join(WRITABLE)}")
        container, self.subtype = WRITABLE[suffix]
        self.keeps = container == "WAV"
        """Whether the format keeps the metadata."""
        if container == "WAV" and 4 * channels * frames + self._metadata.size > _LONGEST_WAV:
            container = "RF64"
        elif container == "WAV" and self._metadata.mask is not None:
            container = "WAVEX"
        self._part = self.path.with_name(f".{self.path.name}.{os.getpid()}.part")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = soundfile.SoundFile(
                str(self._part), "w", sample_rate, channels, format=container, subtype=self.subtype
            )
        except (soundfile.SoundFileError, OSError) as error:
            self._part.unlink(missing_ok=True)
            raise self._fault(error) from error
        if not (self.keeps and self._metadata.chunks):
            for name, text in (tags or {}).items():
                with suppress(soundfile.SoundFileError):  # a format without a place for it
                    setattr(self._file, name, text)

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
                if self.keeps and self._metadata != WavMetadata():
                    wav_metadata.append(self._part, self._metadata)
                self._part.replace(self.path)
        except (soundfile.SoundFileError, OSError) as fault:
            raise self._fault(fault) from fault
        finally:
            self._part.unlink(missing_ok=True)

    def _fault(self, error: Exception) -> ValueError:
        return ValueError(f"{self.path} cannot be written: {error}")
