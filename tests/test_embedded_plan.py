"""The plan of the embedded data set: how many recordings of what lengths and settings, for a set of any length."""

from collections import Counter

import numpy as np
import pytest

from data import embedded, signaltrain


@pytest.mark.parametrize("minutes", [0.2, 8, 40, 600])
def test_plan(minutes):
    planned = embedded.plan(minutes)
    splits = {split: [p for p in planned if p.split == split] for split in signaltrain.SPLITS}
    assert [p.id for p in planned] == list(range(1, len(planned) + 1))
    assert sum(p.seconds for p in splits["train"]) == pytest.approx(60 * minutes)
    assert sum(p.seconds for p in splits["val"]) == pytest.approx(max(9 * minutes, 16))
    assert sum(p.seconds for p in splits["test"]) == pytest.approx(max(9 * minutes, min(144, 18 * minutes), 24))
    assert len(splits["val"]) >= 2
    assert len(splits["test"]) >= (16 if minutes >= 8 else 3)
    settings = {split: {p.setting for p in splits[split]} for split in splits}
    assert settings["val"] - settings["train"] - settings["test"]
    assert settings["test"] - settings["train"] - settings["val"]
    assert all(s in (0, 1) and pr in range(0, 101, 5) for s, pr in set().union(*settings.values()))
    assert all(p.seconds >= 8 for split in ("val", "test") for p in splits[split])
    if minutes >= 8:
        assert all(8 <= p.seconds <= 61 for p in planned)


@pytest.mark.parametrize("minutes", [8, 40, 600])
def test_the_test_split_has_settings_of_all_kinds(minutes):
    """Seen in Train, between those of Train, and beyond them."""
    planned = embedded.plan(minutes)
    trained = {p.setting for p in planned if p.split == "train"}
    tested = {p.setting for p in planned if p.split == "test"}
    assert tested == {*embedded.SEEN, *embedded.BETWEEN, *embedded.EXTREME}
    assert set(embedded.SEEN) <= trained
    assert not trained & set(embedded.HELD_OUT)
    for switch in (0, 1):
        knobs = [pr for s, pr in trained if s == switch]
        assert all(min(knobs) < pr < max(knobs) for s, pr in embedded.BETWEEN if s == switch)
        assert all(not min(knobs) <= pr <= max(knobs) for s, pr in embedded.EXTREME if s == switch)


def test_small_set_covers_both_modes_and_the_range_of_the_knob():
    settings = [p.setting for p in embedded.plan(8) if p.split == "train"]
    assert len(set(settings)) >= 20
    for switch in (0, 1):
        knobs = sorted(pr for s, pr in settings if s == switch)
        assert sum(pr >= 30 for pr in knobs) >= 5
        assert knobs[-1] >= 85
        assert max(np.diff([pr for pr in knobs if pr >= 30])) <= 25
    assert any(pr < 30 for _, pr in settings)


def test_large_set_uses_every_setting_that_is_not_held_out():
    counts = Counter(p.setting for p in embedded.plan(1200) if p.split == "train")
    grid = {(switch, pr) for switch in (0, 1) for pr in range(5, 100, 5)}
    assert set(counts) == grid - set(embedded.HELD_OUT)
    assert max(counts.values()) <= 4 * min(counts.values())  # 3 is meant


def test_the_settings_of_this_format_stay_what_they_are():
    """Where these change, so does every data set: raise `embedded.FORMAT`."""
    first = [p.setting for p in embedded.plan(40) if p.split == "train"][:8]
    assert first == [(0, 55), (1, 30), (0, 80), (1, 45), (0, 95), (1, 65), (0, 35), (1, 90)]
