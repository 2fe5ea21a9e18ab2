"""Steps over a signal in blocks give what the whole gives: the network's own steps and the general ones."""

import pytest
import torch
from torch.nn import functional as F

from models.net import Net
from models.tcn import TCN
from tests.test_tcn import randomised


@pytest.mark.parametrize("general", [False, True])
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("kernel_size", [1, 2, 3, 4])
def test_steps_equal_the_whole(kernel_size: int, causal: bool, general: bool) -> None:
    net = TCN(blocks=4, kernel_size=kernel_size, channels=4, in_channels=2, out_channels=3, causal=causal)
    randomised(net).eval().double()
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, 2, 300, generator=generator, dtype=torch.float64)
    controls = torch.rand(2, 2, generator=generator, dtype=torch.float64)
    before, after = net.context
    start, step = (Net.start, Net.step) if general else (TCN.start, TCN.step)
    state = start(net, controls)
    shapes = [part.shape for part in state]
    outputs = []
    for block in F.pad(x, (0, after)).split([1, 2, 50, 7, 1, 200, 39 + after], dim=-1):
        output, state = step(net, block, state, controls)
        assert output.shape == (2, 3, block.shape[-1])
        assert [part.shape for part in state] == shapes
        outputs.append(output)
    whole = net(F.pad(x, (before, after)), controls)
    torch.testing.assert_close(torch.cat(outputs, dim=-1)[..., after:], whole, rtol=1e-12, atol=1e-14)
