"""Words that stand for values and files, to tell whether they are still the same."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any


def digest(*parts: Any) -> str:
    """A word for plain values: other values, another word."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def digest_files(files: Iterable[Path]) -> str:
    """A word for what some files hold, whatever their names; OSError if one cannot be read."""
    return digest(*sorted(hashlib.sha256(file.read_bytes()).hexdigest() for file in files))
