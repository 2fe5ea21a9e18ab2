"""Figures of the report: drawn by Matplotlib, made part of a page that is light or dark.

Text and axes have the colour of the text around the figure, a model's lines the CSS variable ``--c-<id>`` of its look.
Equal data give equal bytes.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import matplotlib
import numpy as np
from markupsafe import Markup, escape
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, NullLocator
from numpy.typing import ArrayLike, NDArray

from scripts.report.colours import Look

WIDTH, HEIGHT = 5.4, 3.5  # of a figure with one panel, inches
WIDE = 9.5  # of a figure as wide as the page
BEYOND_DB = (
    20.0  # what a model is drawn beyond the device's range, or off it: a silent one does not decide on the scale
)
POINTS = 600  # of a line: more than such a figure shows
DECIMALS = 1  # of a coordinate; a figure is some 400 units wide

TEXT = "#010203"  # stands for currentColor
_STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "report",
    "path.simplify": True,
    "font.size": 9,
    "axes.labelsize": 9,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.fontsize": 8,
    "text.color": TEXT,
    "axes.edgecolor": TEXT,
    "axes.labelcolor": TEXT,
    "xtick.color": TEXT,
    "ytick.color": TEXT,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.minor.width": 0.4,
    "ytick.minor.width": 0.4,
    "axes.grid": True,
    "axes.grid.which": "major",
    "grid.color": TEXT,
    "grid.alpha": 0.14,
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.5,
    "lines.markersize": 4.5,
    "legend.frameon": False,
    "legend.handlelength": 2.4,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
    "axes.formatter.use_mathtext": False,
    "axes.unicode_minus": True,
}


@dataclass(frozen=True)
class Chart:
    """A figure on the page."""

    svg: Markup
    caption: str


@dataclass(frozen=True)
class Sheet:
    """A table on the page."""

    html: Markup
    caption: str
    terms: tuple[tuple[str, str], ...] = ()  # names of columns, and what they mean


@dataclass(frozen=True)
class Section:
    """Figures that belong together, below a table if there is one."""

    id: str
    title: str
    text: str
    figures: list[Chart]
    table: Sheet | None = None


class Canvas:
    """A figure in the report's style, with one or several panels.

        canvas = Canvas("esr", rows=1, columns=2)
        canvas.panels[0].plot(x, y, color=canvas.ink(look))
        canvas.svg("ESR over epochs")

    Args:
        name: of the figure, unique on the page
        rows, columns: of panels
        size: width and height in inches
    """

    def __init__(
        self,
        name: str,
        rows: int = 1,
        columns: int = 1,
        size: tuple[float, float] = (WIDTH, HEIGHT),
        sharex: bool = False,
        sharey: bool | Literal["row"] = False,
        height_ratios: Sequence[float] | None = None,
    ) -> None:
        self.name = name
        self._inks: dict[str, Look] = {}
        with matplotlib.rc_context(_STYLE):
            self.figure = Figure(figsize=size, layout="constrained")
            grid = self.figure.subplots(
                rows, columns, squeeze=False, sharex=sharex, sharey=sharey, height_ratios=height_ratios
            )
        self.panels: list[Axes] = list(grid.flat)

    def ink(self, look: Look) -> str:
        """The colour to draw a look with; it becomes the CSS variable."""
        for ink, known in self._inks.items():
            if known.id == look.id:
                return ink
        ink = f"#fe{len(self._inks):02x}77"
        self._inks[ink] = look
        return ink

    def heading(self, axes: Axes, text: str, colour: str = TEXT) -> None:
        """The title of a panel, text as it is."""
        # With a height of its own Matplotlib need not look at all ticks for what it might cover.
        axes.set_title(plain(text), loc="left", y=1.0, color=colour, fontsize=9, fontweight="bold")

    def legend(self, handles: Iterable[object], columns: int = 4) -> None:
        """A legend above the panels, where it covers no data."""
        with matplotlib.rc_context(_STYLE):
            self.figure.legend(handles=list(handles), loc="outside upper left", ncols=columns, borderaxespad=0.2)

    def svg(self, title: str) -> Markup:
        """The figure as an <svg> element that scales with the page; `title` is what a screen reader says."""
        file = io.StringIO()
        with matplotlib.rc_context(_STYLE):
            canvas = FigureCanvasSVG(self.figure)  # whose fonts count
            self._lay_out()
            canvas.print_svg(file, metadata={"Date": None, "Creator": None})
        return Markup(_themed(file.getvalue(), self.name, title, self._inks))

    def _lay_out(self) -> None:
        """Finds the places of the panels, for which `savefig` would draw the whole figure once more."""
        self.figure.dpi = 72  # as in an SVG
        if engine := self.figure.get_layout_engine():
            for panel in self.figure.axes:
                for axis in (panel.xaxis, panel.yaxis):
                    if not axis.get_label_text():
                        axis.set_label_coords(0, 0)  # or the ticks are laid out once more to place no label
            with _without_minor_ticks(self.figure.axes):
                engine.execute(self.figure)
            self.figure.set_layout_engine("none")


@contextmanager
def _without_minor_ticks(panels: Iterable[Axes]) -> Iterator[None]:
    """They have no labels and take no room, and are half of the time that a layout takes."""
    axes = [axis for panel in panels for axis in (panel.xaxis, panel.yaxis)]
    locators = [axis.get_minor_locator() for axis in axes]
    for axis in axes:
        axis.set_minor_locator(NullLocator())
    yield
    for axis, locator in zip(axes, locators, strict=True):
        axis.set_minor_locator(locator)


def _themed(text: str, name: str, title: str, inks: dict[str, Look]) -> str:
    body = text[text.index("<svg") :]
    body = re.sub(
        r"<metadata>.*?</metadata>\s*|<defs>\s*<style[^>]*>.*?</style>\s*</defs>\s*", "", body, flags=re.DOTALL
    )
    box = re.search(r'viewBox="([^"]*)"', body)
    if box is None:
        raise RuntimeError("Matplotlib wrote an SVG without a viewBox")
    kind = "chart wide" if float(box[1].split()[2]) > 72 * (WIDTH + 1) else "chart"
    head = f'<svg class="{kind}" role="img" aria-label="{escape(title)}" viewBox="{box[1]}"'
    head += ' stroke-linejoin="round" stroke-linecap="butt" xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink">'
    body = head + body[body.index(">") + 1 :]
    body = _identified(body, name)
    body = re.sub(r"font-family: [^;\"]*; ", "", body)  # it is the page's
    body = re.sub(r' transform="rotate\(-0 [^"]*"', "", body)
    body = re.sub(r'(?<= d=")[^"]*', lambda d: _rounded(d[0]), body)
    body = re.sub(r' ([xy])="([^"]*)"', lambda d: f' {d[1]}="{_rounded(d[2])}"', body)
    body = body.replace(TEXT, "currentColor")
    for ink, look in inks.items():
        body = body.replace(ink, f"var(--c-{look.id},{look.colour})")
    return re.sub(r">\s*\n\s*<", ">\n<", body).strip()


def _identified(body: str, name: str) -> str:
    """Ids that are referred to get the figure's name in front, so that many figures live on one page; others go."""
    used = set(re.findall(r'(?:url\(#|href="#)([^)"]+)', body))
    body = re.sub(r' id="([^"]*)"', lambda m: f' id="{name}-{m[1]}"' if m[1] in used else "", body)
    return re.sub(r'(url\(#|href="#)', rf"\g<1>{name}-", body)


