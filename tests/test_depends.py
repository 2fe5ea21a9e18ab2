"""On which code a score depends: all that makes it and nothing else, and not on its comments."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from models import run_files
from models.build import build_net, file_of
from scripts.scoring import depends
from tests.conftest import ROOT
from tests.scored_runs import make_run, write_data

TCN, L1, MR = (ROOT / name for name in ("models/tcn.py", "auraloss/time.py", "auraloss/resolutions.py"))
NETS = (  # one that is run on blocks with what is around them, and one that steps through a recording
    {"_target_": "models.product.ProductTCN", "blocks": 1, "kernel_size": 3, "channels": 2},
    {"_target_": "models.statespace.S4D", "depth": 1, "channels": 2, "states": 1, "warm_up": 1},
)
MODELS = list((ROOT / "configs/model").glob("*.yaml"))
# Files that a scoring uses besides `depends.APART`, and no score is made of.
BESIDE = {
    "auraloss/__init__.py",  # looks for another package of its name
    "data/controls.py",  # is in the key by value, as what `data/signaltrain.py` finds is
    "data/fingerprint.py",
    "data/known_files.py",
    "models/atomic.py",
    "models/checksums.py",
    "models/run.py",
    "models/same_run.py",
    "models/source.py",
    "models/step_kernels.py",  # for networks in live use
    "models/track.py",
}
CALLED = {  # of all these, what is called once modules are imported and recordings found
    "models/atomic.py",
    "models/checksums.py",
    "models/run.py",
    "models/digest.py",
    "scripts/scoring/cache.py",
    "scripts/scoring/depends.py",
}
# Scores each of the runs that are named in a process of its own, and prints which files of the project it imported, in
# which it called a function of theirs, and which were part of the key.
PROGRAM = """
import importlib, json, os, sys, threading
from omegaconf import OmegaConf
from models.build import file_of
from models.run import Run
from scripts.scoring import depends, held_out
from scripts.scoring.scorer import Scorer

word = depends._word
metrics = {name: OmegaConf.load(f"configs/metrics/{name}.yaml") for name in ("standard", "further")}
split = held_out.of(Run.read(sys.argv[1]).source)

def score(folder):
    run = Run.read(folder)
    importlib.import_module(run.config["model"]["_target_"].rpartition(".")[0])
    counted, called = set(), set()
    depends._word = lambda files: word([file for file in files if not counted.add(str(file))])
    for of_threads in (sys, threading):
        of_threads.setprofile(lambda frame, *_: called.add(frame.f_code.co_filename))
    scorer = Scorer(OmegaConf.create(metrics), split, 65536, "cpu")
    job = scorer.job(folder, run.folder / "scores", "best", run.weights, file_of(run.config["model"]), run.net)
    assert len(scorer.score([job])[0].scores) == len(scorer.metrics)
    sys.setprofile(None)
    imported = [file for module in list(sys.modules.values()) if (file := getattr(module, "__file__", None))]
    print(json.dumps([imported, list(called), list(counted)]), flush=True)

for folder in sys.argv[1:]:
    copy = os.fork()
    if not copy:
        score(folder)
        os._exit(0)
    assert not os.waitpid(copy, 0)[1], folder
