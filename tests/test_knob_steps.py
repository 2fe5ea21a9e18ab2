"""A knob that goes up step by step: devices whose gain turns back by what is known on paper."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from scipy.signal import lfilter

from scripts.measure.devices import Array, Moved, moved_la2a
from scripts.measure.knob_steps import POSITIONS, Rise, gains_db, worst_rise

RATE = 44_100


def following(curve: dict[float, float]) -> Moved:
    """A device whose gain in dB is a line through points, at once."""
    return lambda x, knob: x * 10 ** (np.interp(knob, list(curve), list(curve.values())) / 20)


def test_the_gain_of_every_position_is_the_settled_one() -> None:
    found = gains_db(following({0: 0, 100: -20}), -15.0, RATE)
    np.testing.assert_allclose(found, -0.2 * np.array(POSITIONS), atol=1e-6)


def test_a_device_that_lets_go_slowly_is_measured_at_the_end_of_its_stay() -> None:
    def late(x: Array, knob: Array) -> Array:
        keep = np.exp(-1 / (0.02 * RATE))
        return x * 10 ** (-0.2 * lfilter([1 - keep], [1, -keep], knob) / 20)

    found = gains_db(late, 0.0, RATE)
    np.testing.assert_allclose(found, -0.2 * np.array(POSITIONS), atol=0.02)  # a step is 1 dB


def test_harmonics_and_an_offset_are_no_gain() -> None:
    bent = gains_db(lambda x, knob: 0.5 * x + 0.2 * x**2 + 0.3, 0.0, RATE)
    np.testing.assert_allclose(bent, 20 * np.log10(0.5), atol=1e-6)


def test_the_worst_place_is_named_wherever_it_lies() -> None:
    falling, bent = following({0: 0, 100: -20}), following({0: 0, 40: -8, 55: -6.5, 100: -20})

    def device(switch: int) -> Moved:
        """In Limit, for loud tones alone, it turns back by 1.5 dB between 40 and 55."""
        return lambda x, knob: (bent if switch == 1 and np.abs(x).max() > 0.5 else falling)(x, knob)

    found = worst_rise(device, RATE)
    assert found.gain_db == pytest.approx(1.5, abs=1e-6)
    assert found[1:] == (1, 40, 55, 0.0)
    assert found.where == "Limit 40 → 55, 0 dBFS"
    assert str(found) == "gain up by 1.500 dB at most while peak reduction goes up (Limit 40 → 55, 0 dBFS)"


def test_several_rises_count_from_the_lowest_gain_before() -> None:
    zigzag = following({0: 0, 20: -4, 40: -3, 50: -3.5, 80: -2, 100: -10})
    found = worst_rise(lambda switch: zigzag, RATE)
    assert found.gain_db == pytest.approx(2, abs=1e-6)
    assert (found.start, found.stop) == (20, 80)


def test_the_la2a_never_turns_back() -> None:
    found = worst_rise(partial(moved_la2a, RATE), RATE)
    assert found.gain_db < 0.005
    assert str(Rise(0, 0, 0, 0, -30.0)) == "gain up by 0.000 dB at most while peak reduction goes up"
