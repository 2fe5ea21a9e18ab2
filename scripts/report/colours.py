"""One colour for each model everywhere in the report, legible on a light and on a dark page.

Losses on the waveform are warm, losses on spectra cool. All have a contrast of at least 3:1 against both backgrounds
(WCAG 2.2, 1.4.11), and readers without red or green cones can tell those of the paper's six losses and the target
apart. Dashes and markers say the same again.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

BACKGROUNDS = ("#ffffff", "#15181c")  # of the page, light and dark
LOSSES = {
    "l1": "#c03c30",
    "esr": "#cc8400",
    "logcosh": "#e460c0",
    "stft": "#18a86c",
    "mrstft": "#4884fc",
    "rrstft": "#5448fc",
}
FURTHER = ("#b400c0", "#786090", "#a07840", "#0094a8", "#cc789c", "#d80c00", "#6c8c30", "#9c6c6c")

Dashes = str | tuple[float, tuple[float, ...]]
_DASHES: tuple[Dashes, ...] = (
    "-",
    (0, (6, 1.5)),
    (0, (3, 1.2)),
    (0, (1.2, 1.2)),
    (0, (6, 1.5, 1.2, 1.5)),
    (0, (6, 1.5, 1.2, 1.5, 1.2, 1.5)),
)
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "p", "*", "h")  # names of Matplotlib


@dataclass(frozen=True)
class Look:
    """How a signal looks in every figure."""

    id: str  # a slug [a-z0-9-], unique on the page; its colour is the CSS variable --c-<id>
    label: str
    colour: str  # "#rrggbb"
    dashes: Dashes = "-"
    marker: str = "o"


TARGET = Look("target", "target", "#687878")
INPUT = Look("input", "input", "#8c7f6c", (0, (1.2, 1.2)))
ANCHOR = Look("anchor", "anchor", "#8888a0", (0, (1.2, 3)))


def looks(models: Iterable[tuple[str, str]]) -> dict[str, Look]:
    """The look of each model, by its label.

    A model has the colour of its loss. Where several models have the same loss, the first of them does; the others,
    and losses without a colour of their own, take the further colours in order, which start again after the last.

    Args:
        models: label and name of the loss, each label once

    >>> [look.colour for look in looks([("esr", "esr"), ("mine", "mine"), ("esr, longer", "esr")]).values()]
    ['#cc8400', '#b400c0', '#786090']
    """
    found: dict[str, Look] = {}
    taken: set[str] = set()
    ids = {TARGET.id, INPUT.id, ANCHOR.id}
    for label, loss in models:
        if loss in LOSSES and loss not in taken:
            place, colour = list(LOSSES).index(loss), LOSSES[loss]
            taken.add(loss)
        else:
            place = len(LOSSES) + len(found) - len(taken)
            colour = FURTHER[(place - len(LOSSES)) % len(FURTHER)]
        dashes, marker = _DASHES[place % len(_DASHES)], _MARKERS[place % len(_MARKERS)]
        found[label] = Look(slug(label, ids), label, colour, dashes, marker)
    return found


def slug(text: str, taken: set[str]) -> str:
    """Text as an identifier [a-z0-9-] that is not among `taken`, to which it is added.

    >>> seen = {"l1"}
    >>> slug("L1", seen), slug("<b>l1 & more</b>", seen), slug("∞", seen)
    ('l1-2', 'b-l1-more-b', 'x')
    """
    base = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "x"
    name, number = base, 1
    while name in taken:
        number += 1
        name = f"{base}-{number}"
    taken.add(name)
    return name
