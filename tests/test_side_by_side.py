"""What is shared out among processes: results in order, faults where they belong."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from models.net import Net, Unprocessed
from models.tcn import TCN
from scripts.report import side_by_side
from scripts.report.charts import Canvas
from scripts.report.side_by_side import Workers, each


class Broken(Unprocessed):
    """A network that cannot be measured."""


def where(net: Net) -> tuple[int, int]:
    """The process that has the network, and its threads."""
    if isinstance(net, Broken):
        raise ValueError("it is broken")
    return os.getpid(), torch.get_num_threads()


def failing(*_: object) -> int:
    raise ValueError("no such figure")


def svg(name: str) -> str:
    canvas = Canvas(name)
    canvas.panels[0].plot([1, 2], [3, 4])
    return str(canvas.svg("a line"))


def taken(note: Path) -> tuple[int, int]:
    """Says that it has begun."""
    note.touch()
    return os.getpid(), torch.get_num_threads()


def ending(note: Path, home: int) -> int:
    """Takes its process with it, unless that is `home`."""
    note.touch()
    if os.getpid() != home:
        os._exit(1)
    return 7


def holding(note: Path) -> int:
    await_(note)
    return os.getpid()


def weights_set_to_nothing(net: TCN, begun: Path) -> tuple[float, int]:
    """Their sum and another figure of the network."""
    begun.touch()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.zero_()
    return sum(float(parameter.detach().abs().sum()) for parameter in net.parameters()), net.receptive_field


def await_(note: Path) -> None:
    stop = time.monotonic() + 120
    while not note.exists():
        assert time.monotonic() < stop, "no other process has begun"
        time.sleep(0.01)


@pytest.fixture(scope="module")
def workers() -> Iterator[Workers]:
    """This process and another one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(side_by_side, "cores", lambda: 2)
        with Workers(networks=6) as started:
            yield started


def test_each_network_has_its_result_and_its_fault() -> None:
    here = os.getpid(), torch.get_num_threads()
    nets: dict[str, Net] = {"a": Unprocessed(), "b": Broken(), "c": Unprocessed()}
    assert each(nets, where) == ({"a": here, "c": here}, {"b": "it is broken"})
    assert each({}, where) == ({}, {})


def test_other_faults_are_raised() -> None:
    def work(net: Net) -> int:
        raise KeyError("a fault of ours")

    with pytest.raises(KeyError, match="a fault of ours"):
        each({"a": Unprocessed()}, work)


def test_what_others_have_not_begun_is_done_here(workers: Workers, tmp_path: Path) -> None:
    held = [workers.begin(holding, tmp_path / "free") for _ in range(3)]  # the pool takes two at once that wait
    nets: dict[str, Net] = {label: Unprocessed() for label in "abcdef"}
    measured = workers.each({"broken": Broken(), **nets}, where)
    picture, fault = workers.begin(svg, "a"), workers.begin(failing)
    found, failed = measured()
    assert list(found) == list(nets)
    assert failed == {"broken": "it is broken"}
    assert set(found.values()) == {(os.getpid(), 1)}
    assert picture() == svg("a")
    with pytest.raises(ValueError, match="no such figure"):
        fault()
    (tmp_path / "free").touch()
    assert os.getpid() not in [wait() for wait in held]


def test_the_memory_of_a_network_stays_where_it_is(workers: Workers, tmp_path: Path) -> None:
    """A pool moves it to where others see it, and frees what this process may just be computing with."""
    net = TCN(blocks=2, kernel_size=3, channels=2)
    weights = [parameter.detach().clone() for parameter in net.parameters()]
    changed = workers.begin(weights_set_to_nothing, net, tmp_path / "begun")
    await_(tmp_path / "begun")
    assert changed() == (0.0, net.receptive_field)
    for parameter, before in zip(net.parameters(), weights, strict=True):
        assert not parameter.is_shared()
        assert torch.equal(parameter, before)


def test_another_process_takes_what_was_begun_and_may_be_lost(workers: Workers, tmp_path: Path) -> None:
    result = workers.begin(taken, tmp_path / "taken")
    await_(tmp_path / "taken")
    process, threads = result()
    assert process != os.getpid()
    assert threads == 1
    lost = workers.begin(ending, tmp_path / "ending", os.getpid())
    await_(tmp_path / "ending")
    assert lost() == 7  # that process is gone: it is done here
    assert workers.begin(svg, "b")() == svg("b")


@pytest.mark.parametrize(("networks", "cores"), [(2, 8), (6, 1)])
def test_few_networks_or_one_core_need_no_process(networks: int, cores: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(side_by_side, "cores", lambda: cores)
    threads = torch.get_num_threads()
    with Workers(networks) as workers:
        assert workers.each({"net": Unprocessed()}, where)() == ({"net": (os.getpid(), threads)}, {})


def test_threads_are_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(side_by_side, "cores", lambda: 2)
    monkeypatch.setattr(torch, "set_num_threads", lambda count: counts.append(count))
    counts: list[int] = []
    before = torch.get_num_threads()
    with Workers(networks=6):
        pass
    assert counts == [1, before]
