"""Where the audio of a file lies and how much of it there is, whatever its header says.

Headers are wrong in files that were written to a pipe (a size that stands for "until the end"), by a recorder that lost
power (no size, or that of some time before), and beyond 4 GiB without RF64 (the size modulo 2**32). Such a file is read
to its end. One that ends before its header says has lost a part, and is refused. What follows the audio of a right
header is left out if it is chunks, tags or zeros; a file with anything else there is refused, unless it is more of the
same audio.
"""

import io
import os
import re
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
import soundfile

from data.audio_sequel import goes_on
from data.audio_tags import start_of_tags, starts_tag
from data.flac_frames import samples_present

_IEEE_FLOAT, _EXTENSIBLE = 3, 0xFFFE  # formats of a WAV's samples; the latter names the format further on
# What programs write for "I do not know yet": ffmpeg, arecord, SoX (in WAV and in AIFF), to within a header's length.
_UNKNOWN = ((0xFFFFFF00, 0xFFFFFFFF), (0x7FFFFF00, 0x80000000), (0x7FFFEF00, 0x7FFFF100), (0x7EFFFF00, 0x7F000100))
_LONGEST_HEADER = 1 << 26  # bytes before the audio that are taken into memory
_WINDOW = 1 << 16  # samples of each channel, before and after the announced end, that are compared
_AU_BYTES = {3: 2, 4: 3, 5: 4, 6: 4, 7: 8}  # of a sample, by the number of its encoding; 1 for others
_W64_CHUNK = "<16sq"  # how name and size are packed
_W64_TAIL = bytes.fromhex("f3acd3118cd100c04f8edb8a")  # of the names of chunks


class Layout(NamedTuple):
    """What the chunks of a file tell, and what is there."""

    offset: int  # bytes before the audio
    announced: int  # bytes of audio by the header, in FLAC samples; -1: until the end of the file
    present: int  # that are there
    header: bytes | None  # to be read in place of the first `offset` bytes; None for a file that libsndfile reads right
    plain_float: bool = False  # little-endian float32 samples
    channels: int = 0
    end: int | None = None  # where to stop in the file, if a header is given; None: at its end


class _Sizes(NamedTuple):
    """What a header says of the audio."""

    offset: int
    announced: int
    container_end: int  # by the size of the whole file in the header
    places: tuple[tuple[int, str, int], ...]  # sizes in the header: where, how packed, and what more than the audio
    chunk: str  # how name and size of the chunks that may follow are packed; empty if none may
    plain_float: bool = False
    channels: int = 0
    block: int = 1  # bytes of a sample of all channels
    frames_at: int = -1  # where the header counts such samples, if it does (AIFF)


def layout(path: str | Path) -> Layout | None:
    """The layout of a WAV, RF64, W64, AIFF, AU, CAF or FLAC file; None for others, which tell the truth or nothing.

    Raises:
        ValueError: if the file has lost its end, or holds something unknown after its audio; names both lengths.
        OSError, struct.error: if it cannot be read.
    """
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        start = file.read(12)
        file.seek(0)
        if start[:4] == b"fLaC":
            return _flac(path, file, size)
        sizes = _sizes(start, file)
        if sizes is None:
            return None
        there = size - sizes.offset
        true = _true_length(path, file, sizes, there)
        read_right = true == there or sizes.chunk != _W64_CHUNK  # libsndfile takes all that is in a W64 for audio
        if true == sizes.announced and read_right:
            return Layout(sizes.offset, sizes.announced, true, None, sizes.plain_float, sizes.channels)
        true -= true % sizes.block
        file.seek(0)
        header = _corrected(file.read(sizes.offset), sizes, true)
        end = sizes.offset + true
        return Layout(sizes.offset, sizes.announced, true, header, sizes.plain_float, sizes.channels, end)


def _true_length(path: str | Path, file: BinaryIO, sizes: _Sizes, there: int) -> int:
    """Bytes of audio in a file that has so many after its header."""
    announced = sizes.announced
    end = sizes.offset + there
    if announced < 0:
        return there
    if announced > there:
        raise truncated(path, f"{announced} bytes", f"{there}")
    if announced == 0:
        return 0 if _is_end(file, sizes, sizes.offset, end) else there
    lengths = [announced]
    if sizes.chunk == "<4sI":
        lengths += range(announced + 2**32, there + 1, 2**32)
    for length in reversed(lengths):
        if _is_end(file, sizes, sizes.offset + length, end):
            return length
    rest = _after_zeros(file, sizes.offset + announced, end)
    if rest >= start_of_tags(file, sizes.offset + announced, end):
        return announced
    may_be_stale = sizes.container_end <= sizes.offset + announced + announced % 2
    if may_be_stale and goes_on(*_around(file, sizes, rest, end)):
        return there
    raise ValueError(
        f"{path}: its header announces {announced} bytes of audio, the file holds {there}, and what follows the "
        f"announced ones is neither audio nor any chunk. Repair its header, cut off what follows, or export it again."
    )


