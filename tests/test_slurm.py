"""Trainings on a real Slurm, disturbed in every way that a cluster has, end as those that nothing has disturbed.

Nearly all of the time goes into starting processes. So all that befalls a training befalls one sweep, one after the
other.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from models.run_files import read_status
from tests import gate, scored_runs, slurm_cluster
from tests.conftest import ROOT, TINY
from tests.slurm_cluster import NODES, Cluster
from tests.test_stopping import same

pytestmark = [
    pytest.mark.slurm,
    pytest.mark.skipif(bool(slurm_cluster.missing()), reason=f"there is no {slurm_cluster.missing()}"),
]

LONGEST = 300  # seconds of any wait
EPOCHS = 5  # of 4 steps
TRAINING = (*TINY, "name=${choices.loss}", "scheduler=cosine", f"trainer.max_epochs={EPOCHS}")
SMALL = ("slurm.cpus-per-task=1", "slurm.mem=null", "slurm.time=00:20:00")


class Laboratory:
    """A folder of runs, and the commands that a laboratory calls there."""

    def __init__(self, cluster: Cluster, folder: Path, root: Path) -> None:
        self.cluster = cluster
        self.folder = folder
        self.gate = folder / "gate"
        self.training = (*TRAINING, f"data.root={root}")
        self.gated = gate.arguments(self.gate)

    def begin(self, *arguments: str) -> subprocess.Popen[str]:
        """Starts a command of Python; `end` waits for it."""
        environment = self.cluster.environment | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        pipe = subprocess.PIPE
        return subprocess.Popen(
            [sys.executable, *arguments], cwd=self.folder, env=environment, stdout=pipe, stderr=pipe, text=True
        )

    def end(self, process: subprocess.Popen[str]) -> str:
        """What a command has printed."""
        out, err = process.communicate()
        assert process.returncode == 0, out + err
        return out

    def python(self, *arguments: str) -> str:
        return self.end(self.begin(*arguments))

    def submit(self, *arguments: str) -> str:
        """Submits trainings; returns the job's number."""
        printed = self.python("-m", "scripts.submit", *SMALL, *self.training, *arguments)
        return printed.split(":")[0].removeprefix("Job ")

    def evaluate(self, study: str) -> subprocess.Popen[str]:
        return self.begin(str(ROOT / "evaluate.py"), *scored_runs.LIGHT, f"runs=runs/{study}")

    def wait_for(self, job: str, state: str) -> None:
        def is_there() -> bool:
            return self.cluster.states().get(job) == state

        self.cluster.wait(is_there, f"{job} {state}", LONGEST)

    def wait_for_restart(self, job: str, times: int) -> None:
        """Until Slurm has queued a job so many times again."""
        command = ("scontrol", "show", "job", "--oneliner", job)
        self.cluster.wait(lambda: f"Restarts={times} " in self.cluster.run(*command), f"{job} queued again", LONGEST)

    def wait_within(self, epoch: int, *runs: str) -> None:
        """Until the gate holds runs within an epoch."""
        gate.open_until(self.gate, epoch)
        for run in runs:
            self.cluster.wait(lambda run=run: gate.waits(self.gate, run, epoch), f"{run} in epoch {epoch}", LONGEST)


@pytest.fixture(scope="module")
def laboratory(tiny_root: Path) -> Iterator[Laboratory]:
    with tempfile.TemporaryDirectory(prefix="slurm") as name:
        folder = Path(name)
        (folder / "slurm").mkdir()
        (folder / "work").mkdir()
        with slurm_cluster.running(folder / "slurm") as cluster:
            yield Laboratory(cluster, folder / "work", tiny_root)


def stopped_by(folder: Path) -> tuple[str, str]:
    status = read_status(folder)
    return status["state"], status.get("stopped_by", "")


