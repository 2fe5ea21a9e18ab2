"""What was scored is not scored again: only new runs, new metrics, and what an interruption or damage has taken."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from data import signaltrain
from models import run_files
from models.run import Run
from scripts.scoring import cache, depends, scorer
from tests.conftest import ROOT, Entry
from tests.scored_runs import LIGHT, MODEL, make_run, names, of, read, save_net


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """For each network that is scored its metrics, as long as somebody clears it between evaluations."""
    done: list[tuple[str, ...]] = []
    score = scorer.Scorer.score

    def counted(self: scorer.Scorer, jobs: list[scorer.Job]) -> list[cache.Scored]:
        done.extend(tuple(map(".".join, job.missing)) for job in jobs)
        return score(self, jobs)

    monkeypatch.setattr(scorer.Scorer, "score", counted)
    return done


def results(study: Path) -> dict[str, bytes]:
    files = (study / "results").glob("*.*")
    return {file.name: file.read_bytes() for file in files}


def test_evaluating_again_scores_nothing_and_gives_the_same_files(
    evaluate: Entry, study: Path, work: list[tuple[str, ...]]
) -> None:
    assert evaluate(f"runs={study}").code == 0
    assert len(work) == 3
    assert {len(metrics) for metrics in work} == {4}
    first = results(study)
    work.clear()
    again = evaluate(f"runs={study}")
    assert again.code == 0, again.err
    assert work == []
    assert results(study) == first


def test_a_run_of_before_the_metrics_moved_is_scored(scoring: Entry, study: Path) -> None:
    """The metrics that a run was validated with are not those it is scored with: they may lie where they like."""
    with (study / "l1-seed1/config.yaml").open("a") as config:
        config.write("metrics: {GR: {_target_: models.metrics.GainReductionError, sample_rate: 44100}}\n")
    assert scoring(f"runs={study}").code == 0
    assert set(names(study / "results")) == {"unprocessed", "l1-seed1", "mrstft-seed1"}


def test_one_more_run_is_scored_alone(
    scoring: Entry, study: Path, data_root: Path, work: list[tuple[str, ...]]
) -> None:
    assert scoring(f"runs={study}").code == 0
    before = read(study / "results")
    make_run(study / "esr-seed1", data_root, 3)
    work.clear()
    assert scoring(f"runs={study}").code == 0
    assert len(work) == 1
    after = read(study / "results")
    assert names(study / "results") == ["unprocessed", "esr-seed1", "l1-seed1", "mrstft-seed1"]
    assert [row for row in after if not row["run"].endswith("esr-seed1")] == before


def test_a_metric_more_is_scored_alone_for_all_runs(scoring: Entry, study: Path, work: list[tuple[str, ...]]) -> None:
    assert scoring(f"runs={study}").code == 0
    before = read(study / "results")
    work.clear()
    more = "+conventions.standard.MSE._target_=auraloss.time.MSELoss"
    assert scoring(f"runs={study}", more).code == 0
    assert work == [("standard.MSE",)] * 3
    after = read(study / "results")
    assert [row for row in after if row["metric"] != "MSE"] == before
    assert len(after) == len(before) + 3 * 3  # networks × segments
    work.clear()
    assert scoring(f"runs={study}").code == 0  # without it, nor is the rest forgotten
    assert scoring(f"runs={study}", more).code == 0
    assert work == []


def test_a_metric_with_other_options_is_scored_anew(scoring: Entry, study: Path, work: list[tuple[str, ...]]) -> None:
    assert scoring(f"runs={study}").code == 0
    work.clear()
    assert scoring(f"runs={study}", "conventions.standard.ESR.eps=0.5").code == 0
    assert work == [("standard.ESR",)] * 3


def test_a_metric_whose_function_is_edited_is_scored_anew(
    scoring: Entry, study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, work: list[tuple[str, ...]]
) -> None:
    """Also where the function makes a loss of another file, and is called for a sample rate."""
    file = tmp_path / "own_metrics.py"
    text = "from auraloss.time import MSELoss\n\n\ndef mse(sample_rate):\n    return MSELoss()\n"
    file.write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    made = "{_target_: own_metrics.mse, _partial_: true}"
    own = f"+conventions.own.MSE={{_target_: scripts.scoring.metrics.AtRate, make: {made}}}"
    assert scoring(f"runs={study}", own).code == 0
    work.clear()
    assert scoring(f"runs={study}", own).code == 0
    assert work == []
    file.write_text(text.replace("MSELoss()", "MSELoss(reduction='sum')"))
    assert scoring(f"runs={study}", own).code == 0
    assert work == [("own.MSE",)] * 3


def test_kept_scores_of_another_split_are_not_taken(scoring: Entry, study: Path, work: list[tuple[str, ...]]) -> None:
    assert scoring(f"runs={study}").code == 0
    first = results(study)
    (file,) = (study / "l1-seed1" / "scores").iterdir()
    whole = file.read_bytes()
    text = whole.decode().partition("\n")[2].rstrip().replace('[["3",', '[["4",', 1)
    file.write_text(f"{hashlib.sha256(text.encode()).hexdigest()}\n{text}\n")
    work.clear()
    assert scoring(f"runs={study}").code == 0
    assert work == [("standard.L1",)]
    assert results(study) == first


def other_weights(study: Path, data_root: Path) -> list[str]:
    save_net(study / "l1-seed1", "best", 77)
    return []


def other_network_of_the_same_weights(study: Path, data_root: Path) -> list[str]:
    """A causal network has the same tensors."""
    config = Run.read(study / "l1-seed1").config
    run_files.write_config(study / "l1-seed1", config | {"model": MODEL | {"causal": True}})
    return []


def other_samples(study: Path, data_root: Path) -> list[str]:
    target = next((data_root / "Test").glob("target_3_*"))
    content = bytearray(target.read_bytes())
    content[-1] ^= 0x80  # the sign of the last sample
    target.write_bytes(content)
    return []


def other_length(study: Path, data_root: Path) -> list[str]:
    return ["eval_length=131072"]


def test_scores_of_anything_else_are_not_taken(
    scoring: Entry, study: Path, data_root: Path, work: list[tuple[str, ...]]
) -> None:
    assert scoring(f"runs={study}").code == 0
    files = sorted(study.rglob("*.json"))
    changes = ((other_weights, 1), (other_network_of_the_same_weights, 1), (other_samples, 3), (other_length, 3))
    for change, networks in changes:  # one after the other
        before = of(read(study / "results"), "l1-seed1")
        options = change(study, data_root)
        work.clear()
        result = scoring(f"runs={study}", *options)
        assert result.code == 0, result.err
        assert len(work) == networks, change
        assert of(read(study / "results"), "l1-seed1") != before, change
        assert sorted(study.rglob("*.json")) == files, change  # the new ones have replaced the old


def test_scores_of_other_code_are_not_taken(
    scoring: Entry, study: Path, work: list[tuple[str, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert scoring(f"runs={study}").code == 0
    monkeypatch.setattr(depends, "_version", lambda library: f"{library} 99")
    work.clear()
    assert scoring(f"runs={study}").code == 0
    assert len(work) == 3


def test_scores_at_other_controls_are_not_taken(
    scoring: Entry, study: Path, work: list[tuple[str, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The files, and the settings in their names, are the same; what a network is given for these is not."""
    assert scoring(f"runs={study}").code == 0
    before = of(read(study / "results"), "l1-seed1")
    switch, knob = signaltrain.CONTROLS
    monkeypatch.setattr(signaltrain, "CONTROLS", (switch, knob._replace(scale=200.0)))
    work.clear()
    assert scoring(f"runs={study}").code == 0
    assert len(work) == 3
    assert of(read(study / "results"), "l1-seed1") != before


