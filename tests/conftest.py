"""What several tests share: a tiny data set, and entry points run in this process as the command line would.

Nothing is read from or written to the user's own folders. What takes seconds to import is imported where it is used: of
the processes that run the tests, the one that only hands them out needs none of it.
"""

from __future__ import annotations

import gc
import logging
import os
import runpy
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

import pytest

ROOT = Path(__file__).parent.parent
gc.set_threshold(100_000)  # 700 by default, which takes a fifth of the time of imports and a tenth of that of tests

TINY_MINUTES = 0.025  # of Train
# A network and an epoch so small that a training takes a fifth of a second: receptive field 13, 4 steps an epoch.
TINY = (
    "study=tiny",
    "model.blocks=2",
    "model.kernel_size=7",
    "model.channels=2",
    "model.dilation_growth=1",
    f"data.recordings.minutes={TINY_MINUTES}",
    "data.segment_length=4096",
    "data.eval_length=16384",
    "data.batch_size=4",
    "trainer=cpu",
    "trainer.max_epochs=1",
    "trainer.limit_val_batches=1",
    # One resolution in place of the three of MR, which would take most of the time.
    "+metrics.MR.fft_sizes=[256]",
    "+metrics.MR.hop_sizes=[128]",
    "+metrics.MR.win_lengths=[256]",
)
LOW_RATE = 16_000  # Hz
TINY_RECEPTIVE_FIELD = 13  # 1 + 2 blocks · 6 samples
# A loss with a state of its own, its generator; with few frames.
RANDOM = ("loss=rrstft", "loss.resolutions=1", "loss.min_fft_size=512", "loss.min_hop_size=0.5")


def missing(reason: str) -> NoReturn:
    """Skips a test for want of a program or package; where `REQUIRE_ALL` is set, as in `.ci/run`, it fails."""
    if os.environ.get("REQUIRE_ALL"):
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


@dataclass(frozen=True)
class Result:
    """How an entry point ended, and what it printed."""

    code: int
    out: str
    err: str


def pytest_collection_finish() -> None:
    """What was imported stays: the collector of garbage need not look at it again and again."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def little_garbage() -> None:
    """For what collects garbage itself: it need not look at what is there by now, which stays for good."""
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def _own_folders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Caches of this project and of W&B go to a temporary folder; two threads do not fight over two cores."""
    import torch

    folder = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        for name in ("WANDB_DIR", "WANDB_CACHE_DIR", "WANDB_CONFIG_DIR", "WANDB_DATA_DIR"):
            (folder / name).mkdir()
            patch.setenv(name, str(folder / name))
        for name in ("WANDB_MODE", "WANDB_API_KEY", "HYDRA_FULL_ERROR", "LOCAL_RANK"):
            patch.delenv(name, raising=False)
        patch.setenv("OMP_NUM_THREADS", "1")  # of subprocesses
        patch.setitem(sys.modules, "wandb.sdk.launch.inputs.internal", None)  # whose import takes 1.5 s for nothing
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        # The first backward pass after an export would start threads; then no copy of this process could train.
        torch.ones((), requires_grad=True).backward()
        yield
        torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def tiny_root(tmp_path_factory: pytest.TempPathFactory, _own_folders: None) -> Path:
    """A data set of 1.5 s of Train in two recordings, 16 s of Val in two recordings, and 24 s of Test in three."""
    from data import embedded

    root = tmp_path_factory.mktemp("data") / "tiny"
    embedded.recordings(root, minutes=TINY_MINUTES)
    return root


@pytest.fixture(scope="session")
def low_rate_root(tmp_path_factory: pytest.TempPathFactory, _own_folders: None) -> Path:
    """The same at 16 kHz, for tests that measure: they take a third of the time."""
    from data import embedded

    root = tmp_path_factory.mktemp("data") / "low_rate"
    embedded.recordings(root, minutes=TINY_MINUTES, sample_rate=LOW_RATE)
    return root


@pytest.fixture(scope="session")
def published() -> ModuleType:
    """The published package, version 0.4.0, under another name than ours; the Makefile puts it beside .venv's own."""
    from scripts.benchmark.published import published_package

    folder = Path(os.environ.get("AURALOSS_PUBLISHED", Path(sys.prefix) / "published"))
    try:
        return published_package(folder)
    except FileNotFoundError as error:
        missing(str(error))


Entry = Callable[..., Result]


def cheaper(patch: pytest.MonkeyPatch, arguments: tuple[str, ...]) -> None:
    """Half of a tiny training's time would be Hydra's, which composes twice, at first to look for `hydra.mode`; only an
    experiment or the command sets it. And after an error it looks for a debugger in the sources of all that called it.
    """
    from hydra._internal import utils
    from hydra._internal.hydra import Hydra

    from tests import composition

    composition.remembered(patch)
    patch.setattr(utils, "is_under_debugger", lambda: False)
    if not any(argument.startswith(("experiment=", "+experiment=", "hydra.mode=")) for argument in arguments):
        patch.setattr(Hydra, "get_mode", lambda *_, **__: None)


