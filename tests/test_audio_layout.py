"""Files whose headers do not tell the true length: read to their end, or refused; never cut without a word."""

import io
import struct

import numpy as np
import pytest
import soundfile

from data import audio
from data.audio_blocks import blocks
from data.audio_layout import layout
from data.audio_sequel import goes_on
from data.audio_tags import start_of_tags

FRAMES = 5000
CASES = {
    "wav": ("WAV", "FLOAT"),
    "wav16": ("WAV", "PCM_16"),
    "wavex": ("WAVEX", "PCM_24"),
    "rf64": ("RF64", "FLOAT"),
    "w64": ("W64", "PCM_16"),
    "aiff": ("AIFF", "PCM_24"),
    "aifc": ("AIFF", "FLOAT"),
    "au": ("AU", "PCM_16"),
    "caf": ("CAF", "FLOAT"),
    "flac": ("FLAC", "PCM_16"),
}
UNKNOWN = {
    "wav": (0, 0xFFFFFFFF, 0x7FFFF000, 0x7FFFF024, 0x80000000),
    "w64": (0, 24, 2**63 - 1, -1),
    "aiff": (0, 8, 0x7F000000, 0xFFFFFFFF),
    "au": (0, 0xFFFFFFFF),
    "caf": (-1, 0, 4),
    "flac": (0,),
}


def kind(case: str) -> str:
    return {"wav16": "wav", "wavex": "wav", "aifc": "aiff"}.get(case, case)


@pytest.fixture
def stereo() -> np.ndarray:
    return np.round(np.random.default_rng(0).uniform(-0.5, 0.5, (2, FRAMES)) * 2**15).astype(np.float32) / 2**15


def encoded(case: str, samples: np.ndarray) -> bytes:
    container, subtype = CASES[case]
    file = io.BytesIO()
    soundfile.write(file, samples.T, 44_100, format=container, subtype=subtype)
    return file.getvalue()


def announcing(case: str, content: bytes, size: int) -> bytes:
    """A file whose header says another size of the audio, in the numbers of its format."""
    changed = bytearray(content)
    if kind(case) == "flac":
        number = int.from_bytes(content[18:26], "big") & ~(2**36 - 1) | size
        changed[18:26] = number.to_bytes(8, "big")
    else:
        name = {"aiff": b"SSND", "au": b".snd", "w64": b"data\xf3"}.get(kind(case), b"data")
        place = content.rindex(name) if case == "wavex" else content.index(name)
        form, after = {"w64": ("<q", 16), "aiff": (">I", 4), "au": (">I", 8), "caf": (">q", 4)}.get(
            kind(case), ("<I", 4)
        )
        struct.pack_into(form, changed, place + after, size)
    return bytes(changed)


def check(path, samples: np.ndarray) -> None:
    assert audio.info(path) == (samples.shape[1], 44_100, len(samples))
    np.testing.assert_array_equal(audio.read(path), samples)
    np.testing.assert_array_equal(audio.read(path, 4000, 500), samples[:, 4000:4500])
    np.testing.assert_array_equal(np.concatenate(list(blocks(path, 999)), axis=1), samples)
    out = np.empty((len(samples), 700), dtype=np.float32)
    audio.Reader(path).into(out, samples.shape[1] - 700)
    np.testing.assert_array_equal(out, samples[:, -700:])


@pytest.mark.parametrize("case", CASES)
def test_right_headers_are_left_alone(tmp_path, case, stereo):
    path = tmp_path / f"a.{kind(case)}"
    path.write_bytes(encoded(case, stereo))
    assert layout(path).header is None
    check(path, stereo)


@pytest.mark.parametrize(
    ("case", "size"), [(case, size) for case in CASES for size in UNKNOWN.get(kind(case), ())], ids=str
)
def test_what_has_no_length_is_read_to_its_end(tmp_path, case, size, stereo):
    path = tmp_path / f"a.{kind(case)}"
    path.write_bytes(announcing(case, encoded(case, stereo), size))
    check(path, stereo)


@pytest.mark.parametrize("case", ["wav16", "aiff"])
def test_what_has_lost_its_end_is_refused_behind_a_chunk_of_odd_length(tmp_path, case, stereo):
    """Which is padded."""
    path = tmp_path / f"a.{kind(case)}"
    content, length = encoded(case, stereo), struct.pack("<I" if case == "wav16" else ">I", 3)
    path.write_bytes(content[:12] + b"note" + length + b"odd\0" + content[12:-3000])
    with pytest.raises(ValueError, match="truncated"):
        audio.info(path)


