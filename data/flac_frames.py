"""How many samples of a FLAC file are there, by the frames at its end: each tells its place, and ends with a checksum.

Source: RFC 9639, "Free Lossless Audio Codec (FLAC)", section 9.
"""

import re
from typing import BinaryIO, NamedTuple

from data.audio_tags import start_of_tags

_FIRST_FRAME = 42  # bytes before it, at least
_LONGEST = 1 << 20  # bytes that a frame may have
_LONGEST_HEADER = 16
_BLOCK_SIZES = {1: 192, **{n: 576 << (n - 2) for n in range(2, 6)}, **{n: 256 << (n - 8) for n in range(8, 16)}}


class _Frame(NamedTuple):
    place: int  # its first byte
    first: int  # its first sample
    end: int  # the sample after its last


def samples_present(file: BinaryIO, size: int, block: int) -> int | None:
    """Samples up to the end of the last frame that is whole; None if there is no frame near the end.

    Compressed audio may look like the header of a frame, whose checksum has 8 bits. So the last frame is the one whose
    checksum of 16 bits is right at the end of the file; in a file that broke off, one before which another frame ends.

    Args:
        file: the FLAC file
        size: its length in bytes
        block: the most samples of a frame, by its header
    """
    end = start_of_tags(file, _FIRST_FRAME, size)
    file.seek(max(_FIRST_FRAME, end - _LONGEST))
    tail = file.read(end - file.tell()).partition(b"APETAGEX")[0]  # a tag without its last part
    starts = re.finditer(rb"\xff[\xf8\xf9]", tail)
    frames = [frame for start in starts if (frame := _frame(tail, start.start(), block)) is not None]
    for frame in reversed(frames):
        if _checks(tail[frame.place :]):
            return frame.end
        if any(before.end == frame.first and _checks(tail[before.place : frame.place]) for before in frames):
            return frame.first
    return 0 if any(frame.first == 0 for frame in frames) else None


def _frame(tail: bytes, place: int, block: int) -> _Frame | None:
    """The frame that starts at a place; None for bytes that do not even look like one."""
    header = tail[place : place + _LONGEST_HEADER].ljust(_LONGEST_HEADER, b"\0")
    ones = 8 - (header[4] ^ 0xFF).bit_length()  # the number is coded as in UTF-8
    if ones == 1 or ones > 7 or header[3] & 1:
        return None
    number = header[4] & (0x7F >> ones)
    end = 5 + max(ones - 1, 0)
    for byte in header[5:end]:
        if byte & 0xC0 != 0x80:
            return None
        number = number << 6 | byte & 0x3F
    code, rate = header[2] >> 4, header[2] & 15
    extra = {6: 1, 7: 2}.get(code, 0)
    samples = int.from_bytes(header[end : end + extra], "big") + 1 if extra else _BLOCK_SIZES.get(code, 0)
    end += extra + {12: 1, 13: 2, 14: 2}.get(rate, 0)
    if not samples or _crc(header[:end], 0x07, 8) != header[end]:
        return None
    first = number if header[1] & 1 else number * block
    return _Frame(place, first, first + samples)


def _checks(frames: bytes) -> bool:
    """Whether the checksum of one frame or several is right; zeros may follow. That of all bytes with it is 0."""
    return _crc(frames, 0x8005, 16) == 0


def _crc(content: bytes, polynomial: int, bits: int) -> int:
    table = _TABLES.get(polynomial)
    if table is None:
        table = _TABLES[polynomial] = [_crc_of_byte(byte, polynomial, bits) for byte in range(256)]
    value, mask, shift = 0, (1 << bits) - 1, bits - 8
    for byte in content:
        value = (value << 8 & mask) ^ table[(value >> shift) ^ byte]
    return value


def _crc_of_byte(byte: int, polynomial: int, bits: int) -> int:
    value = byte << (bits - 8)
    for _ in range(8):
        value = (value << 1) ^ (polynomial if value >> (bits - 1) else 0)
        value &= (1 << bits) - 1
    return value


_TABLES: dict[int, list[int]] = {}
