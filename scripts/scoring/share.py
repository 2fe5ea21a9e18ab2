"""Several processes, also on several machines, that score the runs of one evaluation: each takes what nobody has taken.

What is taken is locked by a file beside its scores, and what is scored is read from there by the others. One process
collects. What a process had taken that has died is taken by the rest.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from hydra.core.hydra_config import HydraConfig

from models import run_lock
from models.run_lock import RunLock
from scripts.scoring import scorer
from scripts.scoring.cache import Scored
from scripts.scoring.scorer import LARGEST_BATCH, Job, Scorer

ROOT = Path(__file__).parents[2]
POLL_SECONDS = 1.0  # between looks for what others have scored
SHARED_BY = "EVALUATE_SHARED_BY"  # tells a process that is started here how many they are

Outcomes = dict[str, Scored | Exception]


def complete(score_with: Scorer, jobs: list[Job], workers: int, score_only: bool) -> Outcomes:
    """As `scorer.complete`, beside other processes that score the same jobs.

    Args:
        score_with: network side of the scoring, and metrics.
        jobs: to be scored.
        workers: processes of this machine; those beside this one are started here. Tasks of srun are others already.
        score_only: end when nothing is left to take, also while others still score.
    """
    tasks = int(os.environ.get("SLURM_NTASKS", "1"))
    if workers == tasks == 1 and not score_only:
        return scorer.complete(score_with, jobs)
    sharing = max(workers, tasks, int(os.environ.get(SHARED_BY, "1")))
    outcomes: Outcomes = {job.label: job.known for job in jobs if not job.missing}
    waiting = [job for job in jobs if job.missing]
    with helpers(workers - 1 if waiting else 0):
        while waiting:
            # Several at a time, as that is cheaper; but such a part of them that all have something to do.
            size = min(max(len(waiting) // (2 * sharing), 1), LARGEST_BATCH)
            done = _some(score_with, waiting, size)
            outcomes |= done
            waiting = [job for job in waiting if job.label not in outcomes]
            if waiting and not done:
                if score_only:
                    break
                time.sleep(POLL_SECONDS)
    return outcomes


def collects(score_only: bool) -> bool:
    """Whether this process writes the results: of the tasks that srun starts, the first."""
    return not score_only and os.environ.get("SLURM_PROCID", "0") == "0"


def _some(score_with: Scorer, waiting: Sequence[Job], size: int) -> Outcomes:
    """Scores the first jobs, so many, that nobody has taken."""
    for start in range(0, len(waiting), size):
        part = waiting[start : start + size]
        with taken([job.file.parent for job in part]) as folders:
            mine = [score_with.look_up(job) for job in part if job.file.parent in folders]
            if mine:
                return scorer.complete(score_with, mine)
    return {}


@contextmanager
def taken(folders: Sequence[Path]) -> Iterator[list[Path]]:
    """Those of the folders of scores that no other process has taken, for as long as the context lasts."""
    with ExitStack() as stack:
        mine = []
        for folder in folders:
            if run_lock.holder(folder) is not None:
                continue
            try:
                stack.enter_context(RunLock(folder))
            except ValueError:  # just now taken by another
                continue
            except OSError:  # a folder that cannot be written: its scores are not kept, and nobody can share them
                pass
            mine.append(folder)
        yield mine


@contextmanager
def helpers(count: int) -> Iterator[None]:
    """Processes of this machine that score the same, and share the cores with this one."""
    overrides = HydraConfig.get().overrides.task if count > 0 else []
    command = [sys.executable, str(ROOT / "evaluate.py"), *overrides, "workers=1", "score_only=true"]
    threads = str(max(1, len(os.sched_getaffinity(0)) // (count + 1)))
    environment = os.environ | {"OMP_NUM_THREADS": threads, SHARED_BY: str(count + 1)}
    quiet = subprocess.DEVNULL  # what is wrong with a run is told once, by this process
    started = [subprocess.Popen(command, env=environment, stdout=quiet, stderr=quiet) for _ in range(count)]
    try:
        yield
    finally:
        for process in started:
            process.terminate()
        for process in started:
            process.wait()
