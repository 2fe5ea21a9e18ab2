"""Recordings of a folder in the layout of the SignalTrain LA2A data set.

    <root>/{Train,Val,Test}/input_<id>_.wav
    <root>/{Train,Val,Test}/target_<id>_<device>__<switch>__<peak reduction>.wav

FLAC and the other formats without loss may take the place of WAV, for each file by itself.
Switch is 0 (compress) or 1 (limit), peak reduction 0 … 100; the device may have any name.
Source of the layout: Colburn and Hawley, "SignalTrain LA2A Dataset" 1.1 (2020), doi:10.5281/zenodo.3824876.
"""

import math
import os
import re
from collections import defaultdict
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from data import audio, known_files
from data.controls import Control

SPLITS = {"train": "Train", "val": "Val", "test": "Test"}

_FORMATS = ("wav", "wave", "flac", "w64", "rf64", "aif", "aiff", "aifc", "caf", "au")
_LOSSY = ("mp3", "ogg", "oga", "opus", "m4a", "aac", "wma")
_SUFFIX = rf"\.(?:{'|'.join(_FORMATS)})"
_INPUT = re.compile(rf"input_(?P<id>\d+)_?{_SUFFIX}", re.IGNORECASE)
_TARGET = re.compile(
    rf"target_(?P<id>\d+)_(?P<device>.+)__(?P<switch>[^_]+)__(?P<peak_reduction>[^_]+){_SUFFIX}", re.IGNORECASE
)
_LAYOUT = "input_<id>_.wav or target_<id>_<device>__<switch>__<peak reduction>.wav"
# Pairs that are incomplete, or of different lengths, in version 1.0 of the SignalTrain data set.
_WRONG_IN_1_0 = {147, 148, 149, 150, 152, 235, 236, 245}
_SHOWN = 10  # problems spelled out in one error
_SCAN_FRAMES = 1 << 20  # samples read at a time while looking for NaN


# Files of another sample rate or number of channels, by what they have, the remedy, and the option that takes them so.
_Others = dict[tuple[str, str, str], list[Path]]

# In the order of `Recording.controls`.
CONTROLS = (
    Control("switch", 0, 1, 1, "0 compress, 1 limit", "mode", positions=("compress", "limit")),
    Control("peak_reduction", 0, 1, None, "the knob's 0 … 100, divided by 100", "peak reduction", scale=100),
)
MODES = {str(n): name.capitalize() for n, name in enumerate(CONTROLS[0].positions)}  # by the switch in a file's name


@dataclass(frozen=True)
class Recording:
    """A pair of files: what went into the device, and what came out of it at one setting."""

    id: str
    split: str  # "train", "val" or "test"
    input: Path
    target: Path
    frames: int  # samples per channel, the same in both files
    sample_rate: int  # Hz
    channels: int
    controls: tuple[float, ...]  # as a network is given them, see CONTROLS
    setting: str  # as in the file's name, for instance "0__65"

    @property
    def seconds(self) -> float:
        return self.frames / self.sample_rate


class Content(NamedTuple):
    """What a look at every sample of a file has found."""

    peak: float  # largest magnitude of the finite samples
    bad: int  # number of samples that are NaN or infinite
    first_bad: int  # index of the first of them, -1 if there is none


def recordings(root: str | Path, sample_rate: int = 44_100, channels: int = 1) -> dict[str, list[Recording]]:
    """Find, pair and check the recordings of a data set; only headers are read.

    Args:
        root: folder that holds Train, Val and Test (or one SignalTrain_LA2A_Dataset_* folder that does)
        sample_rate: the rate that every file must have, in Hz
        channels: the number of channels that every file must have

    Returns:
        the recordings of "train", "val" and "test", each sorted by id

    Raises:
        ValueError: names every problem of the data set, with file, number and remedy.
    """
    folder = _folder(root)
    problems: list[str] = []
    others: _Others = defaultdict(list)
    found: dict[str, list[Recording]] = {split: [] for split in SPLITS}
    pairs = {split: _pairs(folder / name, problems) for split, name in SPLITS.items()}
    for split, by_id in pairs.items():
        for number, (inputs, targets) in sorted(by_id.items()):
            if len(inputs) == 1 and len(targets) == 1:
                recording = _recording(split, number, inputs[0], targets[0], sample_rate, channels, problems, others)
                if recording:
                    found[split].append(recording)
            else:
                problems.append(_unpaired(split, number, pairs))
    total = sum(len(inputs) + len(targets) for by_id in pairs.values() for inputs, targets in by_id.values())
    problems += _of_another_format(others, total)
    _raise(problems, f"The data set {folder} cannot be used:")
    return found


