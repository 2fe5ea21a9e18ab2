"""The run behind a row of an evaluation, as it was scored."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from models.run import Run, RunError


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


def scored_run(item: Mapping[str, str], results: Path, checkpoint: str = "best") -> Run:
    """A run with the checkpoint that was scored.

    Raises:
        RunError: if it cannot be read, or holds other weights than those that were scored.
    """
    run = Run.read(folder_of(item, results, checkpoint), checkpoint)
    if item.get("weights") not in (None, "", run.weights):
        raise RunError(f"{run.folder}: has been trained further since it was scored: evaluate again")
    return run


def _is_as_scored(folder: Path, item: Mapping[str, str], checkpoint: str) -> bool:
    """Whether a folder holds the weights that were scored; an evaluation that does not know them takes any."""
    try:
        return not item.get("weights") or Run.read(folder, checkpoint).weights == item["weights"]
    except RunError:
        return False
