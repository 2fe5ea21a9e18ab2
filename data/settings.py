"""Settings of a device beside those that a network was trained on: seen, between them, or beyond."""

from __future__ import annotations

from collections.abc import Iterable

KINDS = {
    "seen": "seen in Train, with other material",
    "between": "between those of Train",
    "extreme": "extreme, beyond those of Train",
}


def kind(setting: str, trained: Iterable[str]) -> str:
    """What a setting is to a network that was trained at others, one of `KINDS`.

    "seen" if it is one of them; "between" if each of its amounts lies within those trained at the same position of the
    switch; "extreme" otherwise, so also if that position was never trained.

    Args:
        setting: as in the name of a file, switch__amount; also switch__amount__amount and so on.
        trained: all settings of Train.

    Raises:
        ValueError: a part of a setting that is no number.

    >>> [kind(setting, ["0__5", "0__40", "1__70"]) for setting in ("0__40", "0__39.5", "0__41", "1__40", "2__40")]
    ['seen', 'between', 'extreme', 'extreme', 'extreme']
    """
    position, *amounts = numbers(setting)
    of_position = [knobs for at, *knobs in map(numbers, trained) if at == position and len(knobs) == len(amounts)]
    if amounts in of_position:
        return "seen"
    if not of_position:
        return "extreme"
    ranges = [(min(knob), max(knob)) for knob in zip(*of_position, strict=True)]
    inside = all(low <= amount <= high for amount, (low, high) in zip(amounts, ranges, strict=True))
    return "between" if inside else "extreme"


def numbers(setting: str) -> tuple[float, ...]:
    """The switch and the amounts of a setting; a ValueError for a part that is no number.

    >>> numbers("0__65"), numbers("1__10__0.5")
    ((0.0, 65.0), (1.0, 10.0, 0.5))
    """
    return tuple(float(part) for part in setting.split("__"))
