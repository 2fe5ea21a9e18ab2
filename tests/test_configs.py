"""Every shipped configuration composes and can be built, every loss trains; the default is the paper's recipe."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from hydra.errors import MissingConfigException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import MissingMandatoryValue
from torch import nn

import train  # registers the resolver of a run's name
from data.segments import Segment
from models.build import build_net
from models.net import Net
from models.product import ProductTCN
from models.system import System
from tests import composition
from tests.conftest import ROOT, TINY_MINUTES, Entry

assert train.main  # the import above is used

CONFIGS = ROOT / "configs"
SMALLER = {  # of the models whose sizes have other names
    "compressor": ("model.warm_up=1",),
    "gcn": ("model.channels=2",),
    "lstm": ("model.cells=2", "model.warm_up=1"),
    "s4d": ("model.channels=2", "model.depth=2", "model.warm_up=1"),
}
PAPER_LOSSES = ["l1", "esr", "logcosh", "stft", "mrstft", "rrstft"]


def names(group: str) -> list[str]:
    return sorted(file.stem for file in (CONFIGS / group).glob("*.yaml"))


@pytest.fixture(autouse=True)
def _forget_hydra(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    composition.remembered(monkeypatch)
    yield
    HydraConfig.instance().cfg = None


def composed(*overrides: str, config: str = "train") -> DictConfig:
    """As the entry point sees it: names of runs and choices are resolved from Hydra's own section."""
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        cfg = compose(config, list(overrides), return_hydra_config=True)
    HydraConfig.instance().set_config(cfg)
    return cfg


def plain(section: Any) -> Any:
    return OmegaConf.to_container(section, resolve=True, throw_on_missing=True)


# The recipe


def test_the_default_is_the_papers_recipe() -> None:
    cfg = composed()
    optimizer = instantiate(cfg.optimizer)([nn.Parameter(torch.zeros(1))])
    assert type(optimizer) is torch.optim.Adam
    assert optimizer.defaults["lr"] == 1e-3
    scheduler = instantiate(cfg.scheduler)(optimizer)
    assert type(scheduler) is torch.optim.lr_scheduler.ReduceLROnPlateau
    assert (scheduler.patience, scheduler.mode) == (4, "min")
    assert (cfg.data.batch_size, cfg.data.segment_length, cfg.data.eval_length) == (128, 32768, 262144)
    assert cfg.data.polarity_flip is True
    assert (cfg.trainer.max_epochs, cfg.seed) == (20, 42)
    net = instantiate(cfg.model)
    assert (len(net.blocks), net.receptive_field, net.lookahead) == (10, 14323, 7161)
    assert net.blocks[0].conv.weight.shape == (32, 1, 15)
    assert [block.dilation for block in net.blocks] == [2**n for n in range(10)]
    assert cfg.choices == {"loss": "l1"}


@pytest.mark.parametrize("experiment", names("experiment"))
def test_every_experiment_composes(experiment: str) -> None:
    cfg = composed(f"experiment={experiment}")
    for section in ("model", "data", "loss", "metrics", "trainer", "optimizer", "scheduler", "choices"):
        plain(cfg[section])
    assert cfg.name == f"{cfg.choices.loss}-seed{cfg.seed}"
    assert cfg.study == experiment
    net = instantiate(cfg.model)
    assert net.receptive_field < cfg.data.segment_length
    if experiment not in ("smoke", "tune"):
        assert cfg.hydra.mode.name == "MULTIRUN"
    if experiment in ("paper", "quick"):
        assert cfg.hydra.sweeper.params.loss.split(",") == PAPER_LOSSES


@pytest.mark.parametrize("model", names("model"))
def test_the_networks_experiment_has_crops_for_every_network(model: str) -> None:
    cfg = composed("experiment=networks", f"model={model}")
    assert instantiate(cfg.model).receptive_field + 2048 < cfg.data.segment_length
    assert cfg.optimizer.lr > 0
    assert cfg.name == f"nablafx-seed1-{model}"  # each job of the sweep has a folder of its own
    assert set(cfg.hydra.sweeper.params.model.split(",")) < set(names("model"))


def test_the_experiments_keep_the_papers_topology() -> None:
    for experiment in ("paper", "smoke"):
        net = instantiate(composed(f"experiment={experiment}").model)
        assert (len(net.blocks), net.receptive_field) == (10, 14323)


def test_the_quick_experiment_trains_the_network_that_multiplies() -> None:
    net = instantiate(composed("experiment=quick").model)
    assert type(net) is ProductTCN
    assert (len(net.blocks), net.receptive_field, net.mix.in_channels) == (6, 24574, 8)


