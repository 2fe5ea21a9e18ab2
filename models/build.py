"""Constructs a network from the plain values that describe it: the only door from a configuration to code."""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from typing import Any

from models.net import Net
from models.run_files import RunError

LARGEST = 4096  # of any number in the description of a network: a bound on what a stranger's run can ask for
_NET = re.compile(r"models\.([a-z][a-z0-9_]*)\.([A-Z][A-Za-z0-9]*)")


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
