"""Files and folders that appear whole: whoever is killed while writing one leaves the old one."""

from __future__ import annotations

import glob
import os
import re
import shutil
import socket
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HOST = re.sub(r"[^A-Za-z0-9-]+", "-", socket.gethostname())


@contextmanager
def replacing(file: Path) -> Iterator[Path]:
    """A path beside a file to write to, which takes the file's place at the end; after an exception the old one stays.

    What processes of this machine left behind when they were killed is removed.
    """
    for left in file.parent.glob(f".{glob.escape(file.name)}.{HOST}.*"):
        pid = left.name.rpartition(".")[2]
        if pid.isdecimal() and not is_running(int(pid)):
            left.unlink(missing_ok=True)
    partial = file.with_name(f".{file.name}.{HOST}.{os.getpid()}")
    try:
        yield partial
        partial.replace(file)
    finally:
        partial.unlink(missing_ok=True)


def write_text(file: Path, text: str) -> None:
    """Writes a file of text, in UTF-8 and with the ends of lines as they are, that takes the old one's place."""
    with replacing(file) as partial:
        partial.write_text(text, encoding="utf-8", newline="")


@contextmanager
def replacing_folder(folder: Path) -> Iterator[Path]:
    """A new folder beside one, which takes its place at the end; after an exception the old one stays."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = folder.with_name(f".{folder.name}.partial-{uuid.uuid4().hex[:8]}")
    earlier = partial.with_name(f"{partial.name}-earlier")
    partial.mkdir()
    try:
        yield partial
        if folder.exists():
            folder.rename(earlier)
        try:
            partial.rename(folder)
        except OSError:
            if earlier.exists():
                earlier.rename(folder)
            raise
        shutil.rmtree(earlier, ignore_errors=True)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def is_running(pid: int, started: str | None = None) -> bool:
    """Whether a process of this machine is there and has not ended.

    Args:
        pid: of the process.
        started: what `start_of` told of it; another process of the same number is not it.
    """
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # of another user
        return True
    now = start_of(pid)
    return now != "ended" and (started is None or now is None or started == now)


def start_of(pid: int) -> str | None:
    """When a process started, as its system counts it; "ended" for one that nobody has waited for, None if unknown."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return "ended" if fields[0] in "ZX" else fields[19]