def check_content(found: dict[str, list[Recording]], cache: str | Path | None = None) -> dict[Path, Content]:
    """Look at every sample of every file for NaN and infinity.

    A file that was found clean is remembered by path, size and time of change: later starts are instant.

    Args:
        found: what `recordings` returned
        cache: JSON file of what was found clean; None for one in the user's cache folder
            ($XDG_CACHE_HOME or ~/.cache)

    Returns:
        what was found in each file

    Raises:
        ValueError: names every file with NaN or infinity, where the first is and how many there are.
    """
    cache = Path(cache) if cache else known_files.user_cache("checked_audio")
    known = known_files.load(cache)
    files = {path: r for split in found.values() for r in split for path in (r.input, r.target)}
    stamps = {path: known_files.stamp(path) for path in files}
    contents = {
        path: Content(known[str(path)][2], 0, -1)
        for path, stamp in stamps.items()
        if known.get(str(path), [])[:2] == stamp
    }
    fresh = [path for path in files if path not in contents]
    if fresh:
        contents |= _scan_all(fresh)
        clean = {str(p): [*stamps[p], contents[p].peak] for p in fresh if not contents[p].bad}
        known_files.save(cache, known | clean)
    problems = []
    for path, recording in files.items():
        _, bad, first = contents[path]
        if bad:
            problems.append(
                f"{path}: {bad} samples are NaN or infinite, the first is sample {first} "
                f"({first / recording.sample_rate:.3f} s). Render the file again, or leave the pair out."
            )
    _raise(problems, "The data set cannot be used:")
    return contents


def _folder(root: str | Path) -> Path:
    """The folder that holds Train, Val and Test."""
    path = Path(root).expanduser().absolute()
    if not path.is_dir():
        raise ValueError(
            f"The data set folder {path} does not exist. Pass the folder that holds Train, Val and Test: "
            "data.root=/path/to/SignalTrain_LA2A_Dataset_1.1"
        )
    if any((path / name).is_dir() for name in SPLITS.values()):
        return path
    inside = [p for p in path.glob("SignalTrain_LA2A_Dataset_*") if p.is_dir()]
    if len(inside) == 1:
        return inside[0]
    raise ValueError(
        f"{path} holds none of the folders Train, Val and Test. Pass the folder that does: "
        "data.root=/path/to/SignalTrain_LA2A_Dataset_1.1"
    )


_Pairs = dict[int, tuple[list[Path], list[Path]]]


def _pairs(folder: Path, problems: list[str]) -> _Pairs:
    """Inputs and targets of one split by their id. The base name alone tells what a file is."""
    by_id: _Pairs = defaultdict(lambda: ([], []))
    for path in sorted(folder.glob("*")):
        suffix = path.suffix.lower().lstrip(".")
        if path.name.startswith("."):
            continue
        if suffix in _LOSSY:
            problems.append(f"{path} is in a format with losses. Bring it as WAV or FLAC, or move it elsewhere.")
            continue
        if suffix not in _FORMATS:
            continue
        if match := _INPUT.fullmatch(path.name):
            by_id[int(match["id"])][0].append(path)
        elif match := _TARGET.fullmatch(path.name):
            by_id[int(match["id"])][1].append(path)
        else:
            problems.append(f"{path}: the name does not parse. Name it {_LAYOUT}, or move it elsewhere.")
    if not by_id:
        state = "has no recordings" if folder.is_dir() else "is missing"
        problems.append(f"{folder} {state}: 0 pairs found. Each of Train, Val and Test needs at least one pair.")
    return dict(by_id)


def _unpaired(split: str, number: int, pairs: dict[str, _Pairs]) -> str:
    """Why an id is not exactly one input and one target."""
    inputs, targets = pairs[split][number]
    names = ", ".join(str(path) for path in inputs + targets)
    if len(inputs) > 1 or len(targets) > 1:
        return f"{names}: id {number} is there {max(len(inputs), len(targets))} times. Give each pair an id of its own."
    missing, kind = ("target", 1) if inputs else ("input", 0)
    elsewhere = [str(p) for other in pairs.values() for p in other.get(number, ([], []))[kind]]
    remedy = f"There is {elsewhere[0]}: move both to one folder." if elsewhere else "Add it, or remove this file."
    return f"{names} has no {missing} with id {number} beside it. {remedy}{_version_hint(number)}"


