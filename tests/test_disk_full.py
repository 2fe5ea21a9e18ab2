"""A disk that is full at any moment: a clear message, nothing half-written, and the run goes on once there is room."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from models.run_files import read_config
from tests import scored_runs
from tests.conftest import Entry
from tests.test_stopping import same

SIZE = 2 * 2**20  # bytes of the disk


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small disk of its own, in place of runs/."""
    folder = tmp_path / "runs"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a disk can only be mounted by root")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(disk: Path, left: int) -> Path:
    """Takes all of the disk but so many bytes."""
    file = disk / "full"
    free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
    with file.open("wb") as stream:
        stream.write(bytes(max(free - left, 0)))
    return file


def whole(folder: Path) -> bool:
    """Whether all files of a run can be read."""
    assert not [file for file in folder.rglob("*") if file.name.startswith(".")], "left behind"
    for file in folder.rglob("*.ckpt"):
        torch.load(file, weights_only=True)
    for file in folder.rglob("*.json"):
        json.loads(file.read_text().splitlines()[-1] if file.parent.name == "scores" else file.read_text())
    if (folder / "config.yaml").exists():
        read_config(folder)
    return True


def check_training(train: Entry, disk: Path, tmp_path: Path, pages: list[int]) -> int:
    """Trains with so many pages of room, and then with enough; returns how often there was not enough."""
    refused = 0
    options = ("trainer.max_epochs=2", "trainer.limit_train_batches=2", "loss=esr")
    assert train("study=elsewhere", "name=whole", f"hydra.run.dir={tmp_path}/whole", *options).code == 0
    for left in pages:
        name = f"run{left}"
        full = fill(disk, left * 4096)
        result = train(f"name={name}", *options)
        folder = disk / "tiny" / name
        if result.code:
            refused += 1
            assert "No space left on device" in result.err, (left, result.err)
            assert "Traceback" not in result.err + result.out, (left, result.err)
        if folder.exists():
            assert whole(folder), left
        full.unlink()
        assert train(f"name={name}", *options).code == 0
        assert same(tmp_path / "whole", folder)
        subprocess.run(["rm", "-r", str(disk / "tiny")], check=True)
    return refused


def test_a_training_whose_disk_is_full_goes_on_when_there_is_room(train: Entry, disk: Path, tmp_path: Path) -> None:
    assert check_training(train, disk, tmp_path, [0, 9]) == 2


@pytest.mark.slow
def test_a_training_goes_on_wherever_the_disk_was_full(train: Entry, disk: Path, tmp_path: Path) -> None:
    assert check_training(train, disk, tmp_path, list(range(40))) >= 20


def test_an_evaluation_whose_disk_is_full_goes_on(evaluate: Entry, disk: Path, data_root: Path, tmp_path: Path) -> None:
    for study in ("whole", "parts"):
        for name, number in (("l1-seed1", 1), ("mrstft-seed1", 2)):
            scored_runs.make_run((tmp_path if study == "whole" else disk) / study / name, data_root, number)
    assert evaluate(f"runs={tmp_path}/whole").code == 0
    for left in (0, 5):
        full = fill(disk, left * 4096)
        result = evaluate(f"runs={disk}/parts")
        assert result.code == 1, left
        assert "No space left on device" in result.err + result.out, (left, result.err)
        assert "Traceback" not in result.err + result.out, (left, result.err)
        assert whole(disk / "parts")
        full.unlink()
    assert evaluate(f"runs={disk}/parts").code == 0
    tables = [(folder / "results" / "table1.csv").read_text() for folder in (tmp_path / "whole", disk / "parts")]
    assert tables[0] == tables[1]
