"""The runs that may be scored: what they are called, what they learned from, and why others are left out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models import run
from models.net import Net
from models.run import RunError
from models.score_cache import digest, digest_files
from scripts.held_out import HeldOut, Source, trained_on

RETRAIN = "Train it again, or name the data to test on: data=signaltrain data.root=…"


@dataclass(frozen=True)
class Candidate:
    """A run with a configuration and a checkpoint, neither of them loaded yet."""

    folder: Path
    config: Mapping[str, Any]
    source: Source | None  # None if its configuration does not tell
    weights: str  # digest of the checkpoint and of the network it belongs to

    @property
    def loss(self) -> str:
        """The name of the training loss, as in configs/loss; the folder's begins with it as well."""
        choices = self.config.get("choices")
        name = choices.get("loss") if isinstance(choices, dict) else None
        return name if isinstance(name, str) else self.folder.name.split("-")[0]

    @property
    def seed(self) -> str:
        return str(self.config.get("seed", ""))


def candidate(folder: Path, checkpoint: str, source_needed: bool) -> Candidate:
    """A run's folder as a candidate.

    Raises:
        RunError: if configuration or checkpoint is missing or unreadable, or if the data it learned from are needed
            and not told.
    """
    config = run.read_config(folder)
    try:
        source = trained_on(folder, config)
    except RunError:
        if source_needed:
            raise
        source = None
    file = run.checkpoint_file(folder, checkpoint)
    try:
        weights = digest(digest_files([file]), config.get("model"))
    except OSError as error:
        raise RunError(f"{file}: cannot be read ({error.strerror})") from error
    return Candidate(folder, config, source, weights)


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
    recorded = run.read_status(candidate.folder).get("test_split")
    if recorded is not None and recorded != split.fingerprint:
        raise RunError(
            f"the test split of {theirs.root} has changed since its training: its fingerprint was {recorded}, "
            f"now it is {split.fingerprint}. {RETRAIN}"
        )


def load(candidate: Candidate, checkpoint: str, split: HeldOut) -> Net:
    """The network of a candidate; raises a `RunError` if it is damaged, or does not fit the recordings."""
    net = run.load_net(candidate.folder, checkpoint)
    recording = split.recordings[0]
    for name, here in (("controls", len(recording.controls)), ("in_channels", recording.channels)):
        of_net = getattr(net, name, here)
        if of_net != here:
            what = name.removeprefix("in_")
            raise RunError(f"its network has {of_net} {what}, the test data {here}. Evaluate it with data of its own.")
    return net


def labels(candidates: list[Candidate]) -> dict[Path, str]:
    """A name for each run, shared by runs that differ in the seed alone.

    It is that of the loss. Where one loss stands for different models, it is the run's name without the seed
    (``l1-channels8`` for ``l1-seed2-channels8``), and the study's name is added where that is not enough.
    """
    own = ("seed", "name", "study", "logger")
    kinds = {
        c.folder: repr(sorted((str(key), repr(value)) for key, value in c.config.items() if key not in own))
        for c in candidates
    }
    short = {folder: re.sub(r"-seed\d+", "", folder.name) for folder in kinds}
    losses = {c.folder: c.loss for c in candidates}
    for names in (losses, short, {folder: f"{folder.parent.name}/{name}" for folder, name in short.items()}):
        if len(set(names.values())) == len({(names[folder], kinds[folder]) for folder in names}):
            return names
    return {folder: str(folder) for folder in kinds}
