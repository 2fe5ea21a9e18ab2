"""From the options ``trainer.…`` to Lightning's trainer; those that do not apply to a run are refused by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hydra.utils import get_class, instantiate
from omegaconf import DictConfig, ListConfig
from pytorch_lightning.callbacks import Callback, ProgressBar
from pytorch_lightning.plugins.environments import ClusterEnvironment, SLURMEnvironment

from scripts.training.checkpoints import WholeFiles
from scripts.training.processes import is_slurm_task

# What else to do, by the option and the values of it that are no wish.
REFUSED: dict[str, tuple[tuple[Any, ...], str]] = {
    "default_root_dir": ((None,), "all of a run lies in its folder; pass study=… and name=…, or hydra.run.dir=…"),
    "logger": ((None,), "pass logger=none, tensorboard or wandb"),
    "enable_checkpointing": ((None, True), "a run is continued and evaluated from its checkpoints"),
    "sync_batchnorm": (
        (None, False),
        "the batch norm of these networks has kernels of its own, each device's for its batch; +model.norm=frozen does "
        "without",
    ),
    "barebones": ((None, False), "it logs nothing, and the score is logged"),
    "limit_test_batches": ((None, 1.0), "train.py does not test; evaluate.py scores the whole test split"),
    "limit_predict_batches": ((None, 1.0), "train.py does not predict; python -m scripts.render does"),
    "model_registry": ((None,), "nothing is uploaded"),
}
OWN = ("_target_", "callbacks", "plugins", "max_steps", "enable_progress_bar", "overfit_batches", *REFUSED)


def refuse(options: Mapping[str, Any]) -> None:
    """Raises a ValueError that names an option which does not apply to a run, or contradicts another."""
    for name, (neutral, instead) in REFUSED.items():
        value = options.get(name)
        if not any(value is none or (value == none and type(value) is type(none)) for none in neutral):
            raise ValueError(f"trainer.{name}={value} cannot be used here: {instead}")
    if options.get("limit_train_batches") == 0:
        raise ValueError("trainer.limit_train_batches=0 leaves nothing to train on; 1.0 is the whole data set")
    if not isinstance(options.get("fast_dev_run"), int | None):
        raise ValueError(f"trainer.fast_dev_run={options['fast_dev_run']}: pass true, or a number of batches")
    few = overfitted(options)
    if isinstance(few, bool) or few < 0 or (few > 1 and few % 1):
        raise ValueError(f"trainer.overfit_batches={few}: pass a number of batches, or a share of them between 0 and 1")
    steps = max_steps(options)
    if steps is None:
        return
    if steps < 1:
        raise ValueError(f"trainer.max_steps={steps}: pass 1 or more, or null for no limit")
    for name in ("min_steps", "min_epochs"):
        if options.get(name):
            raise ValueError(
                f"trainer.{name}={options[name]} and trainer.max_steps={steps} contradict: pass one of them"
            )


def max_steps(options: Mapping[str, Any]) -> int | None:
    """The steps after which the training ends; `models.system.System` counts them."""
    steps = options.get("max_steps")
    return None if steps is None or steps == -1 else int(steps)


def overfitted(options: Mapping[str, Any]) -> int | float:
    """How many batches, or which share of them, a training sees again in every epoch; 0 if it sees all, drawn anew.

    (Lightning's own option takes an epoch for a new order of the same items; here the items are new as well, so that
    `data.datamodule.AudioDataModule` repeats them.)
    """
    return options.get("overfit_batches") or 0


def trainer(options: DictConfig, own: list[Callback] | None = None, bar: Callback | None = None, **more: Any) -> Any:
    """Lightning's trainer.

    Args:
        options: the configuration's section.
        own: callbacks beside those of the options.
        bar: the one that shows progress, unless the options have one or do without.
        more: arguments beside the options.
    """
    given = {key: value for key, value in options.items() if key not in OWN}
    if max_steps(options) is not None and given.get("max_epochs") is None:
        given["max_epochs"] = -1
    if few := overfitted(options):
        given |= {"limit_train_batches": few, "limit_val_batches": few}  # as Lightning does
    callbacks = [*listed(options.get("callbacks")), *(own or [])]
    shown = options.get("enable_progress_bar") is not False
    if bar is not None and shown and not any(isinstance(callback, ProgressBar) for callback in callbacks):
        callbacks.append(bar)
    plugins = [*listed(options.get("plugins")), WholeFiles()]
    if is_slurm_task() and not any(isinstance(plugin, ClusterEnvironment) for plugin in plugins):
        plugins.append(SLURMEnvironment(auto_requeue=False))  # `scripts.training.stops` hears the signals
    given |= {"enable_progress_bar": shown, "plugins": plugins}
    arguments = {str(key): _made(value) for key, value in given.items()}
    return get_class(options["_target_"])(**arguments, callbacks=callbacks, **more)


def listed(section: Any) -> list[Any]:
    """What a section constructs: one thing, a list of them, or several by name."""
    made = _made(section)
    if made is None:
        return []
    if isinstance(made, Mapping):
        return list(made.values())
    return made if isinstance(made, list) else [made]


def _made(value: Any) -> Any:
    return instantiate(value, _convert_="all") if isinstance(value, DictConfig | ListConfig) else value
