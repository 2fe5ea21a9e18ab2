"""Segments of recordings: what a net is trained and scored on.

Training reads `Chunks`, all of one length, in another order and position every epoch. Validation and test
read `Blocks`, which tile every recording from its first sample to its last. Both read files in parts, so
memory stays flat on a data set of any size.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch.utils.data import Dataset, get_worker_info

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
        self._shifts: dict[int, tuple[int, int]] = {}  # of each recording, the latest epoch and its shift

    def __len__(self) -> int:
        return int(self._ends[-1]) if len(self._ends) else 0

    def place(self, epoch: int, index: int) -> tuple[Recording, int]:
        """The recording and the first sample of a chunk."""
        number, start = self._place(epoch, index)
        return self._source.recordings[number], start

    def __getitem__(self, key: tuple[int, int]) -> Segment:
        return Segment(*(field[0] for field in self.__getitems__([key])))

    def __getitems__(self, keys: Sequence[tuple[int, int]]) -> Segment:
        """Several chunks as one batch, as a `DataLoader` asks for them; no chunk is copied on the way there."""
        places = [self._place(*key) for key in keys]
        batch = self._source.batch([number for number, _ in places], self.length)
        sound, processed = batch.input.numpy(), batch.target.numpy()
        for item, ((number, start), key) in enumerate(zip(places, keys, strict=True)):
            self._source.read(number, start, sound[item], processed[item])
            if self.polarity_flip and random_generator(FLIP, self.seed, *key).random() < 0.5:
                for signal in (sound[item], processed[item]):
                    np.negative(signal, out=signal)
        return batch

    def _place(self, epoch: int, index: int) -> tuple[int, int]:
        if not 0 <= index < len(self):
            raise IndexError(f"chunk {index} of {len(self)}")
        number = int(np.searchsorted(self._ends, index, side="right"))
        spare = self._source.recordings[number].frames % self.length
        if (known := self._shifts.get(number, (-1, 0)))[0] != epoch:
            known = epoch, int(random_generator(SHIFT, self.seed, epoch, number).integers(spare + 1))
            self._shifts[number] = known
        first = int(self._ends[number - 1]) if number else 0
        return number, known[1] + (index - first) * self.length


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
        if not isinstance(key, list):
            return Segment(*(field[0] for field in self[[key]]))
        left, right = self.context
        batch = self._source.batch([self._numbers[k] for k in key], left + self.blocks[key[0]].frames + right)
        for item, k in enumerate(key):
            start = self.blocks[k].start - left
            self._source.read(self._numbers[k], start, batch.input[item].numpy(), batch.target[item].numpy())
        return batch

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
        self._files = [(audio.Reader(r.input), audio.Reader(r.target)) for r in recordings]
        self._audio = [(audio.read(r.input), audio.read(r.target)) for r in recordings] if preload else None

    def batch(self, numbers: Sequence[int], samples: int) -> Segment:
        """Room for so many samples of each of these recordings, and their controls."""
        shape = len(numbers), self.recordings[numbers[0]].channels, samples
        controls = torch.tensor([self.recordings[number].controls for number in numbers], dtype=torch.float32)
        return Segment(_room(shape), _room(shape), controls)

    def read(self, number: int, start: int, sound: np.ndarray, processed: np.ndarray) -> None:
        """Fills both with the samples from `start` on; those outside the recording are zero."""
        stop = start + sound.shape[-1]
        first, last = max(start, 0), min(stop, self.recordings[number].frames)
        for place, out in enumerate((sound, processed)):
            out[:, : first - start] = 0
            out[:, last - start :] = 0
            inside = out[:, first - start : last - start]
            if self._audio:
                inside[:] = self._audio[number][place][:, first:last]
            else:
                self._files[number][place].into(inside, first)


def _room(shape: tuple[int, ...]) -> torch.Tensor:
    """Memory for a batch: such as a GPU can fetch by itself, or in a worker such as the training process can see."""
    if get_worker_info() is not None:
        return torch.empty(shape).share_memory_()
    return torch.empty(shape, pin_memory=torch.cuda.is_available())
