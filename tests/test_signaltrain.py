"""Finding, pairing and checking the recordings of a data set."""

import csv
import json
import shutil
import struct
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from data import audio
from data.segments import Chunks
from data.signaltrain import check_content, recordings
from scripts import check_dataset

MANIFEST = Path(__file__).with_name("signaltrain_manifest.csv")  # version 1.1, all pairs and their lengths
FOLDERS = {"train": "Train", "val": "Val", "test": "Test"}


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def noise(frames=1000, channels=1):
    return np.random.default_rng(0).uniform(-0.5, 0.5, (channels, frames)).astype(np.float32)


@pytest.fixture
def root(tmp_path) -> Path:
    """A small data set without fault: train 3 and 20, val 1, test 2."""
    root = tmp_path / "a__b" / "set__0__5.wav"  # what looks like a file's name here must not matter
    for split, number, label, setting in (
        ("Train", 20, "LA2A_2c", "1__65"),
        ("Train", 3, "my_own_box", "0__100"),
        ("Val", 1, "LA2A_3c", "0__0"),
        ("Test", 2, "a-b", "1__5"),
    ):
        audio.write(root / split / f"input_{number}_.wav", noise(), 44_100)
        audio.write(root / split / f"target_{number}_{label}__{setting}.wav", noise() / 2, 44_100)
    return root


def sparse_wav(path: Path, frames: int) -> None:
    """A float32 file whose header is all that takes space."""
    size = 4 * frames
    header = b"RIFF" + struct.pack("<I", 36 + size) + b"WAVE"
    header += b"fmt " + struct.pack("<IHHIIHH", 16, 3, 1, 44_100, 4 * 44_100, 4, 32)
    header += b"data" + struct.pack("<I", size)
    with path.open("wb") as file:
        file.write(header)
        file.truncate(len(header) + size)


@pytest.fixture(scope="module")
def signaltrain(tmp_path_factory) -> Path:
    """All 84 pairs of version 1.1 as sparse files."""
    parent = tmp_path_factory.mktemp("download")
    folder = parent / "SignalTrain_LA2A_Dataset_1.1"
    for name in FOLDERS.values():
        (folder / name).mkdir(parents=True)
    with MANIFEST.open(newline="") as file:
        for row in csv.DictReader(file):
            for kind in ("input", "target"):
                sparse_wav(folder / row["split"] / row[kind], int(row["frames"]))
    yield parent
    shutil.rmtree(parent)


def test_signaltrain_counts(signaltrain):
    start = time.perf_counter()
    found = recordings(signaltrain / "SignalTrain_LA2A_Dataset_1.1")
    seconds = time.perf_counter() - start
    print(f"84 pairs indexed in {seconds:.3f} s")
    assert seconds < 10  # 2 s are asked for; this machine may be busy
    assert {split: len(pairs) for split, pairs in found.items()} == {"train": 66, "val": 15, "test": 3}
    hours = {split: sum(pair.seconds for pair in pairs) / 3600 for split, pairs in found.items()}
    assert hours == pytest.approx({"train": 19.48, "val": 4.08, "test": 0.75}, abs=0.005)
    settings = {split: {pair.controls for pair in pairs} for split, pairs in found.items()}
    assert {split: len(those) for split, those in settings.items()} == {"train": 38, "val": 11, "test": 3}
    unseen = (settings["val"] | settings["test"]) - settings["train"]
    assert unseen == {(0, 0.10), (0, 0.50), (1, 0.10), (1, 0.70)}
    assert not settings["val"] & settings["test"]
    assert [pair.id for pair in found["test"]] == ["235", "256", "259"]


def test_signaltrain_chunks(signaltrain):
    found = recordings(signaltrain / "SignalTrain_LA2A_Dataset_1.1")
    assert len(Chunks(found["train"], 32_768)) == 94_351
    assert len(Chunks(found["val"], 262_144)) == 2_465
    assert len(Chunks(found["test"], 262_144)) == 453


def test_signaltrain_is_found_in_the_folder_above(signaltrain):
    inside = signaltrain / "SignalTrain_LA2A_Dataset_1.1"
    assert recordings(signaltrain) == recordings(str(inside))


def test_recording(root):
    found = recordings(root)
    assert [pair.id for pair in found["train"]] == ["3", "20"]  # as numbers, not as text
    own, limited = found["train"]
    assert own.controls == (0.0, 1.0)
    assert own.setting == "0__100"
    assert own.input == root / "Train" / "input_3_.wav"
    assert own.target == root / "Train" / "target_3_my_own_box__0__100.wav"
    assert (own.frames, own.sample_rate, own.channels, own.split) == (1000, 44_100, 1, "train")
    assert limited.controls == (1.0, 0.65)
    assert [(pair.id, pair.setting) for pair in found["val"] + found["test"]] == [
        ("1", "0__0"),
        ("2", "1__5"),
    ]


