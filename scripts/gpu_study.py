"""Checks, measures and trains the study on a GPU within a given time.

    python -m scripts.gpu_study --minutes 9 --out gpu

Every part writes its results into the folder as soon as it has them, so that an end at any moment keeps what is done:

    machine.txt            the GPU, the versions
    data/                  the embedded data set of two hours, written by as many processes as there are cores
    tests.txt              the tests that need a GPU
    benchmark.md           each switch of a training step by itself
    runs/paper, runs/product   the six losses with the paper's network, then with the one that multiplies
    paper.log, product.log     what the trainings said
    results/               tables and report of all runs

Called again with the same folder, it does what is missing and trains on for the minutes that are left. What a part says
is in <part>.unfinished.<suffix> until it has ended well: a part that failed is done again.

It needs no network, and the packages of `NEEDS` in the versions of constraints.txt; it says which of them are missing.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from models.atomic import write_text

ROOT = Path(__file__).parents[1]
NEEDS = {  # module: package that brings it
    "torch": "torch",
    "scipy": "scipy",
    "numpy": "numpy",
    "numba": "numba",
    "pytorch_lightning": "pytorch-lightning",
    "hydra": "hydra-core",
    "yaml": "PyYAML",
    "soundfile": "soundfile",
    "pandas": "pandas",
    "tqdm": "tqdm",
    "matplotlib": "matplotlib",
    "jinja2": "Jinja2",
    "pytest": "pytest",
}
TESTS_SECONDS = 60.0  # at most
BENCHMARK_SECONDS = 90.0
SCORING_SHARE = 0.2  # of the time, kept for the end
START_SECONDS = 10.0  # of a training, before its first step
STEPS_SHARE = 0.8  # of a training's time; the rest is what Lightning does around its steps
DATA_MINUTES = 120


@dataclass(frozen=True)
class Training:
    """Some losses with one network, one after the other in one process."""

    study: str
    losses: tuple[str, ...]
    share: float  # of the time, of each
    options: tuple[str, ...]


LOSSES = ("l1", "esr", "logcosh", "stft", "mrstft", "rrstft")
TRAININGS = (
    Training("paper", LOSSES, 1.0, ()),  # first, so that an early end keeps what the study is about
    Training(
        "product",
        LOSSES,
        0.6,
        ("model=product", "model.channels=32", "data.segment_length=49152", "data.batch_size=32"),
    ),
)
SCHEDULE = (
    "optimizer.lr=3e-3",
    "scheduler=cosine",
    "scheduler.warmup=0.1",
    "trainer.gradient_clip_val=1.0",
    "trainer.limit_val_batches=6",  # a validation takes as long as many steps
    "seed=1",
)
# As small as everything can be, for trying the way on a processor.
MINIATURE = (
    "trainer=cpu",
    "model.blocks=2",
    "model.channels=2",
    "data.batch_size=2",
    "data.segment_length=32768",
    "data.num_workers=0",
    "trainer.limit_val_batches=2",
)


class Clock:
    """The time that is left."""

    def __init__(self, minutes: float) -> None:
        self.end = time.monotonic() + 60 * minutes

    @property
    def left(self) -> float:
        return self.end - time.monotonic()


def run(title: str, command: Sequence[str], seconds: float, out: Path | None = None) -> bool:
    """Runs a module of the project for so long at most; its output goes to the screen, or to a file.

    The file has another name, which is told, as long as the module has not ended well.

    Returns:
        whether it ended well. One that runs out of its time is interrupted, as by Ctrl-C, and then killed.
    """
    started = time.monotonic()
    print(f"--- {title}: python {' '.join(command)}", flush=True)
    if seconds <= 0:
        print("    no time left", flush=True)
        return False
    unfinished = out and out.with_name(f"{out.stem}.unfinished{out.suffix}")
    stream = unfinished.open("w") if unfinished else None
    process = subprocess.Popen([sys.executable, *command], cwd=ROOT, stdout=stream, stderr=subprocess.STDOUT)
    try:
        code: int | None = process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        code = None
    finally:
        if stream:
            stream.close()
    good = code == 0
    told = f"; what it said is in {unfinished}" if unfinished and not good else ""
    end = "out of time" if code is None else f"exit {code}"
    print(f"    {end}, {time.monotonic() - started:.0f} s{told}", flush=True)
    if out and unfinished and good:
        unfinished.replace(out)
    return good


def study(minutes: float, out: Path, device: str, miniature: bool = False) -> bool:
    """Does all that the module's text says, as far as the time reaches.

    Args:
        minutes: in all.
        out: folder of everything.
        device: "cuda", or "cpu" for a rehearsal.
        miniature: everything as small as it can be.

    Returns:
        whether all parts ended well.
    """
    clock = Clock(minutes)
    out = out.absolute()
    out.mkdir(parents=True, exist_ok=True)
    write_text(out / "machine.txt", machine())
    data_minutes = 0.1 if miniature else DATA_MINUTES
    data = (f"data.root={out / 'data'}", f"data.recordings.minutes={data_minutes}")
    making = ("--minutes", str(data_minutes), "--processes", str(len(os.sched_getaffinity(0))))
    good = run("data", ["-m", "scripts.make_dataset", "--root", str(out / "data"), *making], clock.left)
    if not (out / "tests.txt").exists():
        tests = ["-m", "pytest", "-m", "cuda", "tests/test_cuda.py", "-p", "no:cacheprovider"]
        good &= run("tests", tests, min(TESTS_SECONDS, clock.left), out / "tests.txt")
    if not (out / "benchmark.md").exists():
        measure = ["-m", "scripts.benchmark", "train", "--device", device, "--repeats", "3"]
        measure += ["--channels", "2", "--batch", "1", "--samples", "16384"] if miniature else ["--channels", "32"]
        good &= run("benchmark", measure, min(BENCHMARK_SECONDS, clock.left), out / "benchmark.md")
    parts = sum(training.share * len(training.losses) for training in TRAININGS)
    starts = sum(len(training.losses) for training in TRAININGS) * START_SECONDS
    scoring = SCORING_SHARE * 60 * minutes
    seconds = clock.left - scoring - (0 if miniature else starts)
    for training in TRAININGS:
        share = STEPS_SHARE * max(seconds, 1) * training.share / parts / 60
        good &= train(training, share, out, data, miniature, clock.left - scoring)
    score = ["evaluate.py", f"runs=[{out / 'runs/*'}]", f"out={out / 'results'}", f"device={device}", "report=false"]
    good &= run("scores", score, clock.left, out / "scores.log")
    return run("report", ["-m", "scripts.report", str(out / "results")], clock.left) and good


def train(training: Training, minutes: float, out: Path, data: Sequence[str], miniature: bool, seconds: float) -> bool:
    """Trains all losses of one network, or trains them on, so many minutes each."""
    study = out / "runs" / training.study
    total = budget(minutes, [given_and_had(study / loss) for loss in training.losses])
    options = [
        "experiment=paper",
        "trainer=gpu",
        f"study={training.study}",
        f"hydra.sweep.dir={study}",
        f"loss={','.join(training.losses)}",
        "name=${choices.loss}",
        f"budget={round(total, 4)}",
        *training.options,
        *SCHEDULE,
        *data,
        *(MINIATURE if miniature else ()),
    ]
    return run(training.study, ["train.py", "--multirun", *options], seconds, out / f"{training.study}.log")


def given_and_had(folder: Path) -> tuple[float, float]:
    """The minutes that a run was given for its training, and those of them that it has had: by its epochs."""
    from models.run import Run, RunError  # not before `NEEDS` are known to be there
    from scripts.runs import progress

    with suppress(RunError):
        run = Run.read(folder)
        given = float(run.config.get("budget") or 0.0)
        so_far = progress(folder, run.config)
        if run.status["state"] == "finished" or not so_far.total:
            return given, given
        return given, given * min(so_far.epochs / so_far.total, 1.0)
    return 0.0, 0.0  # it was never begun


def budget(minutes: float, runs: Sequence[tuple[float, float]]) -> float:
    """The budget of all runs with which they take so many minutes more, in the mean.

    Those that have had least get most. Those that were given more than this already do only what is left of it.

    Args:
        minutes: of a run.
        runs: the minutes that each was given before, and those that it has had.

    >>> budget(1.0, [(0.5, 0.5), (0.5, 0.5)])  # both are trained on
    1.5
    >>> budget(1.0, [(0.5, 0.5), (0.0, 0.0)])  # one was never begun: 0.75 + 1.25 minutes
    1.25
    >>> budget(1.0, [(4.0, 3.5), (0.0, 0.0)])  # half a minute to the end of the first, the rest for the second
    1.5
    """
    given = sorted(before for before, _ in runs)
    all_in_all = minutes * len(runs) + sum(had for _, had in runs)
    for fewer in range(len(runs), 0, -1):  # of those that were given least, which share what the others leave
        total = (all_in_all - sum(given[fewer:])) / fewer
        if total >= given[fewer - 1]:
            return total
    return max(minutes, given[0])  # what was begun takes all of the time


def missing() -> str:
    """Which packages are not installed, and how to bring them; empty if all are there."""
    names = " ".join(package for module, package in NEEDS.items() if importlib.util.find_spec(module) is None)
    return names and (
        f"not installed: {names}. Bring them with\n"
        f"    pip install -c constraints.txt {names}\n"
        f"or, to a machine without network, in a folder that another like it fills:\n"
        f"    pip wheel -c constraints.txt -w wheels {names}\n"
        "    pip install --no-deps wheels/*.whl"
    )


def machine() -> str:
    """The GPU and the versions, as text."""
    import pytorch_lightning
    import torch

    lines = [f"python {sys.version.split()[0]}, torch {torch.__version__}, lightning {pytorch_lightning.__version__}"]
    lines.append(f"{len(os.sched_getaffinity(0))} cores")
    if torch.cuda.is_available():
        found = torch.cuda.get_device_properties(0)
        lines.append(f"{found.name}, {found.total_memory / 2**30:.0f} GiB, {found.multi_processor_count} processors")
        lines.append(f"CUDA {torch.version.cuda}, cuDNN {torch.backends.cudnn.version()}")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(
        "python -m scripts.gpu_study", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, required=True, help="in all")
    parser.add_argument("--out", type=Path, required=True, help="folder of everything; continued if it is there")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--miniature", action="store_true", help="as small as possible, to try the way")
    chosen = parser.parse_args()
    if told := missing():
        sys.exit(told)
    if chosen.device == "cuda":
        import torch

        if not torch.cuda.is_available():
            parser.error("torch finds no GPU; try the way with --device cpu --miniature")
    sys.exit(0 if study(chosen.minutes, chosen.out, chosen.device, chosen.miniature) else 1)


if __name__ == "__main__":
    main()
