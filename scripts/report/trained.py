"""The trained networks that a report drives and lets one hear: one for each model of the evaluation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from models.net import Net
from models.run import Run, RunError


@dataclass(frozen=True)
class Trained:
    """The network that stands for a model of the table."""

    label: str  # row of the table
    loss: str
    run: str  # folder, as the evaluation names it
    seed: str
    net: Net


def folder_of(item: Mapping[str, str], results: Path, checkpoint: str = "best") -> Path:
    """The folder of a run: beside the results, as a study may have been moved, or else as named.

    Where both are there, the first that holds the weights that were scored.

    Args:
        item: of `runs` in `evaluation.json`

    Raises:
        RunError: if neither is there.
    """
    places = (results.absolute().parent / Path(item["run"]).name, Path(item["run"]))
    found = [folder for folder in places if folder.is_dir()]
    if not found:
        raise RunError(f"{item['run']}: the folder is gone")
    return next((folder for folder in found if _is_as_scored(folder, item, checkpoint)), found[0])


def load_net(item: Mapping[str, str], results: Path, checkpoint: str = "best") -> Net:
    """The network of a run, as it was scored.

    Raises:
        RunError: if it cannot be loaded, or holds other weights than those that were scored.
    """
    run = Run.read(folder_of(item, results, checkpoint), checkpoint)
    net = run.net()
    if item.get("weights") not in (None, "", run.weights):
        raise RunError(f"{run.folder}: has been trained further since it was scored: evaluate again")
    return net


def _is_as_scored(folder: Path, item: Mapping[str, str], checkpoint: str) -> bool:
    """Whether a folder holds the weights that were scored; an evaluation that does not know them takes any."""
    try:
        return not item.get("weights") or Run.read(folder, checkpoint).weights == item["weights"]
    except RunError:
        return False


def load(runs: Sequence[Mapping[str, str]], results: Path, checkpoint: str = "best") -> tuple[list[Trained], list[str]]:
    """For each model its run of the smallest seed that can be loaded.

    Args:
        runs: of `evaluation.json`: run, model, loss, seed, and weights if it knows them
        results: the folder of the evaluation
        checkpoint: "best" or "last"

    Returns:
        the networks in the order of the models, and a note for each run that could not be loaded
    """
    by_model: dict[str, list[Mapping[str, str]]] = {}
    for item in runs:
        by_model.setdefault(item["model"], []).append(item)
    found, notes = [], []
    for label, of_model in by_model.items():
        for item in sorted(of_model, key=lambda item: (_number(item["seed"]), item["run"])):
            try:
                net = load_net(item, results, checkpoint)
            except RunError as error:
                notes.append(f"{item['run']} can be neither heard nor measured: {error}.")
                continue
            found.append(Trained(label, item["loss"], item["run"], item["seed"], net))
            break
    return found, notes


def _number(seed: str) -> float:
    try:
        return float(seed)
    except ValueError:
        return float("inf")
