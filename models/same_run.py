"""Which options may change while a run stays the same run, or its model the same model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# A run stays the same run when these change: it can be continued for longer, elsewhere, and logged otherwise. Of its
# results they change the rounding at most. Not so the precision: a run in bfloat16 is another one.
FREE_SECTIONS = ("logger", "choices", "compile", "recompute", "budget", "crops")  # crops: that data and optimizer name
FREE_OPTIONS = {
    "trainer": (
        *("max_epochs", "max_time", "max_steps", "accelerator", "devices", "num_nodes", "strategy", "benchmark"),
        *("enable_progress_bar", "enable_model_summary", "profiler", "log_every_n_steps"),
    ),
    "data": ("num_workers", "preload", "eval_batch_size", "root"),  # data that moved are known by their fingerprint
    "optimizer": ("fused", "foreach"),
}
# Runs that differ in these alone have the same model but for the seed: where and how fast they were trained, and what
# was kept of it. A run that was trained for longer has another.
_FREE_OF_MODEL = {"seed", "name", "study", *FREE_SECTIONS} - {"choices"}
_LENGTH = ("max_epochs", "max_time")


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


def kind(config: Mapping[str, Any]) -> str:
    """All of a configuration that makes one model another, as text."""
    kept = []
    for section, values in config.items():
        if isinstance(values, dict):
            free = {*FREE_OPTIONS.get(section, ()), "root"} - {*_LENGTH}
            values = {key: value for key, value in values.items() if key not in free}
        if section == "choices" and isinstance(values, dict):  # those of earlier versions name other files as well
            values = {"loss": values.get("loss")}
        if section not in _FREE_OF_MODEL:
            kept.append((str(section), repr(values)))
    return repr(sorted(kept))
