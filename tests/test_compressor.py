"""The gray box against answers on paper: its static curve, its times, its gradient."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from models import ballistics
from models.ballistics import FLOOR, Ballistics
from models.compressor import Compressor


def made(**changed: float) -> Ballistics:
    """One compressor, without feedback, slow part and make-up unless told."""
    numbers = {
        "threshold": -20.0, "knee": 1.0, "slope": 0.75, "feedback": 0.0, "detector": 1.0, "attack": 0.1, "urgency": 0.0,
        "release": 0.02, "share": 0.0, "charge": 0.01, "discharge": 0.001, "makeup": 0.0, "glide": 0.1,
    }  # fmt: skip
    return Ballistics(**{name: torch.tensor([value]).double() for name, value in (numbers | changed).items()})


def run(level_db: Tensor, numbers: Ballistics) -> Tensor:
    """Gain in dB for a level over time."""
    magnitude = 10 ** (level_db.double() / 20) - FLOOR
    gain, _ = ballistics.gains(magnitude[None], torch.zeros(1, 4).double(), numbers)
    return gain[0]


def constant(level_db: float, steps: int = 20_000) -> Tensor:
    return torch.full((steps,), level_db)


def test_the_static_curve_without_feedback_is_that_of_the_ratio() -> None:
    """Slope 0.75 is a ratio of 4: 12 dB over the threshold leave 3. At the threshold the knee gives γ·W·ln 2."""
    numbers = made()
    assert run(constant(-8.0), numbers)[-1].item() == pytest.approx(-9, abs=1e-3)
    assert run(constant(-20.0), numbers)[-1].item() == pytest.approx(-0.75 * math.log(2), abs=1e-6)
    assert run(constant(-40.0), numbers)[-1].item() == pytest.approx(0, abs=1e-6)
    assert run(constant(-40.0), made(makeup=6.0))[-1].item() == pytest.approx(6, abs=1e-6)


def test_with_feedback_the_ratio_is_the_slope_and_one() -> None:
    """r = γ·(L − r − T): with γ = 3, 12 dB over the threshold are reduced by 9."""
    assert run(constant(-8.0), made(slope=3.0, feedback=1.0, knee=0.1))[-1].item() == pytest.approx(-9, abs=1e-3)


def test_attack_and_release_take_their_times() -> None:
    """A step of the attack leaves 1 / (1 + ρ) of the way, one of the release 1 − c."""
    gain = run(torch.cat((constant(-8.0, 400), constant(-60.0, 400))), made())
    on_the_way = 1 - (1 / 1.1) ** torch.arange(1, 401, dtype=torch.float64)
    torch.testing.assert_close(gain[:400], -gain[399].abs() * on_the_way, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(
        gain[400:], gain[399] * 0.98 ** torch.arange(1, 401, dtype=torch.float64), rtol=1e-4, atol=1e-4
    )


def test_the_more_is_asked_for_the_faster_is_the_attack() -> None:
    """With q = 1 and 9 dB asked for, ρ is ten times as large."""
    gain = run(constant(-8.0, 1), made(urgency=1.0, slope=0.75, knee=0.01))
    assert gain.item() == pytest.approx(-9 * 1.0 / 2.0, abs=1e-3)


def test_the_release_remembers_how_long_it_was_loud() -> None:
    numbers = made(share=0.4)
    loud = torch.tensor(
        [run(torch.cat((constant(-8.0, n), constant(-60.0, 300))), numbers)[-1] for n in (20, 100, 2000)]
    )
    assert loud[0] > loud[1] > loud[2]  # gains: more reduction is left
    assert loud[2].item() == pytest.approx(-9 * 0.4 * 0.999**300, abs=0.05)


def test_gradients_are_those_of_small_differences() -> None:
    torch.manual_seed(0)
    magnitude = (torch.rand(3, 40) * torch.tensor([[1.0], [0.1], [0.01]])).double().requires_grad_()
    state = (torch.rand(3, 4) * torch.tensor([0.1, 3, 3, 1])).double().requires_grad_()
    first = made(feedback=0.6, detector=0.3, urgency=0.2, share=0.3, makeup=2.0, slope=2.0, knee=6.0)
    parameters = [(value.repeat(3) * (1 + 0.1 * torch.rand(3))).requires_grad_() for value in first]

    def both(magnitude: Tensor, state: Tensor, *parameters: Tensor) -> tuple[Tensor, Tensor]:
        return ballistics.gains(magnitude, state, Ballistics(*parameters))

    assert torch.autograd.gradcheck(both, (magnitude, state, *parameters))


def test_a_new_one_compresses_gently_and_its_parameters_can_be_read() -> None:
    net = Compressor(warm_up=0)
    numbers = net.ballistics(torch.rand(2, 2))
    first = {"threshold": -20, "knee": 6, "slope": 2, "feedback": 0.5, "urgency": 0.2, "share": 0.3, "makeup": 0}
    for name, value in first.items():
        assert getattr(numbers, name).tolist() == pytest.approx([value, value]), name
    torch.testing.assert_close(numbers.release, torch.full((2,), 1 - math.exp(-16 / 44_100 / 0.05)))
    loud, quiet = torch.full((2, 1, 44_100), 0.5), torch.full((2, 1, 44_100), 1e-3)
    assert -20 < net.gain_db(loud, torch.rand(2, 2))[..., -1].max() < -3
    assert net.gain_db(quiet, torch.rand(2, 2)).abs().max() < 0.2


def test_the_output_is_the_input_times_the_gain() -> None:
    net, x, controls = Compressor(warm_up=1), torch.randn(2, 1, 4096), torch.rand(2, 2)
    gain = 10 ** (net.gain_db(x, controls) / 20)
    assert gain.std() > 1e-3
    torch.testing.assert_close(net(x, controls), x[..., 1024:] * gain)


def test_the_gain_goes_in_lines_to_the_value_of_the_step_before() -> None:
    net, x, controls = Compressor(warm_up=0), torch.randn(1, 1, 160), torch.rand(1, 2)
    steps = x.abs().view(1, 10, 16).mean(-1)
    values, _ = ballistics.gains(steps, torch.zeros(1, 4), net.ballistics(controls))
    factors = torch.cat((torch.ones(1, 2), 10 ** (values / 20)), dim=1)  # two steps of rest before
    share = torch.arange(1, 17) / 16
    lines = torch.stack([a + share * (b - a) for a, b in zip(factors[0, :10], factors[0, 1:11], strict=True)])
    torch.testing.assert_close(net(x, controls)[0, 0], x[0, 0] * lines.flatten())
