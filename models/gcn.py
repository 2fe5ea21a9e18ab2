"""The gated convolutional network (GCN) with FiLM: dilated convolutions whose output gates itself, as in WaveNet.

    u, v = conv(x)        z = FiLM(tanh(u) · σ(v))        next x = W·z + b + x        y = mix of all z

Scale and shift of FiLM come from the controls. Nothing is normalised, and nothing passes the input to the output but
the layers themselves: train it with a loss that hears the polarity. With its defaults it is of the published GCN-250's
sizes: a receptive field of 10,361 samples, 235 ms at 44.1 kHz, 65 k multiplications a sample.

Source: Comunità, Steinmetz, Phan and Reiss, "Modelling black-box audio effects with time-varying feature modulation",
ICASSP 2023; Wright, Damskägg, Juvela and Välimäki, "Real-time guitar amplifier emulation with deep learning", 2020.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from models.dilated import dilated_conv1d
from models.film import CONDITIONING, conditioning
from models.net import Net, State, Steps, way

Film = tuple[Tensor, Tensor]
"""Scale and shift, ``(B, channels, 1)`` or of each sample."""


class GatedLayer(nn.Module):
    """One layer of the module's text, without padding.

    Shape:
        x ``(B, in_channels, T)`` → z ``(B, channels, T − span)`` and the next x, of its shape.
    """

    def __init__(self, in_channels: int, channels: int, kernel_size: int, dilation: int, last: bool) -> None:
        super().__init__()
        self.dilation, self.span = dilation, (kernel_size - 1) * dilation
        self.conv = nn.Conv1d(in_channels, 2 * channels, kernel_size, dilation=dilation)  # holds the numbers
        self.modulation = nn.Linear(CONDITIONING[-1], 2 * channels)
        with torch.no_grad():
            self.modulation.bias[:channels] += 1  # a scale of about one
        self.pass_on = None if last else nn.Conv1d(channels, channels, 1)

    def film(self, condition: Tensor) -> Film:
        scale, shift = self.modulation(condition).unsqueeze(-1).chunk(2, dim=1)
        return scale, shift

    def forward(self, x: Tensor, film: Film) -> tuple[Tensor, Tensor]:
        bias: Any = self.conv.bias
        u, v = (dilated_conv1d(x, self.conv.weight, self.dilation) + bias[:, None]).chunk(2, dim=1)
        z = torch.addcmul(film[1], torch.tanh(u) * torch.sigmoid(v), film[0])
        return z, z if self.pass_on is None else self.pass_on(z) + x[..., self.span :]


class GCN(Net):
    """The network of this module's text.

    Args:
        stacks: of layers, in each of which the dilation begins at 1.
        layers: of a stack; the dilation of layer n is ``dilation_growth ** n`` samples.
        kernel_size, channels, dilation_growth: of the layers.
        controls: number of controls, 1 or more.
        in_channels: channels of the input signal: 1, or as many as `channels`.
        out_channels: channels of the output signal.

    Shape:
        x ``(B, in_channels, T)``, controls ``(B, controls)`` → ``(B, out_channels, T − receptive_field + 1)``.

    Raises:
        ValueError: for sizes out of range; in `forward`, for an input of another rank, number of channels or controls,
            or one that is shorter than the receptive field.

    Example:
        >>> net = GCN()
        >>> net.receptive_field, net.lookahead
        (10361, 0)
    """

    lookahead = 0

    def __init__(
        self,
        stacks: int = 1,
        layers: int = 4,
        kernel_size: int = 41,
        channels: int = 16,
        dilation_growth: int = 6,
        controls: int = 2,
        in_channels: int = 1,
        out_channels: int = 1,
    ) -> None:
        super().__init__()
        sizes = {
            "stacks": stacks,
            "layers": layers,
            "kernel_size": kernel_size,
            "channels": channels,
            "dilation_growth": dilation_growth,
            "controls": controls,
            "in_channels": in_channels,
            "out_channels": out_channels,
        }
        for name, size in sizes.items():
            if size < 1:
                raise ValueError(f"GCN: {name} must be at least 1, got {size}")
        self.controls, self.in_channels, self.out_channels = controls, in_channels, out_channels
        self.conditioning = conditioning(controls, CONDITIONING, nn.PReLU)
        self.enter = nn.Conv1d(in_channels, channels, 1, bias=False) if in_channels not in (1, channels) else None
        first = in_channels if self.enter is None else channels
        dilations = [dilation_growth**n for n in range(layers)] * stacks
        widths = [first] + [channels] * (len(dilations) - 1)
        self.layers = nn.ModuleList(
            GatedLayer(width, channels, kernel_size, dilation, last=n == len(dilations) - 1)
            for n, (width, dilation) in enumerate(zip(widths, dilations, strict=True))
        )
        self.mix = nn.Conv1d(channels * len(self.layers), out_channels, 1)
        self.receptive_field = 1 + sum(layer.span for layer in self.layers)  # type: ignore[misc]

    def films(self, controls: Tensor) -> list[Film]:
        """Scale and shift of each layer at these controls ``(B, controls)``."""
        condition = self.conditioning(controls)
        return [layer.film(condition) for layer in self.layers]  # type: ignore[operator]

    def forward(self, x: Tensor, controls: Tensor) -> Tensor:
        self.check(x, controls)
        samples = x.shape[-1] - self.receptive_field + 1
        x = x if self.enter is None else self.enter(x)
        outputs = []
        for layer, film in zip(self.layers, self.films(controls), strict=True):
            z, x = layer(x, film)
            outputs.append(z[..., z.shape[-1] - samples :])
        mixed: Tensor = self.mix(torch.cat(outputs, dim=1))
        return mixed

    def start(self, controls: Tensor) -> State:
        """Of each layer the last samples of its input, after endless silence."""
        x = controls.new_zeros(len(controls), self.in_channels, 1)
        x = x if self.enter is None else self.enter(x)
        state = []
        layer: Any
        for layer, film in zip(self.layers, self.films(controls), strict=True):
            state.append(x.repeat(1, 1, layer.span))
            _, x = layer(x.expand(-1, -1, layer.span + 1), film)
        return tuple(state)

    def step(self, block: Tensor, state: State, controls: Tensor) -> tuple[Tensor, State]:
        return self.stepped(block, state, self.films(controls))

    def stepped(self, block: Tensor, state: State, films: list[Film]) -> tuple[Tensor, State]:
        """A step at given scales and shifts, which may be those of each sample."""
        x = block if self.enter is None else self.enter(block)
        outputs, after = [], []
        for layer, history, film in zip(self.layers, state, films, strict=True):
            joined = torch.cat((history, x), dim=-1)
            after.append(joined[..., block.shape[-1] :])
            z, x = layer(joined, film)
            outputs.append(z)
        return self.mix(torch.cat(outputs, dim=1)), tuple(after)

    def steps(self, controls: Tensor) -> GCNSteps:
        return GCNSteps(self, controls)


class GCNSteps(Steps):
    """See `Steps`; new controls are reached over the next block, or its first 1,024 samples."""

    net: GCN

    def __init__(self, net: GCN, controls: Tensor) -> None:
        self.films: list[Film] = net.films(controls)
        self.before: list[Film] | None = None
        super().__init__(net, controls)
        self.before = None  # the films from which the next samples come

    def set(self, controls: Tensor) -> None:
        self.before = self.films if self.before is None else self.before
        self.films = self.net.films(controls)

    def _step(self, block: Tensor) -> Tensor:
        films = self.films
        if self.before is not None:
            share = way(block.shape[-1], block)
            films = [
                (torch.lerp(old[0], new[0], share), torch.lerp(old[1], new[1], share))
                for old, new in zip(self.before, films, strict=True)
            ]
            self.before = None
        output, state = self.net.stepped(block, self.state, films)
        self.state = tuple(part.clone() for part in state)
        return output
