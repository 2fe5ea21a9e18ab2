"""A training that is asked to end by a signal finishes the step, and its exit status says that it is not finished.

SIGTERM comes from scancel, preemption, time limits and `docker stop`; SIGUSR1 from Slurm before the time is over, if
the job asked for it (``#SBATCH --signal=SIGUSR1@90``), and means that it is to be queued again. So does a preemption
that leaves the job time to end.
"""

from __future__ import annotations

import logging
import re
import signal
import subprocess
import threading
from collections.abc import Mapping
from contextlib import suppress
from types import FrameType, TracebackType
from typing import Any, Self

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback

from scripts.training import processes

SIGNALS = (signal.SIGTERM, signal.SIGUSR1)

log = logging.getLogger(__name__)


class Stopped(SystemExit):
    """Ends the process, with the status that a shell gives for a signal: 143 for SIGTERM, 138 for SIGUSR1."""

    def __init__(self, number: int) -> None:
        super().__init__(128 + number)
        self.signal = signal.Signals(number)


class Signals:
    """Listens to the signals, as a context."""

    def __init__(self) -> None:
        self.received: int | None = None
        self._deferred = False
        self._former: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        self._former = {number: signal.getsignal(number) for number in SIGNALS}
        self.raise_at_once()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._take(self._former)

    def raise_at_once(self) -> None:
        """From now on a signal raises `Stopped` where it comes."""
        self._deferred = False
        self._take(dict.fromkeys(SIGNALS, self._receive))

    def defer(self) -> None:
        """From now on a signal is noted only. (Lightning, which has taken them, would save inside the handler.)"""
        self._deferred = True
        self._take(dict.fromkeys(SIGNALS, self._receive))

    def kill(self) -> None:
        """From now on a signal ends the process as it does any other: also one that waits for other processes."""
        self._take(dict.fromkeys(SIGNALS, signal.SIG_DFL))

    def _take(self, handlers: Mapping[signal.Signals, Any]) -> None:
        if threading.current_thread() is threading.main_thread():
            for number, handler in handlers.items():
                signal.signal(number, handler)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        self.received = self.received or number
        if not self._deferred:
            raise Stopped(number)


class StopAfterStep(Callback):
    """Ends a training after the step, or block of validation, in which a signal came; all devices after the same."""

    def __init__(self, signals: Signals) -> None:
        self.signals = signals

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.signals.defer()

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        self._stop(trainer)

    def on_validation_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        self._stop(trainer)

    def _stop(self, trainer: pl.Trainer) -> None:
        number = self.signals.received
        if trainer.world_size > 1:
            for possible in SIGNALS:
                if trainer.strategy.reduce_boolean_decision(self.signals.received == possible, all=False):
                    number = self.signals.received = possible
        if number is not None:
            raise Stopped(number)


def is_preempted() -> bool:
    """Whether Slurm ends this job for the sake of another, and still waits for it.

    After the partition's GraceTime Slurm would queue it again. One that has ended by itself by then has failed.
    """
    job = processes.job()
    if job is None:
        return False
    with suppress(OSError):
        command = ["scontrol", "show", "job", "--oneliner", job]
        told = subprocess.run(command, capture_output=True, text=True, check=False).stdout
        return "JobState=RUNNING" in told and re.search(r"PreemptTime=\d", told) is not None
    return False


def requeue() -> None:
    """Has Slurm queue this job again, if there is one: the same command then continues its runs."""
    job = processes.job()
    if job is None:
        return
    try:
        subprocess.run(["scontrol", "requeue", job], check=True)
        log.info("Slurm queues job %s again.", job)
    except (OSError, subprocess.CalledProcessError) as error:
        log.error("Slurm cannot queue job %s again (%s): submit it anew, and it continues.", job, error)
