"""The card of a trained model in Markdown: what it is, what it was trained on, and what it is not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from models.run import Run

EMBEDDED = "data.embedded.recordings"


def card(title: str, run: Run, use: Sequence[str] = (), settings: str = "") -> str:
    """The head of a card; scores may follow.

    Args:
        title: of the card.
        run: the run of the model.
        use: further points, for instance a command.
        settings: that it was trained on, if they are known.
    """
    data, model = run.config["data"], dict(run.config["model"])
    channels = {1: "mono", 2: "stereo"}.get(data["channels"], f"{data['channels']} channels")
    network = ", ".join([f"`{model.pop('_target_')}`", *(f"{name} {value}" for name, value in model.items())])
    points = [
        f"Network: {network}",
        f"Trained on: {_material(data)}, {data['sample_rate']} Hz, {channels}.{settings and f' Settings: {settings}.'}",
        f"Training: {_training(run.config, run.status)}",
        *use,
        f"Not meant for: {_limits(data)}",
    ]
    return f"# {title}\n\n" + "".join(f"- {point}\n" for point in points)


def _is_embedded(data: Mapping[str, Any]) -> bool:
    recordings = data.get("recordings")
    return isinstance(recordings, Mapping) and recordings.get("_target_") == EMBEDDED


def _material(data: Mapping[str, Any]) -> str:
    if _is_embedded(data):
        return (
            f"the embedded data set ({data['recordings']['minutes']} min), a model of the LA-2A over synthesised "
            "programme material and not recordings of the device"
        )
    return f"the recordings in `{Path(data['root']).name}`"


def _training(config: Mapping[str, Any], status: Mapping[str, Any]) -> str:
    data, loss = config["data"], config.get("loss", {}).get("_target_", "not recorded")
    parts = [
        (status.get("steps"), "{} steps"),
        (data.get("batch_size"), "batches of {}"),
        (data.get("segment_length"), "crops of {} samples"),
        (config.get("seed"), "seed {}"),
        (status.get("seconds"), "{:.0f} s"),
    ]
    return ", ".join(text.format(value) for value, text in parts if value is not None) + f". Loss: `{loss}`."


def _limits(data: Mapping[str, Any]) -> str:
    if _is_embedded(data):
        return (
            "claims about a real LA-2A. How close it is to a unit of the device has not been measured. Nor was it "
            "trained on singing, dense mixes or reverberation."
        )
    return "devices, material and settings unlike those recordings; what it does there has not been measured."
