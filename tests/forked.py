"""A copy of this process, to be killed: it dies as any process does, and has imported already what takes seconds."""

from __future__ import annotations

import os
import signal
import warnings
from collections.abc import Callable


def forked(work: Callable[[], object]) -> int:
    """Starts a copy of this process that does some work and ends without tidying up; returns its number."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of Python 3.12: this process has threads
        number = os.fork()
    if number == 0:
        try:
            signal.alarm(120)  # seconds; a copy that hangs ends
            work()
        finally:
            os._exit(0)
    return number


def killed(number: int) -> int:
    """Kills a copy, if it has not ended; returns the signal that ended it, or 0."""
    os.kill(number, signal.SIGKILL)
    return os.WTERMSIG(os.waitpid(number, 0)[1])
