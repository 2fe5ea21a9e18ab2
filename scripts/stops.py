"""A training that is asked to end by a signal finishes the step, and its exit status says that it is not finished.

SIGTERM comes from scancel, preemption, time limits and `docker stop`; SIGUSR1 from Slurm before the time is over, if
the job asked for it (``#SBATCH --signal=SIGUSR1@90``), and means that it is to be queued again.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any, Self

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback

SIGNALS = (signal.SIGTERM, signal.SIGUSR1)

log = logging.getLogger(__name__)


class Stopped(SystemExit):
    """Ends the process, with the status that a shell gives for a signal: 143 for SIGTERM, 138 for SIGUSR1."""

    def __init__(self, number: int) -> None:
        super().__init__(128 + number)
        self.signal = signal.Signals(number)


class Signals:
    """Listens, as a context: raises `Stopped` at once, or within `deferred` notes the signal for who asks for it."""

    def __init__(self) -> None:
        self.received: int | None = None
        self._deferred = False
        self._former: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        self._former = {number: signal.getsignal(number) for number in SIGNALS}
        self.listen()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if _in_main_thread():
            for number, handler in self._former.items():
                signal.signal(number, handler)

    def listen(self) -> None:
        """Takes the signals, also those that Lightning has taken meanwhile: it would save inside the handler."""
        if _in_main_thread():
            for number in SIGNALS:
                signal.signal(number, self._receive)

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """Within it a signal is noted only."""
        self._deferred = True
        try:
            yield
        finally:
            self._deferred = False

    def _receive(self, number: int, frame: FrameType | None) -> None:
        self.received = self.received or number
        if not self._deferred:
            raise Stopped(number)


class StopAfterStep(Callback):
    """Ends a training after the step, or block of validation, in which a signal came; all devices after the same."""

    def __init__(self, signals: Signals) -> None:
        self.signals = signals

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.signals.listen()

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


def requeue() -> None:
    """Has Slurm queue this job again, if there is one: the same command then continues its runs."""
    if "SLURM_JOB_ID" not in os.environ:
        return
    job = os.environ["SLURM_JOB_ID"]
    if "SLURM_ARRAY_JOB_ID" in os.environ:
        job = f"{os.environ['SLURM_ARRAY_JOB_ID']}_{os.environ['SLURM_ARRAY_TASK_ID']}"
    try:
        subprocess.run(["scontrol", "requeue", job], check=True)
        log.info("Slurm queues job %s again.", job)
    except (OSError, subprocess.CalledProcessError) as error:
        log.error("Slurm cannot queue job %s again (%s): submit it anew, and it continues.", job, error)


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()
