"""What every loss of `configs/loss` and `configs/metrics` must do, whatever it computes."""

from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from torch import Tensor

from auraloss.freq import RandomResolutionSTFTLoss

CONFIGS = Path(__file__).parent.parent / "configs"
LOSSES = {
    path.stem: yaml.safe_load(path.read_text().replace("${data.sample_rate}", "44100"))
    for path in sorted((CONFIGS / "loss").glob("*.yaml"))
}
METRICS = {
    f"{path.stem}-{name}": config
    for path in sorted((CONFIGS / "metrics").glob("*.yaml"))
    for name, config in yaml.safe_load(path.read_text()).items()
}
STEREO = {"sdstft"}
DECIBELS = {"snr", "sisdr"}  # negated ratios: not 0 for equal signals
SINGLE = [name for name, config in LOSSES.items() if not {"loss", "losses"} & set(config)]


def per_item(config: Any) -> Any:
    """The same loss without the batch-wide pooling that training uses."""
    if not isinstance(config, dict):
        return config
    return {key: per_item(value) for key, value in config.items() if key != "pool"}


PER_ITEM = {name: per_item(config) for name, config in LOSSES.items()}
every_loss = pytest.mark.parametrize("name", LOSSES)


def make(config: dict[str, Any], **changes: Any) -> Any:
    loss = instantiate(config, **changes)
    # Random resolutions are compared between calls, which therefore must share a draw.
    return loss.draw(1) if isinstance(loss, RandomResolutionSTFTLoss) else loss


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
    value = loss(input.requires_grad_(), target)
    value.backward()
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


@every_loss
def test_equal_signals_cost_nothing_and_have_a_gradient_of_zero(name: str) -> None:
    input, _ = pair(name)
    value = make(LOSSES[name])(input.requires_grad_(), input.detach().clone())
    value.backward()
    assert input.grad is not None
    assert input.grad.isfinite().all()
    if name in DECIBELS:
        assert value < -60
    else:
        assert value == 0
        assert input.grad.abs().max() == 0


@every_loss
@pytest.mark.parametrize("silent", ["input", "target", "both"])
def test_silence_gives_finite_values_and_gradients(name: str, silent: str) -> None:
    input, target = pair(name)
    input = torch.zeros_like(input) if silent != "target" else input
    target = torch.zeros_like(target) if silent != "input" else target
    value = make(LOSSES[name])(input.requires_grad_(), target)
    value.backward()
    assert value.isfinite()
    assert input.grad is not None
    assert input.grad.isfinite().all()


@pytest.mark.parametrize("name", [name for name in LOSSES if name not in DECIBELS])
def test_a_silent_prediction_is_led_towards_the_target(name: str) -> None:
    _, target = pair(name)
    input = torch.zeros_like(target).requires_grad_()
    loss = make(LOSSES[name])
    before = loss(input, target)
    before.backward()
    assert input.grad is not None
    assert input.grad.any()
    step = -1e-3 * input.grad / input.grad.abs().max()
    assert loss(step, target) < before


@every_loss
def test_a_nan_stays_visible(name: str) -> None:
    loss = make(LOSSES[name])
    for position in (0, 1):
        signals = pair(name)
        signals[position][1, 0, 9_000] = float("nan")
        assert loss(*signals).isnan()


@every_loss
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_float32(name: str, dtype: torch.dtype) -> None:
    input, target = (signal.to(dtype) for signal in pair(name))
    loss = make(LOSSES[name])
    expected = loss(input.float(), target.float())
    with torch.autocast("cpu", torch.bfloat16):
        mixed = loss(input, target.float())
    assert loss(input, target) == expected
    assert mixed == expected
    assert mixed.dtype == torch.float32


@every_loss
def test_unequal_shapes_are_refused_by_name(name: str) -> None:
    input, target = pair(name)
    with pytest.raises(ValueError, match=r"\(2, \d, 18446\).*\(2, \d, 18445\)"):
        make(LOSSES[name])(input, target[..., 1:])
    with pytest.raises(ValueError, match="same shape"):
        make(LOSSES[name])(input[:, :1], target[:, 0])
    with pytest.raises(ValueError, match="no samples"):
        make(LOSSES[name])(input[:0], target[:0])
    with pytest.raises(ValueError, match="floating-point"):
        make(LOSSES[name])(input.int(), target.int())


@pytest.mark.parametrize("name", [name for name in LOSSES if name not in STEREO])
@pytest.mark.parametrize("configs", [LOSSES, PER_ITEM], ids=["shipped", "per item"])
def test_any_leading_dimensions_and_strides(name: str, configs: dict[str, Any]) -> None:
    input, target = pair(name)
    loss = make(configs[name])
    expected = loss(input, target)
    torch.testing.assert_close(loss(input[:, 0], target[:, 0]), expected)
    strided = (signal.mT.contiguous().mT for signal in (input, target))
    torch.testing.assert_close(loss(*strided), expected)
    assert loss(input[0, 0], target[0, 0]).shape == ()


@pytest.mark.parametrize("name", SINGLE)
def test_reduction(name: str) -> None:
    input, target = pair(name, batch=3)
    values = make(PER_ITEM[name], reduction="none")(input, target)
    assert values.shape == (3, 1)
    for item in range(3):
        alone = make(PER_ITEM[name])(input[item : item + 1], target[item : item + 1])
        torch.testing.assert_close(values[item, 0], alone)
    torch.testing.assert_close(make(PER_ITEM[name])(input, target), values.mean())
    torch.testing.assert_close(make(PER_ITEM[name], reduction="sum")(input, target), values.sum())


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
