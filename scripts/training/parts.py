"""The parts of a training, made of its configuration and tried before it begins."""

from __future__ import annotations

import copy
import logging
from pathlib import Path

from hydra.utils import instantiate
from omegaconf import DictConfig

from data.datamodule import AudioDataModule
from models.net import Net
from models.run import Run
from models.system import System
from scripts.training import trainer_options
from scripts.training.first_checks import check_lengths, check_metrics, check_overfitting

log = logging.getLogger(__name__)


def made(cfg: DictConfig) -> tuple[System, AudioDataModule]:
    """Network, loss, metrics and optimizer as one, and the data.

    Raises:
        ValueError: for a loss or metrics that do not fit the crops, weights to start from that do not fit the network,
            or options of a training on few batches that contradict that.
    """
    net = instantiate(cfg.model)
    net.recompute = cfg.recompute
    if cfg.start_from:
        begin_with(net, Path(cfg.start_from))
    loss = instantiate(cfg.loss)
    hears = {name: getattr(net, name) for name in ("receptive_field", "lookahead", "memory")}
    if few := trainer_options.overfitted(cfg.trainer):
        check_overfitting(cfg)
        log.info("Every epoch trains on the same crops: trainer.overfit_batches=%s", few)
    data = instantiate(cfg.data, **hears, seed=cfg.seed, same_crops=bool(few))
    trial_loss = copy.deepcopy(loss)  # a call advances the generator of random resolutions
    check_lengths(trial_loss, cfg.data.channels, cfg.data.segment_length - net.receptive_field + 1)
    metrics = instantiate(cfg.metrics)
    check_metrics(metrics, cfg.data.channels)
    scheduler = instantiate(cfg.scheduler) if cfg.scheduler else None
    system = System(
        net,
        loss,
        metrics,
        instantiate(cfg.optimizer),
        scheduler,
        cfg.calibration,
        trainer_options.max_steps(cfg.trainer),
    )
    if cfg.compile.backend:
        system.compile_net(cfg.compile.backend, cfg.compile.mode)
    return system, data


def begin_with(net: Net, folder: Path) -> None:
    """Gives a network the best weights of another run of the same one; a continued run replaces them by its own."""
    try:
        net.load_state_dict(Run.read(folder).net().state_dict())
    except RuntimeError as error:
        raise ValueError(f"start_from={folder}: that run's network is another one: {error}") from error
