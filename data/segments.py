"""Segments of recordings: what a net is trained and scored on.

Training reads `Chunks`, all of one length, in another order and position every epoch. Validation and test
read `Blocks`, which tile every recording from its first sample to its last. Both read files in parts, so
memory stays flat on a data set of any size.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch.utils.data import Dataset

from data import audio
from data.signaltrain import Recording

# Each use of randomness has a stream of its own, a function of (seed, epoch, index) in whatever process.
ORDER, SHIFT, FLIP = 1, 2, 3


class Segment(NamedTuple):
    """Input and target always span the same samples; whoever runs a net crops the target to its output."""

    input: torch.Tensor  # (channels, samples)
    target: torch.Tensor  # (channels, samples)
    controls: torch.Tensor  # (controls,)


class Block(NamedTuple):
    """Which samples of which recording an item of `Blocks` stands for."""

    recording: Recording
    number: int  # position among the recording's blocks
    start: int  # first sample, context excluded
    frames: int  # number of samples, context excluded


def random_generator(use: int, seed: int, epoch: int, index: int = 0) -> np.random.Generator:
    """The random numbers of one use (ORDER, SHIFT or FLIP) at one place of the training."""
    return np.random.default_rng([use, seed, epoch, index])


class Chunks(Dataset[Segment]):
    """Chunks of `length` samples, next to each other: `frames // length` of each recording.

    No chunk is lost and no sample is read twice in an epoch. What remains of a recording is skipped at
    a random place (before the first chunk and after the last), so that all of it is used over the epochs.
    An item's key is (epoch, index), thus workers need no state.

    Args:
        recordings: recordings of one sample rate and number of channels
        length: samples of a chunk
        seed: of the places and the flips
        polarity_flip: invert input and target together, for half of the items
        preload: keep all audio in memory (8 bytes for each sample of a pair)
    """

    def __init__(
        self,
        recordings: Sequence[Recording],
        length: int,
        seed: int = 0,
        polarity_flip: bool = True,
        preload: bool = False,
    ) -> None:
        self.length = length
        self.seed = seed
        self.polarity_flip = polarity_flip
        self._source = _Source(recordings, preload)
        counts = [recording.frames // length for recording in recordings]
        self._ends = np.cumsum(counts, dtype=np.int64)  # index after the last chunk of each recording

    def __len__(self) -> int:
        return int(self._ends[-1]) if len(self._ends) else 0

    def place(self, epoch: int, index: int) -> tuple[Recording, int]:
        """The recording and the first sample of a chunk."""
        number, start = self._place(epoch, index)
        return self._source.recordings[number], start

    def __getitem__(self, key: tuple[int, int]) -> Segment:
        epoch, index = key
        number, start = self._place(epoch, index)
        segment = self._source.read(number, start, start + self.length)
        if self.polarity_flip and random_generator(FLIP, self.seed, epoch, index).random() < 0.5:
            return Segment(-segment.input, -segment.target, segment.controls)
        return segment

    def _place(self, epoch: int, index: int) -> tuple[int, int]:
        if not 0 <= index < len(self):
            raise IndexError(f"chunk {index} of {len(self)}")
        number = int(np.searchsorted(self._ends, index, side="right"))
        spare = self._source.recordings[number].frames % self.length
        shift = int(random_generator(SHIFT, self.seed, epoch, number).integers(spare + 1))
        first = int(self._ends[number - 1]) if number else 0
        return number, shift + (index - first) * self.length


class Blocks(Dataset[Segment]):
    """Every recording from end to end, in blocks of `length` samples, the remainder included.

    An item spans its block and the context on both sides, with zeros beyond the ends of the recording. For
    a net with context (receptive_field − 1 − lookahead, lookahead) its output is exactly the block.

    Args:
        recordings: recordings of one sample rate and number of channels
        length: samples of a block
        context: samples before and after the block
        minimum: a remainder of fewer samples is joined to the block before it
        preload: keep all audio in memory (8 bytes for each sample of a pair)

    The key may also be a list of blocks of one length: they come as one batch.
    """

    def __init__(
        self,
        recordings: Sequence[Recording],
        length: int,
        context: tuple[int, int] = (0, 0),
        minimum: int = 0,
        preload: bool = False,
    ) -> None:
        self.context = context
        self._source = _Source(recordings, preload)
        self.blocks: list[Block] = []
        self._numbers: list[int] = []  # each block's recording, by position
        for position, recording in enumerate(recordings):
            starts = list(range(0, recording.frames, length))
            if len(starts) > 1 and recording.frames - starts[-1] < minimum:
                starts.pop()
            ends = [*starts[1:], recording.frames]
            for number, (start, end) in enumerate(zip(starts, ends, strict=True)):
                self.blocks.append(Block(recording, number, start, end - start))
                self._numbers.append(position)

    def __len__(self) -> int:
        return len(self.blocks)

    def __getitem__(self, key: int | list[int]) -> Segment:
        if isinstance(key, list):
            return Segment(*map(torch.stack, zip(*(self[index] for index in key), strict=True)))
        block, (left, right) = self.blocks[key], self.context
        return self._source.read(self._numbers[key], block.start - left, block.start + block.frames + right)

    def batches(self, size: int) -> list[list[int]]:
        """Keys of all blocks in order, together as long as they are of equal length, `size` at most."""
        keys: list[list[int]] = []
        for index, block in enumerate(self.blocks):
            if keys and len(keys[-1]) < size and self.blocks[keys[-1][0]].frames == block.frames:
                keys[-1].append(index)
            else:
                keys.append([index])
        return keys


class _Source:
    """The audio of recordings, from their files or from memory."""

    def __init__(self, recordings: Sequence[Recording], preload: bool) -> None:
        self.recordings = list(recordings)
        self._audio = [(audio.read(r.input), audio.read(r.target)) for r in recordings] if preload else None

    def read(self, number: int, start: int, stop: int) -> Segment:
        """Samples start … stop − 1; those outside the recording are zero."""
        recording = self.recordings[number]
        inside = slice(max(start, 0), min(stop, recording.frames))
        if self._audio:
            sound, processed = (samples[:, inside].copy() for samples in self._audio[number])
        else:
            frames = inside.stop - inside.start
            sound = audio.read(recording.input, inside.start, frames)
            processed = audio.read(recording.target, inside.start, frames)
        if inside != slice(start, stop):
            beyond = ((0, 0), (inside.start - start, stop - inside.stop))
            sound, processed = np.pad(sound, beyond), np.pad(processed, beyond)
        controls = torch.tensor(recording.controls, dtype=torch.float32)
        return Segment(torch.from_numpy(sound), torch.from_numpy(processed), controls)
