"""Runs the jobs of a sweep side by side, each in a process of its own.

python -m scripts.sweep experiment=quick                       the six losses, as many at once as there are cores
python -m scripts.sweep --jobs 2 experiment=quick seed=1,2,3,4
python -m scripts.sweep experiment=paper trainer=gpu           as many at once as there are GPUs, one each

The arguments are those of ``train.py --multirun``, and so are the folders: what one began, the other continues. A job
that fails costs the others nothing; it is named at the end, with the end of what it said, and the exit status is 1.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Sequence

from scripts.training.jobs import FAULTS, ROOT, jobs_of, with_studies

KEPT_LINES = 12  # of what a job said
REFRESH_SECONDS = 1.0


class Job:
    """A training in a process of its own, and what it says."""

    def __init__(self, overrides: Sequence[str], environment: dict[str, str]) -> None:
        self.name = " ".join(overrides)
        self.said: deque[str] = deque(maxlen=KEPT_LINES)
        self.process = subprocess.Popen(
            [sys.executable, str(ROOT / "train.py"), *overrides, "hydra.mode=RUN"],
            env=os.environ | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,  # a progress bar's \r ends a line as well
            errors="replace",
        )
        self.listener = threading.Thread(target=self._listen, daemon=True)
        self.listener.start()

    @property
    def ended(self) -> bool:
        return self.process.poll() is not None

    def _listen(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as lines:
            for line in lines:
                if line.strip():
                    self.said.append(line.rstrip())


class Screen:
    """A line for each job that runs, the same lines again and again; on anything but a terminal, nothing."""

    def __init__(self) -> None:
        self.lines = 0

    def show(self, running: Sequence[Job]) -> None:
        if not sys.stderr.isatty():
            return
        width = os.get_terminal_size(sys.stderr.fileno()).columns - 1
        self.clear()
        for job in running:
            print((job.said[-1] if job.said else job.name)[:width], file=sys.stderr)
        self.lines = len(running)

    def clear(self) -> None:
        if self.lines:
            print(f"\x1b[{self.lines}F\x1b[J", end="", file=sys.stderr, flush=True)
            self.lines = 0


def run(jobs: Sequence[Sequence[str]], at_once: int, gpus: Sequence[str] = ()) -> list[str]:
    """Runs all jobs, so many at once, and returns the names of those that failed.

    Args:
        jobs: overrides of each.
        at_once: number of processes, which share the cores.
        gpus: their names; each process sees one.
    """
    threads = max(1, len(os.sched_getaffinity(0)) // at_once)
    waiting, running, failed, screen = deque(jobs), dict[int, Job](), [], Screen()
    try:
        while waiting or running:
            for slot in range(at_once):
                if slot not in running and waiting:
                    own = {"OMP_NUM_THREADS": str(threads)}
                    if gpus:
                        own["CUDA_VISIBLE_DEVICES"] = gpus[slot % len(gpus)]
                    running[slot] = Job(waiting.popleft(), own)
            screen.show([running[slot] for slot in sorted(running)])
            time.sleep(REFRESH_SECONDS)
            for slot, job in [*running.items()]:
                if job.ended:
                    del running[slot]
                    job.listener.join()
                    screen.clear()
                    if job.process.returncode:
                        failed.append(job.name)
                        print(f"Failed ({job.process.returncode}): {job.name}", *job.said, sep="\n  ", flush=True)
                    else:
                        print(job.said[-1] if job.said else job.name, flush=True)
    finally:
        for job in running.values():  # at an interruption, which they get as well, each writes how it ended
            job.process.terminate()
        for job in running.values():
            job.process.wait()
            job.listener.join()
    return failed


def main() -> None:
    import torch

    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    found = torch.cuda.device_count()
    gpus = visible.split(",")[:found] if visible else [str(number) for number in range(found)]
    parser = argparse.ArgumentParser(
        "python -m scripts.sweep", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--jobs", type=int, help="at once; as many as there are GPUs, or else cores, if left out")
    parser.add_argument("overrides", nargs="*", help="as of train.py --multirun")
    chosen = parser.parse_intermixed_args()
    if chosen.jobs is not None and chosen.jobs < 1:
        parser.error(f"--jobs must be at least 1, got {chosen.jobs}")
    try:
        jobs, _ = with_studies(jobs_of(chosen.overrides))
    except FAULTS as error:
        sys.exit(f"Error: {error}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # with an end to the jobs
    at_once = min(chosen.jobs or len(gpus) or len(os.sched_getaffinity(0)), len(jobs))
    failed = run(jobs, at_once, gpus)
    if failed:
        sys.exit("\n".join([f"{len(failed)} of {len(jobs)} jobs failed; the same command tries them again:", *failed]))


if __name__ == "__main__":
    main()
