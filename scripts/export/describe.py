"""What an export says of itself: ``model.json``, and the metadata of its graphs."""

from __future__ import annotations

import json
import math
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from data import controls
from data.controls import Control
from models.net import Net
from models.run import Run, RunError
from scripts.export.graphs import held, state_names
from scripts.results import scores

FORMAT = 1  # of model.json
OF_CONTROL = ("name", "lowest", "highest", "step", "meaning")
LIBRARIES = {"onnx": ("torch", "onnx", "onnxscript", "onnxruntime"), "torch": ("torch",)}
WARM_UP = (
    "The state after silence, at given controls: from a state of zeros, one step with a block of receptive_field - 1 "
    "zeros at these controls (or several that add up to it); its output is dropped. Then the first `latency` samples "
    "of output belong to the time before the input; feed `latency` zeros at the end to get the last ones."
)


def describe(run: Run, net: Net, formats: Sequence[str]) -> dict[str, Any]:
    """The description of a run's network, of plain values.

    Raises:
        RunError: if the run does not tell its sample rate, or has other channels than its network.
    """
    source = run.source
    if source.channels != net.in_channels:
        raise RunError(
            f"{run.folder / 'config.yaml'}: its data has {source.channels} channel(s), its network {net.in_channels}"
        )
    of_net = controls_of(run.config, net)
    silence = torch.zeros(1, len(of_net))
    state = held(net.start(silence))
    with torch.inference_mode():
        output = net(torch.zeros(1, net.in_channels, net.receptive_field), silence)
    return {
        "format": FORMAT,
        "name": "/".join(run.folder.resolve().parts[-2:]),
        "checkpoint": run.checkpoint,
        "checkpoint_sha256": run.sha256,
        "sample_rate": source.sample_rate,
        "in_channels": net.in_channels,
        "out_channels": output.shape[1],
        "receptive_field": net.receptive_field,
        "latency": net.lookahead,
        "controls": [dict(zip(OF_CONTROL, control, strict=False)) for control in of_net],
        "state": [
            {"input": name, "output": after, "shape": list(part.shape)}
            for name, after, part in zip(*state_names(len(state)), state, strict=True)
        ],
        "warm_up": WARM_UP,
        "scores": scores_of(run),
        "training": {key: value for key, value in run.status.items() if key in ("state", "epochs", "steps", "seconds")},
        "config": _without_folders(run.config),
        "versions": {"python": platform.python_version()}
        | {library: version(library) for name in formats for library in LIBRARIES[name]},
    }


def controls_of(config: Mapping[str, Any], net: Net) -> tuple[Control, ...]:
    """The controls of a run's network, as its data set declares them; else numbered ones, from 0 to 1."""
    return controls.of_network(config.get("data"), getattr(net, "controls", None))


def scores_of(run: Run) -> dict[str, Any] | None:
    """The mean scores of a checkpoint by convention and metric, as evaluate.py wrote them into the study's results.

    Each part of the audio weighs as many samples as it has. None if this checkpoint is not among what was scored there.
    """
    try:
        found = scores.read(run.folder.resolve().parent / "results")
    except ValueError:
        return None
    names = [item.get("run") for item in found.info["runs"] if item.get("weights") == run.weights]
    rows = found.rows[found.rows["run"].isin(names[:1])]
    if rows.empty:
        return None
    means: dict[str, dict[str, float | None]] = {}
    of_metric: Any = rows.groupby(["convention", "metric"], sort=False)
    for (convention, metric), part in of_metric:
        mean = float(np.average(part["value"], weights=part["samples"]))
        means.setdefault(convention, {})[metric] = mean if math.isfinite(mean) else None
    return {"data": Path(found.info["root"]).name, "metrics": found.info["metrics"], "means": means}


def metadata(about: Mapping[str, Any]) -> dict[str, str]:
    """The description as the text values of ONNX's metadata; lists and mappings as JSON."""
    return {key: value if isinstance(value, str) else json.dumps(value) for key, value in about.items()}


def _without_folders(config: dict[str, Any]) -> dict[str, Any]:
    """The configuration without the place of the data on the machine of training, as an export goes to others."""
    return config | {"data": config["data"] | {"root": Path(config["data"]["root"]).name}}