def test_the_paper_experiment_changes_nothing_of_the_recipe() -> None:
    sections = ("model", "data", "loss", "metrics", "trainer", "optimizer", "scheduler", "seed", "logger")
    recipe = [plain(composed()[s]) if s != "seed" else 42 for s in sections]
    paper = composed("experiment=paper")
    assert [plain(paper[s]) if s != "seed" else paper.seed for s in sections] == recipe


@pytest.mark.parametrize(
    ("overrides", "name"),
    [
        ([], "l1-seed42"),
        (["loss=mrstft", "seed=3"], "mrstft-seed3"),
        (["optimizer.lr=3e-4", "model.channels=8"], "l1-seed42-lr3e-4-channels8"),
        (["experiment=quick", "loss=stft"], "stft-seed1"),
        (["experiment=quick", "loss=stft", "seed=2"], "stft-seed2"),
    ],
)
def test_a_run_is_named_after_what_it_is(overrides: list[str], name: str) -> None:
    assert composed(*overrides).name == name


# Every file of every group. None refers to another group but by values that all its files have: each is tried once.


@pytest.mark.parametrize("trainer", names("trainer"))
def test_every_trainer_composes(trainer: str) -> None:
    cfg = composed(f"trainer={trainer}")
    assert plain(cfg.trainer)["_target_"] == "pytorch_lightning.Trainer"
    assert set(cfg.trainer) >= {"max_epochs", "precision", "accumulate_grad_batches"}


@pytest.mark.parametrize("loss", names("loss"))
def test_every_loss_trains_a_network(loss: str) -> None:
    cfg = composed(f"loss={loss}", "model=tcn_small", "model.blocks=2", "model.kernel_size=3", "data.channels=2")
    assert cfg.choices.loss == loss
    assert cfg.name.startswith(f"{loss}-seed42")
    plain(cfg.loss)
    torch.manual_seed(0)
    net = instantiate(cfg.model)
    criterion = instantiate(cfg.loss)
    metrics = {name: instantiate(metric) for name, metric in cfg.metrics.items()}
    system = System(net, criterion, metrics, instantiate(cfg.optimizer))
    batch = Segment(torch.randn(1, 2, 8000) / 10, torch.randn(1, 2, 8000) / 10, torch.rand(1, 2))
    output, target = system.predict(batch)
    value = criterion(output, target)
    assert value.shape == ()
    assert torch.isfinite(value)
    value.backward()
    gradients = [parameter.grad for parameter in net.parameters()]
    assert all(gradient is not None and torch.isfinite(gradient).all() for gradient in gradients)
    assert any(gradient.abs().max() > 0 for gradient in gradients if gradient is not None)
    assert criterion(target, target.clone()) < value


@pytest.mark.parametrize("model", names("model"))
def test_every_model_meets_the_contract(model: str) -> None:
    smaller = SMALLER.get(model, ("model.channels=2", "model.blocks=4"))
    cfg = composed(f"model={model}", *smaller, "data.channels=2").model
    net = instantiate(cfg)
    assert isinstance(net, Net)
    assert type(build_net(plain(cfg))) is type(net)  # and so the run can be loaded
    assert 0 <= net.lookahead < net.receptive_field
    assert (net.lookahead == 0) == (model not in ("tcn", "tcn_small"))
    assert net(torch.randn(3, 2, net.receptive_field + 9), torch.rand(3, 2)).shape == (3, 2, 10)


@pytest.mark.parametrize("metrics", names("metrics"))
def test_every_metric_is_zero_at_equality_and_positive_elsewhere(metrics: str) -> None:
    """Those that negate a score are far below zero at equality, and less so elsewhere."""
    cfg = composed(f"metrics={metrics}")
    x, y = torch.randn(2, 2, 1, 20000, generator=torch.Generator().manual_seed(0))
    for name, spec in cfg.metrics.items():
        metric = instantiate(spec)
        metric = metric.at(44_100) if hasattr(metric, "at") else metric
        if metric.score_sign > 0:
            assert metric(y, y.clone()) == pytest.approx(0, abs=1e-6), name
            assert metric(x, y) > 1e-6, name
        else:
            assert metric(y, y.clone()) < -100, name
            assert metric(x, y) > -10, name


@pytest.mark.parametrize("data", names("data"))
def test_every_data_set_is_found_by_its_configuration(data: str, tiny_root: Path) -> None:
    overrides, name = [f"data={data}", f"data.root={tiny_root}", "loss=mel"], f"mel-seed42-{data}"
    if data != "signaltrain":
        overrides, name = [*overrides, f"data.recordings.minutes={TINY_MINUTES}"], f"{name}-minutes{TINY_MINUTES}"
    cfg = composed(*overrides)
    assert cfg.name == name
    assert plain(cfg.data)["root"] == str(tiny_root)
    assert cfg.loss.sample_rate == cfg.data.sample_rate
    module = instantiate(cfg.data, receptive_field=25, lookahead=12, seed=1)
    module.prepare_data()
    module.setup("fit")
    assert [len(module.found[split]) for split in ("train", "val", "test")] == [2, 2, 3]
    segment = next(iter(module.val_dataloader()))
    assert segment.input.shape == (1, 1, 262144 + 24)


