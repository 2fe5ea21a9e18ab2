"""Trainings on a real Slurm, disturbed in every way that a cluster has, end as those that nothing has disturbed."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from models.run_files import read_status
from tests import scored_runs, slurm_cluster
from tests.conftest import ROOT, TINY
from tests.slurm_cluster import Cluster
from tests.test_stopping import same

pytestmark = [
    pytest.mark.slurm,
    pytest.mark.skipif(bool(slurm_cluster.missing()), reason=f"not installed: {', '.join(slurm_cluster.missing())}"),
]

STEPS = 16  # of an epoch
EPOCHS = 12
TRAINING = (
    *TINY,
    "data.batch_size=2",
    "name=${choices.loss}-seed${seed}",
    "scheduler=cosine",
    f"trainer.max_epochs={EPOCHS}",
)
NAME = "l1-seed42"
SWEEP = ("loss=l1,esr,logcosh", "seed=1,2", "trainer.max_epochs=2")
SMALL = ("slurm.cpus-per-task=1", "slurm.mem=null", "slurm.time=00:20:00")


class Laboratory:
    """A folder of runs, and the commands that a laboratory calls there."""

    def __init__(self, cluster: Cluster, folder: Path, root: Path) -> None:
        self.cluster = cluster
        self.folder = folder
        self.root = root

    def python(self, *arguments: str) -> str:
        environment = self.cluster.environment | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        done = subprocess.run(
            [sys.executable, *arguments], cwd=self.folder, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def submit(self, *arguments: str) -> str:
        """Submits trainings; returns the job's number."""
        printed = self.python("-m", "scripts.submit", *SMALL, *TRAINING, f"data.root={self.root}", *arguments)
        return printed.split(":")[0].removeprefix("Job ")

    def state(self, job: str) -> str:
        return self.cluster.states().get(job, "")

    def wait_for(self, job: str, state: str, seconds: float = 900) -> None:
        self.cluster.wait(lambda: self.state(job) == state, f"{job} {state}; it is {self.state(job)}", seconds)

    def wait_for_requeue(self, job: str, times: int) -> None:
        """Until Slurm has queued a job so many times again."""
        command = ("scontrol", "show", "job", "--oneliner", job)
        self.cluster.wait(lambda: f"Restarts={times}" in self.cluster.run(*command), f"{job} queued again", 900)

    def wait_for_epochs(self, folder: Path, epochs: int) -> None:
        """Until so many epochs have ended, and something of the next one."""
        file = self.folder / folder / "metrics.csv"
        self.cluster.wait(lambda: file.exists() and file.read_text().count("\n") > epochs, f"{epochs} epochs", 900)
        time.sleep(0.2)


@pytest.fixture(scope="module")
def laboratory(tiny_root: Path) -> Iterator[Laboratory]:
    with tempfile.TemporaryDirectory(prefix="slurm") as name:
        folder = Path(name)
        (folder / "slurm").mkdir()
        (folder / "work").mkdir()
        with slurm_cluster.running(folder / "slurm") as cluster:
            yield Laboratory(cluster, folder / "work", tiny_root)


@pytest.fixture(scope="module")
def undisturbed(laboratory: Laboratory) -> Path:
    """A run that was trained without Slurm."""
    laboratory.python(str(ROOT / "train.py"), *TRAINING, f"data.root={laboratory.root}", "study=undisturbed")
    return laboratory.folder / "runs" / "undisturbed" / NAME


def test_a_sweep_is_an_array_whose_table_is_that_of_undisturbed_runs(laboratory: Laboratory) -> None:
    job = laboratory.submit("study=array", *SWEEP, "slurm.at_once=2")
    options = [*TRAINING, f"data.root={laboratory.root}", *SWEEP, "study=alone"]
    laboratory.python(str(ROOT / "train.py"), "-m", *options)
    for task in range(6):
        laboratory.wait_for(f"{job}_{task}", "COMPLETED")
    runs = laboratory.folder / "runs"
    names = sorted(folder.name for folder in (runs / "alone").iterdir() if folder.is_dir())
    assert sorted(folder.name for folder in (runs / "array").iterdir()) == [*names, "slurm"]
    assert len(names) == 6
    assert laboratory.python("-m", "scripts.runs", "array").endswith("\n6 finished\n")
    for study in ("alone", "array"):
        laboratory.python(str(ROOT / "evaluate.py"), *scored_runs.LIGHT, f"runs=runs/{study}")
    tables = [(runs / study / "results" / "table1.csv").read_text() for study in ("alone", "array")]
    assert tables[0] == tables[1]
    assert "logcosh" in tables[0].lower()


