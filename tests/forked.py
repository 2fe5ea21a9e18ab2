"""Copies of this process, which has imported already what takes seconds: for what dies, exits, or is sent a signal.

    copy = forked(lambda: work())                              # until it is killed, or ends
    copy = started("train.py", "loss=l1", output=file)         # as python train.py loss=l1 > file 2>&1 from the root
    copy = started("-m", "scripts.render", "in.wav", "out.wav", output=file, cwd=folder, OMP_NUM_THREADS="2")
    os.kill(copy, signal.SIGINT); assert ended(copy) == 130

A copy has what a process of its own would not have: all that was imported, registered and patched. Whether a program
imports what it needs, and only that, only a process of its own can tell for sure (`tests/test_start_up.py`).
"""

from __future__ import annotations

import os
import runpy
import signal
import sys
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path

from hydra.core.global_hydra import GlobalHydra

ROOT = Path(__file__).parent.parent
SECONDS = 600  # after which a copy that hangs ends


def forked(work: Callable[[], object]) -> int:
    """Starts a copy of this process that does some work and ends without tidying up; returns its number."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of Python 3.12: this process has threads
        number = os.fork()
    if number == 0:
        try:
            signal.alarm(SECONDS)
            work()
        finally:
            os._exit(0)
    return number


def started(*command: str, output: Path, cwd: Path = ROOT, **environment: str) -> int:
    """Starts ``python <command>``, a script of the repository or a module after "-m", in a copy; returns its number."""
    output.touch()  # it may be read at once
    return forked(lambda: os._exit(_run(command, output, cwd, environment)))


def ended(number: int) -> int:
    """Waits for a copy; returns its exit status, or minus the signal that ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(number, 0)[1])


def killed(number: int) -> int:
    """Kills a copy, if it has not ended; returns the signal that ended it, or 0."""
    os.kill(number, signal.SIGKILL)
    return max(-ended(number), 0)


def _run(command: tuple[str, ...], output: Path, cwd: Path, environment: dict[str, str]) -> int:
    """A program's exit status; as the interpreter begins, runs and ends."""
    with output.open("wb") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    sys.stdout, sys.stderr = (os.fdopen(number, "w", buffering=1, closefd=False) for number in (1, 2))
    for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    _warn_as_usual()
    GlobalHydra.instance().clear()
    os.environ.update(environment)
    os.chdir(cwd)
    module = command[0] == "-m"
    program, *arguments = command[module:]
    sys.argv = [program if module else str(ROOT / program), *arguments]
    try:
        if module:
            runpy.run_module(program, run_name="__main__", alter_sys=True)
        else:
            runpy.run_path(sys.argv[0], run_name="__main__")
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
    except KeyboardInterrupt:
        traceback.print_exc()
        status = 130
    except BaseException:
        traceback.print_exc()
        status = 1
    sys.stdout.flush()
    sys.stderr.flush()
    return status


def _warn_as_usual() -> None:
    """Warnings are printed, and only those that Python shows; pytest makes them errors, and keeps the rest."""
    warnings.resetwarnings()
    for category in (DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning):
        warnings.simplefilter("ignore", category)
    warnings.showwarning = lambda *shown: print(warnings.formatwarning(*shown[:4]), end="", file=sys.stderr)