@pytest.fixture
def entry(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> Iterator[Entry]:
    """Runs ``python <script> <arguments>`` in this process, from `tmp_path` as the working directory."""
    kept = {name: os.environ.get(name) for name in ("PL_GLOBAL_SEED", "PL_SEED_WORKERS")}

    def run(script: str, *arguments: str) -> Result:
        root = logging.getLogger()
        handlers, level, interrupt = root.handlers[:], root.level, signal.getsignal(signal.SIGINT)
        capfd.readouterr()
        code = 0
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "argv", [str(ROOT / script), *arguments])
            patch.chdir(tmp_path)
            cheaper(patch, arguments)
            try:
                runpy.run_path(str(ROOT / script), run_name="__main__")
            except SystemExit as error:
                code = error.code if isinstance(error.code, int) else 1
            finally:
                root.handlers[:], root.level = handlers, level
                signal.signal(signal.SIGINT, interrupt)  # Lightning leaves it ignored after an interruption
        return Result(code, *capfd.readouterr())

    yield run
    for name, value in kept.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


@pytest.fixture
def train(entry: Entry, tiny_root: Path, monkeypatch: pytest.MonkeyPatch) -> Entry:
    """``python train.py`` with the tiny network on the tiny data set, and what is added to it."""
    monkeypatch.setattr("scripts.training.first_checks.METRIC_SAMPLES", 2**13)

    def run(*arguments: str) -> Result:
        flags = [argument for argument in arguments if argument.startswith("-")]
        return entry("train.py", *flags, *TINY, f"data.root={tiny_root}", *(a for a in arguments if a not in flags))

    return run


@pytest.fixture(scope="session")
def _kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("kept") / "a"


@pytest.fixture
def finished(train: Entry, tmp_path: Path, _kept: Path) -> Path:
    """The run that ``train("name=a")`` leaves; trained once."""
    folder = tmp_path / "runs" / "tiny" / "a"
    if _kept.exists():
        shutil.copytree(_kept, folder)
    else:
        assert train("name=a").code == 0
        shutil.copytree(folder, _kept)
    return folder


# For evaluate.py: runs of networks with random weights


@pytest.fixture(scope="session")
def data_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set of a soft limiter."""
    from tests import scored_runs

    return scored_runs.write_data(tmp_path_factory.mktemp("data") / "limiter")


@pytest.fixture(scope="session")
def _made_study(tmp_path_factory: pytest.TempPathFactory, data_root: Path) -> Path:
    from tests import scored_runs

    folder = tmp_path_factory.mktemp("runs")
    for seed, name in enumerate(("l1-seed1", "mrstft-seed1"), 1):
        scored_runs.make_run(folder / name, data_root, seed)
    return folder


@pytest.fixture
def study(tmp_path: Path, _made_study: Path) -> Path:
    """Two runs, as training leaves them."""
    return shutil.copytree(_made_study, tmp_path / "runs" / "study")


@pytest.fixture
def evaluate(entry: Entry) -> Entry:
    """``python evaluate.py`` with the metrics that cost nothing, and what is added to it."""
    from tests import scored_runs

    def run(*arguments: str) -> Result:
        return entry("evaluate.py", *scored_runs.LIGHT, *arguments)

    return run


@pytest.fixture
def scoring(evaluate: Entry, monkeypatch: pytest.MonkeyPatch) -> Entry:
    """The same without the tables, which take half of its time: for tests that look at scores and notes."""
    monkeypatch.setattr("scripts.results.formats.write", lambda out, evaluation: None)
    monkeypatch.setattr("scripts.results.screen.text", lambda out, evaluation: "\n".join(evaluation.notes))
    return evaluate


# For tests of the report


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """For tests that look at no figure: laying them out and writing them is half of a report's time."""
    from markupsafe import Markup

    monkeypatch.setattr("scripts.report.charts.Canvas.svg", lambda canvas, title: Markup())


# For the report's page: a browser, which is started once


@pytest.fixture(scope="session")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A made-up report."""
    from tests import page_context

    return page_context.write(tmp_path_factory.mktemp("page") / "report.html")


@pytest.fixture(scope="session")
def _tab() -> Iterator[Any]:
    from tests import page_context

    with page_context.chromium_tab() as tab:
        yield tab


@pytest.fixture(scope="module")
def tab(_tab: Any) -> Iterator[Any]:
    """A tab of a Chromium, in which all tests open what they look at."""
    yield _tab
    _tab.page.goto("about:blank")  # nothing plays or draws beside other tests


@pytest.fixture
def visit(tab: Any, page_file: Path) -> Iterator[Callable[..., Any]]:
    """Opens the made-up report; at its end the page must not have complained."""
    from tests import page_context

    with page_context.visiting(tab, page_file) as start:
        yield start
