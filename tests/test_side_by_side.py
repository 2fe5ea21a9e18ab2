"""Networks in threads and figures in another process: results in order, faults where they belong."""

from __future__ import annotations

import os
import threading

import pytest
import torch

from models.net import Net, Unprocessed
from scripts.report import side_by_side
from scripts.report.charts import Canvas
from scripts.report.side_by_side import Drawing, each


def failing(*_: object) -> int:
    raise ValueError("no such figure")


def ending() -> int:
    if os.getpid() != int(os.environ["REPORT_PROCESS"]):
        os._exit(1)
    return 7


def svg(name: str) -> str:
    canvas = Canvas(name)
    canvas.panels[0].plot([1, 2], [3, 4])
    return str(canvas.svg("a line"))


def test_each_network_has_its_result_in_order_and_its_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(side_by_side, "cores", lambda: 2)
    nets: dict[str, Net] = {label: Unprocessed() for label in "abc"}
    together = threading.Barrier(2, timeout=60)

    def work(net: Net) -> int:
        """The first two meet: they run at the same time."""
        if net is nets["c"]:
            raise ValueError("c is broken")
        assert torch.get_num_threads() == 1
        together.wait()
        return list(nets.values()).index(net)

    threads = torch.get_num_threads()
    assert each(nets, work) == ({"a": 0, "b": 1}, {"c": "c is broken"})
    assert torch.get_num_threads() == threads
    assert each({}, work) == ({}, {})


def test_other_faults_are_raised() -> None:
    def work(net: Net) -> int:
        raise KeyError("a fault of ours")

    with pytest.raises(KeyError, match="a fault of ours"):
        each({"a": Unprocessed()}, work)


def test_what_another_process_draws_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(side_by_side, "cores", lambda: 2)
    monkeypatch.setenv("REPORT_PROCESS", str(os.getpid()))
    with Drawing(networks=6) as draw:
        process, picture, fault, end = draw(os.getpid), draw(svg, "a"), draw(failing), draw(ending)
        assert process() != os.getpid()
        assert picture() == svg("a")
        with pytest.raises(ValueError, match="no such figure"):
            fault()
        assert end() == 7  # that process is gone: it is drawn here


@pytest.mark.parametrize(("networks", "cores"), [(2, 8), (6, 1)])
def test_few_networks_or_one_core_need_no_process(networks: int, cores: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(side_by_side, "cores", lambda: cores)
    with Drawing(networks) as draw:
        assert draw(os.getpid)() == os.getpid()
