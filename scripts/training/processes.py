"""Which of the processes that train one run this is, by the variables of Lightning, torchrun and srun."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from typing import Any

NODES = ("NODE_RANK", "GROUP_RANK", "SLURM_NODEID")
RANKS = ("SLURM_PROCID", "OMPI_COMM_WORLD_RANK", "PMI_RANK", "JSM_NAMESPACE_RANK")


def on_several_devices(trainer: Mapping[str, Any]) -> bool:
    """Whether the options of a trainer ask for more than one process."""
    return (
        trainer.get("devices", 1) not in (1, "1", [0])
        or trainer.get("num_nodes", 1) != 1
        or trainer.get("strategy", "auto") != "auto"
    )


def is_first(trainer: Mapping[str, Any]) -> bool:
    """Whether this process writes the run; of a training on one device every process does, as it is alone."""
    if not on_several_devices(trainer):
        return True
    if (rank := _number("RANK")) is not None:
        return rank == 0
    if (rank := _number("LOCAL_RANK")) is not None:  # before Slurm's, which the processes of Lightning inherit
        return rank == 0 and not _number(*NODES)
    return not _number(*RANKS)


def study_name() -> str:
    """The time of day; in a job of Slurm its number, which all its tasks know, and the job when it is queued again."""
    job = os.environ.get("SLURM_ARRAY_JOB_ID") or os.environ.get("SLURM_JOB_ID")
    if job and os.environ.get("SLURM_JOB_NAME") not in ("bash", "interactive"):  # in those one starts many commands
        return f"slurm-{job}"
    return time.strftime("%Y-%m-%d_%H-%M-%S")


def _number(*names: str) -> int | None:
    """The first of these variables that is set."""
    return next((int(os.environ[name]) for name in names if os.environ.get(name, "").isdecimal()), None)
