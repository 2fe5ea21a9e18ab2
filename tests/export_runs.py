"""Runs and networks as if trained, for the tests of the export."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from models import run_files
from models.build import build_net
from models.net import Net
from models.product import ProductTCN

SMALL = {  # with all that a network can have: an average, a product, look-ahead
    "_target_": "models.product.ProductTCN",
    "blocks": 2,
    "kernel_size": 5,
    "channels": 4,
    "dilation_growth": 2,
    "causal": False,
    "averages": 1,
}
DATA = {
    "root": "/somewhere/recordings",
    "sample_rate": 44100,
    "channels": 1,
    "recordings": {"_target_": "data.embedded.recordings", "minutes": 1},
}


def trained(model: dict[str, Any], seed: int = 0) -> Net:
    """A network in which every part matters to the output, the statistics of its norms included; its residual paths
    keep the level, so that no tanh is saturated."""
    generator = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    net = build_net(model)
    heard = ("mix", "alpha") if isinstance(net, ProductTCN) else ()  # a new ProductTCN hardly hears them
    with torch.no_grad():
        for name, value in net.named_parameters():
            size = 0.3 if "modulation" in name else 0.1 if name.startswith(heard) else 0.03
            value += size * torch.randn(value.shape, generator=generator)
        for name, value in net.named_buffers():
            if name.endswith("running_mean"):
                value += 0.1 * torch.randn(value.shape, generator=generator)
            elif name.endswith("running_var"):
                value *= 0.5 + torch.rand(value.shape, generator=generator)
    return net.eval()


def save(folder: Path, net: Net, checkpoint: str = "best") -> None:
    weights = {f"net.{name}": value for name, value in net.state_dict().items()}
    (folder / "checkpoints").mkdir(parents=True, exist_ok=True)
    torch.save({"state_dict": weights}, folder / "checkpoints" / f"{checkpoint}.ckpt")


def make(folder: Path, model: dict[str, Any] = SMALL, **data: Any) -> Path:
    """A run's folder."""
    save(folder, trained(model))
    config = {"seed": 1, "choices": {"loss": "l1"}, "model": model, "data": DATA | data}
    run_files.write_config(folder, config)
    run_files.write_status(folder, "finished", epochs=3)
    return folder