def test_other_files_do_not_matter(root):
    (root / "Train" / "readme.txt").write_text("hello")
    (root / "Train" / "._input_3_.wav").write_bytes(b"what some archivers leave behind")
    assert len(recordings(root)["train"]) == 2


def test_stereo_at_another_rate(root):
    for path in root.glob("*/*.wav"):
        audio.write(path, noise(500, 2), 48_000)
    pair = recordings(root, sample_rate=48_000, channels=2)["test"][0]
    assert (pair.frames, pair.sample_rate, pair.channels) == (500, 48_000, 2)


def rename(name, to):
    def damage(root):
        (root / name).rename(root / to)

    return damage


def rewrite(name, samples, sample_rate=44_100):
    return lambda root: audio.write(root / name, samples, sample_rate)


def remove(name):
    return lambda root: (root / name).unlink()


def truncate(name):
    def damage(root):
        whole = (root / name).read_bytes()
        (root / name).write_bytes(whole[:-1000])

    return damage


INPUT_3, TARGET_3 = "Train/input_3_.wav", "Train/target_3_my_own_box__0__100.wav"
FAULTS = {
    "split missing": (
        lambda root: shutil.rmtree(root / "Val"),
        ["Val is missing: 0 pairs", "at least one pair"],
    ),
    "split empty": (
        lambda root: [path.unlink() for path in (root / "Test").iterdir()],
        ["Test has no recordings: 0 pairs", "at least one pair"],
    ),
    "no target": (remove(TARGET_3), ["input_3_.wav has no target with id 3", "Add it, or remove this file"]),
    "no input": (remove(INPUT_3), ["target_3_my_own_box__0__100.wav has no input with id 3", "Add it"]),
    "in two splits": (
        rename(INPUT_3, "Val/input_3_.wav"),
        [
            "target_3_my_own_box__0__100.wav has no input",
            "There is",
            "Val/input_3_.wav: move both to one folder",
        ],
    ),
    "id twice": (
        rewrite("Train/target_3_other__1__5.wav", noise()),
        [
            "input_3_.wav",
            "target_3_my_own_box__0__100.wav",
            "target_3_other__1__5.wav",
            "id 3 is there 2 times",
        ],
    ),
    "lengths differ": (
        rewrite(TARGET_3, noise(993)),
        ["input_3_.wav has 1000 samples", "target_3_my_own_box__0__100.wav has 993", "cut them to the same"],
    ),
    "sample rate": (
        rewrite(INPUT_3, noise(), 48_000),
        ["input_3_.wav has a sample rate of 48000 Hz, 44100 Hz", "data.sample_rate=48000"],
    ),
    "too many channels": (
        rewrite(TARGET_3, noise(1000, 2)),
        ["target_3_my_own_box__0__100.wav has 2 channel(s), 1 is asked for", "data.channels=2"],
    ),
    "truncated": (
        truncate(INPUT_3),
        ["input_3_.wav is truncated", "announces 4000 bytes of audio, the file holds 3000", "again"],
    ),
    "empty file": (rewrite(INPUT_3, noise(0)), ["input_3_.wav is empty: 0 samples", "Render it again"]),
    "no audio": (
        lambda root: (root / INPUT_3).write_text("text"),
        ["input_3_.wav cannot be read", "Replace it"],
    ),
    "name of a target": (
        rename(TARGET_3, "Train/target_3_box_0_100.wav"),
        [
            "target_3_box_0_100.wav: the name does not parse",
            "target_<id>_<device>__<switch>__<peak reduction>.wav",
        ],
    ),
    "name of an input": (
        rename(INPUT_3, "Train/dry.wav"),
        ["dry.wav: the name does not parse", "input_<id>_.wav"],
    ),
    "peak reduction too high": (
        rename(TARGET_3, "Train/target_3_box__0__101.wav"),
        ["target_3_box__0__101.wav", "peak reduction is '101'", "from 0 to 100"],
    ),
    "peak reduction below zero": (
        rename(TARGET_3, "Train/target_3_box__0__-5.wav"),
        ["peak reduction is '-5'", "from 0 to 100"],
    ),
    "peak reduction no number": (
        rename(TARGET_3, "Train/target_3_box__0__full.wav"),
        ["peak reduction is 'full'", "from 0 to 100"],
    ),
    "switch": (
        rename(TARGET_3, "Train/target_3_box__2__100.wav"),
        ["target_3_box__2__100.wav: the switch is '2'", "0 (compress) or 1 (limit)"],
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_fault_is_named_with_file_number_and_remedy(root, fault):
    damage, expected = FAULTS[fault]
    damage(root)
    with pytest.raises(ValueError, match="cannot be used") as error:
        recordings(root)
    for text in expected:
        assert text in str(error.value)


def test_mono_where_stereo_is_asked_for(root):
    with pytest.raises(
        ValueError, match=r"All \d+ files have 1 channel\(s\), 2 is asked for: pass data\.channels=1"
    ) as told:
        recordings(root, channels=2)
    assert len(str(told.value).splitlines()) == 2


def test_the_check_names_its_own_options(root, capsys):
    assert check_dataset.main(["--root", str(root), "--sample-rate", "48000"]) == 1
    assert capsys.readouterr().err.endswith("44100 Hz, 48000 Hz is asked for: pass --sample-rate 44100\n")


def test_root_missing(tmp_path):
    with pytest.raises(ValueError, match=r"nowhere does not exist.*data\.root="):
        recordings(tmp_path / "nowhere")
    with pytest.raises(ValueError, match=r"holds none of the folders Train, Val and Test.*data\.root="):
        recordings(tmp_path)


def test_all_faults_in_one_error(root):
    remove("Val/input_1_.wav")(root)
    rewrite(TARGET_3, noise(10))(root)
    for number in range(100, 112):
        audio.write(root / "Test" / f"input_{number}_.wav", noise(), 44_100)
    with pytest.raises(ValueError, match="cannot be used") as error:
        recordings(root)
    _, *faults, last = str(error.value).splitlines()
    assert len(faults) == 10
    assert "target_3_my_own_box__0__100.wav has 10" in faults[0]
    assert "target_1_LA2A_3c__0__0.wav has no input" in faults[1]
    assert last.split() == ["…", "and", "4", "more", "problem(s)"]  # 14 in all


def test_version_1_0_is_recognised(root):
    audio.write(root / "Train" / "target_235_LA2A_2c__0__70.wav", noise(), 44_100)
    audio.write(root / "Train" / "input_147_.wav", noise(9583), 44_100)
    audio.write(root / "Train" / "target_147_LA2A_3c__0__45.wav", noise(1000), 44_100)
    with pytest.raises(ValueError, match="cannot be used") as error:
        recordings(root)
    for line in str(error.value).splitlines()[1:]:
        assert "use version 1.1" in line
    assert "input_147_.wav has 9583 samples" in str(error.value)


# -- NaN and infinity ------------------------------------------------------------------------------------


def test_peaks_are_those_of_the_files(root):
    contents = check_content(recordings(root))
    assert len(contents) == 8
    assert contents[root / INPUT_3] == (np.abs(noise()).max(), 0, -1)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_bad_samples_are_counted_and_placed(root, value, monkeypatch):
    monkeypatch.setattr("data.signaltrain._SCAN_FRAMES", 300)
    samples = noise()
    samples[0, [441, 442, 990]] = value
    audio.write(root / TARGET_3, samples, 44_100)
    found = recordings(root)  # headers tell nothing of it
    with pytest.raises(ValueError, match=r"target_3_my_own_box__0__100\.wav: 3 samples.*sample 441 \(0\.010 s\)"):
        check_content(found)
    with pytest.raises(ValueError, match="Render the file again"):  # nor is it forgotten
        check_content(found)


def test_clean_files_are_read_once(root, monkeypatch):
    read = Counter()
    original = audio.read

    def counting(path, *arguments):
        read[path.name] += 1
        return original(path, *arguments)

    monkeypatch.setattr(audio, "read", counting)
    first = check_content(recordings(root))
    assert len(read) == 8
    read.clear()
    assert check_content(recordings(root)) == first
    assert not read
    audio.write(root / INPUT_3, noise(1200), 44_100)
    audio.write(root / TARGET_3, noise(1200), 44_100)
    check_content(recordings(root))
    assert set(read) == {Path(INPUT_3).name, Path(TARGET_3).name}


def test_cache_is_outside_the_data_set_and_may_be_damaged(root, tmp_path):
    before = sorted(root.rglob("*"))
    check_content(recordings(root))
    assert sorted(root.rglob("*")) == before
    cache = tmp_path / "cache" / "auraloss-study" / "checked_audio.json"
    assert len(json.loads(cache.read_text())) == 8
    kept = json.loads(cache.read_text())
    others = ({path: {"peak": 1} for path in kept}, {path: entry[:2] for path, entry in kept.items()})
    for damaged in ("{half of", "[1, 2]", *map(json.dumps, others)):
        cache.write_text(damaged)
        check_content(recordings(root))
        assert len(json.loads(cache.read_text())) == 8


def test_cache_that_cannot_be_written_is_no_fault(root, tmp_path):
    (tmp_path / "file").write_text("")
    assert len(check_content(recordings(root), tmp_path / "file" / "cache.json")) == 8


# -- the command -----------------------------------------------------------------------------------------


def test_command_describes_a_data_set(root, capsys):
    assert check_dataset.main(["--root", str(root), "--segment-length", "300", "--eval-length", "400"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split()[:6] == ["train", "2", "0.00", "2", "6", "×"]
    assert lines[2].split()[:6] == ["val", "1", "0.00", "1", "2", "×"]
    assert lines[-2] == "settings of val that are not in train: 0__0"
    assert lines[-1] == "settings of test that are not in train: 1__5"


def test_command_fails_with_the_fault(root, capsys):
    remove(INPUT_3)(root)
    assert check_dataset.main(["--root", str(root)]) == 1
    assert "has no input with id 3" in capsys.readouterr().err
