"""Which options may change while a run stays the same run, or its model the same model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# What makes a run. All else may change while it goes on: its logger, sections of one's own that these refer to.
SECTIONS = {
    "seed",
    "model",
    "data",
    "loss",
    "metrics",
    "optimizer",
    "scheduler",
    "trainer",
    "start_from",
    "calibration",
}
# Except these: a run can be continued for longer, elsewhere, and at another speed. Of its results they change the
# rounding at most. Not so the precision: a run in bfloat16 is another one.
FREE_OPTIONS = {
    "trainer": (
        *("max_epochs", "max_time", "max_steps", "accelerator", "devices", "num_nodes", "strategy", "benchmark"),
        *("enable_progress_bar", "enable_model_summary", "profiler", "log_every_n_steps"),
    ),
    "data": ("num_workers", "preload", "eval_batch_size", "root"),  # data that moved are known by their fingerprint
    "optimizer": ("fused", "foreach"),
}
# A run that was trained for longer has another model.
_LENGTH = ("max_epochs", "max_time")
# What a budget of minutes chooses of the trainer's options, by measuring: for each seed something else.
MEASURED = ("max_epochs", "limit_train_batches")


def changed(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """The sections in which two configurations are of different runs, each as it is in the old and in the new one."""
    return {
        key: (old.get(key), new.get(key))
        for key in sorted(SECTIONS)
        if _fixed(key, old.get(key)) != _fixed(key, new.get(key))
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
    """All of a configuration that makes one model another but for its seed, as text."""
    kept = [("choices", repr({"loss": config["choices"].get("loss")}))] if config.get("choices") else []
    if budget := config.get("budget"):
        kept.append(("budget", repr(budget)))
    for section in sorted(SECTIONS & {*config} - {"seed"}):
        values = config[section]
        if isinstance(values, dict):
            free = {*FREE_OPTIONS.get(section, ()), "root"} - {*_LENGTH}
            if budget and section == "trainer":
                free |= {*MEASURED}
            values = {key: value for key, value in values.items() if key not in free}
        kept.append((section, repr(values)))
    return repr(kept)