def _is_end(file: BinaryIO, sizes: _Sizes, position: int, end: int) -> bool:
    """Whether nothing but chunks, tags or padding lies from a position to the end of the file."""
    tags = start_of_tags(file, position, end)
    length_of_head = struct.calcsize(sizes.chunk)
    while True:
        position += position % 2 if sizes.chunk[1:] == "4sI" else -position % 8 if sizes.chunk == _W64_CHUNK else 0
        if position >= tags or end - position < 8 or starts_tag(file, position, end):
            return True
        file.seek(position)
        head = file.read(length_of_head)
        if not sizes.chunk or len(head) < length_of_head:
            return False
        name, length = struct.unpack(sizes.chunk, head)
        named = name[4:] == _W64_TAIL if len(name) == 16 else re.fullmatch(rb"[ -~]{4}", name) is not None
        position += length if len(name) == 16 else length_of_head + length
        if not named or length < 0 or position > end + 1 or (len(name) == 16 and length < 24):
            return False


def _after_zeros(file: BinaryIO, position: int, end: int) -> int:
    """Where the first byte is, from a position on, that is not zero; the end if there is none."""
    file.seek(position)
    while position < end and (piece := file.read(min(1 << 20, end - position))):
        if others := len(piece.lstrip(b"\0")):
            return position + len(piece) - others
        position += len(piece)
    return end


def _around(file: BinaryIO, sizes: _Sizes, rest: int, end: int) -> tuple[np.ndarray, np.ndarray]:
    """The last samples that the header announces, and those from `rest` on; (frames, channels) each."""
    file.seek(0)
    header = file.read(sizes.offset)
    whole = sizes.announced - sizes.announced % sizes.block
    more = rest - sizes.offset - (rest - sizes.offset) % sizes.block
    window = _WINDOW * sizes.block
    before = _decoded(file, sizes, header, max(whole - window, 0), whole)
    return before, _decoded(file, sizes, header, more, min(more + window, end - sizes.offset))


