"""What has become of the runs of a study: one line each.

python -m scripts.runs              the newest study in runs/
python -m scripts.runs quick        runs/quick, or any folder of runs

A run whose status says that it is being trained, but whose process is gone, has died: it was killed, or its machine
went away. The command that began it continues it.

Files are read one by one, not as a `models.run.Run`: a run that has died early has no configuration, and the import of
that class takes seconds.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models import metrics_file, run_lock
from models.run_files import RunError, read_config, read_status

HEAD = ("run", "state", "epoch", "score", "left", "where", "why")
SCORE = "val/score"  # as `models.system` writes it, whose import takes seconds
LONGEST_WHY = 100  # characters


@dataclass(frozen=True)
class Progress:
    """How far a training is, by its metrics.csv."""

    epochs: int  # that have ended
    total: int | None  # epochs in all, if that is known
    changed: float  # when the latest of them ended, in seconds since 1970

    @property
    def text(self) -> str:
        return f"{self.epochs}/{self.total}" if self.total else f"{self.epochs}"

    def left(self, begun: float, epochs_before: int, now: float) -> float | None:
        """Seconds to the end of a training at its pace so far; None before its first epoch has ended.

        Args:
            begun: when it was begun, or continued.
            epochs_before: that had ended by then.
            now: the time.

        >>> Progress(epochs=5, total=20, changed=1060.0).left(begun=1000.0, epochs_before=2, now=1070.0)
        290.0
        """
        if self.total is None or self.epochs <= epochs_before:
            return None
        pace = (self.changed - begun) / (self.epochs - epochs_before)
        return max(pace * (self.total - self.epochs) - (now - self.changed), 0.0)


def progress(folder: Path, config: Mapping[str, Any]) -> Progress:
    rows: list[metrics_file.Row] = []
    changed = 0.0
    with suppress(OSError, ValueError):
        rows = metrics_file.read(folder / "metrics.csv")
        changed = (folder / "metrics.csv").stat().st_mtime
    trainer = config.get("trainer")
    trainer = trainer if isinstance(trainer, dict) else {}
    ends = [trainer["max_epochs"]] if _positive(trainer.get("max_epochs")) else []
    with suppress(KeyError, ValueError, TypeError, ZeroDivisionError):
        if _positive(trainer.get("max_steps")):
            ends.append(math.ceil(trainer["max_steps"] * len(rows) / int(rows[-1]["step"])) if rows else None)
    return Progress(len(rows), min((end for end in ends if end), default=None), changed)


def line(folder: Path) -> list[str]:
    """A run as `HEAD` names it; by its files alone, since `models.run` imports torch, which takes seconds."""
    status, holder = read_status(folder), run_lock.holder(folder)
    config: Mapping[str, Any] = {}
    with suppress(RunError):
        config = read_config(folder)
    so_far, state = progress(folder, config), str(status["state"])
    where = " ".join(str(status[key]) for key in ("host", "job") if key in status)
    left, why = "", str(status.get("error", ""))
    if holder is not None:
        where = where if str(holder["host"]) == status.get("host") else str(holder["host"])
        where = f"{where} process {holder['pid']}"
        begun = (folder / "status.json").stat().st_mtime if state == "running" else 0.0
        seconds = so_far.left(begun, status.get("epochs") or 0, time.time()) if begun else None
        state, why, left = "running", "", "" if seconds is None else _duration(seconds)
    elif state == "running":
        state, why = "died", "its process has ended without a word"
    elif "stopped_by" in status:
        why = f"stopped by {status['stopped_by']}"
    score = status.get("score")
    told = f"{score:.4g}" if isinstance(score, float) else _best(folder)
    why = " ".join(why.split())
    why = f"{why[: LONGEST_WHY - 1]}…" if len(why) > LONGEST_WHY else why
    return [folder.name, state, so_far.text, told, left, where, why]


def table(study: Path) -> str:
    """All runs of a study.

    Raises:
        ValueError: if there is none.
    """
    folders = sorted(
        {file.parent for name in ("config.yaml", "status.json", ".lock") for file in study.glob(f"*/{name}")}
    )
    if not folders:
        raise ValueError(f"{study} holds no run; the runs of a study lie in runs/<study>/<name>")
    lines = [line(folder) for folder in folders]
    widths = [max(map(len, column)) for column in zip(HEAD, *lines, strict=True)]
    rows = ["  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)) for cells in (HEAD, *lines)]
    states = Counter(cells[1] for cells in lines)
    return "\n".join(
        [*(row.rstrip() for row in rows), ", ".join(f"{count} {state}" for state, count in states.items())]
    )


def newest() -> Path:
    """The study in runs/ in which something was written last."""
    files = [file for name in ("status.json", "metrics.csv", ".lock") for file in Path("runs").glob(f"*/*/{name}")]
    if not files:
        raise ValueError("runs/ holds no run yet; train one with `python train.py`")
    return max(files, key=lambda file: file.stat().st_mtime).parents[1]


def named(study: str) -> Path:
    """The folder of a study, by its name in runs/ or by its path."""
    for folder in (Path("runs") / study, Path(study)):
        if folder.is_dir():
            return folder
    raise ValueError(f"there is neither runs/{study} nor {study}")


def _best(folder: Path) -> str:
    """The best score by metrics.csv, which a running training adds to."""
    with suppress(OSError, ValueError):
        scores = [float(row[SCORE]) for row in metrics_file.read(folder / "metrics.csv") if row.get(SCORE)]
        return f"{min(scores):.4g}" if scores else ""
    return ""


def _duration(seconds: float) -> str:
    """
    >>> _duration(42), _duration(5 * 60), _duration(26_000)
    ('42 s', '5 min', '7.2 h')
    """
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _positive(number: Any) -> bool:
    return isinstance(number, int) and number > 0


def main() -> None:
    parser = argparse.ArgumentParser(
        "python -m scripts.runs", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("study", nargs="?", help="its name in runs/, or its folder")
    chosen = parser.parse_args().study
    try:
        study = newest() if chosen is None else named(chosen)
        print(f"{study}\n{table(study)}")
    except ValueError as error:
        sys.exit(f"Error: {error}")


if __name__ == "__main__":
    main()
