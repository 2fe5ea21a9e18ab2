"""Scores trained models on the test split with all metrics, and writes Table 1 and the report: ``python evaluate.py``.

The runs are data: of each, only a network of models/ and plain values are used (see `models.run`). A run that cannot be
scored is named in the notes and left out, and the exit status is 1. What was scored before is not scored again.
"""

from __future__ import annotations

import logging

import hydra
from hydra.errors import CompactHydraException
from omegaconf import DictConfig

from scripts import garbage

log = logging.getLogger(__name__)


@hydra.main(version_base="1.3", config_path="configs", config_name="evaluate")
def main(cfg: DictConfig) -> None:
    try:
        with garbage.never():
            from scripts.scoring.evaluation import evaluate  # takes seconds, which --help and --cfg need not wait for

        complete = evaluate(cfg)
    except (ValueError, OSError) as error:
        raise CompactHydraException(f"Error: {error}") from error
    except KeyboardInterrupt:
        log.error("Interrupted. The runs scored so far are kept; the same command continues.")
        raise SystemExit(130) from None
    if not complete:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