def _of_another_format(others: _Others, total: int) -> list[str]:
    """What to do about files of another sample rate or number of channels; once, if all files are alike."""
    problems = []
    for (fault, remedy, option), paths in others.items():
        if len(paths) == total:
            problems.append(f"All {total} files have {fault}: pass {option}")
        else:
            problems += [f"{path} has {fault}. {remedy} it, or convert the others and pass {option}" for path in paths]
    return problems


def _recording(
    split: str,
    number: int,
    input: Path,
    target: Path,
    sample_rate: int,
    channels: int,
    problems: list[str],
    others: _Others,
) -> Recording | None:
    """Check the names and headers of a pair."""
    before = len(problems), sum(map(len, others.values()))
    match = _TARGET.fullmatch(target.name)
    assert match  # only names that match are paired
    texts = match["switch"], match["peak_reduction"]
    controls = []
    for control, text in zip(CONTROLS, texts, strict=True):
        try:
            controls.append(control.given(_number(text)))
        except ValueError:
            name = control.name.replace("_", " ")
            problems.append(f"{target}: the {name} is {text!r}. Name it with {control.numbers}: {_LAYOUT}")
    lengths = []
    for path in (input, target):
        try:
            header = audio.info(path)
        except ValueError as error:
            problems.append(str(error))
            continue
        lengths.append(header.frames)
        if header.frames == 0:
            problems.append(f"{path} is empty: 0 samples. Render it again, or remove the pair.")
        if header.sample_rate != sample_rate:
            fault = f"a sample rate of {header.sample_rate} Hz, {sample_rate} Hz is asked for"
            others[fault, "Resample", f"data.sample_rate={header.sample_rate}"].append(path)
        if header.channels != channels:
            fault = f"{header.channels} channel(s), {channels} is asked for"
            others[fault, "Convert", f"data.channels={header.channels}"].append(path)
    if len(lengths) == 2 and lengths[0] != lengths[1]:
        problems.append(
            f"{input} has {lengths[0]} samples, {target} has {lengths[1]}. "
            f"Align the two and cut them to the same length.{_version_hint(number)}"
        )
    if (len(problems), sum(map(len, others.values()))) != before:
        return None
    return Recording(
        id=str(number),
        split=split,
        input=input,
        target=target,
        frames=lengths[0],
        sample_rate=sample_rate,
        channels=channels,
        controls=tuple(controls),
        setting="__".join(f"{_number(text):g}" for text in texts),
    )


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")


def _version_hint(number: int) -> str:
    if number not in _WRONG_IN_1_0:
        return ""
    return (
        f" (Pair {number} is wrong in version 1.0 of the SignalTrain data set: if this is it, "
        "use version 1.1, doi:10.5281/zenodo.3824876.)"
    )


def _raise(problems: list[str], title: str) -> None:
    if problems:
        more = len(problems) - _SHOWN
        lines = [f"  - {problem}" for problem in problems[:_SHOWN]]
        lines += [f"  … and {more} more problem(s)"] if more > 0 else []
        raise ValueError("\n".join([title, *lines]))


def _scan_all(files: Iterable[Path]) -> dict[Path, Content]:
    """Scan files in threads: reading and NumPy's reductions both release Python's lock."""
    sizes = {path: path.stat().st_size for path in files}
    contents = {}
    with (
        ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool,
        tqdm(total=sum(sizes.values()), desc="checking audio", unit="B", unit_scale=True, leave=False) as bar,
    ):
        jobs = {pool.submit(_scan, path): path for path in files}
        try:
            for job in as_completed(jobs):
                contents[jobs[job]] = job.result()
                bar.update(sizes[jobs[job]])
        finally:
            pool.shutdown(wait=True, cancel_futures=True)  # Ctrl-C waits for the files begun only
    return contents


def _scan(path: Path) -> Content:
    """Look at a whole file, some samples at a time."""
    frames = audio.info(path).frames
    peak, bad, first_bad = 0.0, 0, -1
    for start in range(0, frames, _SCAN_FRAMES):
        block = audio.read(path, start, min(_SCAN_FRAMES, frames - start))
        with np.errstate(invalid="ignore"):
            low, high = float(block.min()), float(block.max())  # both are NaN if any sample is
        if not (math.isfinite(low) and math.isfinite(high)):
            finite = np.isfinite(block)
            if bad == 0:
                first_bad = start + int(np.argmin(finite.all(axis=0)))
            bad += int(np.sum(~finite))
            low = high = float(np.max(np.abs(block), where=finite, initial=0))
        peak = max(peak, -low, high)
    return Content(peak, bad, first_bad)
