"""Processes that train one run: who is first, where they meet, and who hears Slurm's signals."""

from __future__ import annotations

import os

import pytest
from omegaconf import OmegaConf
from pytorch_lightning.plugins.environments import LightningEnvironment, SLURMEnvironment, TorchElasticEnvironment

from scripts.training import processes, trainer_options
from tests.conftest import Entry

SRUN = {
    **{"SLURM_JOB_ID": "123", "SLURM_JOB_NAME": "train", "SLURM_NTASKS": "2", "SLURM_NTASKS_PER_NODE": "2"},
    **{"SLURM_NNODES": "1", "SLURM_NODEID": "0", "SLURM_NODELIST": "localhost"},
    **{"SLURM_PROCID": "0", "SLURM_LOCALID": "0"},
}
OPTIONS = {"_target_": "pytorch_lightning.Trainer", "accelerator": "cpu", "devices": 1, "max_epochs": 1}


@pytest.fixture
def srun(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """The variables of the first of two tasks."""
    for name, value in SRUN.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


def environment(**options: object) -> object:
    trainer = trainer_options.trainer(OmegaConf.create(OPTIONS | options), logger=False, enable_checkpointing=False)
    return trainer._accelerator_connector.cluster_environment


def test_slurm_starts_the_processes_and_its_signals_are_ours(srun: pytest.MonkeyPatch) -> None:
    found = environment()
    assert isinstance(found, SLURMEnvironment)
    assert not found.auto_requeue  # Lightning would save within the signal's handler
    srun.setenv("SLURM_JOB_NAME", "bash")  # a shell on a node, from which a training is started as anywhere
    assert isinstance(environment(), LightningEnvironment)


def test_an_environment_that_is_asked_for_is_used(srun: pytest.MonkeyPatch) -> None:
    own = {"_target_": "pytorch_lightning.plugins.environments.LightningEnvironment"}
    assert isinstance(environment(plugins=[own]), LightningEnvironment)


def test_torchrun_inside_of_slurm_is_torchrun(srun: pytest.MonkeyPatch) -> None:
    variables = {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1", "GROUP_RANK": "0", "LOCAL_WORLD_SIZE": "1"}
    for name, value in {**variables, "TORCHELASTIC_RUN_ID": "a7", "MASTER_ADDR": "x", "MASTER_PORT": "1"}.items():
        srun.setenv(name, value)
    assert isinstance(environment(), TorchElasticEnvironment)
    assert processes.study_name() == "torchrun-a7"
    srun.setenv("TORCHELASTIC_RUN_ID", "none")
    with pytest.raises(ValueError, match="cannot agree on a folder: pass study="):
        processes.study_name()


def test_as_many_tasks_as_devices_are_needed(srun: pytest.MonkeyPatch) -> None:
    processes.check_tasks({"devices": 2, "strategy": "ddp"})
    processes.check_tasks({"devices": 1, "num_nodes": 2, "strategy": "ddp"})
    processes.check_tasks({"devices": -1, "strategy": "ddp"})  # all of a node, however many these are
    processes.check_tasks({"devices": 1})
    with pytest.raises(ValueError, match=r"are 4 processes, and Slurm has started 2: .*--ntasks-per-node=4"):
        processes.check_tasks({"devices": 4, "strategy": "ddp"})


def test_too_few_tasks_are_refused(train: Entry, srun: pytest.MonkeyPatch) -> None:
    result = train("name=a", "trainer.devices=4", "+trainer.strategy=ddp")
    assert result.code == 1
    assert "Slurm has started 2" in result.err


@pytest.mark.parametrize("array", [False, True])
def test_the_job_is_named_as_squeue_does(srun: pytest.MonkeyPatch, array: bool) -> None:
    if array:
        srun.setenv("SLURM_ARRAY_JOB_ID", "120")
        srun.setenv("SLURM_ARRAY_TASK_ID", "4")
    assert processes.job() == ("120_4" if array else "123")
    srun.delenv("SLURM_JOB_ID")
    srun.delenv("SLURM_ARRAY_JOB_ID", raising=False)
    assert processes.job() is None
    assert "SLURM_JOB_ID" not in os.environ
