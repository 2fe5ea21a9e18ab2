"""The gain inside: what a network multiplies its input with, if it does, and the LA-2A model's own gain reduction.

A network tells its gain by a method ``gain_db(x, controls)``, in dB, of the shape of its output.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from data import audio
from data.la2a import control_hop, gain_reduction
from models.net import Net
from scripts.measure.devices import parsed
from scripts.report.passages import Audio, Passage, Place, span
from scripts.report.side_by_side import each


def add(passage: Passage, nets: Mapping[str, Net], embedded: bool, device: torch.device | str = "cpu") -> list[str]:
    """Adds the gains that are known to a passage, the device's if the data set is the embedded one.

    Returns:
        a note for each network whose gain is of no use
    """
    heard = {label: nets[label] for label in passage.outputs}
    gains, failed = each(heard, lambda net: gain_of(net, passage.place, device))
    passage.gains_db |= {label: gain for label, gain in gains.items() if gain is not None}
    if embedded:
        passage.reduction_db = la2a_reduction(passage.place)
    return [f"The inner gain of {label} is not drawn: {why}." for label, why in failed.items()]


@torch.inference_mode()
def gain_of(net: Net, place: Place, device: torch.device | str = "cpu") -> Audio | None:
    """The gain in dB at each sample of a place, mean of the channels; None for a network that does not tell it.

    Raises:
        ValueError: if it is not as long as the place, or not finite.
    """
    if not callable(gain_db := getattr(net, "gain_db", None)):
        return None
    before, after = net.context
    warm = min(net.memory, place.start)
    heard = span(place.recording, place.start - warm - before, place.start + place.frames + after)
    gain = gain_db(heard.input[None].to(device), heard.controls[None].to(device))[..., warm:]
    found = gain[0].double().mean(dim=0).cpu().numpy()
    if found.shape != (place.frames,):
        raise ValueError(f"it has {len(found)} samples for {place.frames}")
    if bad := int((~np.isfinite(found)).sum()):
        raise ValueError(f"it has {bad} samples that are not finite")
    return np.asarray(found)


def la2a_reduction(place: Place) -> Audio:
    """Gain reduction in dB of the LA-2A model at each sample of a place; it hears the recording from its start on."""
    recording = place.recording
    stop = place.start + place.frames
    switch, peak_reduction = parsed(recording.setting)
    x = audio.read(recording.input, 0, stop).astype(np.float64).mean(axis=0)
    reduction = gain_reduction(x, peak_reduction, switch, recording.sample_rate)
    reached = (np.arange(len(reduction)) + 1) * control_hop(recording.sample_rate)  # the gain glides there in a step
    return np.interp(np.arange(place.start, stop), reached, reduction)
