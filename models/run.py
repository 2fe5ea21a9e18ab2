"""A run: the folder that holds everything about one training (its files: `models.run_files`).

A run is data, not code. Reading one, also a stranger's, imports nothing but the modules of this package, constructs
nothing but a network from plain numbers, and reads tensors with ``weights_only=True``.
"""

from __future__ import annotations

import glob
import hashlib
import io
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from models import checksums, same_run
from models.build import build_net, load_weights
from models.digest import digest
from models.net import Net
from models.run_files import RunError, read_config, read_status
from models.source import Source, sample_rate, trained_on


@dataclass(frozen=True)
class Run:
    """A run as it was when it was read, with one of its checkpoints.

    >>> net = Run.read("models/trained/mr").net()
    >>> net.receptive_field
    24574
    """

    folder: Path
    config: dict[str, Any]
    status: dict[str, Any]  # {"state": "interrupted"} if there is none that can be read
    checkpoint: str = "best"  # or "last"

    @classmethod
    def read(cls, folder: str | Path, checkpoint: str = "best") -> Run:
        """Reads a folder; raises `RunError` if it holds no run, a damaged one, or one of a later format."""
        folder = Path(folder)
        return cls(folder, read_config(folder), read_status(folder), checkpoint)

    @classmethod
    def read_if_any(cls, folder: str | Path) -> Run | None:
        """The run of a folder, or None if it holds neither a configuration nor a checkpoint; errors as of `read`."""
        there = [*Path(folder).glob("config.yaml"), *Path(folder).glob("checkpoints/*.ckpt")]
        return cls.read(folder) if there else None

    @property
    def source(self) -> Source:
        """The data that it was trained on; raises `RunError` if its configuration does not tell."""
        return trained_on(self.folder / "config.yaml", self.config)

    @property
    def sample_rate(self) -> int:
        """Of its data, in Hz; raises `RunError` if its configuration does not tell."""
        return sample_rate(self.folder / "config.yaml", self.config)

    @property
    def file(self) -> Path:
        """The file of the checkpoint; raises `RunError` if there is none."""
        file = self.folder / "checkpoints" / f"{self.checkpoint}.ckpt"
        if not file.is_file():
            failure = self.status.get("error") if self.status.get("state") == "failed" else None
            why = f"the training has failed: {failure}" if failure else "the training has not finished an epoch yet"
            raise RunError(f"{file}: missing; {why}")
        return file

    @cached_property
    def sha256(self) -> str:
        """Of the file of the checkpoint; raises `RunError` if it cannot be read."""
        return hashlib.sha256(self._content()).hexdigest()

    @property
    def weights(self) -> str:
        """A word for the checkpoint and the network it belongs to; raises `RunError` if it cannot be read."""
        return digest(digest(self.sha256), self.config.get("model"))

    def net(self) -> Net:
        """The trained network, on the CPU and in evaluation mode: that of `sha256`.

        Raises:
            RunError: if the checkpoint is missing, damaged, does not fit the configuration, or was replaced meanwhile.
        """
        net = build_net(self.config.get("model"))
        content = self._content()
        if hashlib.sha256(content).hexdigest() != self.sha256:
            raise RunError(f"{self.file}: was replaced while it was used; is its training going on? Do it again")
        try:
            checksums.check(io.BytesIO(content))
            load_weights(net, content)
        except Exception as error:  # there is no end to what the reading of damaged bytes can raise
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise RunError(f"{self.file}: is damaged, or not a checkpoint of this network: {reason}") from error
        return net.eval()

    def changed(self, config: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
        """The options in which another configuration is one of another run, each as it is here and there."""
        return same_run.options_of(same_run.changed(self.config, config))

    @property
    def kind(self) -> str:
        """A word that runs share whose models differ in nothing but their seed."""
        return same_run.kind(self.config)

    def _content(self) -> bytes:
        try:
            return self.file.read_bytes()
        except OSError as error:
            raise RunError(f"{self.file}: cannot be read ({error.strerror})") from error


def find_runs(runs: Any) -> list[Path]:
    """Folders of runs from folders and patterns of runs or studies; without any, those of the newest study.

    A folder comes once, as it was written first. One that is named and exists, but holds no run, is kept beside others
    that do: it is a fault of its own.

    Raises:
        ValueError: if a folder does not exist, a pattern finds no run, or there is none at all.
    """
    if runs is None:
        found = sorted(Path("runs").glob("*/*/checkpoints/*.ckpt"), key=lambda file: file.stat().st_mtime)
        if not found:
            raise ValueError(
                "runs/ holds no run that has finished an epoch: train one with `python train.py`, name folders with "
                "runs=…, or see what has become of those there are with `python -m scripts.runs`"
            )
        runs = [found[-1].parents[2]]
    folders: dict[str, Path] = {}  # by where they really are
    for pattern in [runs] if isinstance(runs, str | Path | int) else list(runs):
        named = Path(str(pattern))
        matches = [named] if named.is_dir() else [Path(match) for match in sorted(glob.glob(str(pattern)))]
        inside = [file.parent for match in matches for file in sorted(match.glob("*/config.yaml"))]
        new = [match for match in matches if (match / "config.yaml").exists()] + inside
        if not new and not named.is_dir():
            raise _nothing_found(pattern)
        for folder in new or [named]:
            folders.setdefault(os.path.realpath(folder), folder)
    if not any((folder / "config.yaml").exists() for folder in folders.values()):
        raise _nothing_found(runs)
    return list(folders.values())


def _nothing_found(runs: Any) -> ValueError:
    return ValueError(f"runs={runs}: finds no folder with a config.yaml; the runs lie in runs/<study>/<name>")
