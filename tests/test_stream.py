"""A signal in blocks gives what the whole gives: for every network, block size and change of controls."""

from __future__ import annotations

import gc
import itertools
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from models import compiled, tcn_steps
from models.compiled_steps import CompiledSteps
from models.net import LONGEST_WAY, Net, Unprocessed
from models.product import ProductTCN
from models.stream import Stream
from models.tcn import TCN
from tests.nets_as_trained import whole
from tests.test_tcn import randomised

CENTRED = {"blocks": 4, "kernel_size": 5, "channels": 4}  # receptive field 61, look-ahead 30


class Smoother(Net):
    """A network that knows no steps of its own: the controlled mix of 3 past and 2 later samples, squared."""

    in_channels = 2
    receptive_field = 6
    lookahead = 2
    controls = 1

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(0.1 * torch.randn(3, 2, 6, generator=torch.Generator().manual_seed(0)))

    def forward(self, x: Tensor, controls: Tensor) -> Tensor:
        return F.conv1d(x, self.weight).square() + controls.unsqueeze(-1)


def net_of(**options: Any) -> TCN:
    net = randomised(TCN(**{**CENTRED, **options})).eval()
    generator = torch.Generator().manual_seed(1)
    for block in net.blocks:  # as if it had seen data
        block.film.norm.running_mean.normal_(0, 0.1, generator=generator)
        block.film.norm.running_var.uniform_(0.5, 2, generator=generator)
    return net


def product_of(**options: Any) -> TCN:
    return randomised(ProductTCN(**{**CENTRED, **options})).eval()


