"""The panel of a run's device as options of the command line."""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from data import signaltrain
from data.controls import Control, declared
from models.run import Run, RunError

OWN = ("help", "run", "controls", "checkpoint", "device", "overwrite")  # options that are no control's


def parsed(arguments: Sequence[str] | None, description: str | None) -> argparse.Namespace:
    """The options, among them the run, as it was read, and the controls, as its network is given them.

    Raises:
        RunError: if the run cannot be read, whose data set declares the controls.
    """
    first = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    first.add_argument("--run", type=Path)
    first.add_argument("--checkpoint", choices=("best", "last"), default="best")
    known, _ = first.parse_known_args(arguments)
    run = None
    with suppress(RunError):  # told after what is wrong with the options
        run = Run.read(known.run, known.checkpoint) if known.run else None
    panel = declared(run.config.get("data")) if run else signaltrain.CONTROLS

    parser = argparse.ArgumentParser(
        prog="python -m scripts.render", description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("input", type=Path, help="a file, or a folder of files, with those in its folders")
    parser.add_argument("output", type=Path, help="a file, or a folder")
    parser.add_argument("--run", type=Path, required=True, help="the run whose network renders: runs/<study>/<name>")
    for number, control in enumerate(panel):
        name, dest = option(control), _dest(number)
        lowest, highest = control.range
        if control.positions:
            help = f"of the device (default: {control.positions[0]})"
            parser.add_argument(name, dest=dest, choices=control.positions, help=help)
        else:
            metavar, help = name.strip("-").replace("-", "_").upper(), f"of the device, {lowest:g} to {highest:g}"
            parser.add_argument(name, dest=dest, metavar=metavar, type=float, help=help)
    parser.add_argument("--controls", type=float, nargs="+", help="all of them, as the network was trained on them")
    parser.add_argument("--checkpoint", choices=("best", "last"), default="best", help="(default: %(default)s)")
    parser.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1, … (default: %(default)s)")
    parser.add_argument("--overwrite", action="store_true", help="replace outputs that exist")
    options = parser.parse_args(arguments)
    options.controls = _controls(parser, options, panel)
    options.run = run or Run.read(options.run, options.checkpoint)
    return options


def option(control: Control) -> str:
    """Its name on the command line, which is that on the panel if there is no other option of this name.

    >>> option(Control("low_cut", 0, 1, None, "", "low-cut (Hz)")), option(Control("device", 0, 1, None, ""))
    ('--low-cut-Hz', '--knob-device')
    """
    name = re.sub(r"[\W_]+", "-", control.panel or control.name).strip("-")
    return f"--knob-{name}" if name in OWN else f"--{name}"


def _dest(number: int) -> str:
    """Where the parser keeps a control, whatever its name."""
    return f"control_{number}"


def _controls(
    parser: argparse.ArgumentParser, options: argparse.Namespace, panel: Sequence[Control]
) -> tuple[float, ...]:
    """The controls of the options, as the network is given them; empty if there are none."""
    values = {control: getattr(options, _dest(number)) for number, control in enumerate(panel)}
    told = [control for control in panel if values[control] is not None]
    if options.controls is not None:
        if told:
            parser.error(f"--controls stands for all controls: leave out {' and '.join(map(option, told))}")
        if not all(math.isfinite(value) for value in options.controls):
            parser.error("--controls must be finite")
        return tuple(options.controls)
    if not told:
        return ()
    numbers = []
    for control, value in values.items():
        if control.positions:
            position = control.positions.index(value or control.positions[0])
            numbers.append(control.lowest + position * (control.step or 1))
        elif value is None:
            parser.error(f"{option(told[0])} needs {option(control)}")
        else:
            try:
                numbers.append(control.given(value))
            except ValueError as error:
                parser.error(f"{option(control)}: {error}")
    return tuple(numbers)


def asked(panel: Sequence[Control]) -> str:
    """The options of a panel, those of switches in brackets, as they may be left out."""
    knobs, switches = ([option(c) for c in panel if bool(c.positions) is switch] for switch in (False, True))
    return " ".join(knobs) + (f" (and {' '.join(switches)})" if switches else "")