@pytest.mark.parametrize("case", ["wav", "wav16", "au", "w64", "caf", "aiff", "flac"])
def test_a_length_of_some_time_before_is_not_believed(tmp_path, case, stereo):
    """Whole at half of its length, then longer; the header was not written again."""
    half, whole = encoded(case, stereo[:, : FRAMES // 2]), encoded(case, stereo)
    path = tmp_path / f"a.{kind(case)}"
    if case == "flac":
        content = announcing(case, whole, FRAMES // 2)
    else:
        start = len(half) - (len(whole) - len(half))
        assert half[start : start + 64] in whole[:8192]
        content = half[:start] + whole[start:]
    path.write_bytes(content)
    check(path, stereo)


@pytest.mark.parametrize("case", CASES)
def test_what_has_lost_its_end_is_refused_with_both_lengths(tmp_path, case, stereo):
    path = tmp_path / f"a.{kind(case)}"
    path.write_bytes(encoded(case, stereo)[:-3000])
    with pytest.raises(ValueError, match=rf"a\.{kind(case)} is truncated: .* \d+ .*holds \d+.*again"):
        audio.info(path)
    with pytest.raises(ValueError, match="truncated"):
        audio.read(path, 0, 10)


def test_a_flac_that_broke_off_without_a_length_ends_with_its_last_whole_frame(tmp_path, stereo):
    path = tmp_path / "a.flac"
    path.write_bytes(announcing("flac", encoded("flac", stereo), 0)[:-100])
    assert audio.info(path).frames == 4096
    np.testing.assert_array_equal(audio.read(path), stereo[:, :4096])


@pytest.mark.parametrize("extra", [0, 50_000])
def test_beyond_four_gibibytes(tmp_path, extra):
    path = tmp_path / "a.wav"
    tail = np.arange(1000, dtype="<f4")
    size = 2**32 + 4 * extra
    with path.open("wb") as file:
        file.write(b"RIFF" + struct.pack("<I", (36 + size) % 2**32) + b"WAVEfmt ")
        file.write(struct.pack("<IHHIIHH", 16, 3, 1, 44100, 176400, 4, 32) + b"data" + struct.pack("<I", size % 2**32))
        file.truncate(44 + size)
        file.seek(-tail.nbytes, io.SEEK_END)
        file.write(tail.tobytes())
        file.write(b"LIST" + struct.pack("<I", 4) + b"INFO")
    frames = size // 4
    assert audio.info(path).frames == frames + (3 if extra == 0 else 0)  # without a length all is audio
    np.testing.assert_array_equal(audio.read(path, frames - 1000, 1000), [tail])
    out = np.empty((1, 1000), dtype=np.float32)
    audio.Reader(path).into(out, frames - 1000)
    np.testing.assert_array_equal(out, [tail])


@pytest.mark.parametrize(
    "after", [b"LIST\4\0\0\0INFO", b"TAG" + 125 * b"\0", b"ID3\4\0\0\0\0\0\x0aabcdefghij", b"\0\0"]
)
def test_what_follows_the_audio_is_not_audio(tmp_path, after, stereo):
    path = tmp_path / "a.wav"
    content = bytearray(encoded("wav16", stereo))
    struct.pack_into("<I", content, 4, len(content) - 8 + len(after))
    path.write_bytes(bytes(content) + after)
    check(path, stereo)


def test_what_nobody_knows_after_the_audio_is_refused(tmp_path, stereo):
    path = tmp_path / "a.wav"
    content = bytearray(encoded("wav16", stereo))
    struct.pack_into("<I", content, 4, len(content) - 8 + 1000)
    path.write_bytes(bytes(content) + bytes(range(1, 251)) * 4)
    with pytest.raises(ValueError, match=r"a\.wav: its header announces 20000 bytes .*holds 21000.*neither audio"):
        audio.info(path)


def ape(items: bytes = b"\4\0\0\0\0\0\0\0Title\0Blue", header: bool = True) -> bytes:
    """An APEv2 tag of one item, or an APEv1 tag, which has no header."""
    numbers = struct.pack("<II", len(items) + 32, 1)
    first = b"APETAGEX\xd0\x07\0\0" + numbers + struct.pack("<I", 0xA0000000) + bytes(8)
    last = b"APETAGEX" + (b"\xd0\x07\0\0" if header else b"\xe8\x03\0\0") + numbers
    return (first if header else b"") + items + last + struct.pack("<I", 0x80000000 if header else 0) + bytes(8)


JUNK = np.random.default_rng(1).integers(0, 256, 1000, dtype=np.uint8).tobytes()
TAGS = {
    "ape": ape(),
    "apev1": ape(header=False),
    "ape-id3v1": ape() + b"TAG" + bytes(range(125)),
    "lyrics": b"LYRICSBEGININD0000200000021LYRICS200",
    "id3v2-at-the-end": b"ID3\4\0\x10\0\0\0\4abcd3DI\4\0\x10\0\0\0\4",
    "zeros": bytes(512),
    "zeros-id3v1": bytes(512) + b"TAG" + bytes(range(125)),
}


@pytest.mark.parametrize("after", TAGS.values(), ids=TAGS)
@pytest.mark.parametrize("case", ["wav", "wav16", "w64", "aiff", "au", "caf"])
def test_tags_and_zeros_after_the_audio_of_a_right_header_are_left_out(tmp_path, case, after, stereo):
    path = tmp_path / f"a.{kind(case)}"
    path.write_bytes(encoded(case, stereo) + after)
    check(path, stereo)


@pytest.mark.parametrize("after", TAGS.values(), ids=TAGS)
def test_tags_begin_where_the_first_of_them_does(after: bytes) -> None:
    before, tags = JUNK, after.lstrip(b"\0")  # zeros are no tag
    end = len(before + tags)
    assert start_of_tags(io.BytesIO(before + tags), 0, end) == len(before)
    assert start_of_tags(io.BytesIO(before + tags), len(before) + 1, end) > len(before) or not tags


def test_silence_and_a_few_samples_are_no_audio_that_goes_on(tone: np.ndarray) -> None:
    before, after = np.split(tone.T[: 2 * 64], 2)
    assert goes_on(before, after)
    assert not goes_on(before, after[:-1])
    assert not goes_on(before, np.zeros_like(after))


@pytest.mark.parametrize("counted", [False, True])
def test_a_chunk_after_the_audio_of_a_w64_is_left_out(tmp_path, counted, stereo):
    """libsndfile takes it for audio."""
    content = bytearray(encoded("w64", stereo))
    content += b"levl\xf3\xac\xd3\x11\x8c\xd1\0\xc0\x4f\x8e\xdb\x8a" + struct.pack("<q", 24 + 16) + bytes(range(16))
    if counted:
        struct.pack_into("<q", content, 16, len(content))
    path = tmp_path / "a.w64"
    path.write_bytes(content)
    check(path, stereo)


@pytest.fixture
def tone() -> np.ndarray:
    """Sound of which one sample is like the one before, as in music; at the end twenty times as loud."""
    loudness = np.where(np.arange(FRAMES) < FRAMES // 2, 0.02, 0.4)
    return (loudness * np.sin(0.1 * np.arange(FRAMES) + [[0], [1]])).astype(np.float32)


@pytest.mark.parametrize("junk", [JUNK, bytes(100) + JUNK, b"<peaks>1;-2;0.5</peaks>\n" * 40, b"\1\2\3\4" * 10])
@pytest.mark.parametrize("case", ["wav", "wav16", "w64", "aiff", "au", "caf"])
def test_bytes_of_another_kind_after_a_right_header_are_refused(tmp_path, case, junk, tone):
    path = tmp_path / f"a.{kind(case)}"
    path.write_bytes(encoded(case, tone) + junk)
    with pytest.raises(ValueError, match=r"its header announces (20|30|40)000 bytes .*neither audio.*cut off"):
        audio.info(path)


@pytest.mark.parametrize("case", ["wav", "wav16", "w64", "aiff", "au", "caf"])
def test_what_goes_on_louder_is_the_same_recording(tmp_path, case, tone):
    half, whole = encoded(case, tone[:, : FRAMES // 2]), encoded(case, tone)
    start = len(half) - (len(whole) - len(half))
    path = tmp_path / f"a.{kind(case)}"
    path.write_bytes(half[:start] + whole[start:])
    assert audio.info(path).frames == FRAMES
    np.testing.assert_array_equal(audio.read(path), soundfile.read(io.BytesIO(whole), dtype="float32")[0].T)


@pytest.mark.parametrize("after", [*TAGS.values(), b"APETAGEX\xd0\x07\0\0" + bytes(16)], ids=[*TAGS, "ape-cut"])
def test_tags_and_zeros_after_a_flac_are_left_out(tmp_path, after, stereo):
    path = tmp_path / "a.flac"
    path.write_bytes(encoded("flac", stereo) + after)
    check(path, stereo)


@pytest.mark.parametrize("frames", [8192, 8200, 9000])
def test_a_flac_may_end_in_silence(tmp_path, frames, stereo):
    """Its last frame has a dozen bytes."""
    path = tmp_path / "a.flac"
    samples = np.concatenate([stereo[:1, :4000], np.zeros((1, frames - 4000), dtype=np.float32)], axis=1)
    path.write_bytes(encoded("flac", samples))
    check(path, samples)


def test_audio_that_looks_like_the_header_of_a_frame_is_audio(tmp_path):
    """FLAC keeps noise as it is, so samples can be the bytes of a header, with the right checksum of eight bits."""
    noise = np.random.default_rng(0).integers(-(2**15), 2**15, FRAMES).astype(np.int16)
    content = encoded("flac", noise[None])
    header = content[content.index(b"\xff\xf8") :][:6]
    noise[-300:-297] = np.frombuffer(header, dtype=">i2")
    content = encoded("flac", noise[None])
    assert content.count(header) == 2
    path = tmp_path / "a.flac"
    path.write_bytes(content)
    check(path, noise[None].astype(np.float32) / 2**15)
    path.write_bytes(announcing("flac", content, 0))
    assert audio.info(path).frames == FRAMES
    path.write_bytes(content[:-100])
    with pytest.raises(ValueError, match="announces 5000 samples of audio, the file holds 4096"):
        audio.info(path)
