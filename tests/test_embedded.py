"""The embedded data set: written once, whole or not at all, the same for the same seed."""

import hashlib
import importlib
import json
import os
import signal
import sys
from pathlib import Path

import numpy as np
import pytest

from data import audio, embedded, signaltrain
from data.embedded import FORMAT
from data.la2a import la2a
from scripts import make_dataset
from tests.forked import ended, forked

RATE = 16_000  # Hz, the lowest
TINY = {"minutes": 0.05, "sample_rate": RATE}


def digests(root):
    return {str(p.relative_to(root)): hashlib.sha256(p.read_bytes()).hexdigest() for p in root.rglob("*.*")}


@pytest.fixture(scope="module", autouse=True)
def _short():
    """Recordings of 1.5 s in place of 8; test_embedded_plan.py has the real ones."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(embedded, "RECORDING_SECONDS", (1.5, 60.0))
        patch.setattr(embedded, "VAL_SECONDS", 3.0)
        patch.setattr(embedded, "TEST_SECONDS_LEAST", 4.5)
        yield


@pytest.fixture(scope="module")
def tiny(tmp_path_factory, _short):
    root = tmp_path_factory.mktemp("sets") / "la2a"
    embedded.recordings(root, **TINY)
    return root


def test_layout_is_signaltrains(tiny):
    found = signaltrain.recordings(tiny, RATE)
    assert found == embedded.recordings(tiny, **TINY)
    assert {split: len(r) for split, r in found.items()} == {"train": 2, "val": 2, "test": 3}
    assert sum(r.frames for r in found["train"]) == 3 * RATE
    for recording in [r for split in found.values() for r in split]:
        assert recording.target.name.startswith(f"target_{recording.id}_LA2A_synth__{recording.setting}")
        x, y = audio.read(recording.input), audio.read(recording.target)
        assert x.shape == y.shape == (1, recording.frames)
        assert x.dtype == np.float32


def test_target_is_the_la2a_at_the_setting_of_the_name(tiny):
    noise = 10 ** (-81 / 20) / np.sqrt(2)
    for recording in signaltrain.recordings(tiny, RATE)["test"]:
        switch, knob = recording.controls
        expected = la2a(audio.read(recording.input), 100 * knob, switch, RATE, seed=None)
        error = audio.read(recording.target) - expected
        assert np.std(error) == pytest.approx(noise, rel=0.02)
        other = la2a(audio.read(recording.input), 0, sample_rate=RATE, seed=None)
        assert np.std(audio.read(recording.target) - other) > 10 * noise


def test_same_seed_same_bytes_and_other_seed_other_material(tiny, tmp_path):
    embedded.recordings(tmp_path / "again", **TINY)
    embedded.recordings(tmp_path / "other", **TINY, seed=1)
    first, again, other = digests(tiny), digests(tmp_path / "again"), digests(tmp_path / "other")
    assert first == again
    assert len(first) == 15  # two files of each of 7 recordings, and the settings
    assert not {first[name] for name in first} & {other[name] for name in other}


def test_no_audio_occurs_twice(tiny):
    """16 samples out of every 1,024 of a recording that sound occur nowhere in any other, at any position."""
    inputs = [audio.read(p)[0] for p in sorted(tiny.rglob("input_*.wav"))]
    for i, a in enumerate(inputs):
        blocks = {a[k : k + 16].tobytes() for k in range(0, len(a) - 16, 1024) if np.abs(a[k : k + 16]).max() > 1e-4}
        assert blocks
        firsts = {np.frombuffer(block, np.float32)[0] for block in blocks}
        for b in inputs[i + 1 :]:
            begun = np.flatnonzero(np.isin(b[:-16], list(firsts)))
            assert not blocks & {b[k : k + 16].tobytes() for k in begun}


def test_reused_while_the_options_are_the_same(tiny, monkeypatch):
    monkeypatch.setattr(embedded, "_write_recording", None)  # any writing would fail
    assert embedded.recordings(tiny, **TINY)["train"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"minutes": 0.2}, "was made with minutes=0.05; asked for is minutes=0.2. Choose another folder"),
        ({"seed": 5}, "was made with seed=0; asked for is seed=5"),
    ],
)
def test_set_of_other_options_is_left_alone(tiny, options, message):
    before = digests(tiny)
    with pytest.raises(ValueError, match=message):
        embedded.recordings(tiny, **TINY | options)
    assert digests(tiny) == before


def test_folder_of_something_else_is_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(ValueError, match=r"is not an embedded data set: it has no readable dataset\.json"):
        embedded.recordings(tmp_path, **TINY)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.txt"]


def test_missing_file_is_named(tmp_path):
    found = embedded.recordings(tmp_path / "set", **TINY)
    for path in (found["train"][0].input, found["train"][0].target):
        path.unlink()
    with pytest.raises(ValueError, match=r"lacks 2 of its files, .*input_1_\.wav for one"):
        embedded.recordings(tmp_path / "set", **TINY)


@pytest.mark.parametrize("interruption", [OSError("disk full"), KeyboardInterrupt()])
def test_interrupted_writing_leaves_nothing(tmp_path, monkeypatch, interruption):
    write = embedded._write_recording

    def fail_at_the_fourth(root, planned, *rest):
        if planned.id == 4:
            raise interruption
        write(root, planned, *rest)

    monkeypatch.setattr(embedded, "_write_recording", fail_at_the_fourth)
    with pytest.raises(type(interruption)):
        embedded.recordings(tmp_path / "set", **TINY)
    assert list(tmp_path.iterdir()) == []
    monkeypatch.undo()
    assert embedded.recordings(tmp_path / "set", **TINY)["test"]


def test_set_appears_by_a_single_rename_of_all_of_it(tmp_path, monkeypatch, tiny):
    root, seen = tmp_path / "set", []
    rename = Path.rename

    def watch(path, target):
        if Path(target).is_relative_to(root):
            seen.append((Path(target) == root, root.exists(), digests(path)))
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", watch)
    embedded.recordings(root, **TINY)
    assert seen == [(True, False, digests(tiny))]


def test_killed_writing_is_made_again(tmp_path, monkeypatch, tiny):
    """A process that is killed cannot tidy up; what it wrote is neither used nor kept."""
    write = embedded._write_recording

    def die(root, planned, *rest):
        if planned.id == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        write(root, planned, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(embedded, "_write_recording", die)
        copy = forked(lambda: embedded.recordings(tmp_path / "set", **TINY))
    assert ended(copy) == -signal.SIGKILL
    assert [p.name.split("-")[0] for p in tmp_path.iterdir()] == ["set.partial"]
    embedded.recordings(tmp_path / "set", **TINY)
    assert [p.name for p in tmp_path.iterdir()] == ["set"]
    assert digests(tmp_path / "set") == digests(tiny)


def test_two_processes_that_write_at_once_end_with_one_set(tmp_path, monkeypatch, tiny):
    """A second writing overtakes the first one halfway; the first takes its set."""
    write = embedded._write_recording

    def be_overtaken(root, planned, *rest):
        if planned.id == 3:
            monkeypatch.setattr(embedded, "_write_recording", write)
            embedded.recordings(tmp_path / "set", **TINY)
        write(root, planned, *rest)

    monkeypatch.setattr(embedded, "_write_recording", be_overtaken)
    assert embedded.recordings(tmp_path / "set", **TINY)["train"]
    assert [p.name for p in tmp_path.iterdir()] == ["set"]
    assert digests(tmp_path / "set") == digests(tiny)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"minutes": 0}, "minutes is the length of Train and must be > 0, got 0"),
        ({"minutes": float("inf")}, "got inf"),
        ({"seed": -1}, "seed must be a whole number >= 0, got -1"),
        ({"sample_rate": 44}, "sample_rate is in Hz and must be at least 16000, got 44"),
    ],
)
def test_wrong_options_are_named_before_anything_is_written(tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        embedded.recordings(tmp_path / "set", **options)
    assert list(tmp_path.iterdir()) == []


def test_sample_rate_if_none_is_asked_for(tmp_path):
    found = embedded.recordings(tmp_path / "set", minutes=0.05)
    assert {r.sample_rate for split in found.values() for r in split} == {44_100}


def test_script_tells_what_it_wrote(tiny, capsys):
    make_dataset.main(["--root", str(tiny), "--minutes", "0.05", "--sample-rate", str(RATE)])
    out = capsys.readouterr().out
    assert str(tiny) in out
    assert "train     0.1 min, 2 recordings, 2 settings:" in out
    with pytest.raises(SystemExit, match=r"error: .*was made with minutes=0.05"):
        make_dataset.main(["--root", str(tiny), "--minutes", "3", "--sample-rate", str(RATE)])


def test_script_tells_how_to_train_on_what_it_wrote(monkeypatch, capsys):
    monkeypatch.setattr(embedded, "recordings", lambda *args, **options: {})
    make_dataset.main(["--root", "a"])
    assert capsys.readouterr().out.splitlines()[-1].endswith("python train.py data.root=a data.recordings.minutes=40")
    make_dataset.main(["--root", "a", "--seed", "3", "--sample-rate", "48000"])
    assert "minutes=40 data.recordings.seed=3 data.sample_rate=48000" in capsys.readouterr().out


def test_script_needs_no_torch(monkeypatch):
    for name in [name for name in sys.modules if name.split(".")[0] in ("auraloss", "data", "models", "scripts")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "torch", None)  # whose import fails
    anew = importlib.import_module("scripts.make_dataset")
    assert anew is not make_dataset
    assert anew.embedded is not embedded


def test_settings_are_plain_json(tiny):
    settings = json.loads((tiny / "dataset.json").read_text())
    assert settings == {"format": FORMAT, "minutes": 0.05, "seed": 0, "sample_rate": RATE}
