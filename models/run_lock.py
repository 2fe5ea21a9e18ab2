"""One training at a time in a run's folder, also from several machines.

The lock is a file that names the machine and the process that hold it, and whose time of change is moved on as long as
they live. One that was left behind is taken over: at once where its process can be looked for, else when its time has
stood still. Times are compared as the file system of the folder has them, whatever the clocks of the machines say.
"""

from __future__ import annotations

import json
import logging
import os
import threading
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from models.atomic import HOST, is_running, start_of

BEAT = 10.0  # seconds between signs of life
SILENCE = 60.0  # seconds without one, after which a process of another machine is taken for dead

log = logging.getLogger(__name__)


class RunLock:
    """Holds a run's folder, as a context.

    Raises:
        ValueError: if another process holds it; names its machine and number.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / ".lock"
        self._mine = json.dumps({"host": HOST, "pid": os.getpid(), "start": start_of(os.getpid())})
        self._probe = folder / f".lock.{HOST}.{os.getpid()}"
        self._released = threading.Event()

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            seen: tuple[str, float] | None = None
            while not self._take():
                text, changed = self._look()
                if changed is None:
                    continue  # released just now
                self._refuse_if_alive(text, changed, seen)
                if self._is_dead(text, changed):
                    self._remove(text)
                    continue
                if seen is None:
                    log.info("%s is held by %s; is it alive?", self.folder, _told(text))
                seen = seen or (text, changed)
                time.sleep(min(BEAT / 10, 1))
        finally:
            self._probe.unlink(missing_ok=True)
        threading.Thread(target=self._beat, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._released.set()
        if self._look()[0] == self._mine:
            self.file.unlink(missing_ok=True)

    def _take(self) -> bool:
        """Makes the file, unless there is one. It appears with its content."""
        self._probe.write_text(self._mine)
        try:
            os.link(self._probe, self.file)
        except FileExistsError:
            return False
        except OSError:  # a file system without links
            try:
                with self.file.open("x") as stream:
                    stream.write(self._mine)
            except FileExistsError:
                return False
        return True

    def _look(self) -> tuple[str, float | None]:
        """What the file says and when it was changed last; None for one that is not there."""
        try:
            return self.file.read_text(), self.file.stat().st_mtime
        except OSError:
            return "", None

    def _refuse_if_alive(self, text: str, changed: float, seen: tuple[str, float] | None) -> None:
        holder = _holder(text)
        here = holder.get("host") == HOST and is_running(int(holder["pid"]), holder.get("start"))
        if here or (seen is not None and (text, changed) != seen):
            raise ValueError(
                f"{self.folder} is being trained by {_told(text)}. Wait for its end or stop it, or choose another "
                f"study=… or name=…"
            )

    def _is_dead(self, text: str, changed: float) -> bool:
        holder = _holder(text)
        return holder.get("host") == HOST or self._probe.stat().st_mtime - changed > SILENCE

    def _remove(self, text: str) -> None:
        """Removes a dead process's file, unless another process has taken it over meanwhile."""
        aside = self._probe.with_suffix(".dead")
        with suppress(FileNotFoundError):
            self.file.rename(aside)
            if aside.read_text() != text:
                aside.rename(self.file)
            aside.unlink(missing_ok=True)

    def _beat(self) -> None:
        while not self._released.wait(BEAT) and self._look()[0] == self._mine:
            with suppress(OSError):
                os.utime(self.file)


def holder(folder: Path) -> dict[str, Any] | None:
    """Who trains the run of a folder now: host and pid; None if nobody does, or its process is gone.

    The lock is left alone, so that of another machine the clock of this one counts.
    """
    file = folder / ".lock"
    try:
        found, changed = _holder(file.read_text()), file.stat().st_mtime
    except OSError:
        return None
    if found.get("host") == HOST:
        return found if is_running(int(found["pid"]), found.get("start")) else None
    return found if found and time.time() - changed < SILENCE else None


def _holder(text: str) -> dict[str, Any]:
    """Who holds a lock; nothing of a file that does not say it."""
    try:
        holder = json.loads(text)
        return holder if isinstance(holder, dict) and isinstance(holder["pid"], int) else {}
    except (ValueError, KeyError):
        return {}


def _told(text: str) -> str:
    holder = _holder(text)
    return f"process {holder.get('pid')} on {holder.get('host')}" if holder else "an unknown process"
