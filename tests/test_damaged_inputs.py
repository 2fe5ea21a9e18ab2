"""Files damaged at random: each is refused with a clear error, or read as what it says; nothing else happens.

A damage is seeded: bytes turned, cut out, doubled, overwritten, the end cut off; in text also values exchanged for
others that a reader may stumble over. A case that fails is named by its kind and number.
"""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from data import audio, signaltrain
from data.segments import Blocks
from models import metrics_file, run_files
from models.callbacks import MetricsFile
from models.run import Run
from scripts import runs
from scripts.report import learning
from scripts.scoring import cache, candidates
from scripts.scoring.rows import Score
from scripts.training import checkpoints
from tests import scored_runs

CLEAR = (ValueError, OSError)  # what the entry points print without a traceback
NASTY = (
    *("null", "[]", "{}", "''", "-1", "0", "1e999", ".nan", "99999999999999999999", "true", "*a", "&a [*a, *a]", "NaN"),
    *('"x"', "[[[[[[[[", "\\u0000", "models.run.Run", "os.system", "../../../etc/passwd", "${oc.env:HOME}", "1,2", "ä"),
    *("!!python/object/apply:os.system ['touch executed']", "__import__('os').system('touch executed')", "Infinity"),
)


def damaged(content: bytes, drawn: random.Random, text: bool, head: int = 0) -> bytes:
    """A content with one to three damages; of every second one the first `head` bytes are hit, where there are such."""
    for _ in range(drawn.choice((1, 1, 2, 3))):
        end = head if head and drawn.random() < 0.5 else len(content)
        at = drawn.randrange(max(min(end, len(content)), 1))
        width = drawn.choice((1, 2, 4, 4, 8, 100))
        kind = drawn.randrange(9 if text else 7)
        if kind == 0:
            content = (
                content[:at] + bytes([content[at] ^ 1 << drawn.randrange(8)]) + content[at + 1 :] if content else b""
            )
        elif kind == 1:
            content = content[:at] + drawn.randbytes(width) + content[at + width :]
        elif kind == 2:
            content = content[:at] + content[at + width :]
        elif kind == 3:
            content = content[:at] + content[at : at + width] * 2 + content[at + width :]
        elif kind == 4:
            content = content[:at]
        elif kind == 5:
            content = content[:at] + drawn.choice((b"\x00", b"\xff")) * width + content[at + width :]
        elif kind == 6:
            content = content + drawn.randbytes(width)
        else:
            values = [*re.finditer(rb"[^\s:,\[\]{}\"]+", content)] or [re.match(b"", content)]
            value: Any = drawn.choice(values)
            content = content[: value.start()] + drawn.choice(NASTY).encode() + content[value.end() :]
    return content


# What a file is read by. Each returns whether what was read is right, or raises what a user can understand.


def use_audio(folder: Path, drawn: random.Random) -> bool:
    """A WAV says itself what its samples are: what is accepted can be read from end to end, and is finite."""
    found = signaltrain.recordings(folder / "data", sample_rate=44100, channels=1)
    signaltrain.check_content(found)
    for recordings in found.values():
        blocks = Blocks(recordings, 65536)
        for index, block in enumerate(blocks.blocks):
            segment = blocks[index]
            assert segment.input.shape == segment.target.shape == (1, block.frames)
            assert torch.isfinite(segment.input).all()
            assert torch.isfinite(segment.target).all()
    return True


def use_checkpoint(folder: Path, drawn: random.Random) -> bool:
    """A network that loads has the weights that it was saved with."""
    loaded, saved = (Run.read(path).net().state_dict() for path in (folder / "run", folder.parent / "whole" / "run"))
    return all(torch.equal(loaded[name], saved[name]) for name in saved)


def use_last(folder: Path, drawn: random.Random) -> bool:
    """So has one that a training is continued from."""
    file = checkpoints.to_continue(folder / "run" / "checkpoints")
    assert file is not None
    loaded, saved = (
        torch.load(path / "run/checkpoints/last.ckpt", weights_only=True)["state_dict"]
        for path in (folder, folder.parent / "whole")
    )
    return all(torch.equal(loaded[name], saved[name]) for name in saved)


def use_config(folder: Path, drawn: random.Random) -> bool:
    candidates.candidate(folder / "run", "best", source_needed=drawn.random() < 0.5)
    runs.line(folder / "run")
    return isinstance(Run.read(folder / "run").net(), torch.nn.Module)


def use_scores(folder: Path, drawn: random.Random) -> bool:
    """Kept scores are those that were saved, or none."""
    found = cache.load(folder / "scores.json", "subject", {NAME: "key"}, PLACES)
    return found.scores.get(NAME, SCORES) == SCORES


def use_status(folder: Path, drawn: random.Random) -> bool:
    told = runs.line(folder / "run")
    return run_files.read_status(folder / "run")["state"] in run_files.STATES and len(told) == len(runs.HEAD)


def use_metrics(folder: Path, drawn: random.Random) -> bool:
    """Read by the list of runs and by the report, and continued."""
    runs.line(folder / "run")
    learning.read([{"run": str(folder / "run"), "model": "a"}], folder)
    file = MetricsFile(folder / "run" / "metrics.csv")
    file.lr, file.validated = 0.1, True
    values = {"val/score": torch.tensor(0.5)}
    trainer: Any = SimpleNamespace(callback_metrics=values, is_global_zero=True, current_epoch=3, global_step=16)
    file.on_train_epoch_end(trainer, None)  # type: ignore[arg-type]
    return metrics_file.read(file.file)[-1]["epoch"] == "3"


