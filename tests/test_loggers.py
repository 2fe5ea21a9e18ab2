"""What the loggers write, read back from their own files: figures, audio, images; one clean run for each job."""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import soundfile
import wandb
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from wandb.proto.wandb_internal_pb2 import Record

from models.run import Run
from tests.conftest import Entry

BLOCK = 32768  # bytes; an offline run is a LevelDB log


def records(file: Path) -> Iterator[Record]:
    """The records of an offline run of W&B."""
    content = file.read_bytes()
    assert content[:4] == b":W&B"
    position, whole = 7, b""
    while position + 7 <= len(content):
        if BLOCK - position % BLOCK < 7:  # no room for a header: zeros
            position += BLOCK - position % BLOCK
            continue
        _, length, kind = struct.unpack("<IHB", content[position : position + 7])
        whole += content[position + 7 : position + 7 + length]
        position += 7 + length
        if kind in (1, 4):  # whole, or the last part
            yield Record.FromString(whole)
            whole = b""


def history(found: list[Record]) -> dict[str, list[Any]]:
    """All values logged, by name."""
    values: dict[str, list[Any]] = {}
    for record in found:
        if record.HasField("history"):
            for item in record.history.item:
                values.setdefault("/".join(item.nested_key) or item.key, []).append(json.loads(item.value_json))
    return values


def score(folder: Path) -> float:
    header, *lines = (folder / "metrics.csv").read_text().splitlines()
    return float(lines[-1].split(",")[header.split(",").index("val/score")])


def check_audio(file: Path) -> None:
    header = soundfile.info(file)
    assert (header.samplerate, header.channels, header.frames) == (44100, 1, 16384)


def test_wandb_has_one_offline_run_for_each_job(train: Entry, tmp_path: Path) -> None:
    """Also for one that fails: its run ends, and the next job has one of its own."""
    before = {name: value for name, value in os.environ.items() if name not in ("WANDB_SERVICE", "PL_GLOBAL_SEED")}
    rates = ("optimizer.lr=1e30,0.001", "name=lr${optimizer.lr}", "loss=mse")  # the first diverges
    result = train("-m", *rates, "logger=wandb", "trainer.max_epochs=2")
    assert result.code == 1, result.err
    assert wandb.run is None
    after = {name: value for name, value in os.environ.items() if name in before or name == "WANDB_MODE"}
    assert after == before
    wandb.teardown()  # as at the end of a process: its service writes the file to the end after a run's finish()
    assert "login" not in (result.out + result.err).lower()
    assert "api key" not in (result.out + result.err).lower()

    runs = {}
    for name, state in (("lr1e+30", "failed"), ("lr0.001", "finished")):
        folder = tmp_path / "runs" / "tiny" / name
        assert Run.read(folder).status["state"] == state
        (file,) = folder.rglob("*.wandb")
        assert file.parent.name.startswith("offline-run-")
        found = list(records(file))
        (run_record,) = [record.run for record in found if record.HasField("run")]
        assert (run_record.project, run_record.display_name, run_record.run_group) == ("auraloss", name, "tiny")
        (end,) = [record.exit for record in found if record.HasField("exit")]
        assert end.exit_code == (state == "failed")
        runs[run_record.run_id] = found
    assert len(runs) == 2

    logged = history(found)
    assert len(logged["val/score"]) == len(logged["train/loss"]) == 2
    assert logged["val/score"][-1] == pytest.approx(score(folder), rel=1e-6)
    assert {"val/ESR", "val/MR"} <= set(logged)
    assert any(key.startswith("example/figure") for key in logged)
    assert len(list(folder.rglob("media/images/**/*.png"))) == 2  # one an epoch
    sounds = list(folder.rglob("media/audio/*.wav"))
    assert len({sound.name for sound in sounds}) >= 4  # input and target, and an output of each epoch
    for sound in sounds:
        check_audio(sound)
    captions = json.dumps(logged.get("example") or {k: v for k, v in logged.items() if k.startswith("example/")})
    for caption in ("input", "target", "output"):
        assert caption in captions


def test_tensorboard_holds_figures_audio_and_images(train: Entry, tmp_path: Path) -> None:
    result = train("name=a", "logger=tensorboard", "trainer.max_epochs=2")
    assert result.code == 0, result.err
    folder = tmp_path / "runs" / "tiny" / "a"
    (file,) = folder.rglob("events.out.tfevents.*")
    assert file.parent == folder / "tensorboard"
    events = EventAccumulator(str(file), size_guidance={"audio": 0, "images": 0})
    events.Reload()
    scores = events.Scalars("val/score")
    assert len(scores) == 2
    assert scores[-1].value == pytest.approx(score(folder), rel=1e-6)
    assert {"train/loss", "val/ESR", "val/MR"} <= set(events.Tags()["scalars"])
    assert sorted(events.Tags()["audio"]) == ["example/input", "example/output", "example/target"]
    for tag in events.Tags()["audio"]:
        assert len(events.Audio(tag)) == 2
        assert events.Audio(tag)[0].sample_rate == 44100
        assert events.Audio(tag)[0].length_frames == 16384
    images = events.Images("example/figure")
    assert len(images) == 2
    assert images[0].encoded_image_string[:8] == b"\x89PNG\r\n\x1a\n"
