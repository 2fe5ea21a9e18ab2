"""What a training step keeps is counted, and grows with the batch; a batch beyond the memory is refused."""

import os
import platform
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from auraloss.time import L1Loss
from models.memory import keep_freed, physical_bytes, saved_bytes
from models.net import Net
from models.tcn import TCN


class Square(Net):
    """Keeps its input, to multiply the gradient with."""

    receptive_field = 1
    lookahead = 0

    def forward(self, x: Tensor, controls: Tensor) -> Tensor:
        return x.requires_grad_() ** 2


class Sum(nn.Module):
    """Keeps nothing."""

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return input.sum()


def test_counts_what_the_backward_pass_keeps() -> None:
    assert saved_bytes(Square(), Sum(), torch.ones(1, 1, 1000), torch.ones(1, 2)) == 4 * 1000


def test_grows_with_the_batch_and_leaves_the_network_as_it_was() -> None:
    net = TCN(blocks=3, kernel_size=3, channels=4)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    one, four = (saved_bytes(net, L1Loss(), torch.randn(n, 1, 5000), torch.rand(n, 2)) for n in (1, 4))
    assert 3.9 < four / one <= 4
    assert net.training
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


def test_the_memory_of_this_machine_is_that_of_the_system() -> None:
    file = Path("/proc/meminfo")
    if not file.exists():
        pytest.skip("compared with what Linux says")
    assert physical_bytes() == 1024 * int(file.read_text().split()[1])  # "MemTotal:", kB


def test_a_system_that_does_not_tell_its_memory_gives_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sysconf")
    assert physical_bytes() is None


def test_a_batch_beyond_the_memory_is_refused(train: Any) -> None:
    result = train("data.batch_size=100000000")
    assert result.code == 1
    assert "a batch of 100000000 crops takes about" in result.err
    assert "trainer.accumulate_grad_batches=" in result.err
    assert "Traceback" not in result.err


def test_freed_memory_is_kept_where_the_c_library_can() -> None:
    assert keep_freed() == (platform.libc_ver()[0] == "glibc")
