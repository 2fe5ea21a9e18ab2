"""The data that a run was trained on, as its configuration names them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from models.run_files import RunError

RATES = range(1_000, 768_001)  # Hz


class Source(NamedTuple):
    """The data of a training."""

    root: str
    sample_rate: int  # Hz
    channels: int

    def __str__(self) -> str:
        return f"{self.root} ({self.sample_rate} Hz, {self.channels} channel(s))"

    @property
    def place(self) -> Source:
        """The same, however the folder was written."""
        return self._replace(root=os.path.realpath(os.path.expanduser(self.root)))


def trained_on(file: Path, config: Mapping[str, Any]) -> Source:
    """The data of a run, from plain values of its configuration: nothing that it names is called.

    Args:
        file: of the configuration, for messages.
        config: as it was read from there.

    Raises:
        RunError: if it does not tell.
    """
    data = config.get("data")
    values = [data.get(field) if isinstance(data, dict) else None for field in Source._fields]
    if [type(value) for value in values] != [str, int, int]:
        raise RunError(
            f"{file}: data.root, data.sample_rate and data.channels do not say what it was trained "
            "on; name the data to test on, e.g. data=signaltrain data.root=…"
        )
    source = Source(*values)  # type: ignore[arg-type]
    if not source.root.isprintable():  # nor can a file system be asked for it
        raise RunError(f"{file}: data.root, {source.root!r}, is not the name of a folder")
    return source._replace(sample_rate=sample_rate(file, config))


def sample_rate(file: Path, config: Mapping[str, Any]) -> int:
    """Of the data of a run, in Hz, which is all that some of its uses need; else as `trained_on`."""
    data = config.get("data")
    rate = data.get("sample_rate") if isinstance(data, dict) else None
    if type(rate) is not int or rate not in RATES:
        raise RunError(f"{file}: data.sample_rate, {rate!r}, is not a sample rate in Hz")
    return rate
