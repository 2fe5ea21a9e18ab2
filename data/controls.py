"""The controls of a device: the numbers on its panel, and those that a network is given.

A data set's module declares its own as ``CONTROLS``, in the order of `data.signaltrain.Recording.controls`. What stands
on the panel is turned into what a network is given by `given`, and back by `Control.shown`, nowhere else.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple


class Control(NamedTuple):
    """A control of a device; range and step are in the numbers that a network is given."""

    name: str
    lowest: float
    highest: float
    step: float | None  # between neighbouring values; None for any value of the range
    meaning: str
    panel: str = ""  # what the panel calls it
    scale: float = 1.0  # the panel's number for what a network is given as 1
    positions: tuple[str, ...] = ()  # of a switch: what the panel calls its values, from the lowest on

    @property
    def range(self) -> tuple[float, float]:
        """Of the panel's numbers."""
        return self.lowest * self.scale, self.highest * self.scale

    @property
    def numbers(self) -> str:
        """The panel's numbers in words.

        >>> Control("gain", 0, 1, None, "", "gain", scale=100).numbers
        'a number from 0 to 100'
        >>> Control("clip", -1, 1, 2, "", "clip", positions=("soft", "hard")).numbers
        '-1 (soft) or 1 (hard)'
        """
        if self.positions:
            places = (self.scale * (self.lowest + n * (self.step or 1)) for n in range(len(self.positions)))
            return " or ".join(f"{number:g} ({name})" for number, name in zip(places, self.positions, strict=True))
        lowest, highest = self.range
        return f"a number from {lowest:g} to {highest:g}" + (
            f" in steps of {self.step * self.scale:g}" if self.step else ""
        )

    def given(self, number: float) -> float:
        """What a network is given for a number on the panel; a ValueError for one that is not there.

        >>> Control("gain", 0, 1, None, "", "gain", scale=100).given(65)
        0.65
        """
        lowest, highest = self.range
        value = number / self.scale
        steps = (value - self.lowest) / self.step if self.step else 0.0
        if not lowest <= number <= highest or abs(steps - round(steps)) > 1e-6:
            raise ValueError(f"{self.panel} is {number:g}: it has to be {self.numbers}")
        return value

    def shown(self, value: float) -> str:
        """The same as the panel shows it: a position or a number.

        >>> Control("gain", 0, 1, None, "", "gain", scale=100).shown(0.65)
        '65'
        """
        position = round((value - self.lowest) / (self.step or 1))
        return self.positions[position] if self.positions else f"{value * self.scale:g}"


def given(controls: Sequence[Control], numbers: Sequence[float]) -> tuple[float, ...]:
    """What a network is given for the numbers on a panel; a ValueError for one that is not there."""
    return tuple(control.given(number) for control, number in zip(controls, numbers, strict=True))


def declared(section: Any) -> tuple[Control, ...]:
    """The controls of the data that a configuration's section ``data`` names, by the module of its recordings.

    Empty if that declares none. A section, also a stranger's, names nothing but a module of data/; where it names none,
    the recordings are in the layout of SignalTrain.
    """
    recordings = section.get("recordings") if isinstance(section, dict) else None
    target = recordings.get("_target_") if isinstance(recordings, dict) else "data.signaltrain.recordings"
    name = re.fullmatch(r"data\.([a-z][a-z0-9_]*)\.recordings", target) if isinstance(target, str) else None
    if not name or not Path(__file__).with_name(f"{name[1]}.py").is_file():
        return ()
    return getattr(importlib.import_module(f"data.{name[1]}"), "CONTROLS", ())


def of_network(section: Any, count: int | None) -> tuple[Control, ...]:
    """The declared controls if a network has so many, or does not say; else as many numbered ones, from 0 to 1."""
    found = declared(section)
    if count is None or count == len(found):
        return found
    return tuple(Control(f"control_{n + 1}", 0, 1, None, "not declared") for n in range(count))
