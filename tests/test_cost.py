"""Accuracy against cost: what is counted, what is measured, and what the page shows of it."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

import pytest
import torch

from models.compressor import Compressor
from models.net import Net, Unprocessed
from models.tcn import TCN
from scripts.measure.cost import BLOCKS, cost
from scripts.report import cost as section_of
from scripts.report.colours import looks
from tests import made_scores
from tests.made_scores import row

NETS: dict[str, Net] = {
    "tcn": TCN(blocks=2, kernel_size=3, channels=4).eval(),
    "compressor": Compressor(warm_up=1).eval(),
}


def test_what_a_network_costs() -> None:
    net, threads = NETS["tcn"], torch.get_num_threads()
    measured = cost(net, 44_100, seconds=0.01)
    assert measured.parameters == sum(parameter.numel() for parameter in net.parameters())
    assert measured.multiplications == 3 * 4 + 3 * 4 * 4 + 4 + 4 + 4  # two convolutions, two residual gains, the mix
    assert measured.latency == pytest.approx(1000 * 3 / 44_100)
    assert len(measured.speeds) == len(BLOCKS)
    assert min(measured.speeds) > 0
    assert torch.get_num_threads() == threads
    assert cost(Unprocessed().eval(), 44_100, seconds=0.01).multiplications == 0


def test_the_page_shows_errors_against_costs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(section_of, "cost", partial(cost, seconds=0.01))
    rows = [
        *(row("tcn", "ESR", value, samples=samples, segment=samples) for value, samples in ((0.5, 100), (0.1, 300))),
        row("compressor", "ESR", 0.02),
        row("tcn", "MR", 0.9),
        row("compressor", "MR", 0.4),
        row("compressor", "MR", 99.0, convention="paper2020", recording=""),
    ]
    evaluation = made_scores.evaluation(tmp_path, rows)
    section = section_of.section(evaluation, NETS, looks([("tcn", "l1"), ("compressor", "l1")]))
    assert section is not None
    assert section_of.means(evaluation, "ESR") == pytest.approx({"tcn": 0.2, "compressor": 0.02})
    assert [figure.caption.split()[0] for figure in section.figures] == ["ESR", "MR"]
    assert section.table is not None
    cells = re.findall(r"<t[dh][^>]*>([^<]*)</t[dh]>", section.table.html)
    width = len(cells) // 3
    table = {line[0]: line[1:] for line in (cells[width : 2 * width], cells[2 * width :])}
    assert table["tcn"][1:3] == ["72", "0 ms"]
    assert table["tcn"][-2:] == ["0.2", "0.9"]
    assert table["compressor"][-2:] == ["0.02", "0.4"]


def test_networks_of_one_cost_need_no_picture(tmp_path: Path) -> None:
    evaluation = made_scores.evaluation(tmp_path, [row("l1", "ESR", 0.5), row("esr", "ESR", 0.4)])
    same = {"l1": NETS["tcn"], "esr": NETS["tcn"]}
    assert section_of.section(evaluation, same, looks([("l1", "l1"), ("esr", "esr")])) is None