def _rounded(path: str) -> str:
    numbers = re.sub(r"-?\d+\.\d+", lambda n: f"{float(n[0]):.{DECIMALS}f}".removesuffix(".0"), path)
    return re.sub(r"\s+", " ", numbers).strip()


def plain(text: str) -> str:
    r"""Text for Matplotlib that is not read as mathematics.

    >>> plain("cost in $ and $")
    'cost in \\$ and \\$'
    """
    return text.replace("$", r"\$")


def thinned(x: ArrayLike, y: ArrayLike, points: int = POINTS) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """A line that looks the same with about `points` points: the extremes of each of points / 2 stretches.

    >>> [a.tolist() for a in thinned(range(8), [0, 5, 1, 2, 2, 2, -3, 2], 4)]
    [[0.0, 1.0, 4.0, 6.0], [0.0, 5.0, 2.0, -3.0]]
    """
    x, y = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if len(x) <= points:
        return x, y
    edges = np.linspace(0, len(x), points // 2 + 1).astype(int)
    known = ~np.isnan(y)
    kept = np.union1d(*(_first_least(np.where(known, values, np.inf), edges) for values in (y, -y)))
    return x[kept], y[kept]


def _first_least(values: NDArray[np.float64], edges: NDArray[np.int64]) -> NDArray[np.int64]:
    """The place of the least value from each edge to the next."""
    least = np.minimum.reduceat(values, edges[:-1])
    places = np.flatnonzero(values == np.repeat(least, np.diff(edges)))
    return places[np.searchsorted(places, edges[:-1])]


def bounds(values: ArrayLike, beyond: float) -> tuple[float, float]:
    """Least and greatest finite value, less and plus `beyond`; infinite if there is none.

    >>> bounds([1, float("nan"), 3], 20)
    (-19.0, 23.0)
    """
    known = np.asarray(values, dtype=np.float64)
    known = known[np.isfinite(known)]
    return (float(known.min()) - beyond, float(known.max()) + beyond) if len(known) else (-np.inf, np.inf)


def scale(axes: Axes, name: Literal["x", "y"], values: ArrayLike) -> None:
    """Makes an axis over positive values logarithmic if they span more than 1 : 4, with plain numbers at 1, 2, 5 …"""
    known = np.asarray(values, dtype=np.float64)
    known = known[np.isfinite(known)]
    if not (len(known) and known.min() > 0 and known.max() > 4 * known.min()):
        return
    wide = known.max() > 100 * known.min()
    axes.set(**{f"{name}scale": "log"})
    axis = axes.xaxis if name == "x" else axes.yaxis
    axis.set_major_locator(LogLocator(subs=(1,) if wide else (1, 2, 5)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())
