"""Makes a network of the plain values that describe it, and of its weights: the only door from a run to code."""

from __future__ import annotations

import importlib
import io
import re
from pathlib import Path
from typing import Any

import torch

from models.net import Net
from models.run_files import RunError

LARGEST = 4096  # of any number in the description of a network: a bound on what a stranger's run can ask for
_PREFIX = "net."  # of the network's tensors in a checkpoint of `models.system.System`
_NET = re.compile(r"models\.([a-z][a-z0-9_]*)\.([A-Z][A-Za-z0-9]*)")


def file_of(spec: Any) -> Path:
    """The file of the network that a configuration's section ``model`` names; RunError if it names none of models/."""
    target = spec.get("_target_") if isinstance(spec, dict) else None
    if not isinstance(target, str):
        raise RunError("model: expected a mapping with a `_target_`, such as models.tcn.TCN")
    name = _NET.fullmatch(target)
    file = Path(__file__).with_name(f"{name[1]}.py") if name else None
    if file is None or not file.is_file():
        raise RunError(
            f"model._target_: {target!r} is not allowed; a run holds a network of models/, such as models.tcn.TCN"
        )
    return file


def build_net(spec: Any) -> Net:
    """Constructs the network that a configuration's section ``model`` describes.

    Args:
        spec: a mapping with ``_target_: models.<file>.<Class>`` and the plain numbers for its constructor.

    Raises:
        RunError: for anything else: another target, nested values, a class that is no network.
    """
    module, target = f"models.{file_of(spec).stem}", spec["_target_"]
    kind = getattr(importlib.import_module(module), target.rpartition(".")[2], None)
    if not (isinstance(kind, type) and issubclass(kind, Net) and kind is not Net and kind.__module__ == module):
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


def load_weights(net: Net, checkpoint: bytes) -> None:
    """Gives a network the weights of a training's checkpoint, of which nothing but tensors is read.

    Raises:
        Exception: of any kind, if the bytes are damaged, or are those of another network.
    """
    state = torch.load(io.BytesIO(checkpoint), map_location="cpu", weights_only=True)["state_dict"]
    own = {key.removeprefix(_PREFIX): value for key, value in state.items() if key.startswith(_PREFIX)}
    net.load_state_dict(own)
