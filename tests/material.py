"""What losses are compared on: noise, and music-like material with what a model makes of it."""

from collections.abc import Callable
from functools import cache, partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Array = NDArray[np.float64]
Pair = tuple[Tensor, Tensor]

RATE = 44_100
SAMPLES = 8192


def noise(channels: int = 1, batch: int = 1, samples: int = SAMPLES) -> Pair:
    """White noise, and the same with a gain error, added noise and an offset."""
    rng = np.random.default_rng(0)
    target = 0.3 * rng.standard_normal((batch, channels, samples))
    input = 0.8 * target + 0.1 * rng.standard_normal(target.shape) + 0.01
    return torch.tensor(input, dtype=torch.float32), torch.tensor(target, dtype=torch.float32)


def instrument(rng: np.random.Generator) -> Array:
    """Plucked harmonic notes and drum strokes over a background 46 dB below full scale."""
    time = np.arange(SAMPLES) / RATE
    signal = 0.005 * rng.standard_normal(SAMPLES)
    for onset, pitch in zip((0.0, 0.03, 0.07, 0.1), (110.0, 164.8, 220.0, 329.6), strict=True):
        since = np.maximum(time - onset, 0)
        for k in range(1, 9):
            note = np.sin(2 * np.pi * k * pitch * since) * np.exp(-(4 + 3 * k) * since) / k
            signal += 0.15 * (time > onset) * note
    for onset in (0.05, 0.14):
        decay = np.exp(-60 * np.maximum(time - onset, 0))
        signal += 0.25 * (time > onset) * decay * rng.standard_normal(SAMPLES)
    return signal


@cache
def music(channels: int = 1, level: float = 1.0) -> Pair:
    """Music-like material, and what a saturating, slightly noisy model makes of it."""
    rng = np.random.default_rng(1)
    target = np.stack([instrument(rng) for _ in range(channels)])[None]
    input = np.tanh(1.2 * target) / 1.3 + 0.01 * rng.standard_normal(target.shape) + 0.005
    return torch.tensor(level * input, dtype=torch.float32), torch.tensor(level * target, dtype=torch.float32)


def clicks() -> Pair:
    """One click where a frame begins, and the same with a fainter one behind it: phases that need no wrapping."""
    target = torch.zeros(1, 1, 4096)
    target[..., 1536] = 1  # first sample of the frame around 2,048
    return target + 0.3 * target.roll(1), target


MATERIALS: dict[str, Callable[[int], Pair]] = {
    "noise": noise,
    "music": music,
    "music at -60 dB": partial(music, level=0.001),
}
