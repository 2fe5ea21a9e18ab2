"""Run a trained network over audio files, of any length, format and sample rate.

python -m scripts.render vocals.wav vocals_limited.wav --run runs/quick/mrstft-seed1 --peak-reduction 65 --mode limit
python -m scripts.render stems/ rendered/ --run runs/quick/mrstft-seed1 --peak-reduction 40
python -m scripts.render in.flac out.flac --run runs/amp/l1-seed1 --controls 0.3 0.7

The output is as long as the input and aligned with it, and a WAV keeps what another tells beside its audio: start time,
tags, markers, loudspeakers. Its suffix tells its format: .wav, .w64 and .caf in float32, .aiff and .flac in 24 bits. A
file has the network's number of channels, or any, if the network has one: then each channel passes on its own.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from data import audio, audio_blocks, wav_metadata
from data.controls import declared
from data.levels import Levels
from models.run import Run
from scripts.rendering.chain import Array, Model, through
from scripts.rendering.panel import asked, parsed

BLOCK = 2**16  # samples read at once


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
        ask = asked(panel) if count == len(panel) else f"--controls with {count} number(s)"
        given = f"{len(controls)} given"
        raise ValueError(
            f"{run.folder}: the network has {count} control(s), {given}" + (f": pass {ask}" if count else "")
        )
    try:
        net.to(options.device)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"--device {options.device}: {str(error).splitlines()[0]}") from error
    return Model(net, sample_rate, controls)


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


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit status: 1 if a file could not be rendered, 130 after Ctrl-C."""
    failed = 0
    try:
        options = parsed(arguments, __doc__)
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