def test_all_that_the_options_of_a_metric_name_counts_also_in_lists() -> None:
    inner = {"_target_": "auraloss.time.ESRLoss", "pre_filter": {"_target_": "auraloss.perceptual.FIRFilter"}}
    found = set(scorer._code({"_target_": "auraloss.level.LoudnessLoss", "_args_": [1, [inner]]}))
    assert {file.name for file in found} == {"level.py", "time.py", "perceptual.py"}


def test_damaged_scores_are_scored_again(scoring: Entry, study: Path, work: list[tuple[str, ...]]) -> None:
    assert scoring(f"runs={study}").code == 0
    first = results(study)
    (file,) = (study / "l1-seed1" / "scores").iterdir()
    whole = file.read_bytes()
    for content in (b"", b"nonsense", whole[: len(whole) // 2]):
        file.write_bytes(content)
        work.clear()
        assert scoring(f"runs={study}").code == 0
        assert len(work) == 1
        assert results(study) == first
        assert file.read_bytes() == whole


def test_a_run_that_cannot_be_written_to_is_scored_all_the_same(
    scoring: Entry, study: Path, work: list[tuple[str, ...]]
) -> None:
    (study / "l1-seed1" / "scores").write_text("a file where the folder should be")
    for _ in range(2):
        work.clear()
        result = scoring(f"runs={study}")
        assert result.code == 0, result.err
        assert "cannot be written" in result.out
        assert len(of(read(study / "results"), "l1-seed1")) == 3 * 4
    assert len(work) == 1


def test_ctrl_c_keeps_the_runs_scored_so_far(
    scoring: Entry, study: Path, work: list[tuple[str, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    block, segments = scorer.Rendering.block, []

    def interrupted(*arguments: Any) -> Any:
        segments.append(arguments)
        if len(segments) == 8:  # in the second run, after three segments of the input and three of the first
            raise KeyboardInterrupt
        return block(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(scorer.Rendering, "block", interrupted)
        result = scoring(f"runs={study}")
    assert result.code == 130
    assert "the same command continues" in result.out
    assert "Traceback" not in result.err
    assert not (study / "results" / "scores.csv").exists()
    work.clear()
    assert scoring(f"runs={study}").code == 0
    assert len(work) == 1
    assert names(study / "results") == ["unprocessed", "l1-seed1", "mrstft-seed1"]


@pytest.mark.slow
def test_an_evaluation_that_was_killed_is_continued_to_the_same_scores(
    evaluate: Entry, study: Path, data_root: Path, work: list[tuple[str, ...]]
) -> None:
    for seed in range(3, 8):
        make_run(study / f"l1-seed{seed}", data_root, seed)
    command = [sys.executable, "evaluate.py", *LIGHT, f"runs={study}"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None and len(list(study.glob("l1-*/scores/*.json"))) < 1:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    kept = {file: file.read_bytes() for file in study.glob("l1-*/scores/*.json")}
    assert evaluate(f"runs={study}").code == 0
    assert 0 < len(work) == 7 - len(kept)
    for file, content in kept.items():
        assert file.read_bytes() == content
    first = results(study)
    for file in study.glob("*/scores/*.json"):
        file.unlink()
    assert evaluate(f"runs={study}").code == 0
    assert results(study) == first
    assert torch.get_num_threads() == 1  # as in the other process
