"""A run: the folder that holds everything about one training.

    config.yaml             the resolved configuration, plain values
    checkpoints/best.ckpt   weights of the epoch with the best validation score
    checkpoints/last.ckpt   weights, optimizer and progress after the last whole epoch
    metrics.csv             one row an epoch
    status.json             running, interrupted, failed or finished; versions; duration; fingerprint of the test split
    scores/                 what evaluate.py has scored already (`models.score_cache`)

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
from pickle import UnpicklingError
from typing import Any
from zipfile import BadZipFile

import torch
import yaml

from models.net import Net

_NET = re.compile(r"models\.([a-z][a-z0-9_]*)\.([A-Z][A-Za-z0-9]*)")
LARGEST = 4096  # of any number in the description of a network: a bound on what a stranger's run can ask for
_NET_PREFIX = "net."  # of the network's tensors in a checkpoint of `models.system.System`


class RunError(ValueError):
    """A run's folder that cannot be used; the message names the file and what is wrong with it."""


def write_config(folder: Path, config: Mapping[str, Any]) -> None:
    """Writes ``config.yaml``; the values have to be plain (`yaml.safe_dump` refuses others)."""
    replace_file(folder / "config.yaml", yaml.safe_dump(dict(config), sort_keys=False, allow_unicode=True))


def read_config(folder: Path) -> dict[str, Any]:
    """Reads ``config.yaml`` as plain values; raises `RunError` if it is missing or no such thing."""
    file = folder / "config.yaml"
    try:
        config = yaml.safe_load(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise RunError(f"{file}: cannot be read ({error.strerror}); is {folder} the folder of a run?") from error
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise RunError(f"{file}: is not a plain YAML file: {error}") from error
    if not isinstance(config, dict):
        raise RunError(f"{file}: holds a {type(config).__name__} where the configuration of a run is expected")
    return config


def write_status(folder: Path, state: str, **details: Any) -> None:
    """Writes ``status.json``; `state` is running, interrupted, failed or finished."""
    replace_file(folder / "status.json", json.dumps({"state": state, **details}, indent=2) + "\n")


def read_status(folder: Path) -> dict[str, Any]:
    """Reads ``status.json``; a run without a readable one counts as interrupted."""
    try:
        status = json.loads((folder / "status.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        status = None
    return status if isinstance(status, dict) and isinstance(status.get("state"), str) else {"state": "interrupted"}


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
        state = torch.load(file, map_location="cpu", weights_only=True)["state_dict"]
        weights = {key.removeprefix(_NET_PREFIX): value for key, value in state.items() if key.startswith(_NET_PREFIX)}
        net.load_state_dict(weights)
    except (
        UnpicklingError,
        BadZipFile,
        EOFError,
        OSError,
        RuntimeError,
        KeyError,
        AttributeError,
        TypeError,
    ) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise RunError(f"{file}: is damaged, or not a checkpoint of this network: {reason}") from error
    return net.eval()


def find_runs(runs: Any) -> list[Path]:
    """Folders of runs from folders and patterns of runs or studies; without any, those of the newest study.

    Raises:
        ValueError: if a folder or pattern finds no run.
    """
    if runs is None:
        found = sorted(Path("runs").glob("*/*/checkpoints/*.ckpt"), key=lambda file: file.stat().st_mtime)
        if not found:
            raise ValueError("runs/ holds no run yet; train one with `python train.py`, or name folders with runs=…")
        runs = [found[-1].parents[2]]
    folders: dict[Path, None] = {}
    for pattern in [runs] if isinstance(runs, str | Path | int) else list(runs):
        matches = [Path(match) for match in sorted(glob.glob(str(pattern)))]
        inside = [file.parent for match in matches for file in sorted(match.glob("*/config.yaml"))]
        new = [match for match in matches if (match / "config.yaml").exists()] + inside
        if not new:
            raise ValueError(f"runs={pattern}: finds no folder with a config.yaml; the runs lie in runs/<study>/<name>")
        folders |= dict.fromkeys(new)
    return list(folders)


def replace_file(file: Path, text: str) -> None:
    """Writes a file in one step, so that an interruption leaves the old or the new one."""
    partial = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        partial.write_text(text, encoding="utf-8")
        partial.replace(file)
    finally:
        partial.unlink(missing_ok=True)
