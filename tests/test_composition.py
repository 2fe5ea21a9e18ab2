"""What the tests remember of Hydra's composition is what Hydra composes."""

from __future__ import annotations

import copy

import pytest
from hydra import compose, initialize_config_dir
from hydra.errors import MissingConfigException
from omegaconf import OmegaConf

from scripts.training.jobs import register_resolvers
from tests import composition
from tests.conftest import ROOT


def composed(config: str, *overrides: str) -> tuple[str, list[str]]:
    with initialize_config_dir(str(ROOT / "configs"), version_base="1.3"):
        cfg = compose(config, list(overrides), return_hydra_config=True)
    return OmegaConf.to_yaml(cfg), list(cfg)


def test_what_is_remembered_is_what_is_composed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also after others, and when a configuration was changed that was handed out before."""
    register_resolvers()
    commands = [
        ("train", "loss=rrstft", "loss.resolutions=1", "+metrics.MR.fft_sizes=[256]", "name=a"),
        ("train", "loss=rrstft", "loss.resolutions=2", "name=b"),
        ("train", "experiment=quick", "loss=rrstft", "~optimizer.fused"),
        ("evaluate", "~metrics@conventions.further", "+conventions.own.MSE._target_=auraloss.time.MSELoss"),
        ("evaluate", "data=signaltrain", "data.root=x"),
    ]
    expected = [composed(*command) for command in commands]
    composition.remembered(monkeypatch)
    for _ in range(2):
        assert [composed(*command) for command in commands] == expected
    with pytest.raises(MissingConfigException, match="mrstf"):
        composed("train", "loss=mrstf")


def test_a_copy_is_a_tree_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    composition.remembered(monkeypatch)
    cfg = OmegaConf.create({"a": {"b": [1, "${c}"]}, "c": "x"}, flags={"struct": True})
    copied = copy.deepcopy(cfg)
    OmegaConf.set_struct(copied, False)
    copied.a.b[0], copied.a.d, copied.c = 2, 3, "y"
    assert copied == {"a": {"b": [2, "y"], "d": 3}, "c": "y"}
    assert cfg == {"a": {"b": [1, "x"]}, "c": "x"}
    assert OmegaConf.is_struct(cfg.a)
    assert copy.deepcopy(cfg.a).b[1] == "x"  # what is above is above the copy, too
