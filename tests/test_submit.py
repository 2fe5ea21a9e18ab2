"""``python -m scripts.submit``: the script that Slurm gets. tests/test_slurm.py has a real Slurm run it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from scripts import submit
from scripts.training.jobs import ROOT, folders_of
from tests import composition
from tests.conftest import TINY

FILE = ROOT / "configs" / "slurm.yaml"
Submit = Callable[..., str]


@pytest.fixture(autouse=True)
def _remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """A configuration is composed once."""
    composition.remembered(monkeypatch)


@pytest.fixture
def printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Submit:
    """What the command prints, called in a temporary folder."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> str:
        monkeypatch.setattr(sys, "argv", ["submit", *arguments])
        submit.main()
        return capsys.readouterr().out

    return run


def fake(folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, lines: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{lines}\n")
    (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


def test_a_dry_run_prints_the_script_and_writes_nothing(printed: Submit, tmp_path: Path) -> None:
    text = printed("--dry-run", "slurm.partition=gpu", "slurm.gres=gpu:1", "slurm.at_once=2", "experiment=quick")
    head = text.split("\n\n")[0].splitlines()
    assert head[:4] == [
        "#!/bin/bash",
        "#SBATCH --job-name=quick",
        "#SBATCH --array=0-5%2",
        "#SBATCH --output=runs/quick/slurm/%A_%a.log",
    ]
    assert {"#SBATCH --partition=gpu", "#SBATCH --gres=gpu:1", "#SBATCH --requeue"} <= {*head}
    assert not any("null" in line or "account" in line for line in head)
    assert "  4) set -- experiment=quick loss=mrstft study=quick ;;\n" in text
    assert list(tmp_path.iterdir()) == []
    subprocess.run(["bash", "-n"], input=text, text=True, check=True)


def test_options_may_follow_overrides_as_with_the_alias_of_the_docs(printed: Submit) -> None:
    text = printed("study=monday", "experiment=smoke", "loss=l1,esr", "--dry-run", "slurm.time=00:30:00", "seed=1")
    assert "#SBATCH --time=00:30:00" in text
    assert "  1) set -- study=monday experiment=smoke loss=esr seed=1 ;;\n" in text


def test_a_task_trains_its_run(printed: Submit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The script as bash runs it, with srun in the place of which a command prints its arguments."""
    text = printed("--dry-run", "slurm.mem=null", *TINY, "loss=l1,esr", "name='a b'", "study=${choices.loss}")
    fake(tmp_path / "bin", monkeypatch, "srun", 'printf "%s\\n" "$@"')
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "1")
    said = subprocess.run(["bash"], input=text, capture_output=True, text=True, check=True).stdout.splitlines()
    assert said[:4] == ["--cpus-per-task=1", "--kill-on-bad-exit=1", sys.executable, str(ROOT / "train.py")]
    assert {"loss=esr", "name='a b'", "hydra.mode=RUN"} <= {*said}


def test_the_time_is_as_it_is_written(printed: Submit, tmp_path: Path) -> None:
    """YAML takes 04:00:00 without quotes for 14,400, which would be minutes for Slurm."""
    own = tmp_path / "ours.yaml"
    own.write_text("sbatch:\n  time: 04:00:00\n  qos: long\nsetup:\n  - module load python\n")
    text = printed("--dry-run", "--slurm", str(own), "loss=l1", "study=a")
    assert "#SBATCH --time=04:00:00\n#SBATCH --qos=long\n" in text
    assert "\n\nmodule load python\n\n" in text


def test_a_study_is_named_when_it_is_submitted(printed: Submit) -> None:
    text = printed("--dry-run", "loss=l1,esr")
    (study,) = {line.split()[-2] for line in text.splitlines() if "set --" in line}  # added to what is asked
    assert f"--output=runs/{study.removeprefix('study=')}/slurm/" in text


def test_several_devices_are_told_to_lightning(printed: Submit) -> None:
    text = printed("--dry-run", "slurm.nodes=2", "slurm.ntasks-per-node=4", "trainer=ddp", "loss=l1", "study=a")
    assert "#SBATCH --nodes=2\n#SBATCH --ntasks-per-node=4\n" in text
    assert "++trainer.num_nodes=2 ++trainer.devices=4" in text


def test_what_is_submitted(printed: Submit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake(tmp_path / "bin", monkeypatch, "sbatch", f"cat > {tmp_path}/script; echo '17;cluster'")
    told = printed("loss=l1", "study=a")
    assert told.splitlines()[0].startswith("Job 17: 1 trainings of runs/a;")
    assert (tmp_path / "script").read_text() == printed("--dry-run", "loss=l1", "study=a")
    assert (tmp_path / "runs" / "a" / "slurm").is_dir()  # or the job would end without a word


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["loss=l1", "learning_rate=1"], "Could not override 'learning_rate'"),
        (["loss=none"], "Could not find 'loss/none'"),
        (["loss=l1", "name=a", "seed=1,2"], "two jobs have the folder .*seed=1.*seed=2.*Pass name="),
        (["loss=l1", "slurm.array=0-3"], "slurm.array: is no option of sbatch, or one that is chosen here"),
        (["loss=l1", "slurm.time"], "slurm.time: pass a value"),
        (["--slurm", "{folder}/none.yaml", "loss=l1"], "none.yaml"),
        (["--slurm", "{folder}/other.yaml", "loss=l1"], "expected the sections sbatch, at_once, setup"),
        (["loss=l1"], "there is no sbatch here.*--dry-run.*scripts.sweep"),
    ],
)
def test_what_cannot_be_submitted_is_refused(
    printed: Submit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], why: str
) -> None:
    (tmp_path / "other.yaml").write_text("partition: gpu\n")
    monkeypatch.setenv("PATH", "")
    with pytest.raises(SystemExit, match=f"(?s)^Error: .*{why}"):
        printed(*(argument.format(folder=tmp_path) for argument in arguments))


def test_what_sbatch_refuses_is_told(printed: Submit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake(tmp_path / "bin", monkeypatch, "sbatch", "echo 'invalid partition specified: gpu' >&2; exit 1")
    with pytest.raises(SystemExit, match="refused the job: invalid partition specified: gpu"):
        printed("loss=l1", "study=a", "slurm.partition=gpu")


def test_the_folders_are_those_of_a_sweep() -> None:
    jobs = [["experiment=quick", "loss=l1"], ["experiment=quick", "loss=stft", "seed=2", "model.channels=4"]]
    assert folders_of(jobs) == [Path("runs/quick/l1-seed1"), Path("runs/quick/stft-seed2-channels4")]


def test_the_shipped_file_can_be_used() -> None:
    assert submit.asked(FILE).sbatch["time"] == "04:00:00"
