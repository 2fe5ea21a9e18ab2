"""Submits the trainings of a sweep to Slurm, and returns: an array of jobs, each of which trains one run.

python -m scripts.submit experiment=quick seed=1,2,3,4
python -m scripts.submit --dry-run slurm.partition=gpu slurm.gres=gpu:1 experiment=paper trainer=gpu
python -m scripts.submit slurm.nodes=2 slurm.ntasks-per-node=4 slurm.gres=gpu:4 trainer=ddp loss=mrstft

The arguments are those of ``train.py --multirun``, and so are the folders: what one began, the other continues, and
submitting again leaves finished runs as they are. slurm.… sets what is asked of Slurm (configs/slurm.yaml); a copy of
that file with your cluster's values is named by --slurm. `python -m scripts.runs` tells what has become of the runs.
"""

from __future__ import annotations

import argparse
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from scripts.training.jobs import FAULTS, ROOT, jobs_of, with_studies

SECTIONS = ("sbatch", "at_once", "setup")
NONE = ("null", "")
OWN = ("array", "job-name", "output", "error", "chdir", "wrap", "parsable", "requeue", "no-requeue", "open-mode")


@dataclass(frozen=True)
class Asked:
    """What is asked of Slurm."""

    sbatch: dict[str, str]  # values of its options
    at_once: str  # tasks of the array; empty: as many as there is room for
    setup: list[str]  # lines of the script


def asked(file: Path, given: Sequence[str] = ()) -> Asked:
    """What is asked of Slurm, by a file and what the command line sets.

    Args:
        file: as configs/slurm.yaml.
        given: as in ``slurm.time=01:00:00``: an option of sbatch, or `at_once`.

    Raises:
        ValueError: if one of them does not exist, or is the script's own.
    """
    # Every value as it is written: YAML would take a time for a number of base 60.
    content = yaml.load(file.read_text(encoding="utf-8"), yaml.BaseLoader)
    if not isinstance(content, dict) or set(content) - {*SECTIONS} or not isinstance(content.get("sbatch", {}), dict):
        raise ValueError(f"{file}: expected the sections {', '.join(SECTIONS)}, as in configs/slurm.yaml")
    sbatch, at_once = content.get("sbatch", {}), content.get("at_once", "")
    for argument in given:
        key, sign, value = argument.removeprefix("slurm.").partition("=")
        if not sign:
            raise ValueError(f"{argument}: pass a value, as in slurm.time=01:00:00")
        if key == "at_once":
            at_once = value
        else:
            sbatch[key] = value
    for key in sbatch:
        if not re.fullmatch(r"[a-z][a-z-]*", key) or key in OWN:
            raise ValueError(f"slurm.{key}: is no option of sbatch, or one that is chosen here")
    setup = content.get("setup") or []
    if not isinstance(setup, list) or not all(isinstance(line, str) for line in setup):
        raise ValueError(f"{file}: setup is not a list of lines")
    there = {key: value for key, value in sbatch.items() if value not in NONE}
    return Asked(there, "" if at_once in NONE else at_once, setup)


def devices(sbatch: Mapping[str, str]) -> list[str]:
    """Overrides for a training whose processes Slurm starts, by which Lightning knows how many there are.

    >>> devices({"nodes": "2", "ntasks-per-node": "4"})
    ['++trainer.num_nodes=2', '++trainer.devices=4']
    >>> devices({"nodes": "1", "mem": "16G"})
    []
    """
    nodes, tasks = (int(sbatch.get(key, 1)) for key in ("nodes", "ntasks-per-node"))
    return [f"++trainer.num_nodes={nodes}", f"++trainer.devices={tasks}"] if nodes * tasks > 1 else []


def script(jobs: Sequence[Sequence[str]], slurm: Asked, study: Path) -> str:
    """The script of the array, of which task n trains job n.

    Args:
        jobs: overrides of each.
        slurm: what is asked of Slurm.
        study: the folder of the runs; what Slurm has to say goes into its folder slurm.
    """
    limit = f"%{slurm.at_once}" if slurm.at_once else ""
    own = {"job-name": study.name, "array": f"0-{len(jobs) - 1}{limit}", "output": f"{study}/slurm/%A_%a.log"}
    cases = [f"  {number}) set -- {shlex.join(job)} ;;" for number, job in enumerate(jobs)]
    lines = [
        "#!/bin/bash",
        *(f"#SBATCH --{key}={value}" for key, value in (own | slurm.sbatch).items()),
        "#SBATCH --requeue",
        "#SBATCH --open-mode=append",
        "",
        *slurm.setup,
        "",
        "case $SLURM_ARRAY_TASK_ID in",
        *cases,
        "esac",
        # Of an array's options srun takes all but this one; and if one process fails, the others do not wait for it.
        "exec srun --cpus-per-task=${SLURM_CPUS_PER_TASK:-1} --kill-on-bad-exit=1 \\",
        f'  {shlex.quote(sys.executable)} {shlex.quote(str(ROOT / "train.py"))} "$@" hydra.mode=RUN',
    ]
    return "\n".join(lines) + "\n"


def submit(text: str, folder: Path) -> str:
    """Hands a script to Slurm; returns the number of the job.

    Args:
        text: of the script.
        folder: for what Slurm has to say; without it a job ends at once, and says nothing.

    Raises:
        ValueError: if it is not taken, with what sbatch says.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        done = subprocess.run(["sbatch", "--parsable"], input=text, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise ValueError(
            "there is no sbatch here: call this on a machine from which jobs are submitted, see what it would submit "
            "with --dry-run, or train side by side with `python -m scripts.sweep`"
        ) from error
    if done.returncode:
        raise ValueError(f"sbatch has refused the job: {done.stderr.strip()}")
    return done.stdout.strip().split(";")[0]


def main() -> None:
    parser = argparse.ArgumentParser(
        "python -m scripts.submit", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--dry-run", action="store_true", help="print the script that would be submitted")
    parser.add_argument("--slurm", type=Path, default=ROOT / "configs" / "slurm.yaml", help="what is asked of Slurm")
    parser.add_argument("overrides", nargs="*", help="as of train.py --multirun, and slurm.…")
    chosen = parser.parse_intermixed_args()
    try:
        slurm = asked(chosen.slurm, [argument for argument in chosen.overrides if argument.startswith("slurm.")])
        overrides = [argument for argument in chosen.overrides if not argument.startswith("slurm.")]
        jobs = [[*job, *devices(slurm.sbatch)] for job in jobs_of(overrides)]
        jobs, study = with_studies(jobs)
        text = script(jobs, slurm, study)
        if chosen.dry_run:
            print(text, end="")
            return
        number = submit(text, study / "slurm")
    except FAULTS as error:
        sys.exit(f"Error: {error}")
    print(f"Job {number}: {len(jobs)} trainings of {study}; what Slurm says of them goes into {study / 'slurm'}")
    print(f"python -m scripts.runs {study.name}   squeue --job {number}   scancel {number}")


if __name__ == "__main__":
    main()
