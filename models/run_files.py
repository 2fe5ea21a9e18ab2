"""The files of a run, written and read; `models.run` makes a `Run` of them.

config.yaml             number of the format, and the resolved configuration, plain values
checkpoints/best.ckpt   weights of the epoch with the best validation score
checkpoints/last.ckpt   weights, optimizer and progress after the last whole epoch, or at the end of the training
checkpoints/whole.ckpt  those after the last whole epoch, if the training ended within one
metrics.csv             one row an epoch
status.json             running, interrupted, failed or finished; versions; duration; fingerprints of data; score
scores/                 what evaluate.py has scored already (`scripts.scoring.cache`)
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from models.atomic import write_text

FORMAT = 1  # of a run; one that does not tell is of the first
SHOWN = 20  # runs, where a folder of them is named in place of one
STATES = ("running", "interrupted", "failed", "finished")


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
    text = yaml.dump({"format": FORMAT, **config}, Dumper=_WithoutAliases, sort_keys=False, allow_unicode=True)
    write_text(folder / "config.yaml", text)


def read_config(folder: Path) -> dict[str, Any]:
    """Reads ``config.yaml`` as plain values; raises `RunError` if it is missing or no such thing."""
    file = folder / "config.yaml"
    try:
        config = yaml.load(file.read_text(encoding="utf-8"), _RefusingAliases)
    except OSError as error:
        raise RunError(f"{file}: cannot be read ({error.strerror}); {_instead_of(folder)}") from error
    except Exception as error:  # besides YAMLError, whatever a value raises that is not what its tag says
        raise RunError(f"{file}: is not a plain YAML file: {error}") from error
    if not isinstance(config, dict):
        raise RunError(f"{file}: holds a {type(config).__name__} where the configuration of a run is expected")
    number = config.pop("format", 1)
    if type(number) is not int or not 1 <= number <= FORMAT:
        raise RunError(
            f"{file}: is of format {number!r}, and this version reads up to {FORMAT}. Update it, or train the run again"
        )
    return config


def _instead_of(folder: Path) -> str:
    """What to name instead of a folder that is not one of a run."""
    if not folder.is_dir():
        return f"there is no folder {folder}"
    found = [*folder.glob("*/config.yaml"), *folder.glob("*/*/config.yaml")]
    if runs := sorted(str(file.parent.relative_to(folder)) for file in found):
        more = f" and {len(runs) - SHOWN} more" if len(runs) > SHOWN else ""
        return f"{folder} holds runs, name one of them: {', '.join(runs[:SHOWN])}{more}"
    return f"is {folder} the folder of a run?"


def write_status(folder: Path, state: str, **details: Any) -> None:
    """Writes ``status.json``; `state` is running, interrupted, failed or finished."""
    write_text(folder / "status.json", json.dumps({"state": state, **details}, indent=2) + "\n")


def read_status(folder: Path) -> dict[str, Any]:
    """Reads ``status.json``; a run without a readable one, or of no known state, counts as interrupted."""
    try:
        status = json.loads((folder / "status.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        status = None
    return status if isinstance(status, dict) and status.get("state") in STATES else {"state": "interrupted"}
