"""One training at a time in a run's folder, and locks that were left behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from models import run_lock
from models.atomic import HOST, is_running, replacing, replacing_folder, start_of
from models.run_lock import RunLock
from tests.conftest import Entry


def held_by(folder: Path, host: str, pid: int, start: str | None = None) -> Path:
    file = folder / ".lock"
    file.write_text(json.dumps({"host": host, "pid": pid, "start": start}))
    return file


def test_the_second_is_refused_with_machine_and_process(tmp_path: Path) -> None:
    with RunLock(tmp_path), pytest.raises(ValueError, match=rf"process {os.getpid()} on {HOST}.*study="):
        RunLock(tmp_path).__enter__()
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_is_being_trained_is_refused_and_left_alone(train: Entry, tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "tiny" / "a"
    with RunLock(folder):
        result = train("name=a")
        assert result.code == 1
        assert f"process {os.getpid()} on {HOST}" in result.err
        assert [file.name for file in folder.iterdir()] == [".lock"]
    assert train("name=a").code == 0
    assert not (folder / ".lock").exists()


def test_the_lock_of_a_dead_process_is_taken_over(tmp_path: Path) -> None:
    done = subprocess.Popen([sys.executable, "-c", ""])
    while start_of(done.pid) not in ("ended", None):
        time.sleep(0.01)
    held_by(tmp_path, HOST, done.pid)  # nobody has waited for it yet
    with RunLock(tmp_path):
        pass
    done.wait()
    held_by(tmp_path, HOST, done.pid)
    with RunLock(tmp_path):
        pass
    held_by(tmp_path, HOST, os.getpid(), start="another process of this number")
    with RunLock(tmp_path):
        assert json.loads((tmp_path / ".lock").read_text())["start"] == start_of(os.getpid())
    assert list(tmp_path.iterdir()) == []


def test_of_another_machine_the_signs_of_life_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_lock, "BEAT", 0.05)
    monkeypatch.setattr(run_lock, "SILENCE", 1.0)
    file = held_by(tmp_path, "elsewhere", 7)
    ended = threading.Event()

    def beat() -> None:
        while not ended.wait(0.02):
            os.utime(file)

    thread = threading.Thread(target=beat)
    thread.start()
    try:
        with pytest.raises(ValueError, match="process 7 on elsewhere"):
            RunLock(tmp_path).__enter__()
    finally:
        ended.set()
        thread.join()
    last = file.stat().st_mtime
    with RunLock(tmp_path):  # once it has been silent
        first = file.stat().st_mtime
        assert first - last > run_lock.SILENCE
        while file.stat().st_mtime == first:
            assert time.time() - first < 30, "it gives no sign of life"
            time.sleep(0.01)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"host": "x"}'])
def test_a_lock_that_says_nothing_is_taken_over(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_lock, "BEAT", 0.05)
    monkeypatch.setattr(run_lock, "SILENCE", 0.05)
    (tmp_path / ".lock").write_text(text)
    with RunLock(tmp_path):
        assert json.loads((tmp_path / ".lock").read_text())["pid"] == os.getpid()
    assert not (tmp_path / ".lock").exists()


def test_what_killed_writers_left_is_removed(tmp_path: Path) -> None:
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    assert not is_running(done.pid)
    (tmp_path / f".a.txt.{HOST}.{done.pid}").write_text("half")
    (tmp_path / f".a.txt.{HOST}.{os.getppid()}").write_text("of one that writes now")
    with replacing(tmp_path / "a.txt") as partial:
        partial.write_text("whole")
    assert sorted(file.name for file in tmp_path.iterdir()) == [f".a.txt.{HOST}.{os.getppid()}", "a.txt"]


def test_a_folder_takes_the_old_ones_place_whole_or_not_at_all(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    for content in ("old", "new"):
        with replacing_folder(folder) as partial:
            (partial / f"{content}.txt").touch()
    with pytest.raises(FileNotFoundError), replacing_folder(folder) as partial:
        (partial / "none" / "half.txt").touch()
    assert [file.relative_to(tmp_path).as_posix() for file in tmp_path.rglob("*")] == ["a", "a/new.txt"]
