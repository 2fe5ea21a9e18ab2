"""What a split holds, in one word: two splits with the same fingerprint hold the same recordings, sample for sample.

A file's digest is remembered by path, size and time of change, so that all but the first look are instant.
"""

import hashlib
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from data import known_files
from data.signaltrain import Recording

LENGTH = 16  # hexadecimal digits, 64 bits


def fingerprint(recordings: Sequence[Recording], cache: str | Path | None = None) -> str:
    """SHA-256 of id, setting and files of all recordings, in the order of their ids; the folder does not matter.

    Args:
        recordings: a split, as `data.signaltrain.recordings` gives it
        cache: JSON file of the digests known already; None for one in the user's cache folder

    Raises:
        ValueError: if a file cannot be read.
    """
    of_file = digests([path for recording in recordings for path in (recording.input, recording.target)], cache)
    lines = sorted(f"{r.id} {r.setting} {of_file[r.input]} {of_file[r.target]}\n" for r in recordings)
    return hashlib.sha256("".join(lines).encode()).hexdigest()[:LENGTH]


def digests(files: Sequence[Path], cache: str | Path | None = None) -> dict[Path, str]:
    """SHA-256 of the bytes of each file."""
    cache = Path(cache) if cache else known_files.user_cache("digests")
    known = known_files.load(cache)
    try:
        stamps = {path: known_files.stamp(path) for path in files}
        found = {
            path: str(known[str(path)][2]) for path, stamp in stamps.items() if known.get(str(path), [])[:2] == stamp
        }
        fresh = [path for path in stamps if path not in found]
        if fresh:
            with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:  # hashing releases Python's lock
                found |= dict(zip(fresh, pool.map(_digest, fresh), strict=True))
            known_files.save(cache, known | {str(path): [*stamps[path], found[path]] for path in fresh})
    except OSError as error:
        raise ValueError(f"{error.filename} cannot be read: {error.strerror}. Copy it again.") from error
    return found


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
