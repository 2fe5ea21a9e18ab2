"""The model card of an export: the run's own, or one made from its description, and how this folder is to be used."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from models.run import Run
from scripts.results import card

CARD = "card.md"


def write(run: Run, out: Path, about: Mapping[str, Any]) -> None:
    """Writes the card of a run into the folder of its export.

    Args:
        run: the run.
        out: folder of the export.
        about: what `describe` says of it.
    """
    kept = run.folder / CARD
    own = run.checkpoint == "best" and kept.is_file()
    of_model = kept.read_text(encoding="utf-8") if own else _of_model(run, about)
    (out / CARD).write_text(f"{of_model.rstrip()}\n\n{_of_export(about)}", encoding="utf-8")


def _of_model(run: Run, about: Mapping[str, Any]) -> str:
    text = card.card(f"The network of {about['name']}", run)
    means = (about["scores"] or {}).get("means", {})
    if not means:
        return f"{text}\nNot scored: `python evaluate.py` before the export writes the scores here.\n"
    lines = [
        f"| {convention} | {metric} | {'not finite' if value is None else f'{value:.4g}'} |"
        for convention, of_convention in means.items()
        for metric, value in of_convention.items()
    ]
    head = f"Mean scores on the test split of `{about['scores']['data']}`:\n\n| convention | metric | mean |"
    return "\n".join([text, head, "|---|---|---:|", *lines])


def _of_export(about: Mapping[str, Any]) -> str:
    rate, latency = about["sample_rate"], about["latency"]
    channels = f"{about['in_channels']} in, {about['out_channels']} out"
    controls = "\n".join(
        f"| {control['name']} | {control['lowest']:g} to {control['highest']:g} | {control['meaning']} |"
        for control in about["controls"]
    )
    return f"""## This export

- Sample rate: {rate} Hz. Audio at another rate has to be resampled, or the network is another device.
- Channels: {channels}. Latency: {latency} samples ({1000 * latency / rate:.1f} ms).
- `model.json` describes the tensors, the state and the start after silence. The recordings show what must come out.
- Values of a control outside of its range were never trained on.

| control, in this order | range | meaning |
|---|---|---|
{controls}
"""