@pytest.mark.parametrize("partition", ["work", "graceful"])
def test_a_preempted_training_is_queued_again_and_continues(
    laboratory: Laboratory, undisturbed: Path, partition: str
) -> None:
    study = f"preempted-{partition}"
    folder = laboratory.folder / "runs" / study / NAME
    job = laboratory.submit(f"study={study}", f"slurm.partition={partition}")
    laboratory.wait_for_epochs(folder, 2)
    wrap = ["--wrap", "sleep 2", "-o", "/dev/null"]
    laboratory.cluster.run("sbatch", "-p", "urgent", "-N2", "--ntasks-per-node=4", "--mem=0", *wrap)
    laboratory.wait_for_requeue(f"{job}_0", 1)
    laboratory.wait_for(f"{job}_0", "COMPLETED")
    assert same(undisturbed, folder)


def test_a_training_whose_node_goes_away_continues(laboratory: Laboratory, undisturbed: Path) -> None:
    folder = laboratory.folder / "runs" / "lost" / NAME
    job = laboratory.submit("study=lost")
    laboratory.wait_for_epochs(folder, 2)
    node = laboratory.cluster.run("squeue", "-h", "-j", job, "-o", "%N").strip()
    laboratory.cluster.lose_node(node)
    try:
        assert "its process has ended without a word" in laboratory.python("-m", "scripts.runs", "lost")
        laboratory.wait_for(f"{job}_0", "COMPLETED")  # on the other node
    finally:
        laboratory.cluster.resume(node)
    assert same(undisturbed, folder)


def test_a_cancelled_training_continues_when_it_is_submitted_again(laboratory: Laboratory, undisturbed: Path) -> None:
    folder = laboratory.folder / "runs" / "cancelled" / NAME
    job = laboratory.submit("study=cancelled")
    laboratory.wait_for_epochs(folder, 2)
    laboratory.cluster.run("scancel", job)
    laboratory.wait_for(f"{job}_0", "CANCELLED")
    ended = read_status(folder)
    assert (ended["state"], ended["stopped_by"]) == ("interrupted", "SIGTERM")
    job = laboratory.submit("study=cancelled")
    laboratory.wait_for(f"{job}_0", "COMPLETED")
    assert same(undisturbed, folder)


def test_what_is_queued_again_in_the_middle_of_an_epoch_continues(laboratory: Laboratory, undisturbed: Path) -> None:
    folder = laboratory.folder / "runs" / "requeued" / NAME
    job = laboratory.submit("study=requeued")
    laboratory.wait_for_epochs(folder, 2)
    laboratory.cluster.run("scancel", "--signal=USR1", f"{job}_0")  # as --signal does before the time is over
    laboratory.wait_for_requeue(f"{job}_0", 1)
    ended = read_status(folder)
    assert (ended["state"], ended["stopped_by"]) == ("interrupted", "SIGUSR1")
    laboratory.wait_for_epochs(folder, 5)
    laboratory.cluster.run("scontrol", "requeue", f"{job}_0")  # as an administrator does
    laboratory.wait_for_requeue(f"{job}_0", 2)
    laboratory.wait_for(f"{job}_0", "COMPLETED")
    assert same(undisturbed, folder)


def test_two_nodes_train_one_run(laboratory: Laboratory) -> None:
    folder = laboratory.folder / "runs" / "nodes" / NAME
    several = ("slurm.nodes=2", "slurm.ntasks-per-node=1", "+trainer.strategy=ddp")
    arguments = ("study=nodes", "trainer.max_epochs=6", *several)
    job = laboratory.submit(*arguments)
    laboratory.wait_for_epochs(folder, 2)
    laboratory.cluster.run("scancel", "--signal=USR1", f"{job}_0")
    laboratory.wait_for_requeue(f"{job}_0", 1)
    laboratory.wait_for(f"{job}_0", "COMPLETED")
    job = laboratory.submit(*arguments, "study=nodes-undisturbed")
    laboratory.wait_for(f"{job}_0", "COMPLETED")
    assert read_status(folder)["steps"] == 6 * STEPS // 2
    assert same(folder.parents[1] / "nodes-undisturbed" / NAME, folder)
    assert sorted(os.listdir(folder.parent)) == [NAME, "slurm"]
