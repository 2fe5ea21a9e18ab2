"""What a report was made of, in one word: as long as that is the same, it need not be made again."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path

from models.digest import digest, digest_files
from models.run import RunError
from scripts.report import tracking
from scripts.results.scored_run import folder_of
from scripts.results.scores import Evaluation

ROOT = Path(__file__).parents[2]
HEAD = 2000  # bytes of a page, among which the template writes the word


def made_of(evaluation: Evaluation, folder: Path) -> str:
    """Of the results, the networks and learning curves behind them, and the code that draws."""
    info = evaluation.info
    runs = []
    for item in info["runs"]:
        with suppress(RunError):  # it is gone
            runs.append(folder_of(item, folder, info["checkpoint"]))
    files = [
        folder / "scores.csv",
        folder / "evaluation.json",
        folder / tracking.FILE,
        *(run / "metrics.csv" for run in runs),
    ]
    files += [run / "checkpoints" / f"{info['checkpoint']}.ckpt" for run in runs]
    code = [file for kind in ("py", "js", "css", "j2") for file in (ROOT / "scripts").rglob(f"*.{kind}")]
    code += [file for package in ("models", "data") for file in (ROOT / package).glob("*.py")]
    there = [file for file in files if file.is_file()]
    return digest([str(file) for file in there], digest_files(there), digest_files(code), Path(info["root"]).is_dir())


def read(page: Path) -> str:
    """What a page says that it was made of; "" if there is no such page."""
    try:
        with page.open("rb") as stream:
            head = stream.read(HEAD).decode("utf-8", errors="replace")
    except OSError:
        return ""
    found = re.search(r'<meta name="made-of" content="(\w+)">', head)
    return found[1] if found else ""
