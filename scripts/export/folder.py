"""Writes the folder of an export. It appears whole and verified, or not at all."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from models.atomic import replacing_folder
from models.run import Run
from scripts import extras
from scripts.export import card, graphs, replay
from scripts.export.describe import controls_of, describe, metadata
from scripts.export.graphs import Graph
from scripts.export.replay import Pair, Runner

FORMATS = ("onnx", "torch")
ABOUT = "model.json"
EXAMPLE = Path(__file__).with_name("run_onnx.py")
TOLERANCE = 1e-5  # of a replay, as the largest magnitude of a difference; full scale is 1


def write(
    folder: Path,
    out: Path,
    checkpoint: str = "best",
    formats: Sequence[str] = FORMATS,
    seconds: float = 60.0,
    tell: Callable[[str], object] = print,
) -> dict[str, Any]:
    """Exports a run, and replays what it recorded.

    Args:
        folder: the run.
        out: where to; an earlier export there is replaced once the new one is complete.
        checkpoint: "best" or "last".
        formats: of "onnx" and "torch".
        seconds: length of the recorded signal.
        tell: is told what was done.

    Returns:
        the description, as in ``model.json``

    Raises:
        RunError: if the run cannot be used.
        ValueError: if packages are missing, if something else lies at `out`, or if a replay deviates.
    """
    _check_packages(formats)
    _check_free(out)
    run = Run.read(folder, checkpoint)
    net = run.net()
    controls = controls_of(run.config, net)
    about = describe(run, net, formats)
    with replacing_folder(out) as partial:
        pairs = replay.record(net, controls, seconds, about["sample_rate"])
        recordings = [pair.write(partial, about["sample_rate"]) for pair in pairs]
        about |= {"recordings": recordings, "tolerance": TOLERANCE}
        traced = graphs.trace(net, len(controls))
        for name in dict.fromkeys(formats):
            step, whole = (_write_onnx if name == "onnx" else _write_torch)(partial, traced, about)
            _verify(name, step, whole, about, pairs, tell)
        (partial / ABOUT).write_text(json.dumps(about, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        card.write(run, partial, about)
    return about


def _write_onnx(folder: Path, traced: dict[str, Graph], about: dict[str, Any]) -> list[Runner]:
    import onnx

    for name, graph in traced.items():
        model = graphs.to_onnx(graph)
        onnx.helper.set_model_props(model, metadata(about))
        onnx.save(model, folder / f"{name}.onnx")
    shutil.copyfile(EXAMPLE, folder / EXAMPLE.name)
    return [replay.onnx_runner(folder / f"{name}.onnx") for name in traced]


def _write_torch(folder: Path, traced: dict[str, Graph], about: dict[str, Any]) -> list[Runner]:
    for name, graph in traced.items():
        torch.export.save(graph.program, folder / f"{name}.pt2", extra_files={ABOUT: json.dumps(about)})
    with graphs.quiet():
        return [replay.torch_runner(torch.export.load(folder / f"{name}.pt2")) for name in traced]


def _verify(
    name: str, step: Runner, whole: Runner, about: dict[str, Any], pairs: list[Pair], tell: Callable[[str], object]
) -> None:
    for what, deviation in replay.deviations(step, whole, about, pairs).items():
        if not deviation <= TOLERANCE:
            raise ValueError(
                f"{name}: the replay of the recording ({what}) deviates by {deviation:.2e} from the network, allowed "
                f"is {TOLERANCE:.0e}; nothing was written"
            )
        tell(f"{name}: {what}: deviates by at most {deviation:.1e}")


def _check_packages(formats: Sequence[str]) -> None:
    if "onnx" in formats:
        try:
            extras.require("export", "the format onnx")
        except ValueError as error:
            raise ValueError(f"{error}, or pass --format torch") from error


def _check_free(out: Path) -> None:
    """Raises a ValueError if something lies at a place that is not an export."""
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    try:
        earlier = "format" in json.loads((out / ABOUT).read_text(encoding="utf-8"))
    except (OSError, ValueError, TypeError):
        earlier = False
    if not earlier:
        raise ValueError(f"{out} holds something else than an export; choose another --out, or delete it")
