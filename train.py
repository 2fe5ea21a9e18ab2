"""Trains a network with a loss: ``python train.py loss=mrstft``. Every option lies in configs/train.yaml.

The folder of the run decides what happens: a new one is trained, an interrupted one continued, a finished one left as
it is.
"""

from __future__ import annotations

from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import CompactHydraException
from omegaconf import DictConfig
from omegaconf.errors import MissingMandatoryValue

from scripts import garbage
from scripts.training.jobs import register_resolvers

register_resolvers()


@hydra.main(version_base="1.3", config_path="configs", config_name="train")
def main(cfg: DictConfig) -> float | None:
    """Returns the best validation score, for sweepers that optimise."""
    with garbage.never():
        from scripts.training.train import train  # takes seconds, which --help and --cfg need not wait for

    try:
        return train(cfg, Path(HydraConfig.get().runtime.output_dir))
    except MissingMandatoryValue as error:
        raise CompactHydraException(f"Error: {error.full_key} has no default, pass {error.full_key}=…") from None
    except (ValueError, OSError, FloatingPointError) as error:
        # What a user can mend gets its message alone. Hydra shows a traceback with HYDRA_FULL_ERROR=1.
        raise CompactHydraException(f"Error: {error}") from error


if __name__ == "__main__":
    main()