def test_a_sweep_disturbed_in_every_way_ends_with_the_table_of_one_that_nothing_disturbs(
    laboratory: Laboratory,
) -> None:
    runs, run = laboratory.folder / "runs", laboratory.cluster.run
    losses = ("l1", "esr", "logcosh")
    sweep = (*laboratory.training, f"loss={','.join(losses)}", "study=alone")
    alone = laboratory.begin(str(ROOT / "train.py"), "-m", *sweep)
    options = ("study=array", *laboratory.gated)
    graceful = (*options, "loss=logcosh", "slurm.partition=graceful")
    two = laboratory.submit(*options, "loss=l1,esr", "slurm.at_once=2")
    jobs = dict(zip(losses, (f"{two}_0", f"{two}_1", f"{laboratory.submit(*graceful)}_0"), strict=True))
    restarts = dict.fromkeys(jobs, 0)

    def is_queued_again(*names: str) -> None:
        for name in names:
            restarts[name] += 1
            laboratory.wait_for_restart(jobs[name], restarts[name])

    laboratory.wait_within(1, *jobs)
    assert laboratory.python("-m", "scripts.runs", "array").endswith("\n3 running\n")

    # The time is nearly over; an administrator; the user, who submits what was cancelled again.
    run("scancel", "--signal=USR1", jobs["l1"])
    run("scontrol", "requeue", jobs["esr"])
    run("scancel", jobs["logcosh"])
    is_queued_again("l1")
    assert stopped_by(runs / "array/l1") == ("interrupted", "SIGUSR1")
    is_queued_again("esr")
    laboratory.wait_for(jobs["logcosh"], "CANCELLED")
    assert stopped_by(runs / "array/logcosh") == ("interrupted", "SIGTERM")
    jobs["logcosh"] = f"{laboratory.submit(*graceful)}_0"

    # A job that is more urgent takes all of the cluster; in one of the partitions it leaves others time to end.
    laboratory.wait_within(2, *jobs)
    run("sbatch", "-p", "urgent", "-N2", "--ntasks-per-node=4", "--mem=0", "--wrap", "sleep 1", "-o", "/dev/null")
    is_queued_again(*jobs)

    # A node goes away, and comes back when all has ended on the other.
    laboratory.wait_within(3, *jobs)
    nodes = {name: run("squeue", "-h", "-j", job, "-o", "%N").strip() for name, job in jobs.items()}
    node = nodes["l1"]
    lost = [name for name in jobs if nodes[name] == node]
    (other,) = {*NODES} - {node}
    run("scontrol", "update", f"NodeName={other}", "State=DRAIN", "Reason=look")  # what is lost starts there later
    laboratory.cluster.lose_node(node)
    try:
        told = laboratory.python("-m", "scripts.runs", "array")
        assert told.count("its process has ended without a word") == len(lost)
        run("scontrol", "update", f"NodeName={other}", "State=RESUME")
        is_queued_again(*lost)
        gate.open_until(laboratory.gate, EPOCHS)
        for job in jobs.values():
            laboratory.wait_for(job, "COMPLETED")
    finally:
        laboratory.cluster.resume(node)

    laboratory.end(alone)
    for name in jobs:
        assert same(runs / "alone" / name, runs / "array" / name)
    assert sorted(os.listdir(runs / "array")) == [*sorted(jobs), "slurm"]
    assert laboratory.python("-m", "scripts.runs", "array").endswith("\n3 finished\n")
    for evaluation in [laboratory.evaluate(study) for study in ("alone", "array")]:
        laboratory.end(evaluation)
    tables = [(runs / study / "results" / "table1.csv").read_text() for study in ("alone", "array")]
    assert tables[0] == tables[1]
    assert "ESR" in tables[0]


def test_two_nodes_train_one_run(laboratory: Laboratory) -> None:
    folder = laboratory.folder / "runs" / "nodes" / "l1"
    several = ("slurm.nodes=2", "slurm.ntasks-per-node=1", "+trainer.strategy=ddp", "data.batch_size=2")
    other = laboratory.submit(*several, "study=undisturbed")
    job = laboratory.submit(*several, "study=nodes", *laboratory.gated)
    laboratory.wait_within(1, folder.name)
    laboratory.cluster.run("scancel", "--signal=USR1", f"{job}_0")
    laboratory.wait_for_restart(f"{job}_0", 1)
    gate.open_until(laboratory.gate, EPOCHS)
    for number in (job, other):
        laboratory.wait_for(f"{number}_0", "COMPLETED")
    assert read_status(folder)["steps"] == EPOCHS * 4  # 16 crops, two on each of two nodes
    assert same(folder.parents[1] / "undisturbed" / folder.name, folder)
    assert sorted(os.listdir(folder.parent)) == [folder.name, "slurm"]
