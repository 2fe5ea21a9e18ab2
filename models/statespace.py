"""A state-space network in the side chain: layers of leaky averages of many lengths, modulated by the controls.

    level in dB → linear → [ linear → PReLU → averages → FiLM → PReLU, plus the input ] × depth → linear → gain in dB

The averages of a layer are a diagonal state space (S4D-Real): each channel i has some states, each a leaky average of
it with a length of its own, which is learned, and what comes out is their weighted sum, plus the channel itself:

    hₙ ← hₙ + (1 − aₙ)·(uᵢ − hₙ)        aₙ = exp(−1/Tₙ)        yᵢ = Σ cₙ·hₙ + d·uᵢ

In training they are computed for all steps at once, as a convolution by Fourier transforms; where no gradient is asked
for, and in exported graphs, from one step to the next. Controls reach the modulation in an exponential way of 10 ms, so
that turned knobs make no steps.

Source: Gu et al., "On the parameterization and initialization of diagonal state space models", NeurIPS 2022; Yin, Wang,
Dannenberg et al., "Modeling analog dynamic range compressors using deep learning and state-space models", 2024, whose
states are complex and whose steps are samples.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch._higher_order_ops import scan

from models import levels, statespace_live
from models.compiled import arrays
from models.endless import approached, glide
from models.film import conditioning
from models.net import State
from models.sidechain import HOP, SideChain

CONDITIONING = (16, 32)  # units between controls and modulation
LARGEST_GAIN_DB = 60.0
LENGTHS = (4.0, 16_384.0)  # steps, of the shortest and the longest average at first: 1.5 ms to 6 s at 44.1 kHz
GLIDE = 441 / HOP  # steps, 10 ms at 44.1 kHz


class StateSpace(nn.Module):
    """The averages of a layer, see the module's text.

    Args:
        channels: of the signal.
        states: of each channel.

    Shape:
        u ``(B, channels, K)``, h ``(B, channels, states)`` → the same.
    """

    def __init__(self, channels: int, states: int) -> None:
        super().__init__()
        first, last = (math.log(length) for length in LENGTHS)
        self.log_length = nn.Parameter(torch.linspace(first, last, states).repeat(channels, 1))
        self.weight = nn.Parameter(torch.randn(channels, states) / math.sqrt(states))
        self.direct = nn.Parameter(torch.randn(channels))

    def forward(self, u: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        steps = u.shape[-1]
        if not steps:
            return u, h
        rate = torch.exp(-self.log_length)  # 1/T
        count = torch.arange(steps + 1, device=u.device, dtype=u.dtype)
        kept = torch.exp(-rate.unsqueeze(-1) * count)  # aⁿ, (channels, states, K + 1)
        new = approached(rate)
        kernel = torch.einsum("cn,cnk->ck", self.weight * new, kept[..., :-1])
        size = 1 << (2 * steps - 1).bit_length()
        y = torch.fft.irfft(torch.fft.rfft(u, size) * torch.fft.rfft(kernel, size), size)[..., :steps]
        y = y + torch.einsum("cn,bcn,cnk->bck", self.weight, h, kept[..., 1:]) + self.direct[:, None] * u
        after = h * kept[..., -1] + new * torch.einsum("bck,cnk->bcn", u, kept[..., :-1].flip(-1))
        return y, after

    def once(self, u: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        """A single step, ``(B, channels)``."""
        h = h + approached(torch.exp(-self.log_length)) * (u.unsqueeze(-1) - h)
        return (self.weight * h).sum(-1) + self.direct * u, h


class Layer(nn.Module):
    """Mixes the channels, averages, modulates and bends them, and adds what came in; channels come last."""

    def __init__(self, channels: int, states: int, condition: int) -> None:
        super().__init__()
        self.linear, self.first = nn.Linear(channels, channels), nn.PReLU(channels)
        self.averages = StateSpace(channels, states)
        self.modulation, self.second = nn.Linear(condition, 2 * channels), nn.PReLU(channels)
        with torch.no_grad():  # a scale of about one
            self.modulation.bias[:channels] += 1
        self.residual = nn.Parameter(torch.ones(channels))

    def forward(self, x: Tensor, h: Tensor, condition: Tensor) -> tuple[Tensor, Tensor]:
        """x ``(B, K, channels)``, h ``(B, channels, states)``, condition ``(B, K or 1, …)``."""
        u = _bent(self.first, self.linear(x))
        y, h = self.averages(u.transpose(1, 2), h)
        return self._modulated(x, y.transpose(1, 2), condition), h

    def once(self, x: Tensor, h: Tensor, condition: Tensor) -> tuple[Tensor, Tensor]:
        """A single step, ``(B, channels)``."""
        y, h = self.averages.once(_bent(self.first, self.linear(x)), h)
        return self._modulated(x, y, condition), h

    def numbers(self, condition: Tensor) -> tuple[Tensor, ...]:
        """For `models.statespace_live`: linear layer, averages, scale and shift at a condition, slopes and residual."""
        averages, film = self.averages, self.modulation(condition)
        new = approached(torch.exp(-averages.log_length))
        of_averages = new, averages.weight, averages.direct
        return (
            self.linear.weight, self.linear.bias, self.first.weight, *of_averages, film, self.second.weight,
            self.residual,
        )  # fmt: skip

    def _modulated(self, x: Tensor, y: Tensor, condition: Tensor) -> Tensor:
        scale, shift = self.modulation(condition).chunk(2, dim=-1)
        return self.residual * x + _bent(self.second, scale * y + shift)


class S4D(SideChain):
    """The network of this module's text.

    Args:
        depth: number of layers.
        channels: of each layer.
        states: of each channel.
        controls, in_channels, out_channels, warm_up: see `Endless`.

    Shape:
        x ``(B, in_channels, T)``, controls ``(B, controls)`` → ``(B, in_channels, T − receptive_field + 1)``.

    Raises:
        ValueError: also for sizes below 1; see `SideChain`.
    """

    def __init__(
        self,
        depth: int = 4,
        channels: int = 16,
        states: int = 4,
        controls: int = 2,
        in_channels: int = 1,
        out_channels: int = 1,
        warm_up: int = 64,
    ) -> None:
        super().__init__(controls, in_channels, out_channels, warm_up)
        for name, size in {"depth": depth, "channels": channels, "states": states}.items():
            if size < 1:
                raise ValueError(f"S4D: {name} must be at least 1, got {size}")
        self.conditioning = conditioning(controls, CONDITIONING, nn.PReLU)
        self.expand = nn.Linear(in_channels, channels)
        self.layers = nn.ModuleList(Layer(channels, states, CONDITIONING[-1]) for _ in range(depth))
        self.contract = nn.Linear(channels, in_channels)
        with torch.no_grad():
            self.contract.weight *= 0.1
            self.contract.bias.zero_()

    def of_a_step(self) -> int:
        """Weights of the linear layers, two of each state, four of each channel of a layer."""
        linear: list[Any] = [self.expand, self.contract, *(layer.linear for layer in self.layers)]
        states = sum(2 * layer.averages.weight.numel() + 4 * len(layer.residual) for layer in self.layers)  # type: ignore
        return sum(module.weight.numel() for module in linear) + states

    def at_rest(self, controls: Tensor) -> State:
        """The controls on their way, and the averages of each layer."""
        layer: Any = self.layers[0]
        averages = controls.new_zeros(len(controls), *layer.averages.weight.shape)
        return torch.zeros_like(controls), *(averages.clone() for _ in self.layers)

    def follow(self, magnitude: Tensor, state: State, controls: Tensor, happens: Tensor | None) -> tuple[Tensor, State]:
        x, (moving, *averages) = levels.level(magnitude).transpose(1, 2), state
        if happens is not None:
            return self._scanned(x, moving, tuple(averages), controls, happens)
        if torch.equal(moving, controls):
            on_their_way = controls.unsqueeze(1)
        else:
            on_their_way, moving = glide(moving, controls, x.shape[1], GLIDE)
        condition = self.conditioning(on_their_way)
        if x.device.type == "cpu" and not torch.is_grad_enabled():
            gains, after = self._compiled(x, condition, averages)
            return gains, (moving, *after)
        x = self.expand(x)
        layer: Any
        for n, layer in enumerate(self.layers):
            x, averages[n] = layer(x, averages[n], condition)
        return _bounded(self.contract(x)).transpose(1, 2), (moving, *averages)

    def _compiled(self, x: Tensor, condition: Tensor, averages: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """Step after step where no gradient is asked for; see `models.statespace_live`."""
        of_each = zip(*(layer.numbers(condition) for layer in self.layers), strict=True)  # type: ignore[operator]
        of_layers, h = [torch.stack(parts) for parts in of_each], torch.stack(averages)
        out = x.new_empty(*x.shape[:2], self.out_channels)
        enter, leave = self.expand, self.contract
        statespace_live.run(*arrays(x, enter.weight, enter.bias, *of_layers, leave.weight, leave.bias, h, out))
        # Clones: `torch.export` takes no states that share memory.
        return _bounded(out).transpose(1, 2), [of_layer.clone() for of_layer in h]

    def _scanned(
        self, x: Tensor, moving: Tensor, averages: State, controls: Tensor, happens: Tensor
    ) -> tuple[Tensor, State]:
        """Step after step, for `torch.export`."""
        keep = math.exp(-1 / GLIDE)

        def step(before: State, now: tuple[Tensor, Tensor]) -> tuple[State, Tensor]:
            (moving, *averages), (level, happens) = before, now
            moving = controls + keep * (moving - controls)
            condition = self.conditioning(moving)
            x = self.expand(level)
            after = [moving]
            layer: Any
            for layer, h in zip(self.layers, averages, strict=True):
                x, h = layer.once(x, h, condition)
                after.append(h)
            kept = tuple(torch.where(happens, new, old) for new, old in zip(after, before, strict=True))
            return kept, _bounded(self.contract(x))

        last, gains = scan(step, (moving, *averages), (x.transpose(0, 1).contiguous(), happens))
        return gains.permute(1, 2, 0), tuple(last)


def _bent(activation: nn.Module, x: Tensor) -> Tensor:
    """PReLU with the channels last."""
    return torch.where(x > 0, x, activation.weight * x)  # type: ignore[operator]


def _bounded(u: Tensor) -> Tensor:
    """A gain in dB of a number of about one."""
    return LARGEST_GAIN_DB * torch.tanh(u)
