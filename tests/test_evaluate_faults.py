"""A run that cannot be scored is named, and costs the others nothing; the exit status says so."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from itertools import combinations, product
from pathlib import Path
from typing import Any, cast

import pytest
import torch

from data import signaltrain
from data.fingerprint import fingerprint
from models import run_files
from models.rendering import Rendering
from models.run import Run
from models.tcn import TCN
from scripts.scoring import scorer
from scripts.scoring.cache import Scored
from scripts.scoring.scorer import Job, Scorer, complete
from tests.conftest import Entry, Result
from tests.scored_runs import FRAMES, MODEL, info, make_run, names, of, read

A, B = ("standard", "L1"), ("standard", "ESR")  # names of metrics


def left_out(result: Result, study: Path, bad: str) -> str:
    """Why a run was left out, after checking that it is told everywhere and that the two others have scores."""
    assert result.code == 1
    assert "Traceback" not in result.err
    assert names(study / "results") == ["unprocessed", "l1-seed1", "mrstft-seed1"]
    said = info(study / "results")
    (entry,) = said["left_out"]
    assert Path(entry["run"]).name == bad
    note = f"{entry['run']} is left out: {entry['reason']}"
    assert note in said["notes"]
    assert note in result.out
    return str(entry["reason"])


# Runs that cannot be used


def damage_nothing_trained(folder: Path) -> str:
    shutil.rmtree(folder / "checkpoints")
    return "best.ckpt: missing"


def damage_checkpoint(folder: Path) -> str:
    file = folder / "checkpoints" / "best.ckpt"
    file.write_bytes(file.read_bytes()[:1000])
    return "best.ckpt: is damaged"


def damage_another_network(folder: Path) -> str:
    run_files.write_config(folder, Run.read(folder).config | {"model": MODEL | {"channels": 5}})
    return "not a checkpoint of this network"


def damage_hostile_target(folder: Path) -> str:
    run_files.write_config(
        folder, Run.read(folder).config | {"model": {"_target_": "os.mkdir", "path": str(folder / "trap")}}
    )
    return "'os.mkdir' is not allowed"


def damage_hostile_yaml(folder: Path) -> str:
    (folder / "config.yaml").write_text(f"model: !!python/object/apply:os.mkdir ['{folder / 'trap'}']\n")
    return "not a plain YAML file"


def damage_hostile_data(folder: Path) -> str:
    config = Run.read(folder).config
    trap = {"_target_": "os.mkdir", "path": str(folder / "trap")}
    run_files.write_config(folder, config | {"data": config["data"] | {"root": trap}})
    return "root"


def damage_data_of_another_kind(folder: Path) -> str:
    run_files.write_config(folder, Run.read(folder).config | {"data": ["a", "list"]})
    return "data"


def damage_no_file_name(folder: Path) -> str:
    change(folder, data={"root": "nul\0"})
    return r"data.root, 'nul\x00', is not the name of a folder"


def damage_half_a_character(folder: Path) -> str:
    file = folder / "config.yaml"
    file.write_text(file.read_text().replace("root: ", 'root: "\\ud800" # '))
    return r"data.root, '\ud800', is not the name of a folder"


def damage_half_a_character_in_the_network(folder: Path) -> str:
    file = folder / "config.yaml"
    file.write_text(file.read_text().replace("blocks: 2", '"\\ud800": 300000'))
    return r"model.\ud800: "


def damage_aliases(folder: Path) -> str:
    with (folder / "config.yaml").open("a") as stream:
        stream.write("a: &a [1]\nb: *a\n")
    return "refers to its own values"


def damage_loss_of_another_name(folder: Path) -> str:
    change(folder, choices={"loss": "unprocessed"})
    return "choices.loss, 'unprocessed', cannot be the name of a loss"


def damage_loss_that_is_no_text(folder: Path) -> str:
    change(folder, choices={"loss": "l1\x1b[2J"})
    return r"choices.loss, 'l1\x1b[2J', cannot be the name of a loss"


def damage_seed(folder: Path) -> str:
    run_files.write_config(folder, Run.read(folder).config | {"seed": "\x1b"})
    return r"seed, '\x1b', is not a whole number"


def change(folder: Path, **sections: dict[str, Any]) -> None:
    config = Run.read(folder).config
    run_files.write_config(folder, config | {name: config[name] | values for name, values in sections.items()})


DAMAGES: tuple[Callable[[Path], str], ...] = (
    damage_nothing_trained,
    damage_checkpoint,
    damage_another_network,
    damage_hostile_target,
    damage_hostile_yaml,
    damage_hostile_data,
    damage_data_of_another_kind,
    damage_no_file_name,
    damage_half_a_character,
    damage_half_a_character_in_the_network,
    damage_aliases,
    damage_loss_of_another_name,
    damage_loss_that_is_no_text,
    damage_seed,
)


def test_runs_that_cannot_be_used_are_named_and_the_others_are_scored(scoring: Entry, study: Path) -> None:
    reasons = {}
    for damage in DAMAGES:
        bad = shutil.copytree(study / "l1-seed1", study / damage.__name__)
        reasons[str(bad)] = damage(bad)
    result = scoring(f"runs={study}")
    assert result.code == 1
    assert "Traceback" not in result.err
    assert names(study / "results") == ["unprocessed", "l1-seed1", "mrstft-seed1"]
    said = info(study / "results")
    told = {entry["run"]: entry["reason"] for entry in said["left_out"]}
    assert told.keys() == reasons.keys()
    for bad, reason in reasons.items():
        assert reason in told[bad]
        note = f"{bad} is left out: {told[bad]}"
        assert note in said["notes"]
        assert note in result.out
    assert not list(study.rglob("trap"))


def test_if_no_run_can_be_used_all_are_named(scoring: Entry, study: Path) -> None:
    reasons = [damage_checkpoint(study / "l1-seed1"), damage_hostile_target(study / "mrstft-seed1")]
    result = scoring(f"runs={study}")
    assert result.code == 1
    for folder, reason in zip(("l1-seed1", "mrstft-seed1"), reasons, strict=True):
        assert folder in result.err
        assert reason in result.err
    assert "Traceback" not in result.err
    assert not (study / "results").exists()


@pytest.mark.parametrize("status", [None, "nonsense", '{"state": "running"}'])
def test_a_run_that_is_not_finished_is_scored_with_a_note(status: str | None, scoring: Entry, study: Path) -> None:
    file = study / "l1-seed1" / "status.json"
    if status is None:
        file.unlink()
    else:
        file.write_text(status)
    result = scoring(f"runs={study}/l1-seed1")
    assert result.code == 0, result.err
    word = "running" if status and "running" in status else "interrupted"
    assert f"l1-seed1 is {word}: its best checkpoint so far is scored." in result.out


def test_runs_that_saw_a_few_crops_or_have_collapsed_to_silence_are_told(
    scoring: Entry, study: Path, data_root: Path
) -> None:
    make_run(study / "esr-seed1", data_root, 3, gain=1e-9)
    config = run_files.read_config(study / "l1-seed1")
    run_files.write_config(study / "l1-seed1", config | {"trainer": {"overfit_batches": 2}})
    result = scoring(f"runs={study}")
    assert result.code == 0, result.err
    (note,) = [line for line in result.out.splitlines() if "overfit_batches=2" in line]
    assert "l1-seed1 was trained on a few crops only" in note
    (note,) = [line for line in result.out.splitlines() if "collapsed to silence" in line]
    assert "esr-seed1" in note


# Which data


def test_a_missing_data_set_is_named(scoring: Entry, tmp_path: Path) -> None:
    make_run(tmp_path / "runs" / "study" / "l1-seed1", tmp_path / "gone")
    result = scoring()
    assert result.code == 1
    assert f"{tmp_path / 'gone'} does not exist" in result.err
    assert "data.root=" in result.err
    assert "Traceback" not in result.err


def test_the_data_of_most_runs_are_the_test_set(scoring: Entry, study: Path, tmp_path: Path) -> None:
    make_run(study / "a-seed1", tmp_path / "other", 3)  # the first of the study
    reason = left_out(scoring(f"runs={study}"), study, "a-seed1")
    assert str(tmp_path / "other") in reason
    assert "data=signaltrain data.root=" in reason


def test_data_that_the_command_names_are_the_test_set_of_all(
    scoring: Entry, study: Path, data_root: Path, tmp_path: Path
) -> None:
    make_run(study / "esr-seed1", tmp_path / "other", 3)
    result = scoring(f"runs={study}", "data=signaltrain", f"data.root={data_root}")
    assert result.code == 0, result.err
    assert names(study / "results") == ["unprocessed", "esr-seed1", "l1-seed1", "mrstft-seed1"]
    (note,) = [note for note in info(study / "results")["notes"] if "not those of training" in note]
    assert f"The test data, {data_root}, are not those of training ({tmp_path / 'other'})." in note
    assert f"the Train folder of {data_root}" in note
    of_own = scoring(f"runs={study}/l1-seed1", "data=signaltrain", f"data.root={data_root}")
    assert "not those of training" not in of_own.out


def test_a_folder_written_in_two_ways_is_one_data_set(
    scoring: Entry, study: Path, data_root: Path, tmp_path: Path
) -> None:
    make_run(study / "esr-seed1", data_root / "Test" / "..", 3)
    (tmp_path / "link").symlink_to(data_root)
    make_run(study / "stft-seed1", Path("link"), 4)  # from the working directory
    result = scoring(f"runs={study}")
    assert result.code == 0, result.err
    assert len(names(study / "results")) == 5


@pytest.mark.parametrize(
    ("changed", "named", "words"),
    [
        ({"sample_rate": 48_000}, False, ["48000 Hz", "44100 Hz"]),
        ({"channels": 2}, True, ["2 channel(s)", "1 channel(s)"]),
    ],
)
def test_a_run_of_another_sample_rate_or_number_of_channels(
    changed: dict[str, Any], named: bool, words: list[str], scoring: Entry, study: Path, data_root: Path
) -> None:
    make_run(study / "esr-seed1", data_root, 3, **changed)
    data = ["data=signaltrain", f"data.root={data_root}"] if named else []
    reason = left_out(scoring(f"runs={study}", *data), study, "esr-seed1")
    for word in words:
        assert word in reason


def test_networks_for_other_data_and_one_whose_output_is_not_finite(
    scoring: Entry, study: Path, data_root: Path
) -> None:
    make_run(study / "controls", data_root, 3, model=MODEL | {"controls": 3})
    make_run(study / "channels", data_root, 3, model=MODEL | {"in_channels": 2})
    file = make_run(study / "nan", data_root, 3) / "checkpoints" / "best.ckpt"
    state = torch.load(file, weights_only=True)
    state["state_dict"]["net.mix.bias"].fill_(float("nan"))
    torch.save(state, file)
    result = scoring(f"runs={study}")
    assert result.code == 1
    assert "Traceback" not in result.err
    assert names(study / "results") == ["unprocessed", "l1-seed1", "mrstft-seed1"]
    reasons = {Path(entry["run"]).name: entry["reason"] for entry in info(study / "results")["left_out"]}
    assert reasons.keys() == {"controls", "channels", "nan"}
    assert "3 controls, the test data 2" in reasons["controls"]
    assert "2 channels, the test data 1" in reasons["channels"]
    assert "input_3_.wav is not finite between samples 0 and 24000" in reasons["nan"]


def test_a_failure_while_scoring_one_run(
    scoring: Entry, study: Path, data_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_run(study / "esr-seed1", data_root, 3)
    block, seen = scorer.Rendering.block, []

    def fails(rendering: Rendering, *arguments: Any) -> Any:
        if isinstance(rendering.net, TCN):
            seen.append(rendering.net)
        if seen and rendering.net is seen[0] and len(seen) > 2:  # from the third segment of the first run on
            raise RuntimeError("out of memory")
        return block(rendering, *arguments)

    monkeypatch.setattr(scorer.Rendering, "block", fails)
    assert left_out(scoring(f"runs={study}"), study, "esr-seed1") == "out of memory"
    monkeypatch.undo()
    result = scoring(f"runs={study}")  # and the next evaluation makes up for it
    assert result.code == 0, result.err
    assert info(study / "results")["left_out"] == []


@pytest.mark.parametrize("count", [3, 4])
def test_whichever_networks_fail_they_are_told_and_all_others_are_scored(count: int, tmp_path: Path) -> None:
    """Every choice of networks that fail, and of networks of which one of the two metrics is known already."""

    class Stub:
        def score(self, jobs: list[Job]) -> list[Scored]:
            assert len({job.missing for job in jobs}) == 1
            if broken := [job.label for job in jobs if job.label in bad]:
                raise ValueError(broken[0])
            return [Scored(scores=job.known.scores | {name: [] for name in job.missing}) for job in jobs]

    labels = [f"run{number}" for number in range(count)]
    subsets = [set(subset) for size in range(count + 1) for subset in combinations(labels, size)]
    for bad, begun in product(subsets, subsets):
        known = {label: Scored(scores={A: []} if label in begun else {}) for label in labels}
        missing = {label: (B,) if label in begun else (A, B) for label in labels}
        jobs = [Job(label, tmp_path, "", known[label], missing[label], None) for label in labels]
        outcomes = complete(cast(Scorer, Stub()), jobs)
        assert outcomes.keys() == set(labels)
        faults = {label: outcome for label, outcome in outcomes.items() if isinstance(outcome, Exception)}
        assert {label: str(error) for label, error in faults.items()} == {label: label for label in bad}
        assert all(set(o.scores) == {A, B} for o in outcomes.values() if isinstance(o, Scored))


def test_if_all_fail_the_results_of_before_stay(scoring: Entry, study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert scoring(f"runs={study}").code == 0
    kept = (study / "results" / "scores.csv").read_bytes()
    for folder in ("l1-seed1", "mrstft-seed1"):
        damage_checkpoint(study / folder)
    result = scoring(f"runs={study}")
    assert result.code == 1
    assert "none of the runs can be scored" in result.err
    assert (study / "results" / "scores.csv").read_bytes() == kept


# The test split


def test_a_run_whose_test_split_has_changed_since_is_left_out(scoring: Entry, study: Path, data_root: Path) -> None:
    now = fingerprint(signaltrain.recordings(data_root)["test"])
    make_run(study / "esr-seed1", data_root, 3)
    run_files.write_status(study / "esr-seed1", "finished", test_split="0123456789abcdef")
    run_files.write_status(study / "l1-seed1", "finished", test_split=now)
    reason = left_out(scoring(f"runs={study}"), study, "esr-seed1")
    for word in ("0123456789abcdef", now, "Train it again", "data=signaltrain data.root="):
        assert word in reason

    result = scoring(f"runs={study}", "data=signaltrain", f"data.root={data_root}")  # as the remedy says
    assert result.code == 0, result.err
    assert of(read(study / "results"), "esr-seed1")


def test_what_a_metric_cannot_say_of_one_run_is_noted(
    evaluate: Entry, study: Path, data_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from auraloss.time import L1Loss

    value = L1Loss._value
    monkeypatch.setattr(L1Loss, "_value", lambda self, total, count: value(self, total, count) / 0)
    result = evaluate(f"runs={study}/l1-seed1")
    assert result.code == 0, result.err
    assert f"{study}/l1-seed1: standard.L1 is not finite in {1 + len(FRAMES)} of 3 rows." in result.out


def test_one_name_for_metrics_of_two_directions_is_refused(scoring: Entry, study: Path) -> None:
    result = scoring(f"runs={study}", "+conventions.own.L1._target_=auraloss.time.SISDRLoss")
    assert result.code == 1
    assert "own.L1: another convention has a metric of this name with another direction or unit" in result.err
    assert "Traceback" not in result.err


def test_a_training_that_lies_in_two_studies_counts_once(scoring: Entry, study: Path, tmp_path: Path) -> None:
    other = tmp_path / "runs" / "other"
    shutil.copytree(study / "l1-seed1", other / "l1-seed1")
    result = scoring(f"runs=[{study},{other}]")
    assert result.code == 1
    said = info(tmp_path / "results")
    assert [of_run["run"] for of_run in said["runs"]] == [f"{study}/l1-seed1", f"{study}/mrstft-seed1"]
    (left_out,) = said["left_out"]
    assert left_out["run"] == f"{other}/l1-seed1"
    assert f"its model and seed are those of {study}/l1-seed1" in left_out["reason"]
    assert "Evaluate them apart, or train one with another seed." in left_out["reason"]
    assert said["notes"][0] == f"{other}/l1-seed1 is left out: {left_out['reason']}"
