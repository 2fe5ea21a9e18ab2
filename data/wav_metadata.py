"""What a WAV tells beside its audio: start time and origin (bext, iXML), tags (LIST), markers, and its loudspeakers."""

import os
import re
import struct
from pathlib import Path
from typing import BinaryIO, NamedTuple

from data.audio_layout import chunks, layout

KEPT = (b"bext", b"iXML", b"axml", b"LIST", b"cue ", b"smpl")  # of times in samples: a rendered file keeps the rate
_LARGEST = 1 << 26  # bytes of a chunk that is kept
_MASK_AT = 20  # place of the mask in the chunk "fmt " of the extensible kind
_EXTENSIBLE = 0xFFFE


class WavMetadata(NamedTuple):
    """Chunks as they are, and which loudspeaker each channel belongs to."""

    chunks: tuple[tuple[bytes, bytes], ...] = ()  # name and content
    mask: int | None = None  # a bit for each loudspeaker; None if the file does not tell

    @property
    def names(self) -> str:
        """The chunks, for people."""
        return ", ".join(name.decode().strip() for name, _ in self.chunks)

    @property
    def size(self) -> int:
        """Bytes that the chunks take in a file."""
        return sum(8 + len(content) + len(content) % 2 for _, content in self.chunks)


def read(path: str | Path) -> WavMetadata:
    """Metadata of a WAV or RF64 file that can be read; none of other formats."""
    with open(path, "rb") as file:
        if not re.fullmatch(rb"(RIFF|RF64).{4}WAVE", file.read(12), re.DOTALL):
            return WavMetadata()
        kept: list[tuple[bytes, bytes]] = []
        mask = None
        audio = layout(path)
        starts = [12] if audio is None else [12, audio.offset + audio.present + audio.present % 2]
        for start in starts:
            for name, _, length in chunks(file, start, "<4sI"):
                if name == b"data":
                    break  # its length may be wrong
                content = file.read(length) if name in (*KEPT, b"fmt ") and length <= _LARGEST else b""
                if name in KEPT and len(content) == length:
                    kept.append((name, content))
                if name == b"fmt " and len(content) >= 24 and struct.unpack_from("<H", content)[0] == _EXTENSIBLE:
                    mask = struct.unpack_from("<I", content, _MASK_AT)[0]
        return WavMetadata(tuple(kept), mask)


def append(path: str | Path, metadata: WavMetadata) -> None:
    """Adds chunks to the end of a WAV or RF64 file, and sets the mask if its header has a place for it."""
    with open(path, "r+b") as file:
        file.write(b"\0" * (file.seek(0, os.SEEK_END) % 2))
        for name, content in metadata.chunks:
            file.write(name + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2))
        whole = file.tell() - 8
        file.seek(0)
        short = file.read(4) == b"RIFF"
        file.seek(4 if short else 20)
        file.write(struct.pack("<I" if short else "<Q", whole))
        if metadata.mask is not None:
            _set_mask(file, metadata.mask)


def _set_mask(file: BinaryIO, mask: int) -> None:
    for name, place, length in chunks(file, 12, "<4sI"):
        if name == b"fmt ":
            if length >= 24 and struct.unpack("<H", file.read(2))[0] == _EXTENSIBLE:
                file.seek(place + _MASK_AT)
                file.write(struct.pack("<I", mask))
            return
