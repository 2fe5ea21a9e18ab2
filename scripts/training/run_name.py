"""What a run is named after."""

from __future__ import annotations

import hashlib
import re

from hydra.core.hydra_config import HydraConfig

from models.same_run import FREE_OPTIONS

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
