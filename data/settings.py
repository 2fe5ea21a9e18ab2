"""Settings of a device beside those that a network was trained on: seen, between them, or beyond."""

from __future__ import annotations

from collections.abc import Iterable

KINDS = {
    "seen": "settings of Train, with other material",
    "between": "settings between those of Train",
    "extreme": "settings beyond those of Train",
}


def kind(setting: str, trained: Iterable[str]) -> str:
    """What a setting is to a network that was trained at others, one of `KINDS`.

    Args:
        setting: as in the name of a file, switch__amount.
        trained: all settings of Train.

    >>> [kind(setting, ["0__5", "0__40", "1__70"]) for setting in ("0__40", "0__39.5", "0__41", "1__40")]
    ['seen', 'between', 'extreme', 'extreme']
    """
    trained = set(trained)
    if setting in trained:
        return "seen"
    switch, amount = _parsed(setting)
    amounts = [of for at, of in map(_parsed, trained) if at == switch]
    return "between" if amounts and min(amounts) < amount < max(amounts) else "extreme"


def _parsed(setting: str) -> tuple[float, float]:
    switch, _, amount = setting.partition("__")
    return float(switch), float(amount)
