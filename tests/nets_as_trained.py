"""Networks with weights as if trained, in double precision, and what they are tried on."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from models.net import Net


def as_trained(build: Callable[..., Any], **options: Any) -> Any:
    """The network that `build` makes, its weights moved by chance; its batch norms have seen data."""
    torch.manual_seed(0)
    net = build(**options)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter += 0.2 * torch.randn_like(parameter)
        for module in net.modules():
            if isinstance(module, torch.nn.BatchNorm1d):
                module.running_mean.normal_(0, 0.1)  # type: ignore[union-attr]
                module.running_var.uniform_(0.5, 2)  # type: ignore[union-attr]
    return net.double().eval()


def noise(items: int, channels: int, samples: int) -> Tensor:
    return 0.3 * torch.randn(items, channels, samples, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def knobs(items: int) -> Tensor:
    return torch.rand(items, 2, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


def whole(net: Net, x: Tensor, controls: Tensor) -> Tensor:
    """The output for a signal at once, as long as the signal."""
    with torch.inference_mode():
        return net(F.pad(x, net.context), controls)
