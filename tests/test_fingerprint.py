"""The fingerprint of a split: that of the samples, wherever they lie; another as soon as anything is another."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

import pytest

from data import fingerprint as module
from data import signaltrain
from data.fingerprint import fingerprint
from data.signaltrain import Recording
from tests.scored_runs import write_data


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_data(tmp_path / "data")


def split(root: Path) -> list[Recording]:
    return signaltrain.recordings(root)["test"]


def test_it_is_the_sha256_of_ids_settings_and_files(root: Path) -> None:
    lines = ""
    for id, setting in (("12", "1__65"), ("3", "0__40")):
        files = (f"input_{id}_.wav", f"target_{id}_limiter__{setting}.wav")
        sums = [hashlib.sha256((root / "Test" / name).read_bytes()).hexdigest() for name in files]
        lines += f"{id} {setting} {sums[0]} {sums[1]}\n"
    assert fingerprint(split(root)) == hashlib.sha256(lines.encode()).hexdigest()[:16]


def test_a_copy_elsewhere_has_the_same(root: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(root, tmp_path / "elsewhere")
    assert fingerprint(split(copy)) == fingerprint(split(root))
    assert fingerprint(split(root)[::-1]) == fingerprint(split(root))


def test_one_sample_one_setting_or_one_recording_less_makes_another(root: Path, tmp_path: Path) -> None:
    found = [fingerprint(split(root))]
    file = root / "Test" / "input_3_.wav"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    found.append(fingerprint(split(root)))
    (root / "Test" / "target_3_limiter__0__40.wav").rename(root / "Test" / "target_3_limiter__0__45.wav")
    found.append(fingerprint(split(root)))
    found.append(fingerprint(split(root)[:1]))
    assert len(set(found)) == 4


def test_files_are_read_once_as_long_as_size_and_time_stay(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    digest = module._digest
    monkeypatch.setattr(module, "_digest", lambda path: (read.append(path.name), digest(path))[1])
    cache = tmp_path / "cache" / "digests.json"
    first = fingerprint(split(root), cache)
    assert len(read) == 4
    assert fingerprint(split(root), cache) == first
    assert len(read) == 4
    os.utime(root / "Test" / "input_12_.wav", (1, 1))
    assert fingerprint(split(root), cache) == first
    assert read[4:] == ["input_12_.wav"]
    cache.write_text("damaged")
    assert fingerprint(split(root), cache) == first
    assert len(read) == 9


def test_a_file_that_has_gone_is_named(root: Path) -> None:
    found = split(root)
    (root / "Test" / "input_3_.wav").unlink()
    with pytest.raises(ValueError, match=r"input_3_\.wav cannot be read"):
        fingerprint(found)
