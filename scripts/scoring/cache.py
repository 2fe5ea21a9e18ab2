"""Scores that are kept: what was scored once is read from a file the next time.

A file holds the scores of one network, metric by metric. They count only for the subject they were made of (checkpoint,
data, length of the segments, code that scores): of another subject, or in another format, the file is empty, and the
next one replaces it. Within a subject each metric has a key of its own, so that a new or changed one is scored alone.

The first line is the digest of the rest. A file that is damaged, or not there, holds nothing; nor does a metric count
whose rows are not those of the split. The values themselves are trusted, also those of a stranger's run: delete its
``scores/`` to score it anew.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from models.atomic import write_text
from scripts.scoring.rows import Score

FORMAT = 1  # of a file; one that does not tell is of the first
Name = tuple[str, str]  # convention and metric
Place = tuple[str, str, int, int | None, int]  # recording, setting, segment, start and samples of a row


@dataclass
class Scored:
    """What is known of a network."""

    level_db: float = 0.0  # energy of its output over that of the target, over the whole split
    correlation: float = 1.0  # of output and target, over the whole split: cosine of the angle between them
    scores: dict[Name, list[Score]] = field(default_factory=dict)


def load(file: Path, subject: str, keys: Mapping[Name, str], places: Mapping[Name, Sequence[Place]]) -> Scored:
    """The scores that a file holds of a subject, of the metrics whose keys are the same as then.

    Args:
        file: as `save` wrote it
        subject: what was scored
        keys: of each metric that is asked for
        places: of each of them the rows that it has to have, in their order
    """
    content = _read(file, subject)
    try:
        found = Scored(float(content["level_db"]), float(content["correlation"])) if content else Scored()
        for name, key in keys.items():
            entry = content.get("metrics", {}).get(".".join(name))
            if entry and entry["key"] == key:
                scores = [_score(name, row) for row in entry["rows"]]
                if [(s.recording, s.setting, s.segment, s.start, s.samples) for s in scores] == list(places[name]):
                    found.scores[name] = scores
    except (TypeError, ValueError, KeyError, AttributeError):
        return Scored()
    return found


def save(file: Path, subject: str, keys: Mapping[Name, str], scored: Scored) -> None:
    """Adds scores to a file, in one step; those of another subject, and of the same metrics, are replaced.

    Raises:
        OSError: if it cannot be written.
    """
    known = _read(file, subject).get("metrics")
    metrics = known if isinstance(known, dict) else {}
    for name, scores in scored.scores.items():
        rows = [[s.recording, s.setting, s.segment, s.start, s.samples, s.value] for s in scores]
        metrics[".".join(name)] = {"key": keys[name], "rows": rows}
    of_network = {"level_db": scored.level_db, "correlation": scored.correlation}
    text = json.dumps({"format": FORMAT, "subject": subject, **of_network, "metrics": metrics})
    file.parent.mkdir(parents=True, exist_ok=True)
    write_text(file, f"{hashlib.sha256(text.encode()).hexdigest()}\n{text}\n")


def _read(file: Path, subject: str) -> dict[str, Any]:
    """What a whole file says of a subject; nothing for any other."""
    try:
        check, _, text = file.read_text(encoding="utf-8").rstrip("\n").partition("\n")
        content = json.loads(text) if check == hashlib.sha256(text.encode()).hexdigest() else {}
    except (OSError, ValueError, RecursionError):
        return {}
    told = isinstance(content, dict) and (content.get("format", 1), content.get("subject"))
    return content if told == (FORMAT, subject) else {}


def _score(name: Name, row: list[Any]) -> Score:
    """A score from its row; a run may be a stranger's, so that nothing else than a score is taken."""
    recording, setting, segment, start, samples, value = row
    kinds = [type(recording), type(setting), type(segment), type(samples), type(value)]
    if kinds != [str, str, int, int, float] or type(start) not in (int, type(None)):
        raise ValueError(f"{row} is not a score")
    return Score(*name, recording, setting, segment, start, samples, value)