"""


def make(folder: Path, root: Path, model: dict[str, Any]) -> Path:
    """A run with a network as it is built."""
    make_run(folder, root)
    run_files.write_config(folder, {**run_files.read_config(folder), "model": model})
    weights = {f"net.{name}": value for name, value in build_net(model).state_dict().items()}
    torch.save({"state_dict": weights}, folder / "checkpoints/best.ckpt")
    return folder


@pytest.mark.slow
def test_all_that_makes_a_score_is_in_its_key_and_nothing_else(tmp_path: Path) -> None:
    """Whatever a scoring imports or calls counts, but for what is named here and in `depends.APART`."""
    root = write_data(tmp_path / "data")
    runs = [make(tmp_path / f"run{n}", root, model) for n, model in enumerate(NETS)]
    command = [sys.executable, "-c", PROGRAM, *map(str, runs)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    apart = BESIDE | set(depends.APART)
    needed = set()
    for line in done.stdout.splitlines():
        imported, called, counted = ({place(file) for file in files} - {""} for files in json.loads(line))
        assert imported - counted <= apart
        assert called - counted <= CALLED
        assert counted - imported <= {"models/gpu_kernels.py"}  # not without Triton
        needed |= imported
    assert needed >= apart, "named for nothing"


def place(file: str) -> str:
    """Where a file lies in the project; "" for one that does not, or holds nothing but a docstring."""
    path = Path(file)
    inside = path.is_relative_to(ROOT) and path.relative_to(ROOT).parts[0] in depends.PACKAGES
    return path.relative_to(ROOT).as_posix() if inside and len(ast.parse(path.read_bytes()).body) > 1 else ""


def test_all_libraries_that_make_a_score_are_in_its_key() -> None:
    known = {*sys.stdlib_module_names, *depends.PACKAGES, *depends.LIBRARIES}
    known |= {"hydra", "omegaconf", "tqdm", "matplotlib"}  # make no number
    known |= {"triton"}  # each version of torch has its own
    nets = [file_of(yaml.safe_load(config.read_text())) for config in MODELS if "_target_:" in config.read_text()]
    files = {file for net in nets for file in depends.behind_network(net)}
    for file in files | depends.with_imports([ROOT / "auraloss/__init__.py", ROOT / "scripts/scoring/metrics.py"]):
        for node in ast.walk(ast.parse(file.read_bytes())):
            names = [name.name for name in node.names] if isinstance(node, ast.Import) else []
            names += [str(node.module)] if isinstance(node, ast.ImportFrom) else []
            assert {name.split(".")[0] for name in names} <= known, file


def files_behind(word: Callable[[], str], monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The files on which a word for code depends, after checking that any edit of their code makes another word, but no
    comment, docstring or empty line."""
    read_bytes = Path.read_bytes
    seen: set[str] = set()

    def read(self: Path) -> bytes:
        seen.add(self.relative_to(ROOT).as_posix())
        return read_bytes(self)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", read)
        now = word()
    assert word() == now
    for changed in sorted(seen):
        for more, same in ((b"'text'\n\n\n# comment\n", True), (b"edited = 1\n", False)):
            edited = {ROOT / changed: more}
            with monkeypatch.context() as patch:
                patch.setattr(Path, "read_bytes", lambda self, more=edited: read_bytes(self) + more.get(self, b""))
                assert (word() == now) == same, changed
    return seen


def test_the_version_of_the_code_changes_with_each_file_on_which_a_score_depends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen = files_behind(lambda: depends.of_network(TCN), monkeypatch)
    assert {
        "auraloss/together.py",
        "scripts/scoring/rows.py",
        "models/tcn.py",
        "models/conv.py",
        "models/build.py",
    } <= seen
    assert {"data/segments.py", "data/audio.py", "scripts/scoring/scorer.py"} <= seen
    assert not {"models/callbacks.py", "models/run.py", "models/atomic.py", "auraloss/presets.py"} & seen
    assert not {"auraloss/filterbank.py", "models/product.py", "models/tcn_steps.py"} & seen
    assert files_behind(lambda: depends.of_metric([L1]), monkeypatch) == {"auraloss/time.py", "auraloss/base.py"}
    assert {"auraloss/stft.py", "auraloss/spectrum.py"} <= files_behind(lambda: depends.of_metric([MR]), monkeypatch)


def test_every_way_to_import_a_file_counts(tmp_path: Path) -> None:
    """Also inside functions; a package counts by its __init__.py, where no file of it is named."""
    own = tmp_path / "own.py"
    source = "import json, auraloss.time\nfrom data import levels\ndef f():\n    from models.net import Net\n"
    own.write_text(source)
    files = {file.relative_to(ROOT).as_posix() for file in depends.with_imports([own]) - {own}}
    assert {"auraloss/time.py", "auraloss/base.py", "data/levels.py", "models/net.py"} == files
    own.write_text("from auraloss import MSELoss\n")
    assert ROOT / "auraloss/perceptual.py" in depends.with_imports([own])