def _decoded(file: BinaryIO, sizes: _Sizes, header: bytes, start: int, stop: int) -> np.ndarray:
    """Some bytes of the audio as samples; none if they cannot be decoded."""
    file.seek(sizes.offset + start)
    content = file.read((stop - start) // sizes.block * sizes.block)
    try:
        return soundfile.read(io.BytesIO(_corrected(header, sizes, len(content)) + content), always_2d=True)[0]
    except soundfile.SoundFileError:
        return np.empty((0, 1))


def _corrected(header: bytes, sizes: _Sizes, true: int) -> bytes:
    """A header that tells the true length."""
    if sizes.chunk == "<4sI" and true + len(header) >= 2**32:
        return _rf64(header, true)
    changed = bytearray(header)
    for place, form, more in sizes.places:
        struct.pack_into(form, changed, place, true + more)
    if sizes.frames_at >= 0:
        struct.pack_into(">I", changed, sizes.frames_at, true // sizes.block)
    return bytes(changed)


def _rf64(header: bytes, true: int) -> bytes:
    """The header of a WAV, without further chunks, as one that can tell a length beyond 4 GiB."""
    at = header.index(b"fmt ", 12)
    form = header[at : at + 8 + struct.unpack_from("<I", header, at + 4)[0]]
    form += b"\0" * (len(form) % 2)
    whole = 4 + 36 + len(form) + 8 + true
    sizes = b"ds64" + struct.pack("<IQQQI", 28, whole, true, 0, 0)
    return b"RF64\xff\xff\xff\xffWAVE" + sizes + form + b"data\xff\xff\xff\xff"


def truncated(path: str | Path, announced: str, present: str) -> ValueError:
    return ValueError(
        f"{path} is truncated: its header announces {announced} of audio, the file holds {present}."
        " Copy or download it again."
    )


# The headers of the formats


def _sizes(start: bytes, file: BinaryIO) -> _Sizes | None:
    if start[:4] in (b"RIFF", b"RF64") and start[8:] == b"WAVE":
        return _wav(file)
    if start[:4] == b"FORM" and start[8:] in (b"AIFF", b"AIFC"):
        return _aiff(file)
    if start[:4] == b"riff" and start[4:] == bytes.fromhex("2e91cf11a5d628db"):
        return _w64(file)
    if start[:4] in (b".snd", b"dns."):
        return _au(file)
    return _caf(file) if start[:4] == b"caff" else None


def chunks(file: BinaryIO, start: int, form: str, even: bool = True) -> Iterator[tuple[bytes, int, int]]:
    """Name, place of the content and length of one chunk after another."""
    file.seek(start)
    while len(head := file.read(struct.calcsize(form))) == struct.calcsize(form):
        name, length = struct.unpack(form, head)
        place = file.tell()
        yield name, place, length
        file.seek(place + length + (length % 2 if even else 0))


def _known(length: int, more: int = 0) -> int:
    """A length, or -1 for a number that stands for an unknown one."""
    return -1 if any(low <= length <= high for low, high in _UNKNOWN) else max(length - more, 0)


def _wav(file: BinaryIO) -> _Sizes | None:
    kind, whole = struct.unpack("<4sI", file.read(8))
    long_size, channels, block, plain_float = 0, 0, 1, False
    for name, place, length in chunks(file, 12, "<4sI"):
        if name == b"data":
            announced = _known(length)
            if kind == b"RF64" and length == 0xFFFFFFFF and 0 < long_size < 2**63:
                announced = long_size
            short = ((4, "<I", place - 8), (place - 4, "<I", 0))
            places = short if kind == b"RIFF" else ((20, "<Q", place - 8), (28, "<Q", 0))
            end = whole + 8 if kind == b"RIFF" and _known(whole) > 0 else 0
            if place > _LONGEST_HEADER:
                return None
            return _Sizes(place, announced, end, places, "<4sI", plain_float, channels, max(block, 1))
        content = file.read(min(length, 40)) if name in (b"fmt ", b"ds64") else b""
        if name == b"ds64":  # RF64: the 64-bit length of the data is its second number
            long_size = struct.unpack("<QQ", content[:16])[1]
        if name == b"fmt ":
            sort, channels, _, _, block, bits = struct.unpack("<HHIIHH", content[:16])
            if sort == _EXTENSIBLE and len(content) >= 26:
                sort = struct.unpack("<H", content[24:26])[0]
            plain_float = sort == _IEEE_FLOAT and bits == 32
    return None


def _aiff(file: BinaryIO) -> _Sizes | None:
    whole = struct.unpack(">4sI", file.read(8))[1]
    frames_at, block = -1, 1
    for name, place, length in chunks(file, 12, ">4sI"):
        if name == b"COMM":
            channels, _, bits = struct.unpack(">hIh", file.read(8))
            frames_at, block = place + 2, max(channels * ((bits + 7) // 8), 1)
        if name == b"SSND":
            announced = _known(length, 8) if length else -1
            end = whole + 8 if _known(whole) > 0 else 0
            places = ((4, ">I", place), (place - 4, ">I", 8))
            return _Sizes(place + 8, announced, end, places, ">4sI", block=block, frames_at=frames_at)
    return None


def _w64(file: BinaryIO) -> _Sizes | None:
    file.seek(16)
    whole = struct.unpack("<q", file.read(8))[0]
    place, block = 40, 1
    while True:
        file.seek(place)
        head = file.read(24)
        if len(head) < 24:
            return None
        name, length = struct.unpack(_W64_CHUNK, head)
        if name[:4] == b"fmt ":
            block = struct.unpack("<12xH", file.read(14))[0] or 1
        if name[:4] == b"data":
            announced = length - 24 if 24 < length < 2**62 else -1 if length != 24 else 0
            end = whole if 24 < whole < 2**62 else 0
            places = ((16, "<q", place + 24), (place + 16, "<q", 24))
            return _Sizes(place + 24, announced, end, places, _W64_CHUNK, block=block)
        if not 24 <= length < 2**40:
            return None
        place += length + -length % 8


def _au(file: BinaryIO) -> _Sizes | None:
    order = ">" if file.read(4) == b".snd" else "<"
    offset, length, encoding, _, channels = struct.unpack(f"{order}IIIII", file.read(20))
    block = max(_AU_BYTES.get(encoding, 1) * channels, 1)
    if not 24 <= offset <= _LONGEST_HEADER:
        return None
    return _Sizes(offset, -1 if length == 0xFFFFFFFF else length, 0, ((8, f"{order}I", 0),), "", block=block)


def _caf(file: BinaryIO) -> _Sizes | None:
    block = 1
    for name, place, length in chunks(file, 8, ">4sq", even=False):
        if name == b"desc":
            block = struct.unpack(">16xI", file.read(20))[0] or 1
        if name == b"data":  # four bytes of it count edits
            announced = max(length - 4, 0) if length >= 0 else -1
            return _Sizes(place + 4, announced, 0, ((place - 8, ">q", 4),), ">4sq", block=block)
        if length < 0:
            return None
    return None


# FLAC


def _flac(path: str | Path, file: BinaryIO, size: int) -> Layout | None:
    """By the number of the last frame, which counts all before it."""
    header = file.read(42)
    if len(header) < 42 or header[4] & 0x7F:  # the first block is that of the stream
        return None
    total = int.from_bytes(header[18:26], "big") & (2**36 - 1)
    present = samples_present(file, size, block=int.from_bytes(header[10:12], "big"))
    if present is None or present == total:
        return Layout(0, total, total if present is None else present, None)
    if total > present:
        raise truncated(path, f"{total} samples", f"{present}")
    changed = (int.from_bytes(header[18:26], "big") & ~(2**36 - 1)) | present
    return Layout(42, total, present, header[:18] + changed.to_bytes(8, "big") + header[26:])
