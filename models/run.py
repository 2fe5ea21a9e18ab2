"""A run: the folder that holds everything about one training.

    config.yaml             the resolved configuration, plain values
    checkpoints/best.ckpt   weights of the epoch with the best validation score
    checkpoints/last.ckpt   weights, optimizer and progress after the last whole epoch, or at the end of the training
    checkpoints/whole.ckpt  those after the last whole epoch, if the training ended within one
    metrics.csv             one row an epoch
    status.json             running, interrupted, failed or finished; versions; duration; fingerprints of data; score
    scores/                 what evaluate.py has scored already (`scripts.scoring.cache`)

A run is data, not code. Reading one, also a stranger's, imports nothing but the modules of this package, constructs
nothing but a network from plain numbers, and reads tensors with ``weights_only=True``.
"""

from __future__ import annotations

import glob
import importlib
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import yaml

from models.atomic import replacing
from models.net import Net

STATES = ("running", "interrupted", "failed", "finished")
_NET = re.compile(r"models\.([a-z][a-z0-9_]*)\.([A-Z][A-Za-z0-9]*)")
LARGEST = 4096  # of any number in the description of a network: a bound on what a stranger's run can ask for
_NET_PREFIX = "net."  # of the network's tensors in a checkpoint of `models.system.System`


class RunError(ValueError):
    """A run's folder that cannot be used; the message names the file and what is wrong with it."""


class _WithoutAliases(yaml.SafeDumper):
    """Writes a value that occurs twice two times."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


class _RefusingAliases(yaml.SafeLoader):
    """Reads no references to other values, of which a few lines can make gigabytes."""

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("it refers to its own values (*name); write them out")
        return super().compose_node(parent, index)


def write_config(folder: Path, config: Mapping[str, Any]) -> None:
    """Writes ``config.yaml``; the values have to be plain (others are refused)."""
    text = yaml.dump(dict(config), Dumper=_WithoutAliases, sort_keys=False, allow_unicode=True)
    replace_file(folder / "config.yaml", text)


def read_config(folder: Path) -> dict[str, Any]:
    """Reads ``config.yaml`` as plain values; raises `RunError` if it is missing or no such thing."""
    file = folder / "config.yaml"
    try:
        config = yaml.load(file.read_text(encoding="utf-8"), _RefusingAliases)
    except OSError as error:
        raise RunError(f"{file}: cannot be read ({error.strerror}); is {folder} the folder of a run?") from error
    except Exception as error:  # besides YAMLError, whatever a value raises that is not what its tag says
        raise RunError(f"{file}: is not a plain YAML file: {error}") from error
    if not isinstance(config, dict):
        raise RunError(f"{file}: holds a {type(config).__name__} where the configuration of a run is expected")
    return config


def write_status(folder: Path, state: str, **details: Any) -> None:
    """Writes ``status.json``; `state` is running, interrupted, failed or finished."""
    replace_file(folder / "status.json", json.dumps({"state": state, **details}, indent=2) + "\n")


def read_status(folder: Path) -> dict[str, Any]:
    """Reads ``status.json``; a run without a readable one, or of no known state, counts as interrupted."""
    try:
        status = json.loads((folder / "status.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        status = None
    return status if isinstance(status, dict) and status.get("state") in STATES else {"state": "interrupted"}


def build_net(spec: Any) -> Net:
    """Constructs the network that a configuration's section ``model`` describes.

    Args:
        spec: a mapping with ``_target_: models.<file>.<Class>`` and the plain numbers for its constructor.

    Raises:
        RunError: for anything else: another target, nested values, a class that is no network.
    """
    if not isinstance(spec, dict) or not isinstance(spec.get("_target_"), str):
        raise RunError("model: expected a mapping with a `_target_`, such as models.tcn.TCN")
    target = spec["_target_"]
    name = _NET.fullmatch(target)
    if name is None or not (Path(__file__).parent / f"{name[1]}.py").is_file():
        raise RunError(
            f"model._target_: {target!r} is not allowed; a run holds a network of models/, such as models.tcn.TCN"
        )
    kind = getattr(importlib.import_module(f"models.{name[1]}"), name[2], None)
    if not (
        isinstance(kind, type) and issubclass(kind, Net) and kind is not Net and kind.__module__ == f"models.{name[1]}"
    ):
        raise RunError(f"model._target_: {target!r} is not a network")
    options = {key: value for key, value in spec.items() if key != "_target_"}
    for key, value in options.items():
        if not (isinstance(key, str) and isinstance(value, bool | int | float | str)):
            raise RunError(f"model.{key}: {value!r} is not a plain number, switch or word")
        if isinstance(value, int | float) and not abs(value) <= LARGEST:
            raise RunError(f"model.{key}: {value} is beyond the largest size of {LARGEST}")
    try:
        return kind(**options)
    except (TypeError, ValueError, RuntimeError) as error:
        raise RunError(f"model: {target} does not accept {options}: {error}") from error


def checkpoint_file(folder: Path, checkpoint: str) -> Path:
    """The file of a run's checkpoint, ``"best"`` or ``"last"``; raises `RunError` if there is none."""
    file = folder / "checkpoints" / f"{checkpoint}.ckpt"
    if not file.is_file():
        raise RunError(f"{file}: missing; the training has not finished an epoch yet")
    return file


def load_net(folder: Path, checkpoint: str = "best") -> Net:
    """Loads the trained network of a run, on the CPU and in evaluation mode.

    Args:
        folder: the run.
        checkpoint: ``"best"`` or ``"last"``.

    Raises:
        RunError: if the configuration or the checkpoint is missing, damaged, or does not fit the other.
    """
    net = build_net(read_config(folder).get("model"))
    file = checkpoint_file(folder, checkpoint)
    try:
        content = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # there is no end to what the reading of damaged bytes can raise
        raise _damaged(file, error) from error
    try:
        state = content["state_dict"]
        weights = {key.removeprefix(_NET_PREFIX): value for key, value in state.items() if key.startswith(_NET_PREFIX)}
        net.load_state_dict(weights)
    except (RuntimeError, LookupError, AttributeError, TypeError, ValueError) as error:
        raise _damaged(file, error) from error
    return net.eval()


def _damaged(file: Path, error: Exception) -> RunError:
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return RunError(f"{file}: is damaged, or not a checkpoint of this network: {reason}")


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
            raise ValueError("runs/ holds no run yet; train one with `python train.py`, or name folders with runs=…")
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


def replace_file(file: Path, text: str) -> None:
    """Writes a file in one step, so that an interruption leaves the old or the new one."""
    with replacing(file) as partial:
        partial.write_text(text, encoding="utf-8")