NAME = ("standard", "ESR")
SCORES = [Score(*NAME, "3", "0__40", number, 65536 * number, 65536, 0.1 + number) for number in range(3)]
PLACES = {NAME: [("3", "0__40", number, 65536 * number, 65536) for number in range(3)]}

# File, what reads it, and the size of the head that is hit as often as all the rest.
KINDS: dict[str, tuple[str, Callable[[Path, random.Random], bool], int]] = {
    "wav": ("data/Test/input_3_.wav", use_audio, 60),
    "best": ("run/checkpoints/best.ckpt", use_checkpoint, 0),
    "last": ("run/checkpoints/last.ckpt", use_last, 0),
    "config": ("run/config.yaml", use_config, 0),
    "scores": ("scores.json", use_scores, 0),
    "status": ("run/status.json", use_status, 0),
    "metrics": ("run/metrics.csv", use_metrics, 0),
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files before they are damaged."""
    folder = tmp_path_factory.mktemp("damaged") / "whole"
    for split, id in (("Train", 1), ("Val", 2), ("Test", 3)):
        noise = np.random.default_rng(id).standard_normal((1, 3000)).astype(np.float32) / 10
        (folder / "data" / split).mkdir(parents=True)
        audio.write(folder / "data" / split / f"input_{id}_.wav", noise, 44100)
        audio.write(folder / "data" / split / f"target_{id}_limiter__0__40.wav", np.tanh(noise), 44100)
    made = scored_runs.make_run(folder / "run", folder / "data", 1, sample_rate=44100)
    (made / "metrics.csv").write_text("epoch,step,lr,val/score\n0,4,0.1,0.9\n1,8,0.1,0.8\n2,12,0.1,0.7\n")
    cache.save(folder / "scores.json", "subject", {NAME: "key"}, cache.Scored(0.0, 1.0, {NAME: SCORES}))
    return folder


WATCHED: dict[str, Any] = {"folder": None, "seen": []}


def _watch(event: str, arguments: tuple[Any, ...]) -> None:
    folder = WATCHED["folder"]
    if folder is None:
        return
    if event.startswith(("subprocess.", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "socket.connect")):
        WATCHED["seen"].append((event, str(arguments)[:200]))
    elif event == "open" and isinstance(arguments[0], str) and isinstance(arguments[2], int):
        writes = arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        inside = (str(folder), "/dev/", "/proc/", os.environ["XDG_CACHE_HOME"])
        if writes and not os.path.abspath(arguments[0]).startswith(inside):
            WATCHED["seen"].append((event, arguments[0]))


sys.addaudithook(_watch)  # cannot be taken away again; without a folder it sees nothing


@contextmanager
def watched(folder: Path) -> Iterator[list[Any]]:
    """What is started, connected, or written outside of a folder."""
    WATCHED["folder"], WATCHED["seen"] = folder.resolve(), []
    try:
        yield WATCHED["seen"]
    finally:
        WATCHED["folder"] = None


def check(kind: str, whole: Path, count: int) -> dict[str, int]:
    """Damages a file so many times; returns how often it was refused and read."""
    name, use, head = KINDS[kind]
    content = (whole / name).read_bytes()
    ends = {"refused": 0, "read": 0}
    folder = whole.parent / "damaged"
    for number in range(count):
        drawn = random.Random(f"{kind} {number}")
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(whole, folder)
        (folder / name).write_bytes(damaged(content, drawn, text=kind not in ("wav", "best", "last"), head=head))
        before = set(folder.rglob("*"))
        with watched(folder) as seen:
            try:
                assert use(folder, drawn), f"{kind} {number}: read, and not right"
                ends["read"] += 1
            except CLEAR as error:
                ends["refused"] += len(str(error)) > 10
            except Exception as error:
                raise RuntimeError(f"{kind} {number}: {error!r}") from error
        assert not seen, f"{kind} {number}: {seen}"
        assert set(folder.rglob("*")) <= before, f"{kind} {number}: something was written"
        assert not Path("executed").exists()
    return ends


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_files_are_refused_or_read_as_they_are(kind: str, whole: Path) -> None:
    ends = check(kind, whole, 15)
    assert sum(ends.values()) == 15


@pytest.mark.slow
def test_a_thousand_damaged_files(whole: Path) -> None:
    ends = {kind: check(kind, whole, 143) for kind in KINDS}
    print(json.dumps(ends))
    assert sum(count for of_kind in ends.values() for count in of_kind.values()) == 1001
    assert all(ends[kind]["refused"] for kind in ("wav", "best", "last", "config"))


@pytest.mark.parametrize("text", ["epoch,step\nhalf,4\n", "step\n4\n"])
def test_rows_that_are_no_epochs_are_damage(tmp_path: Path, text: str) -> None:
    (tmp_path / "metrics.csv").write_text(text)
    with pytest.raises(ValueError, match=r"metrics\.csv is damaged .* Delete it"):
        metrics_file.read(tmp_path / "metrics.csv")
