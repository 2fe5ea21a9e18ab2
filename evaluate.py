"""Scores trained models on the test split with all metrics, and writes Table 1: ``python evaluate.py``.

The runs are data: of each, only a network of models/ and plain values are used (see `models.run`).
"""

from __future__ import annotations

import csv
import json
import logging
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import hydra
import torch
from hydra.errors import CompactHydraException
from hydra.utils import instantiate
from omegaconf import DictConfig
from torch import Tensor
from tqdm import tqdm

from data import signaltrain
from data.segments import Block, Blocks
from data.signaltrain import Recording
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
        raise CompactHydraException(f"Error: {error}") from error
    if not complete:
        raise SystemExit(1)


@dataclass(frozen=True)
class Model:
    """A network to be scored; runs that differ in the seed alone share a name."""

    run: str
    name: str
    seed: str
    net: Net


def evaluate(cfg: DictConfig) -> bool:
    """Writes scores.csv and table1.{md,csv,json}; false if a run had to be left out."""
    folders = run.find_runs(cfg.runs)
    notes: list[str] = []
    sources: set[Source] = set()
    nets: dict[Path, Net] = {}
    configs: dict[Path, dict[str, Any]] = {}
    for folder in folders:
        try:
            config = run.read_config(folder)
            if not cfg.get("data"):
                sources.add(trained_on(folder, config))
            nets[folder] = run.load_net(folder, cfg.checkpoint)
            configs[folder] = config
        except run.RunError as error:
            notes.append(f"{folder} is left out: {error}")
    complete = not notes
    if not nets:
        raise ValueError("none of the runs can be scored:\n" + "\n".join(notes))
    names = model_names(configs)
    models = [Model(table.UNPROCESSED, table.UNPROCESSED, "", Unprocessed())]
    for folder, net in nets.items():
        models.append(Model(str(folder), names[folder], str(configs[folder].get("seed", "")), net))
        if (state := run.read_status(folder)["state"]) != "finished":
            notes.append(f"{folder} is {state}: its {cfg.checkpoint} checkpoint so far is scored.")

    recordings, root = test_recordings(cfg, sources)
    minutes = sum(recording.seconds for recording in recordings) / 60
    notes.append(f"Test split: {root}, {len(recordings)} recordings, {minutes:.1f} minutes, all of it scored.")
    rows = score_models(cfg, models, recordings, notes)

    out = Path(cfg.out) if cfg.out else results_folder(folders)
    out.mkdir(parents=True, exist_ok=True)
    with (out / "scores.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    print(table.write(out, rows, notes))
    log.info("Results are in %s", out)
    return complete


def score_models(
    cfg: DictConfig, models: list[Model], recordings: list[Recording], notes: list[str]
) -> list[dict[str, Any]]:
    """The rows of scores.csv; adds a note for a model that has collapsed to silence."""
    torch.backends.cudnn.allow_tf32 = False  # a score is that of float32 on every device
    automatic = "cuda" if torch.cuda.is_available() else "cpu"
    device = torch.device(automatic if cfg.device == "auto" else cfg.device)
    conventions = {
        convention: {name: instantiate(metric).to(device) for name, metric in metrics.items()}
        for convention, metrics in cfg.conventions.items()
    }
    shortest = min(block.frames for block in Blocks(recordings, cfg.eval_length, minimum=SHORTEST).blocks)
    rows = []
    for model in tqdm(models, desc="Scoring", unit="model"):
        levels = _Levels()
        for item in score(rendered(model, recordings, cfg.eval_length, device, levels), conventions, shortest):
            rows.append(row(model, item))
        if levels.difference_db < SILENT_DB:
            notes.append(f"{model.run} has collapsed to silence: {-levels.difference_db:.0f} dB below the target.")
    return rows


def rendered(
    model: Model, recordings: list[Recording], length: int, device: torch.device, levels: _Levels
) -> Iterator[tuple[Block, Tensor, Tensor]]:
    """The output of a network for every block of the recordings, with its target."""
    net = model.net.to(device)
    blocks = Blocks(recordings, length, net.context, SHORTEST)
    for index, block in enumerate(tqdm(blocks.blocks, desc=model.run, unit="segment", leave=False)):
        output, target = render(net, blocks[index], device)
        levels.add(output, target)
        yield block, output, target


def results_folder(folders: list[Path]) -> Path:
    """``results`` in the study that all runs belong to, or in the working directory if there are several."""
    studies = {folder.parent for folder in folders}
    return studies.pop() / "results" if len(studies) == 1 else Path("results")


class Source(NamedTuple):
    """The data of a training."""

    root: str
    sample_rate: int  # Hz
    channels: int


def trained_on(folder: Path, config: Mapping[str, Any]) -> Source:
    """The data of a run, from plain values of its configuration: nothing that it names is called."""
    data = config.get("data")
    values = [data.get(field) if isinstance(data, dict) else None for field in Source._fields]
    if [type(value) for value in values] != [str, int, int]:
        raise run.RunError(
            f"{folder / 'config.yaml'}: data.root, data.sample_rate and data.channels do not say what it was trained "
            "on; name the data to test on, e.g. data=signaltrain data.root=…"
        )
    return Source(*values)  # type: ignore[arg-type]


def test_recordings(cfg: DictConfig, sources: set[Source]) -> tuple[list[Recording], str]:
    """The test split that the command names, or else the one of the data set on which all runs were trained."""
    if cfg.get("data"):
        module = instantiate(cfg.data)
        module.prepare_data()
        return module.found["test"], str(cfg.data.root)
    if len(sources) > 1:
        raise ValueError(
            f"the runs were trained on different data: {', '.join(map(str, sorted(sources)))}. "
            f"Name the data to test on, e.g. data=signaltrain data.root=…"
        )
    source = next(iter(sources))
    try:
        return signaltrain.recordings(*source)["test"], source.root
    except ValueError as error:
        raise ValueError(
            f"{error}\nThe runs were trained on {source.root}. Name where it lies now: data=signaltrain data.root=…; "
            "data=synthetic or data=synthetic_small write the embedded set again."
        ) from error


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


def model_names(configs: Mapping[Path, Mapping[str, Any]]) -> dict[Path, str]:
    """A name for each run, shared by runs that differ in the seed alone.

    It is that of the loss. Where one loss stands for different models, it is the run's name without the seed
    (``l1-channels8`` for ``l1-seed2-channels8``), and the study's name is added where that is not enough.
    """
    own = ("seed", "name", "study", "logger")
    kinds = {
        folder: json.dumps({key: value for key, value in config.items() if key not in own}, sort_keys=True, default=str)
        for folder, config in configs.items()
    }
    short = {folder: re.sub(r"-seed\d+", "", folder.name) for folder in configs}
    choices = {folder: config.get("choices") for folder, config in configs.items()}
    losses = {f: str(choice.get("loss")) if isinstance(choice, dict) else short[f] for f, choice in choices.items()}
    for names in (losses, short, {folder: f"{folder.parent.name}/{name}" for folder, name in short.items()}):
        if len(set(names.values())) == len({(names[folder], kinds[folder]) for folder in names}):
            return names
    return {folder: str(folder) for folder in configs}


def row(model: Model, item: Score) -> dict[str, Any]:
    """A row of scores.csv."""
    values = asdict(item)
    switch, _, peak_reduction = values.pop("setting").partition("__")
    of_model = {"run": model.run, "model": model.name, "seed": model.seed}
    return {**of_model, "switch": switch, "peak_reduction": peak_reduction, **values}


if __name__ == "__main__":
    main()
