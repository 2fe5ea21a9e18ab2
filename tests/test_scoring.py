"""Scoring of rendered blocks: one row a block, or one for a group whose sums are pooled; draws by the row's number."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf
from torch import Tensor

from auraloss import together
from auraloss.freq import MultiResolutionSTFTLoss, RandomResolutionSTFTLoss, STFTLoss
from auraloss.level import GainReductionLoss
from auraloss.time import ESRLoss, L1Loss, SDSDRLoss, SISDRLoss, SNRLoss
from data.segments import Block, Segment
from data.signaltrain import Recording
from models.net import Net, Unprocessed
from models.rendering import Rendering
from scripts.scoring import rows as scoring
from scripts.scoring.metrics import AtRate
from scripts.scoring.rows import Score, score
from scripts.scoring.scorer import Scorer

Pair = tuple[Block, Tensor, Tensor]


def pairs(*lengths: int, channels: int = 1) -> list[Pair]:
    """Blocks of one recording, with output and target drawn at random."""
    generator = torch.Generator().manual_seed(0)
    recording = Recording("7", "test", Path("i"), Path("t"), sum(lengths), 44100, channels, (0.0, 0.65), "0__65")
    made = []
    for number, length in enumerate(lengths):
        output, target = torch.randn(2, 1, channels, length, generator=generator)
        made.append((Block(recording, number, sum(lengths[:number]), length), output * (number + 1), target))
    return made


def scored(blocks: list[Pair], **metrics: torch.nn.Module) -> list[Score]:
    return list(score(blocks, {"c": metrics}, shortest=min(block.frames for block, _, _ in blocks)))


def separately(metrics: Mapping[str, Any], output: Tensor, target: Tensor, compute: Any) -> dict[str, Tensor]:
    """The statistics of each metric by itself, in float64: what `auraloss.together.statistics` computes in one pass."""
    found = {}
    for name, metric in metrics.items():
        try:
            found[name] = metric.statistics(output, target.expand_as(output)).double().cpu()
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error
    return found


def ratio(blocks: list[Pair]) -> float:
    """One error-to-signal ratio of all samples of some blocks."""
    error = sum(float((output.double() - target.double()).square().sum()) for _, output, target in blocks)
    return error / sum(float(target.double().square().sum()) for _, _, target in blocks)


def test_a_metric_of_items_gives_a_row_for_each_block() -> None:
    blocks = pairs(100, 60)
    rows = scored(blocks, ESR=ESRLoss(eps=0))
    assert [(r.convention, r.metric, r.recording, r.setting) for r in rows] == [("c", "ESR", "7", "0__65")] * 2
    assert [(r.segment, r.start, r.samples) for r in rows] == [(0, 0, 100), (1, 100, 60)]
    assert [r.value for r in rows] == pytest.approx([ratio(blocks[:1]), ratio(blocks[1:])], rel=1e-6)


def test_a_row_of_several_channels_is_their_mean() -> None:
    (block,) = pairs(50, channels=2)
    (row,) = scored([block], ESR=ESRLoss(eps=0))
    channels = [ratio([(block[0], block[1][:, c : c + 1], block[2][:, c : c + 1])]) for c in (0, 1)]
    assert row.value == pytest.approx(sum(channels) / 2, rel=1e-6)


def test_a_pooled_metric_gives_one_ratio_for_a_group(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scoring, "GROUP", 3)
    blocks = pairs(100, 60, 50, 40, 30, 20, 10)
    rows = scored(blocks, ESR=ESRLoss(eps=0, pool="batch"))
    assert [(r.segment, r.samples, r.recording, r.setting, r.start) for r in rows] == [
        (0, 210, "", "", None),
        (1, 90, "", "", None),
        (2, 10, "", "", None),
    ]
    expected = [ratio(blocks[:3]), ratio(blocks[3:6]), ratio(blocks[6:])]
    assert [r.value for r in rows] == pytest.approx(expected, rel=1e-6)


def test_a_group_is_a_batch_of_the_papers_evaluation() -> None:
    assert scoring.GROUP == 128


def test_sums_are_kept_in_float64() -> None:
    """In float32 the second million of samples would vanish beside the first."""
    (block,) = pairs(8)
    loud = (block[0], torch.full((1, 1, 8), 2.0**24), torch.zeros(1, 1, 8))
    faint = (block[0], torch.ones(1, 1, 8), torch.zeros(1, 1, 8))
    (row,) = scored([loud, *[faint] * 3], L1=L1Loss(pool="batch"))
    assert row.value == (8 * 2**24 + 24) / 32


def test_random_resolutions_are_drawn_by_the_number_of_the_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scoring, "GROUP", 2)
    blocks = pairs(5000, 4000, 6000)
    options: dict[str, Any] = {"max_fft_size": 2048, "seed": 0}
    for pool in ("item", "batch"):
        metric = RandomResolutionSTFTLoss(pool=pool, **options)
        rows = scored(blocks, RR=metric)
        scored(pairs(3000, 3000), RR=metric)  # what was scored before leaves no trace
        metric(blocks[0][1], blocks[0][2])
        assert scored(blocks, RR=metric) == rows
        frozen = [RandomResolutionSTFTLoss(pool=pool, **options).draw(number, 5000) for number in range(3)]
        assert len({(*draw.fft_sizes, *draw.hop_sizes) for draw in frozen}) == 3
        if pool == "item":
            expected = [float(draw(output, target)) for draw, (_, output, target) in zip(frozen, blocks, strict=True)]
        else:
            sums = [frozen[i // 2].statistics(*blocks[i][1:]).sum((0, 1)) for i in range(3)]
            expected = [float(frozen[0].value(sums[0] + sums[1])), float(frozen[1].value(sums[2]))]
        assert [row.value for row in rows] == pytest.approx(expected, rel=1e-5)


def test_all_metrics_of_all_conventions_come_from_one_pass() -> None:
    once = iter(pairs(100, 60))  # cannot be gone through twice
    rows = list(score(once, {"a": {"L1": L1Loss(), "ESR": ESRLoss()}, "b": {"L1": L1Loss(pool="batch")}}, shortest=1))
    assert [(r.convention, r.metric) for r in rows].count(("a", "L1")) == 2
    assert [(r.convention, r.metric) for r in rows].count(("a", "ESR")) == 2
    assert [(r.convention, r.metric) for r in rows].count(("b", "L1")) == 1


class Middle(Net):
    """The input sample that the contract names, without the others."""

    receptive_field = 10
    lookahead = 4

    def forward(self, x: Tensor, controls: Tensor) -> Tensor:
        return x[..., 5 : x.shape[-1] - 4].to(torch.bfloat16)


def test_output_and_target_of_a_block_belong_together() -> None:
    x = torch.arange(100.0)[None]
    output, target = Rendering(Middle()).block(Segment(x, x.clone(), torch.zeros(2)))
    assert output.dtype == torch.float32
    assert output.shape == target.shape == (1, 1, 91)
    assert torch.equal(output, target)


def test_the_network_that_does_nothing() -> None:
    x, y = torch.randn(2, 2, 30)
    output, target = Rendering(Unprocessed()).block(Segment(x, y, torch.zeros(2)))
    assert torch.equal(output[0], x)
    assert torch.equal(target[0], y)


@pytest.mark.parametrize("kind", [SNRLoss, SISDRLoss, SDSDRLoss])
@pytest.mark.parametrize("pool", ["item", "batch"])
def test_a_negated_score_comes_in_its_natural_sign(kind: type[SNRLoss], pool: str) -> None:
    """20 dB of signal over error, whatever the definition: the error is orthogonal to the target."""
    block, target, error = pairs(1000)[0]
    target = target - target.mean()
    error = error - error.mean()
    error = error - (error * target).sum() / target.square().sum() * target
    error = error * (target.norm() / error.norm() / 10)
    (row,) = scored([(block, target + error, target)], ratio=kind(pool=pool))
    assert row.value == pytest.approx(20, abs=0.01)


def test_several_models_scored_at_once_have_the_rows_of_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scoring, "GROUP", 2)
    metrics: dict[str, Any] = {
        "STFT": STFTLoss(),
        "MR": MultiResolutionSTFTLoss(pool="batch"),
        "RR": RandomResolutionSTFTLoss(max_fft_size=2048),
        "SI-SDR": SISDRLoss(),
        "GR": AtRate(GainReductionLoss),
    }
    blocks = pairs(5000, 4000, 6000, channels=2)
    others = [(block, 0.5 * output + 0.2 * target, target) for block, output, target in blocks]
    both = [(a[0], torch.cat([a[1], b[1]]), a[2]) for a, b in zip(blocks, others, strict=True)]
    with monkeypatch.context() as patch:
        patch.setattr(together, "statistics", separately)
        alone = [list(score(some, {"c": metrics}, 4000)) for some in (blocks, others)]
    for statistics in (separately, together.statistics):
        monkeypatch.setattr(together, "statistics", statistics)
        rows = list(score(both, {"c": metrics}, 4000))
        for model in (0, 1):
            mine = [row for row in rows if row.model == model]
            assert [(r.metric, r.segment, r.start, r.samples) for r in mine] == [
                (r.metric, r.segment, r.start, r.samples) for r in alone[model]
            ]
            assert [r.value for r in mine] == pytest.approx([r.value for r in alone[model]], rel=1e-5)
    assert len({r.value for r in alone[0] + alone[1]}) == len(alone[0] + alone[1])


def test_a_metric_takes_the_rate_of_the_recording() -> None:
    rates: list[float] = []

    def make(sample_rate: float) -> L1Loss:
        rates.append(sample_rate)
        return L1Loss()

    ((block, output, target),) = pairs(2000)
    block = block._replace(recording=replace(block.recording, sample_rate=48_000))
    (row,) = scored([(block, output, target)], made=AtRate(make))
    assert rates == [44_100, 48_000]
    assert row.value == pytest.approx(float((output - target).abs().mean()))


@pytest.mark.parametrize("statistics", [separately, together.statistics])
def test_a_block_that_is_too_short_is_named(
    statistics: Callable[..., Mapping[str, Tensor]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(together, "statistics", statistics)
    with pytest.raises(ValueError, match=r"^t, 400 samples: c.STFT: STFTLoss: fft_size=1024 needs more than 512"):
        list(score(pairs(400), {"c": {"STFT": STFTLoss()}}, 400))


@pytest.mark.parametrize("device", ["gpu", "cuda:99"])
def test_a_device_that_is_not_there_is_named_with_those_to_choose(device: str) -> None:
    with pytest.raises(ValueError, match=rf"^device={device}: .*\. Choose auto, cpu, cuda"):
        Scorer(OmegaConf.create({}), None, 100, device)  # type: ignore[arg-type]  # the data are asked later