def test_signaltrain_needs_a_root() -> None:
    with pytest.raises(MissingMandatoryValue, match=r"data\.root"):
        plain(composed("data=signaltrain").data)


@pytest.mark.parametrize("trainer", ["auto", "cpu"])
def test_trainers_of_this_machine_can_be_built(trainer: str, tmp_path: Path) -> None:
    built = instantiate(composed(f"trainer={trainer}").trainer, logger=False, default_root_dir=tmp_path)
    assert isinstance(built, pl.Trainer)
    assert (built.max_epochs, built.num_devices) == (20, 1)


def test_one_option_chooses_all_that_makes_a_gpu_fast_and_each_can_be_taken_back() -> None:
    def speed(*overrides: str) -> tuple[Any, ...]:
        cfg = composed(*overrides)
        return cfg.trainer.precision, cfg.data.num_workers, cfg.optimizer.fused

    fast = ("bf16-mixed", 4, True)
    assert speed("trainer=gpu") == speed("trainer=ddp") == speed("trainer=gpu", "experiment=quick") == fast
    assert speed() == speed("trainer=cpu") == ("32-true", 0, True)
    back = ("trainer.precision=32-true", "data.num_workers=0", "optimizer.fused=null")
    plain = ("32-true", 0, None)
    for place, option in enumerate(back):
        assert speed("trainer=gpu", option) == (*fast[:place], plain[place], *fast[place + 1 :])


def test_a_scheduler_can_be_left_out() -> None:
    assert plain(composed("scheduler=none").scheduler) == {}


@pytest.mark.parametrize("scheduler", [name for name in names("scheduler") if name != "none"])
def test_every_scheduler_lowers_the_learning_rate(scheduler: str) -> None:
    cfg = composed(f"scheduler={scheduler}", "trainer.max_epochs=8", "optimizer.lr=0.5")
    optimizer = instantiate(cfg.optimizer)([nn.Parameter(torch.zeros(1))])
    make = instantiate(cfg.scheduler)
    made = make(optimizer, steps=8) if scheduler == "cosine" else make(optimizer)
    optimizer.step()
    for _ in range(8):  # steps, or epochs without any progress
        made.step(1.0) if scheduler == "plateau" else made.step()
    assert optimizer.param_groups[0]["lr"] < 0.06


@pytest.mark.parametrize("logger", names("logger"))
def test_every_logger_can_be_built(logger: str, tmp_path: Path) -> None:
    cfg = composed(f"logger={logger}", "study=some", "name=thing")
    if not cfg.logger:
        assert logger == "none"
        return
    built = instantiate(cfg.logger, save_dir=str(tmp_path))
    assert isinstance(built, pl.loggers.Logger)
    assert str(built.save_dir).startswith(str(tmp_path))
    assert not list(tmp_path.iterdir())  # nothing is written, no account asked for, until it is used


def test_evaluation_composes_with_both_conventions_and_further_metrics() -> None:
    cfg = composed(config="evaluate")
    table = ["L1", "ESR", "Logcosh", "STFT", "MR", "RR", "DC"]
    assert {name: list(convention) for name, convention in cfg.conventions.items()} == {
        "standard": table,
        "paper2020": table,
        "further": ["SI-SDR", "Mel", "MR-mel", "Loudness", "GR"],
    }
    metrics = [instantiate(metric) for convention in cfg.conventions.values() for metric in convention.values()]
    assert {metric.pool for metric in metrics} == {"item", "batch"}
    assert (cfg.checkpoint, cfg.eval_length, cfg.runs) == ("best", 262144, None)


# Mistakes


@pytest.mark.parametrize("group", ["loss", "model", "data", "scheduler", "trainer", "logger", "experiment"])
def test_a_mistyped_choice_lists_the_choices(group: str) -> None:
    with pytest.raises(MissingConfigException) as error:
        composed(f"{group}=mrstf")
    for name in names(group):
        assert name in str(error.value)


def test_a_mistyped_loss_on_the_command_line_lists_the_choices(entry: Entry) -> None:
    result = entry("train.py", "loss=mrstf")
    assert result.code == 1
    assert "Could not find 'loss/mrstf'" in result.err
    for name in names("loss"):
        assert f"\n\t{name}\n" in result.err
    assert "Traceback" not in result.err


def test_a_mistyped_option_names_it(entry: Entry) -> None:
    result = entry("train.py", "data.bacth_size=3")
    assert result.code == 1
    assert "bacth_size" in result.err
    assert "Traceback" not in result.err
