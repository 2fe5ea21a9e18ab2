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
    """The time of day; in a job of Slurm its number, which all its tasks know, and the job when it is queued again.

    Raises:
        ValueError: if the processes of torchrun have nothing to agree on.
    """
    if torchrun := os.environ.get("TORCHELASTIC_RUN_ID"):
        if torchrun == "none":
            raise ValueError(
                "the processes of torchrun cannot agree on a folder: pass study=…, or torchrun --rdzv-id=…"
            )
        return f"torchrun-{torchrun}"
    job = os.environ.get("SLURM_ARRAY_JOB_ID") or os.environ.get("SLURM_JOB_ID")
    if job and not _is_interactive():
        return f"slurm-{job}"
    return time.strftime("%Y-%m-%d_%H-%M-%S")


def is_slurm_task() -> bool:
    """Whether Slurm has started this process, and those beside it that train the same run."""
    return "SLURM_NTASKS" in os.environ and not _is_interactive() and "TORCHELASTIC_RUN_ID" not in os.environ


def check_tasks(trainer: Mapping[str, Any]) -> None:
    """Raises a ValueError if Slurm has started fewer or more processes than a training has devices."""
    devices, nodes = trainer.get("devices"), trainer.get("num_nodes", 1)
    if not is_slurm_task() or not on_several_devices(trainer) or not isinstance(devices, int) or devices < 1:
        return
    tasks = int(os.environ["SLURM_NTASKS"])
    if tasks != devices * nodes:
        raise ValueError(
            f"trainer.devices={devices} on trainer.num_nodes={nodes} are {devices * nodes} processes, and Slurm has "
            f"started {tasks}: pass srun --nodes={nodes} --ntasks-per-node={devices}, or let "
            f"`python -m scripts.submit slurm.nodes={nodes} slurm.ntasks-per-node={devices} …` do it"
        )


def job() -> str | None:
    """The job of Slurm that this process belongs to, as squeue writes it: 124, or 120_4 in an array."""
    if "SLURM_ARRAY_JOB_ID" in os.environ:
        return f"{os.environ['SLURM_ARRAY_JOB_ID']}_{os.environ['SLURM_ARRAY_TASK_ID']}"
    return os.environ.get("SLURM_JOB_ID")


def _is_interactive() -> bool:
    """Whether this is a shell on a node of Slurm, from which one starts many commands."""
    return os.environ.get("SLURM_JOB_NAME") in ("bash", "interactive")


def _number(*names: str) -> int | None:
    """The first of these variables that is set."""
    return next((int(os.environ[name]) for name in names if os.environ.get(name, "").isdecimal()), None)
