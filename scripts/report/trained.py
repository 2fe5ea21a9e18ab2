"""The trained networks that a report drives and lets one hear: one for each model of the evaluation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from models.net import Net
from models.run import RunError
from scripts.results.scored_run import scored_run


@dataclass(frozen=True)
class Trained:
    """The network that stands for a model of the table."""

    label: str  # row of the table
    loss: str
    run: str  # folder, as the evaluation names it
    seed: str
    net: Net


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
                net = scored_run(item, results, checkpoint).net()
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
