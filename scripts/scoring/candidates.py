"""The runs that may be scored: what they are called, what they learned from, and why others are left out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from models.net import Net
from models.run import Run, RunError
from models.source import Source
from scripts.results.scores import UNPROCESSED
from scripts.scoring.held_out import HeldOut

RETRAIN = "Train it again, or name the data to test on: data=signaltrain data.root=…"


@dataclass(frozen=True)
class Candidate:
    """A run that has a checkpoint and can be named in tables; its network is not loaded yet."""

    run: Run
    source: Source | None  # None if its configuration does not tell

    @property
    def folder(self) -> Path:
        return self.run.folder

    @property
    def loss(self) -> str:
        """The name of the training loss, as in configs/loss; the folder's begins with it as well."""
        choices = self.run.config.get("choices")
        name = choices.get("loss") if isinstance(choices, dict) else None
        return name if isinstance(name, str) else self.folder.name.split("-")[0]

    @property
    def seed(self) -> str:
        return str(self.run.config.get("seed", ""))


def candidate(folder: Path, checkpoint: str, source_needed: bool) -> Candidate:
    """A run's folder as a candidate.

    Raises:
        RunError: if configuration or checkpoint is missing or unreadable, if the data it learned from are needed
            and not told, or if a table cannot name it.
    """
    if str(folder) == UNPROCESSED:
        raise RunError(f"{UNPROCESSED!r} is the name of the input itself in all results; rename the folder")
    run = Run.read(folder, checkpoint)
    try:
        source: Source | None = run.source
    except RunError:
        if source_needed:
            raise
        source = None
    found = Candidate(run, source)
    _ = run.weights  # raises if there are none
    if not found.loss or not found.loss.isprintable() or found.loss == UNPROCESSED:
        raise RunError(f"{folder / 'config.yaml'}: choices.loss, {found.loss!r}, cannot be the name of a loss")
    if type(run.config.get("seed")) not in (int, type(None)):
        raise RunError(f"{folder / 'config.yaml'}: seed, {run.config['seed']!r}, is not a whole number")
    return found


def check_data(candidate: Candidate, split: HeldOut) -> None:
    """Raises a `RunError` if a run cannot be compared on a test split, with the remedy."""
    ours, theirs = candidate.source, split.source
    if ours is not None and split.named and ours[1:] != theirs[1:]:
        raise RunError(f"it was trained on {ours}, the test data is {theirs}. Convert the recordings, or train again.")
    if split.named:
        return
    if ours is not None and ours.place != theirs.place:
        raise RunError(
            f"it was trained on {ours}, most of the runs on {theirs}. Evaluate it apart, or name one test set for all: "
            "data=signaltrain data.root=…"
        )
    recorded = candidate.run.status.get("test_split")
    if recorded is not None and recorded != split.fingerprint:
        raise RunError(
            f"the test split of {theirs.root} has changed since its training: its fingerprint was {recorded}, "
            f"now it is {split.fingerprint}. {RETRAIN}"
        )


def load(candidate: Candidate, split: HeldOut) -> Net:
    """The network of a candidate; raises a `RunError` if it is damaged, or does not fit the recordings."""
    net = candidate.run.net()
    recording = split.recordings[0]
    for name, here in (("controls", len(recording.controls)), ("in_channels", recording.channels)):
        of_net = getattr(net, name, here)
        if of_net != here:
            what = name.removeprefix("in_")
            raise RunError(f"its network has {of_net} {what}, the test data {here}. Evaluate it with data of its own.")
    return net


def labels(candidates: list[Candidate]) -> dict[Path, str]:
    """A name for each run, shared by runs that differ in the seed alone, or in where they were trained.

    It is that of the loss. Where one loss stands for different models, theirs is the run's name without the seed
    (``l1-channels8`` for ``l1-seed2-channels8``), and the study's name is added where that is not enough.
    """
    kinds = {c.folder: c.run.kind for c in candidates}
    choices: dict[Path, list[str]] = {}  # from short to long
    for c in candidates:
        short = re.sub(r"-seed\d+", "", c.folder.name)
        choices[c.folder] = [c.loss, short, f"{c.folder.parent.name}/{short}", str(c.folder)]
    while True:
        of_name: dict[str, set[str]] = {UNPROCESSED: {""}}
        for folder, kind in kinds.items():
            of_name.setdefault(choices[folder][0], set()).add(kind)
        clashing = [names for names in choices.values() if len(of_name[names[0]]) > 1 and len(names) > 1]
        if not clashing:
            return {folder: names[0] for folder, names in choices.items()}
        for names in clashing:
            del names[0]


def repeated(candidates: list[Candidate], labels: Mapping[Path, str]) -> dict[Path, Path]:
    """Runs of a model and seed that an earlier one has as well, and that one: tests take each for a training anew."""
    first: dict[tuple[str, str], Path] = {}
    found = {c.folder: first.setdefault((labels[c.folder], c.seed), c.folder) for c in candidates}
    return {folder: earlier for folder, earlier in found.items() if folder != earlier}
