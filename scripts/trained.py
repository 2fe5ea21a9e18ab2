"""Keeps the runs of a study as the trained models that come with the product, each with a card.

    python -m scripts.trained runs/quick/results --seed 1
    python -m scripts.trained runs/live/results --prefix live-

writes ``models/trained/<name>/`` for every model of the results: a run like any other (``config.yaml``,
``checkpoints/best.ckpt``, ``status.json``, ``metrics.csv``), of which the checkpoint holds the weights alone, and
``card.md``: what it was trained on, what it scores at each setting, how to use it.
"""

from __future__ import annotations

import argparse
import re
import shutil
from pathlib import Path
from typing import Any

import torch

from data import controls
from data.signaltrain import MODES
from models.atomic import replacing_folder, write_text
from models.run import Run
from scripts.results import card, scores, table
from scripts.results.scored_run import scored_run
from scripts.results.scores import Evaluation
from scripts.results.table import rounded

KEPT = Path(__file__).parents[1] / "models" / "trained"
METRICS = ("ESR", "MR")  # of the convention `standard`


def keep(results: Path, seed: str, out: Path = KEPT, prefix: str = "") -> list[Path]:
    """Writes the folders of all models of a results folder.

    Args:
        results: that evaluate.py wrote.
        seed: of the runs to be kept.
        out: where to; folders of the same names are replaced.
        prefix: of the names, which are those of the losses.

    Raises:
        ValueError: if there is no run of this seed, or one is gone or has other weights than were scored.
    """
    evaluation = scores.read(results)
    labels = table.row_labels(evaluation)
    runs = [item for item in evaluation.info["runs"] if item["seed"] == seed]
    if not runs:
        raise ValueError(f"{results}: holds no run of seed {seed}")
    written = []
    for item in runs:
        label = labels[item["model"]]
        folder = out / (prefix + re.sub(r"[^a-z0-9]+", "-", label.lower()))
        run = scored_run(item, results, evaluation.info["checkpoint"])
        weights = run.net().state_dict()
        with replacing_folder(folder) as partial:  # which may be the source
            (partial / "checkpoints").mkdir()
            torch.save(
                {"state_dict": {f"net.{name}": value for name, value in weights.items()}},
                partial / "checkpoints/best.ckpt",
            )
            for name in ("config.yaml", "status.json", "metrics.csv"):
                shutil.copyfile(run.folder / name, partial / name)
            write_text(partial / "card.md", card_of(label, folder.name, run, evaluation, item["run"]))
        written.append(folder)
    return written


def card_of(label: str, name: str, run: Run, evaluation: Evaluation, of_run: str) -> str:
    """The card of a model in Markdown."""
    settings = ", ".join(
        f"{MODES[switch]} {' '.join(knob for at, _, knob in parsed if at == switch)}"
        for parsed in [[setting.partition("__") for setting in evaluation.info["trained_settings"]]]
        for switch in MODES
    )
    rows = evaluation.rows[(evaluation.rows["run"] == of_run) & (evaluation.rows["convention"] == "standard")]
    rows = rows.assign(weighted=rows["value"] * rows["samples"])
    lines = []
    for (switch, knob), group in rows.groupby(["switch", "peak_reduction"], sort=False):
        kinds = "" if f"{switch}__{knob}" in evaluation.info["trained_settings"] else " (new)"
        lines.append(f"| {MODES[str(switch)]} {knob}{kinds} | {_scores(group)} |")
    head = card.card(
        f"A model of the LA-2A, trained with {label}",
        run,
        [
            f"Controls: {', '.join(f'{c.name} ({c.meaning})' for c in controls.declared(run.config['data']))}.",
            f"Use: `python -m scripts.render in.wav out.wav --run models/trained/{name} --peak-reduction 65`",
        ],
        settings,
    )
    return f"""{head}
Scores on the test split, convention `standard`; a new setting is one that was never trained on:

| setting | ESR | MR |
|---|---:|---:|
{chr(10).join(lines)}
| all | {_scores(rows)} |
"""


def _scores(rows: Any) -> str:
    """Means of the metrics, each segment weighted by its samples."""
    means = []
    for metric in METRICS:
        group = rows[rows["metric"] == metric]
        means.append(rounded(metric, float(group["weighted"].sum() / group["samples"].sum())))
    return " | ".join(means)


def main() -> None:
    parser = argparse.ArgumentParser(description="Keeps the runs of a study as trained models with cards.")
    parser.add_argument("results", type=Path, help="folder that evaluate.py wrote")
    parser.add_argument("--seed", default="1", help="of the runs to be kept")
    parser.add_argument("--out", type=Path, default=KEPT, help="folder of the models")
    parser.add_argument("--prefix", default="", help="before the names of the folders, which are those of the losses")
    given = parser.parse_args()
    try:
        for folder in keep(given.results, given.seed, given.out, given.prefix):
            print(folder)
    except (ValueError, OSError) as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
