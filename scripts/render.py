"""Run a trained network over audio files, of any length, format and sample rate.

python -m scripts.render vocals.wav vocals_limited.wav --run runs/quick/mrstft-seed1 --peak-reduction 65 --mode limit
python -m scripts.render stems/ rendered/ --run runs/quick/mrstft-seed1 --peak-reduction 40
python -m scripts.render in.flac out.flac --run runs/amp/l1-seed1 --controls 0.3 0.7

The output is as long as the input and aligned with it, and a WAV keeps what another tells beside its audio: start time,
tags, markers, loudspeakers. Its suffix tells its format: .wav, .w64 and .caf in float32,
.aiff and .flac in 24 bits. A file has the network's number of channels, or any, if the network has one: then each
channel passes on its own.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from data import audio, audio_blocks, signaltrain, wav_metadata
from data.controls import Control, declared
from data.levels import Levels
from data.resample import Resampler
from models.net import Net
from models.run import Run, RunError
from models.stream import Stream

BLOCK = 2**16  # samples read at once

Array = NDArray[np.float32]


class Stage(Protocol):
    """What a signal passes through in blocks (channels, n)."""

    def feed(self, block: Array) -> Array: ...

    def flush(self) -> Array: ...


class Network:
    """A network as a stage. One of a single channel takes each channel of the signal on its own."""

    def __init__(self, net: Net, controls: Sequence[float], channels: int) -> None:
        self.stream = Stream(net, controls)
        self.shape = (1, channels, -1) if net.in_channels == channels else (channels, 1, -1)
        self.channels = self.shape[0] * self.stream.out_channels
        self.device = next(net.parameters(), torch.empty(0)).device

    def feed(self, block: Array) -> Array:
        return self._array(self.stream.feed(torch.from_numpy(block).reshape(self.shape).to(self.device)))

    def flush(self) -> Array:
        return self._array(self.stream.flush())

    def _array(self, output: torch.Tensor) -> Array:
        return output.flatten(0, 1).cpu().numpy()


class Model(NamedTuple):
    """A trained network, and how it is to be run."""

    net: Net
    sample_rate: int  # Hz
    controls: tuple[float, ...]

    def stages(self, sample_rate: int, channels: int) -> tuple[list[Stage], int]:
        """What a file of this rate and number of channels passes through, and how many channels come out."""
        if self.net.in_channels not in (1, channels):
            raise ValueError(f"it has {channels} channel(s), the network takes {self.net.in_channels}. Convert it.")
        network = Network(self.net, self.controls, channels)
        if sample_rate == self.sample_rate:
            return [network], network.channels
        there = Resampler(sample_rate, self.sample_rate, channels)
        back = Resampler(self.sample_rate, sample_rate, network.channels)
        return [there, network, back], network.channels


def through(stages: Sequence[Stage], blocks: Iterable[Array]) -> Iterator[Array]:
    """The output of all stages in turn for each block, and for the end of the signal."""
    for block in blocks:
        for stage in stages:
            block = stage.feed(block)
        yield block
    for number, stage in enumerate(stages):
        block = stage.flush()
        for later in stages[number + 1 :]:
            block = later.feed(block)
        yield block


def render(model: Model, source: Path, target: Path) -> str:
    """Renders a file, and tells its length and levels.

    Raises:
        ValueError: names the file that cannot be read, rendered or written.
    """
    header = audio.info(source)
    try:
        stages, channels = model.stages(header.sample_rate, header.channels)
    except ValueError as error:
        raise ValueError(f"{source}: {error}") from error
    metadata = wav_metadata.read(source)
    if channels != header.channels:
        metadata = metadata._replace(mask=None)
    started = time.perf_counter()
    before, after = Levels(), Levels()
    with (
        _progress(source.name, header.frames / header.sample_rate) as progress,
        audio_blocks.Writer(
            target, header.sample_rate, channels, header.frames, metadata, audio_blocks.tags(source)
        ) as writer,
    ):

        def read() -> Iterator[Array]:
            for block in audio_blocks.blocks(source, BLOCK):
                before.add(block)
                yield block
                progress.update(block.shape[-1] / header.sample_rate)

        left = header.frames  # resampling there and back may end some samples later
        for output in through(stages, read()):
            block = output[:, :left]
            if not np.isfinite(block).all():
                raise ValueError(f"{source}: the output of the network is not finite; is the run damaged?")
            after.add(block)
            writer.write(block)
            left -= block.shape[-1]
    seconds = header.frames / header.sample_rate
    speed = seconds / (time.perf_counter() - started)
    lines = [
        f"{source} → {target}: {seconds:.1f} s, {header.sample_rate} Hz, {channels} channel(s), {speed:.1f}× real time",
        f"  input   {before}",
        f"  output  {after}",
    ]
    if metadata.chunks and not writer.keeps:
        lines.append(f"  {target.suffix} does not keep the chunks {metadata.names}; a .wav would hold them")
    if writer.clipped:
        lines.append(f"  {writer.clipped} samples were beyond full scale and are clipped; a .wav would hold them")
    return "\n".join(lines)


def _progress(name: str, seconds: float) -> tqdm:
    """A bar for a file; none where nobody watches."""
    form = "{l_bar}{bar}| {n:.0f}/{total:.0f} s [{elapsed}<{remaining}]"
    return tqdm(desc=name, total=seconds, unit="s", bar_format=form, leave=False, disable=None)


def load(options: argparse.Namespace) -> Model:
    """The network of a run with the controls asked for.

    Raises:
        RunError: if the run cannot be used; also ValueError for controls or a device that it cannot have.
    """
    run: Run = options.run
    sample_rate = run.sample_rate
    net = run.net()
    controls = options.controls
    count = getattr(net, "controls", 0)
    if len(controls) != count:
        panel = declared(run.config.get("data"))
        ask = _asked(panel) if count == len(panel) else f"--controls with {count} number(s)"
        given = f"{len(controls)} given"
        raise ValueError(
            f"{run.folder}: the network has {count} control(s), {given}" + (f": pass {ask}" if count else "")
        )
    try:
        net.to(options.device)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"--device {options.device}: {str(error).splitlines()[0]}") from error
    return Model(net, sample_rate, controls)


def _asked(panel: Sequence[Control]) -> str:
    """The options of a panel, those of switches in brackets, as they may be left out."""
    knobs, switches = ([_option(c) for c in panel if bool(c.positions) is switch] for switch in (False, True))
    return " ".join(knobs) + (f" (and {' '.join(switches)})" if switches else "")


def jobs(source: Path, target: Path) -> list[tuple[Path, Path]]:
    """Each file and where its output goes.

    Raises:
        ValueError: if there is nothing to render, or the output would lie on or among the inputs.
    """
    if not source.exists():
        raise ValueError(f"{source}: no such file or folder")
    if not source.is_dir():
        return [(source, target)]
    if target.resolve().is_relative_to(source.resolve()):
        raise ValueError(f"{target}: lies in the folder that is rendered; name another one")
    if target.exists() and not target.is_dir():
        raise ValueError(f"{target}: is a file; name a folder for the outputs of {source}")
    found = []
    for file in sorted(source.rglob("*")):
        inside = file.relative_to(source)
        if file.suffix.lower() in audio_blocks.READABLE and file.is_file() and not file.name.startswith("."):
            # A format that is not written becomes song.mp3.wav: there may be a song.wav as well.
            name = file.name if file.suffix.lower() in audio_blocks.WRITABLE else f"{file.name}.wav"
            found.append((file, target / inside.with_name(name)))
    if not found:
        raise ValueError(f"{source}: holds no audio file ({' '.join(sorted(audio_blocks.READABLE))})")
    return found


def check(source: Path, target: Path, overwrite: bool) -> None:
    """Raises a `ValueError` if the output would replace what it must not."""
    if not target.exists():
        return
    if target.is_dir():
        raise ValueError(f"{target}: is a folder; name a file")
    if target.samefile(source):
        raise ValueError(f"{target}: is the input itself; name another file")
    if not overwrite:
        raise ValueError(f"{target}: exists; --overwrite replaces it")


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
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
        prog="python -m scripts.render", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("input", type=Path, help="a file, or a folder of files, with those in its folders")
    parser.add_argument("output", type=Path, help="a file, or a folder")
    parser.add_argument("--run", type=Path, required=True, help="the run whose network renders: runs/<study>/<name>")
    for control in panel:
        lowest, highest = control.range
        if control.positions:
            parser.add_argument(
                _option(control), choices=control.positions, help=f"of the device (default: {control.positions[0]})"
            )
        else:
            parser.add_argument(_option(control), type=float, help=f"of the device, {lowest:g} to {highest:g}")
    parser.add_argument("--controls", type=float, nargs="+", help="all of them, as the network was trained on them")
    parser.add_argument("--checkpoint", choices=("best", "last"), default="best", help="(default: %(default)s)")
    parser.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1, … (default: %(default)s)")
    parser.add_argument("--overwrite", action="store_true", help="replace outputs that exist")
    options = parser.parse_args(arguments)
    options.controls = _controls(parser, options, panel)
    options.run = run or Run.read(options.run, options.checkpoint)
    return options


def _option(control: Control) -> str:
    return f"--{control.panel.replace(' ', '-')}"


def _controls(
    parser: argparse.ArgumentParser, options: argparse.Namespace, panel: Sequence[Control]
) -> tuple[float, ...]:
    """The controls of the options, as the network is given them; empty if there are none."""
    values = {control: getattr(options, control.panel.replace(" ", "_")) for control in panel}
    told = [control for control in panel if values[control] is not None]
    if options.controls is not None:
        if told:
            parser.error(f"--controls stands for all controls: leave out {' and '.join(map(_option, told))}")
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
            parser.error(f"{_option(told[0])} needs {_option(control)}")
        else:
            try:
                numbers.append(control.given(value))
            except ValueError as error:
                parser.error(f"{_option(control)}: {error}")
    return tuple(numbers)


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit status: 1 if a file could not be rendered, 130 after Ctrl-C."""
    failed = 0
    try:
        options = parsed(arguments)
        files = jobs(options.input, options.output)
        model = load(options)
        for source, target in files:
            try:
                check(source, target, options.overwrite)
                print(render(model, source, target), flush=True)
            except (ValueError, OSError) as error:
                failed += 1
                print(f"error: {error}", file=sys.stderr)
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Interrupted; nothing is left of the file that was being rendered.", file=sys.stderr)
        return 130
    if failed and len(files) > 1:
        print(f"{failed} of {len(files)} files could not be rendered.", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
