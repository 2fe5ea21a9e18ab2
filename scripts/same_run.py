"""What a run is named after, and which options may change while it stays the same run."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any

from hydra.core.hydra_config import HydraConfig

# A run stays the same run when these change: it can be continued for longer, elsewhere, and logged otherwise. Of its
# results they change the rounding at most. Not so the precision: a run in bfloat16 is another one.
FREE_SECTIONS = ("logger", "choices", "compile", "recompute", "budget")
FREE_OPTIONS = {
    "trainer": (
        *("max_epochs", "max_time", "max_steps", "accelerator", "devices", "num_nodes", "strategy", "benchmark"),
        *("enable_progress_bar", "enable_model_summary", "profiler", "log_every_n_steps"),
    ),
    "data": ("num_workers", "preload", "eval_batch_size", "root"),  # data that moved are known by their fingerprint
    "optimizer": ("fused", "foreach"),
}
LONGEST_NAME = 200  # characters; a folder's name may have 255
NAMED_SECTIONS = ("model", "data", "loss", "metrics", "optimizer", "scheduler", "trainer")


def run_name(seed: int) -> str:
    """Name of a run: loss, seed and what else the command line sets of the training, as in ``l1-seed1-channels8``."""
    hydra_config = HydraConfig.get()
    parts = [hydra_config.runtime.choices["loss"], f"seed{seed}"]
    for key, value in (item.lstrip("+~").split("=", 1) for item in hydra_config.overrides.task if "=" in item):
        section, _, option = key.partition(".")
        if key in ("model", "data", "scheduler"):
            parts.append(value)
        elif section in NAMED_SECTIONS and option and option not in FREE_OPTIONS.get(section, ()):
            parts.append(f"{option.split('.')[-1]}{value}")
    name = "-".join(re.sub(r"[^A-Za-z0-9._]+", "-", part).strip("-") for part in parts)
    if len(name) <= LONGEST_NAME:
        return name
    return f"{name[: LONGEST_NAME - 9]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def changed(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """The sections in which two configurations are of different runs, each as it is in the old and in the new one."""
    return {
        key: (old.get(key), new.get(key))
        for key in sorted({*old, *new})
        if key not in FREE_SECTIONS and _fixed(key, old.get(key)) != _fixed(key, new.get(key))
    }


def options_of(sections: Mapping[str, tuple[Any, Any]]) -> dict[str, tuple[Any, Any]]:
    """The options that differ in such sections, as the command line names them.

    >>> options_of({"seed": (1, 2), "model": ({"channels": 8, "blocks": 3}, {"channels": 32, "blocks": 3})})
    {'seed': (1, 2), 'model.channels': (8, 32)}
    """
    found: dict[str, tuple[Any, Any]] = {}
    for key, (before, now) in sections.items():
        if isinstance(before, Mapping) and isinstance(now, Mapping):
            free = FREE_OPTIONS.get(key, ())
            inner = {n: (before.get(n), now.get(n)) for n in {**before, **now} if n not in free}
            inside = options_of({name: pair for name, pair in inner.items() if pair[0] != pair[1]})
            found |= {f"{key}.{name}": pair for name, pair in inside.items()}
        else:
            found[key] = (before, now)
    return found


def _fixed(section: str, values: Any) -> Any:
    """A section of a configuration without what may change when a run is continued."""
    if not isinstance(values, dict):
        return values
    return {key: value for key, value in values.items() if key not in FREE_OPTIONS.get(section, ())}