def noise(items: int, channels: int, samples: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(items, channels, samples, generator=torch.Generator().manual_seed(2)).to(dtype)


def streamed(stream: Stream, x: Tensor, sizes: Sequence[int] | int) -> Tensor:
    """All outputs joined; each block's length is checked."""
    outputs, fed = [], 0
    for block in x.split(sizes, dim=-1):  # type: ignore[no-untyped-call]
        outputs.append(stream.feed(block))
        fed += block.shape[-1]
        assert sum(output.shape[-1] for output in outputs) == max(0, fed - stream.latency)
    return torch.cat([*outputs, stream.flush()], dim=-1)


NETS = {
    "centred": lambda: net_of(),
    "causal": lambda: net_of(causal=True),
    "even kernel": lambda: net_of(kernel_size=4),
    "even kernel, causal": lambda: net_of(kernel_size=2, causal=True),
    "kernel of one": lambda: net_of(kernel_size=1),
    "without controls": lambda: net_of(controls=0),
    "two channels to three": lambda: net_of(in_channels=2, out_channels=3),
    "six channels to four": lambda: net_of(in_channels=6, channels=4, kernel_size=3),
    "as many channels inside as outside": lambda: net_of(in_channels=4, out_channels=4, dilation_growth=3),
    "one channel": lambda: net_of(channels=1),
    "product": lambda: product_of(),
    "product, causal, in stereo": lambda: product_of(causal=True, in_channels=2, out_channels=2),
    "product without controls": lambda: product_of(controls=0),
    "without steps of its own": lambda: Smoother().eval(),
    "unprocessed": lambda: Unprocessed().eval(),
}


@pytest.mark.parametrize("way", ["compiled", "torch"])
@pytest.mark.parametrize("name", NETS)
def test_blocks_of_any_size_give_the_whole(name: str, way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Few channels and many, and in torch short blocks and long ones, are computed in different ways; those beyond a
    length in parts."""
    net = NETS[name]()
    if way == "torch":
        monkeypatch.setattr(compiled, "CHANNELS", 0)
    monkeypatch.setattr(tcn_steps, "ROWS", 300)
    monkeypatch.setattr(tcn_steps, "FEW_ROWS", 100)
    monkeypatch.setattr(tcn_steps, "LONGEST_WAY", 100)  # else no part is shorter; the controls stay where they are
    items, samples = 3, 700
    if isinstance(net, TCN):
        steps = net.steps(torch.zeros(items, net.controls))
        assert isinstance(steps, CompiledSteps) == (way == "compiled")
        assert steps.longest == 100
    x = noise(items, net.in_channels, samples)
    controls = torch.rand(items, getattr(net, "controls", 2), generator=torch.Generator().manual_seed(3))
    expected = whole(net, x, controls)
    assert expected.std() > 1e-3
    stream = Stream(net, controls)
    assert stream.latency == net.lookahead
    cuts = sorted(torch.randint(0, samples, (20,), generator=torch.Generator().manual_seed(4)).tolist())
    random = [stop - start for start, stop in itertools.pairwise([0, 0, *cuts, samples])]
    singly = [1] * 60 + [samples - 60]
    for sizes in (singly, 23, 64, 513, 4096, random):
        torch.testing.assert_close(streamed(stream, x, sizes), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("causal", [False, True])
def test_the_papers_network(causal: bool) -> None:
    net = net_of(blocks=10, kernel_size=15, channels=32, causal=causal)
    x, controls = noise(1, 1, 20_000), torch.tensor([[1.0, 0.65]])
    assert Stream(net, controls).latency == (0 if causal else 7161)
    expected = whole(net, x, controls)
    assert expected.std() > 0.01
    for blocks in (513, [20_000], [1, 3000, 17, 16_982]):
        torch.testing.assert_close(streamed(Stream(net, (1, 0.65)), x, blocks), expected, rtol=0, atol=1e-5)


def test_double_precision_is_kept() -> None:
    net = net_of().double()
    x, controls = noise(2, 1, 700, torch.float64), torch.tensor([[0.0, 0.1], [1.0, 0.9]], dtype=torch.float64)
    output = streamed(Stream(net, controls), x, 50)
    torch.testing.assert_close(output, whole(net, x, controls), rtol=1e-12, atol=1e-14)


# Controls in time


def reference(net: TCN, x: Tensor, controls: Tensor, earlier: Tensor, share: Tensor) -> Tensor:
    """The definition, for the whole signal at once: of every input sample the controls ``(B, P, T)``, those before
    them, and how much of the way is gone, ``(T,)``.

    Sample j of a layer without padding depends on the padded input from j to j + (the layers' spans up to it).
    """
    before, after = net.context
    x = F.pad(x, (before, after))
    controls, earlier = (F.pad(each, (before, after), mode="replicate") for each in (controls, earlier))
    share = F.pad(share, (before, after), value=1.0)
    total: Any = 0
    for n, block in enumerate(net.blocks):
        span = (block.conv.kernel_size[0] - 1) * block.conv.dilation[0]
        ahead = 0 if net.lookahead == 0 else span // 2
        y = F.conv1d(x, block.conv.weight, dilation=block.conv.dilation[0])
        y = F.batch_norm(y, block.film.norm.running_mean, block.film.norm.running_var)
        controls, earlier, share = controls[..., span:], earlier[..., span:], share[span:]
        old, new = (block.film.modulation(net.conditioning(each.mT)).mT for each in (earlier, controls))  # type: ignore[misc]
        scale, shift = (old + share * (new - old)).chunk(2, dim=1)
        y = F.prelu(scale * y + shift, block.activation.weight)
        kept = x[..., span - ahead : x.shape[-1] - ahead]
        x = y + F.conv1d(kept, block.residual.weight, groups=block.residual.groups)
        later = list(net.blocks)[n + 1 :]
        start = sum(b.span - b.lookahead for b in later)
        total = total + F.conv1d(x, net.mix.weight)[..., start : x.shape[-1] - sum(b.lookahead for b in later)]
    return torch.tanh(total + net.mix.bias[:, None])  # type: ignore[index]


@pytest.mark.parametrize("way", ["compiled", "torch"])
@pytest.mark.parametrize("options", [{}, {"causal": True}, {"kernel_size": 2, "in_channels": 2}])
def test_controls_that_change_move_over_a_block_to_those_of_the_newest_sample_in_every_layer(
    options: dict[str, Any], way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if way == "torch":
        monkeypatch.setattr(compiled, "CHANNELS", 0)
    net = net_of(**options).double()
    x = noise(2, net.in_channels, 1700, torch.float64)
    generator = torch.Generator().manual_seed(5)
    sizes = [3, 100, 1, 1, 60, 0, 1400, 135]
    settings = torch.rand(len(sizes), 2, 2, generator=generator, dtype=torch.float64)
    blocks = [(setting.unsqueeze(-1), size) for setting, size in zip(settings, sizes, strict=True) if size]
    controls = torch.cat([setting.expand(-1, -1, size) for setting, size in blocks], dim=-1)
    before = [blocks[0][0], *(setting for setting, _ in blocks)]
    earlier = torch.cat(
        [setting.expand(-1, -1, size) for setting, (_, size) in zip(before, blocks, strict=False)], dim=-1
    )
    ways = [torch.arange(1, size + 1, dtype=torch.float64) / min(size, LONGEST_WAY) for _, size in blocks]
    share = torch.cat(ways).clamp_max(1)
    stream = Stream(net, torch.zeros(2))
    outputs = []
    for block, setting in zip(x.split(sizes, dim=-1), settings, strict=True):  # type: ignore[no-untyped-call]
        stream.controls = setting
        assert stream.controls.equal(setting)
        outputs.append(stream.feed(block))
    output = torch.cat([*outputs, stream.flush()], dim=-1)
    with torch.inference_mode():
        torch.testing.assert_close(output, reference(net, x, controls, earlier, share), rtol=1e-12, atol=1e-14)
    assert not torch.allclose(output, whole(net, x, settings[0]), atol=1e-4)


@pytest.mark.parametrize("way", ["compiled", "torch"])
def test_how_fast_turned_knobs_arrive_does_not_depend_on_the_batch(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if way == "torch":
        monkeypatch.setattr(compiled, "CHANNELS", 0)
    net, x = net_of(causal=True), noise(1, 1, 1500)
    outputs = []
    for items in (1, 12):
        stream = Stream(net, (0, 0.1))
        stream.feed(x.expand(items, -1, -1)[..., :400])
        stream.controls = (1, 0.9)
        outputs.append(stream.feed(x.expand(items, -1, -1)[..., 400:])[:1])
    torch.testing.assert_close(*outputs)


def test_a_network_without_steps_of_its_own_takes_the_newest_controls_altogether() -> None:
    net = Smoother().eval()
    x = noise(1, 2, 100)
    stream = Stream(net, (0.25,))
    first = stream.feed(x[..., :40])
    stream.controls = (0.75,)
    output = torch.cat([first, stream.feed(x[..., 40:]), stream.flush()], dim=-1)
    turned = 40 - stream.latency  # the first output sample that depends on sample 40
    expected = torch.cat([whole(net, x, torch.tensor([[c]])) for c in (0.25, 0.75)])
    torch.testing.assert_close(output[0], torch.cat([expected[0][:, :turned], expected[1][:, turned:]], dim=-1))


def test_one_setting_serves_all_items_and_may_become_one_each() -> None:
    net = net_of(causal=True)
    x = noise(2, 1, 100)
    stream = Stream(net, (1, 0.5))
    torch.testing.assert_close(stream.feed(x), whole(net, x, torch.tensor([[1, 0.5], [1, 0.5]])))
    stream.controls = torch.tensor([[1, 0.5], [0, 0.9]])
    second = stream.feed(x)
    stream.controls = [1, 0.5]
    joined = torch.cat([x, x], dim=-1)
    torch.testing.assert_close(second[:1], whole(net, joined, torch.tensor([[1, 0.5]] * 2))[:1, :, 100:])
    assert not torch.allclose(second[1:], whole(net, joined, torch.tensor([[1, 0.5]] * 2))[1:, :, 100:], atol=1e-4)


def test_controls_set_before_the_first_sample_hold_for_the_silence_before_it() -> None:
    net = net_of()
    x = noise(1, 1, 200)
    stream = Stream(net, (0, 0))
    stream.controls = (1, 0.8)
    torch.testing.assert_close(streamed(stream, x, 30), whole(net, x, torch.tensor([[1, 0.8]])), rtol=0, atol=1e-5)


# Begin and end


@pytest.mark.parametrize("samples", [0, 1, 29, 30, 31])
def test_signals_shorter_than_the_latency(samples: int) -> None:
    net = net_of()
    x = noise(2, 1, samples)
    stream = Stream(net, (1, 0.5))
    expected = whole(net, x, torch.tensor([[1, 0.5]] * 2)) if samples else torch.empty(2, 1, 0)
    torch.testing.assert_close(streamed(stream, x, 7), expected, rtol=0, atol=1e-5)


def test_flush_ends_the_signal_and_reset_forgets_it() -> None:
    net = net_of(out_channels=2)
    x, controls = noise(1, 1, 300), torch.tensor([[1, 0.5]])
    stream = Stream(net, (1, 0.5))
    expected = whole(net, x, controls)
    for _ in range(2):
        torch.testing.assert_close(streamed(stream, x, 64), expected, rtol=0, atol=1e-5)
    assert stream.flush().shape == (1, 2, 0)
    stream.feed(x)
    stream.reset()
    assert stream.flush().shape == (1, 2, 0)
    torch.testing.assert_close(streamed(stream, x, 64), expected, rtol=0, atol=1e-5)
    stream.feed(torch.zeros(3, 1, 10))  # another signal may have another batch
    assert stream.flush().shape == (3, 2, 10)


def test_the_network_is_neither_changed_nor_seen_again() -> None:
    net = net_of()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    flags = [parameter.requires_grad for parameter in net.parameters()]
    x = noise(1, 1, 200)
    expected = whole(net, x, torch.tensor([[1, 0.5]]))
    stream = Stream(net, (1, 0.5))
    streamed(stream, x, 50)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert [parameter.requires_grad for parameter in net.parameters()] == flags
    net(x, torch.tensor([[1, 0.5]])).sum().backward()  # no inference tensor is left behind
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.zero_()
    torch.testing.assert_close(streamed(stream, x, 50), expected, rtol=0, atol=1e-5)


def test_an_output_does_not_change_with_the_next_block() -> None:
    stream = Stream(net_of(causal=True), (1, 0.5))
    first = stream.feed(noise(1, 1, 64))
    kept = first.clone()
    for _ in range(20):
        stream.feed(torch.ones(1, 1, 64))
    assert torch.equal(first, kept)


# Mistakes


@pytest.mark.parametrize(
    ("block", "message"),
    [
        (torch.zeros(1, 2, 5), r"\(B, 1, n\), got \(1, 2, 5\)"),
        (torch.zeros(1, 5), r"\(B, 1, n\), got \(1, 5\)"),
        (torch.zeros(0, 1, 5), r"\(B, 1, n\), got \(0, 1, 5\)"),
        (torch.zeros(1, 1, 5, dtype=torch.float64), "dtype, torch.float32, got torch.float64"),
        (torch.zeros(1, 1, 5, dtype=torch.int16), "got torch.int16"),
        (torch.zeros(1, 1, 5, device="meta"), "device, cpu, got meta"),
    ],
)
def test_a_block_that_does_not_fit_is_refused(block: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Stream(net_of(), (1, 0.5)).feed(block)


def test_the_batch_stays_as_it_began() -> None:
    stream = Stream(net_of(), (1, 0.5))
    stream.feed(torch.zeros(2, 1, 5))
    with pytest.raises(ValueError, match=r"\(2, 1, n\), got \(3, 1, 5\)"):
        stream.feed(torch.zeros(3, 1, 5))
    with pytest.raises(ValueError, match=r"\(2,\) or \(2, 2\), got \(3, 2\)"):
        stream.controls = torch.zeros(3, 2)
    with pytest.raises(ValueError, match=r"\(2, 1, n\), got \(1, 1, 5\)"):
        Stream(net_of(), torch.zeros(2, 2)).feed(torch.zeros(1, 1, 5))


@pytest.mark.parametrize("controls", [(), 0.5, (0.5,), (0, 1, 2), torch.zeros(1, 3), torch.zeros(0, 2)])
def test_controls_that_the_network_does_not_have_are_refused(controls: Any) -> None:
    with pytest.raises(ValueError, match=r"controls must have shape \(2,\) or \(B, 2\), got"):
        Stream(net_of(), controls)
    stream = Stream(net_of(), (0, 1))
    with pytest.raises(ValueError, match=r"controls must have shape \(2,\) or \(B, 2\), got"):
        stream.controls = controls
    assert stream.controls.tolist() == [0, 1]


def test_training_mode_is_refused() -> None:
    with pytest.raises(ValueError, match=r"training mode.*net\.eval\(\)"):
        Stream(net_of().train(), (0, 0.5))


# Memory


def tensor_bytes() -> int:
    """Of all storages that a tensor holds."""
    gc.collect()
    found = [each for each in gc.get_objects() if type(each) in (Tensor, torch.nn.Parameter)]
    return sum({each.untyped_storage().data_ptr(): each.untyped_storage().nbytes() for each in found}.values())


def sizes() -> Iterator[int]:
    generator = torch.Generator().manual_seed(6)
    while True:
        yield int(torch.randint(0, 300, (1,), generator=generator))


@pytest.mark.parametrize(
    "net", [net_of(), net_of(causal=True), Smoother().eval()], ids=["centred", "causal", "general"]
)
@pytest.mark.usefixtures("little_garbage")
def test_what_a_stream_holds_does_not_grow(net: Net) -> None:
    """Not even after one long block, of which a view would keep all."""
    controls = [0.5] * net.controls  # type: ignore[operator]
    stream = Stream(net, controls)
    stream.feed(torch.zeros(1, net.in_channels, 100))
    held = tensor_bytes()
    for _, size in zip(range(60), sizes(), strict=False):
        stream.feed(torch.zeros(1, net.in_channels, size))
        stream.controls = controls
    stream.feed(torch.zeros(1, net.in_channels, 100_000))
    assert tensor_bytes() == held


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads the resident set from /proc")
def test_minutes_of_signal_leave_the_resident_set_as_it_is() -> None:
    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    stream = Stream(net_of(kernel_size=15), (1, 0.65))
    block = noise(1, 1, 512)
    before = 0
    for number in range(5 * 60 * 44_100 // 512):
        stream.feed(block)
        stream.controls = (1, number % 100 / 100)
        if number == 1000:
            before = resident()
    assert resident() < before + 2e6  # bytes; the signal has 53e6
