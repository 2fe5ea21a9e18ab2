"""Tags that music programs append to files of any format: ID3, APE and Lyrics3."""

import struct
from typing import BinaryIO

_MAGIC = (b"ID3", b"APETAGEX", b"LYRICSBEGIN")  # what a tag starts with that says itself how long it is


def starts_tag(file: BinaryIO, position: int, end: int) -> bool:
    """Whether a tag starts at a position of a file that ends at `end`."""
    file.seek(position)
    head = file.read(max(map(len, _MAGIC)))
    return head.startswith(_MAGIC) or (head.startswith(b"TAG") and end - position == 128)


def start_of_tags(file: BinaryIO, start: int, end: int) -> int:
    """Where the tags begin that lie at the end of a range of a file; its end, if there are none."""
    while (length := _last_tag(file, max(start, end - 128), end)) and end - length >= start:
        end -= length
    return end


def _last_tag(file: BinaryIO, start: int, end: int) -> int:
    """Bytes of the tag that ends at a position, by its last bytes (from `start` on); 0 if there is none."""
    file.seek(start)
    tail = file.read(end - start)
    if len(tail) == 128 and tail[:3] == b"TAG":  # ID3v1
        return 128
    if tail[-32:-24] == b"APETAGEX":
        length, _, flags = struct.unpack("<III", tail[-20:-8])
        return length + 32 * (flags >> 31)  # the highest bit: it has a header too, which its length leaves out
    if tail[-10:-7] == b"3DI":  # ID3v2.4 at the end of a file: seven bits of its length in each byte
        return 20 + sum((byte & 0x7F) << 7 * place for place, byte in enumerate(reversed(tail[-4:])))
    if tail[-9:] == b"LYRICS200" and tail[-15:-9].isdigit():
        return 15 + int(tail[-15:-9])
    return 0
