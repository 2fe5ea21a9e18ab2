"""Every loss of `configs/loss` and `configs/metrics` can be made, trained with and asked for its values."""

from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from torch import Tensor

from tests.reads import Reads

CONFIGS = Path(__file__).parent.parent / "configs"
LOSSES = {
    path.stem: yaml.safe_load(path.read_text().replace("${data.sample_rate}", "44100"))
    for path in sorted((CONFIGS / "loss").glob("*.yaml"))
}
METRICS = {  # those of scripts.scoring.metrics are no losses
    f"{path.stem}-{name}": config
    for path in sorted((CONFIGS / "metrics").glob("*.yaml"))
    for name, config in yaml.safe_load(path.read_text()).items()
    if config["_target_"].startswith("auraloss.")
}
STEREO = {"sdstft"}
SINGLE = [name for name, config in LOSSES.items() if not {"loss", "losses"} & set(config)]


def per_item(config: Any) -> Any:
    """The same loss without the batch-wide pooling that training uses."""
    if not isinstance(config, dict):
        return config
    return {key: per_item(value) for key, value in config.items() if key != "pool"}


PER_ITEM = {name: per_item(config) for name, config in LOSSES.items()}
every_loss = pytest.mark.parametrize("name", LOSSES)


def pair(name: str, samples: int = 18_446, batch: int = 2) -> tuple[Tensor, Tensor]:
    """Noise, and noise that is partly the same; 18,446 samples are the output of the paper's training crops."""
    generator = torch.Generator().manual_seed(3)
    shape = (batch, 2 if name in STEREO else 1, samples)
    target = 0.3 * torch.randn(shape, generator=generator)
    return 0.8 * target + 0.1 * torch.randn(shape, generator=generator) + 0.01, target


@pytest.mark.parametrize("config", [*LOSSES.values(), *METRICS.values()], ids=[*LOSSES, *METRICS])
def test_config_gives_a_finite_scalar_and_a_finite_gradient(config: dict[str, Any]) -> None:
    input, target = pair("sdstft" if "SumAnd" in config["_target_"] else "mono")
    loss = instantiate(config)
    with Reads() as reads:
        value = loss(input.requires_grad_(), target)
        value.backward()
    assert reads.count == 0 or hasattr(loss, "draw")  # which reads numbers drawn by the host
    assert value.shape == ()
    assert value.dtype == torch.float32
    assert value.isfinite()
    assert input.grad is not None
    assert input.grad.isfinite().all()
    assert input.grad.any(-1).all()


@pytest.mark.parametrize("convention", ["standard", "paper2020"])
def test_both_conventions_have_the_columns_of_the_table(convention: str) -> None:
    names = [name.split("-")[1] for name in METRICS if name.startswith(convention)]
    assert names[:6] == ["L1", "ESR", "Logcosh", "STFT", "MR", "RR"]


@pytest.mark.parametrize("name", SINGLE)
def test_reduction(name: str) -> None:
    input, target = pair(name, 6000, batch=3)
    # Random resolutions draw alike only from the same seed.
    fixed = {"seed": 1} if name == "rrstft" else {}
    made = {kind: instantiate(PER_ITEM[name], reduction=kind, **fixed) for kind in ("none", "mean", "sum")}
    values = made["none"](input, target)
    assert values.shape == (3, 1)
    torch.testing.assert_close(made["mean"](input, target), values.mean())
    torch.testing.assert_close(made["sum"](input, target), values.sum())


@pytest.mark.parametrize("name", SINGLE)
def test_a_mistyped_choice_is_refused_at_construction(name: str) -> None:
    spectral = "freq" in LOSSES[name]["_target_"]
    for keyword in ("reduction", "pool", "output") if spectral else ("reduction", "pool"):
        with pytest.raises(InstantiationException, match=f"{keyword}='typo' is not one of"):
            instantiate(LOSSES[name], **{keyword: "typo"})


@every_loss
def test_repr_is_one_line_that_names_the_class(name: str) -> None:
    text = repr(instantiate(LOSSES[name]))
    assert text.startswith(LOSSES[name]["_target_"].rsplit(".", 1)[1] + "(")
    assert "\n" not in text
