"""Scores trained models on the test split with all metrics, and writes Table 1: ``python evaluate.py``.

The runs are data: of each, only a network of models/ and plain values are used (see `models.run`).
"""

from __future__ import annotations

import csv
import glob
import logging
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import hydra
import torch
from hydra.errors import HydraException
from hydra.utils import instantiate
from omegaconf import DictConfig
from torch import Tensor
from tqdm import tqdm

from data import signaltrain
from data.segments import Block, Blocks
from models import run
from models.net import Net
from models.scoring import Score, Unprocessed, render, score
from scripts import table

log = logging.getLogger(__name__)

SHORTEST = 65_536  # samples; a shorter remainder of a recording joins the segment before it, so that every metric fits
SILENT_DB = -60.0  # an output this far below its target is called silent


@hydra.main(version_base="1.3", config_path="configs", config_name="evaluate")
def main(cfg: DictConfig) -> None:
    try:
        complete = evaluate(cfg)
    except (ValueError, OSError) as error:
        raise HydraException(f"Error: {error}") from error
    if not complete:
        raise SystemExit(1)


def evaluate(cfg: DictConfig) -> bool:
    """Writes scores.csv and table1.{md,csv,json}; false if a run had to be left out."""
    folders = find_runs(cfg.runs)
    out = Path(cfg.out) if cfg.out else results_folder(folders)
    device = (
        torch.device("cuda" if torch.cuda.is_available() else "cpu")
        if cfg.device == "auto"
        else torch.device(cfg.device)
    )
    conventions = {name: {m: instantiate(spec) for m, spec in of.items()} for name, of in cfg.conventions.items()}
    for metrics in conventions.values():
        for metric in metrics.values():
            metric.to(device)

    notes: list[str] = []
    nets: dict[Path, tuple[Net, Mapping[str, Any]]] = {}
    for folder in folders:
        try:
            nets[folder] = (run.load_net(folder, cfg.checkpoint), run.read_config(folder))
        except run.RunError as error:
            notes.append(f"{folder} is left out: {error}")
    if not nets:
        raise ValueError("none of the runs can be scored:\n" + "\n".join(notes))
    complete = not notes
    recordings, source = test_recordings(cfg, [config for _, config in nets.values()])
    seconds = sum(recording.seconds for recording in recordings)
    notes.append(f"Test split: {source}, {len(recordings)} recordings, {seconds / 60:.1f} minutes, all of it scored.")

    rows: list[dict[str, Any]] = []
    everything: list[tuple[str, str, str, Net]] = [("", table.UNPROCESSED, "", Unprocessed())]
    for folder, (net, config) in nets.items():
        state = run.read_status(folder)
        if state["state"] != "finished":
            notes.append(f"{folder} is {state['state']}: its {cfg.checkpoint} checkpoint so far is scored.")
        everything.append((str(folder), model_name(folder), str(config.get("seed", "")), net))
    for folder_name, model, seed, net in tqdm(everything, desc="Scoring", unit="model"):
        levels = _Levels()
        pairs = rendered(
            net.to(device), recordings, cfg.eval_length, device, levels, folder_name or "unprocessed input"
        )
        for item in score(pairs, conventions):
            rows.append(row(folder_name or model, model, seed, item))
        if levels.difference_db < SILENT_DB:
            notes.append(f"{folder_name} has collapsed to silence: {-levels.difference_db:.0f} dB below the target.")

    out.mkdir(parents=True, exist_ok=True)
    with (out / "scores.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    print(table.write(out, rows, notes))
    log.info("Results are in %s", out)
    return complete


def find_runs(runs: Any) -> list[Path]:
    """Folders of runs from folders and patterns of runs or studies; without any, those of the newest study.

    Raises:
        ValueError: if a folder or pattern finds no run.
    """
    if runs is None:
        found = sorted(Path("runs").glob("*/*/config.yaml"), key=lambda file: file.stat().st_mtime)
        if not found:
            raise ValueError("runs/ holds no run yet; train one with `python train.py`, or name folders with runs=…")
        runs = [found[-1].parent.parent]
    folders: dict[Path, None] = {}
    for pattern in [runs] if isinstance(runs, str | Path) else list(runs):
        matches = [Path(match) for match in sorted(glob.glob(str(pattern)))]
        inside = [file.parent for match in matches for file in sorted(match.glob("*/config.yaml"))]
        new = [match for match in matches if (match / "config.yaml").exists()] + inside
        if not new:
            raise ValueError(f"runs={pattern}: finds no folder with a config.yaml; the runs lie in runs/<study>/<name>")
        folders |= dict.fromkeys(new)
    return list(folders)


def results_folder(folders: list[Path]) -> Path:
    """``results`` in the study that all runs belong to, or in the working directory if there are several."""
    studies = {folder.parent for folder in folders}
    return studies.pop() / "results" if len(studies) == 1 else Path("results")


def test_recordings(cfg: DictConfig, configs: list[Mapping[str, Any]]) -> tuple[list[signaltrain.Recording], str]:
    """The test split that the command names, or else the one of the data set on which all runs were trained.

    Of a run's configuration only plain values are used: nothing that it names is called.
    """
    if cfg.get("data"):
        module = instantiate(cfg.data)
        module.prepare_data()
        return module.found["test"], str(cfg.data.root)
    keys = ("root", "sample_rate", "channels")
    trained_on = {tuple(config.get("data", {}).get(key) for key in keys) for config in configs}
    if len(trained_on) > 1:
        raise ValueError(
            f"the runs were trained on different data: {sorted(map(str, trained_on))}. "
            f"Name the data to test on, e.g. data=signaltrain data.root=…"
        )
    root, sample_rate, channels = trained_on.pop()
    if not isinstance(root, str) or not isinstance(sample_rate, int) or not isinstance(channels, int):
        raise ValueError("the runs do not say what they were trained on; name it, e.g. data=signaltrain data.root=…")
    return signaltrain.recordings(root, sample_rate, channels)["test"], root


def rendered(
    net: Net,
    recordings: list[signaltrain.Recording],
    length: int,
    device: torch.device,
    levels: _Levels,
    label: str,
) -> Iterator[tuple[Block, Tensor, Tensor]]:
    """The output of a network for every block of the recordings, with its target."""
    blocks = Blocks(recordings, length, net.context, SHORTEST)
    for index, block in enumerate(tqdm(blocks.blocks, desc=label, unit="segment", leave=False)):
        output, target = render(net, blocks[index], device)
        levels.add(output, target)
        yield block, output, target


class _Levels:
    """Energy of output and target over the test split."""

    def __init__(self) -> None:
        self.output = self.target = 0.0

    def add(self, output: Tensor, target: Tensor) -> None:
        self.output += float(output.double().square().sum())
        self.target += float(target.double().square().sum())

    @property
    def difference_db(self) -> float:
        return 10 * math.log10(max(self.output, 1e-30) / max(self.target, 1e-30))


def model_name(folder: Path) -> str:
    """What runs of different seeds share: ``l1`` for ``l1-seed2``, ``l1-channels8`` for ``l1-seed2-channels8``."""
    return re.sub(r"-seed\d+", "", folder.name)


def row(name: str, model: str, seed: str, item: Score) -> dict[str, Any]:
    """A row of scores.csv."""
    values = asdict(item)
    switch, _, peak_reduction = values.pop("setting").partition("__")
    return {
        "run": name,
        "model": model,
        "seed": seed,
        "switch": switch,
        "peak_reduction": peak_reduction,
        **values,
    }


if __name__ == "__main__":
    main()
