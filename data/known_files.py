"""What is remembered of files between starts, for as long as their size and time of change stay the same."""

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from data.replacing import replacing

Known = dict[str, list[Any]]
"""Size in bytes, time of change in ns, and what is remembered, by path."""


def user_cache(name: str) -> Path:
    """A file for it in the user's cache folder, $XDG_CACHE_HOME or ~/.cache."""
    folder = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(folder) / "auraloss-study" / f"{name}.json"


def stamp(path: Path) -> list[int]:
    """Size and time of change."""
    status = path.stat()
    return [status.st_size, status.st_mtime_ns]


def load(cache: Path) -> Known:
    """What is known; nothing if there is no such file yet, or a damaged one."""
    try:
        entries = json.loads(cache.read_text()).items()
    except (OSError, ValueError, AttributeError):
        return {}
    return {path: entry for path, entry in entries if isinstance(entry, list) and len(entry) == 3}


def save(cache: Path, known: Known) -> None:
    """Remembers the files that still exist. A folder that cannot be written only makes the next start slower."""
    with suppress(OSError), replacing(cache) as part:
        part.write_text(json.dumps({path: entry for path, entry in known.items() if os.path.exists(path)}))
