"""The error of a model on programme material while its knob moves, from 0 to 100 and back.

A host sets a control once a block. The device that is the target gets the same positions, and both begin at rest.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from auraloss.freq import MultiResolutionSTFTLoss
from auraloss.time import ESRLoss
from scripts.measure.devices import Array, Moved, run, turning

KNOB = (0.0, 100.0)  # peak reduction at both ends
BLOCK = 512  # samples for which the knob stays the same: the buffer of a host
METRICS = {"ESR": ESRLoss(), "MR": MultiResolutionSTFTLoss()}  # of the convention `standard`


def moving(samples: int) -> Array:
    """The knob at each sample: up in the first half, down in the second.

    >>> moving(2048).reshape(4, -1)[:, 0].tolist()
    [0.0, 50.0, 100.0, 50.0]
    """
    return turning([0, samples / 2, samples], [KNOB[0], KNOB[1], KNOB[0]], samples, BLOCK)


def turned(device: Moved, x: Array) -> Array:
    """What a device makes of a signal while its knob moves; errors as of `devices.run`."""
    return run(lambda signal: device(signal, moving(len(x))), x)


def errors(outputs: Sequence[Array], targets: Sequence[Array]) -> dict[str, float]:
    """Each of `METRICS`, the mean over signals, at least one.

    >>> errors([np.full(4096, 0.5)], [np.ones(4096)])["ESR"]
    0.25
    """
    found: dict[str, list[float]] = {name: [] for name in METRICS}
    with torch.inference_mode():
        for signals in zip(outputs, targets, strict=True):
            x, y = (torch.from_numpy(signal).float()[None, None] for signal in signals)
            for name, metric in METRICS.items():
                found[name].append(float(metric(x, y)))
    return {name: float(np.mean(values)) for name, values in found.items()}
