"""The jobs of a sweep: their overrides, and the folders of their runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hydra import compose, initialize_config_dir
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from scripts.training.processes import study_name
from scripts.training.run_name import run_name

ROOT = Path(__file__).parents[2]
FAULTS = (ValueError, OSError, HydraException, OmegaConfBaseException)  # of overrides


def register_resolvers() -> None:
    """Those of configs/train.yaml."""
    OmegaConf.register_new_resolver("run_name", run_name, replace=True)
    OmegaConf.register_new_resolver("study_name", study_name, replace=True, use_cache=True)


def jobs_of(overrides: Sequence[str]) -> list[list[str]]:
    """The overrides of each job, of the command line and of the experiment's own sweep.

    >>> jobs_of(["experiment=quick", "loss=l1,mrstft"])
    [['experiment=quick', 'loss=l1'], ['experiment=quick', 'loss=mrstft']]
    """
    parser = OverridesParser.create()
    parsed = parser.parse_overrides(list(overrides))
    single = [override.input_line or "" for override in parsed if not override.is_sweep_override()]
    with initialize_config_dir(str(ROOT / "configs"), version_base="1.3"):
        params = compose("train", single, return_hydra_config=True).hydra.sweeper.params or {}
    given = {override.get_key_element() for override in parsed}
    parsed += parser.parse_overrides([f"{key}={value}" for key, value in params.items() if key not in given])
    (batch,) = BasicSweeper.split_arguments(parsed, None)
    return [list(job) for job in batch]


def with_studies(jobs: Sequence[Sequence[str]]) -> tuple[list[list[str]], Path]:
    """The jobs, each with the name of its study, that of now also for what starts tomorrow, and the first one's folder.

    Raises:
        ValueError: if two jobs have one folder.
    """
    studies = [folder.parent for folder in folders_of(jobs)]
    named = any(override.startswith("study=") for override in jobs[0])
    return [[*job, *([] if named else [f"study={s.name}"])] for job, s in zip(jobs, studies, strict=True)], studies[0]


def folders_of(jobs: Sequence[Sequence[str]]) -> list[Path]:
    """The folder of each job's run.

    Raises:
        ValueError: if two jobs have one, which the second would find taken.
    """
    register_resolvers()
    name = study_name()  # once, as it may be the time of day
    OmegaConf.register_new_resolver("study_name", lambda: name, replace=True)
    folders: list[Path] = []
    with initialize_config_dir(str(ROOT / "configs"), version_base="1.3"):
        for job in jobs:
            cfg = compose("train", list(job), return_hydra_config=True)
            HydraConfig.instance().set_config(cfg)  # of which a run's name is made
            folder = Path(cfg.hydra.run.dir)
            if folder in folders:
                raise ValueError(
                    f"two jobs have the folder {folder}: {' '.join(jobs[folders.index(folder)])} and {' '.join(job)}. "
                    "Pass name=… with what they differ in, as in 'name=${choices.loss}-seed${seed}'"
                )
            folders.append(folder)
    return folders
