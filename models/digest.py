"""Words that stand for values and files, to tell whether they are still the same."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from models.run import RunError, checkpoint_file


def digest(*parts: Any) -> str:
    """A word for plain values: other values, another word."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def digest_files(files: Iterable[Path]) -> str:
    """A word for what some files hold, whatever their names; OSError if one cannot be read."""
    return digest(*sorted(hashlib.sha256(file.read_bytes()).hexdigest() for file in files))


def digest_weights(folder: Path, checkpoint: str, model: Any) -> str:
    """A word for a checkpoint of a run, ``"best"`` or ``"last"``, and for the network it belongs to.

    Args:
        model: the section of this name of the run's configuration.

    Raises:
        RunError: if the checkpoint is missing or cannot be read.
    """
    file = checkpoint_file(folder, checkpoint)
    try:
        return digest(digest_files([file]), model)
    except OSError as error:
        raise RunError(f"{file}: cannot be read ({error.strerror})") from error
