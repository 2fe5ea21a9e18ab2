"""The Lightning data module: checks the recordings, and serves them to training, validation and test."""

import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import torch
from pytorch_lightning import LightningDataModule
from torch import distributed
from torch.utils.data import DataLoader
from torch.utils.data.distributed import DistributedSampler

from data.segments import ORDER, Blocks, Chunks, Segment, random_generator
from data.signaltrain import Recording, check_content

SHORTEST_RECORDING = 2048  # samples of a recording of validation or test: what the spectral metrics of fixed size need


class AudioDataModule(LightningDataModule):
    """Batches of `Segment`.

    Training crops have `segment_length` samples, of which a net returns `crop_samples`. Validation and test
    go through every recording from end to end, in blocks of `eval_length` output samples.

    Args:
        recordings: `recordings(root, sample_rate=…, channels=…)` finds the recordings of "train", "val" and "test" (and
            makes them first, if it has to)
        root: folder of the data set
        sample_rate: of the recordings, in Hz
        channels: of the recordings
        receptive_field: samples of input that one sample of the net's output depends on
        lookahead: how many of them lie after it
        memory: samples that the net hears besides, before each block of validation and test
        segment_length: input samples of a training crop
        eval_length: output samples of a block in validation
        eval_minimum: a remainder of fewer samples is joined to the block before it, as metrics with long
            FFTs need some length
        batch_size: crops in a training batch; the last batch of an epoch may be smaller
        eval_batch_size: blocks in a batch of validation, as far as they are of equal length
        num_workers: processes that read; 0 reads in the training process
        seed: of order, places and flips
        polarity_flip: invert half of the training crops, input and target together
        same_crops: every epoch trains on the crops of the first, in their order
        preload: keep all audio in memory
        check: look for NaN and infinity in all files first

    Raises:
        ValueError: if the crops are too short for the net, or all training recordings too short for a crop.
    """

    def __init__(
        self,
        recordings: Callable[..., dict[str, list[Recording]]],
        root: str | Path,
        sample_rate: int = 44_100,
        channels: int = 1,
        receptive_field: int = 1,
        lookahead: int = 0,
        memory: int = 0,
        segment_length: int = 32_768,
        eval_length: int = 262_144,
        eval_minimum: int = 65_536,
        batch_size: int = 128,
        eval_batch_size: int = 1,
        num_workers: int = 0,
        seed: int = 0,
        polarity_flip: bool = True,
        same_crops: bool = False,
        preload: bool = False,
        check: bool = True,
    ) -> None:
        super().__init__()
        if segment_length < receptive_field:
            raise ValueError(
                f"A training crop of {segment_length} samples is shorter than the net's receptive field of "
                f"{receptive_field} samples. Pass data.segment_length={2 * receptive_field} or so."
            )
        self.recordings = partial(recordings, root, sample_rate=sample_rate, channels=channels)
        self.context = (receptive_field - 1 - lookahead + memory, lookahead)
        self.crop_samples = segment_length - receptive_field + 1
        self.segment_length = segment_length
        self.eval_length = eval_length
        self.eval_minimum = eval_minimum
        self.batch_size = batch_size
        self.eval_batch_size = eval_batch_size
        self.num_workers = num_workers
        self.seed = seed
        self.polarity_flip = polarity_flip
        self.same_crops = same_crops
        self.preload = preload
        self.check = check
        self.found: dict[str, list[Recording]] = {}

    def prepare_data(self) -> None:
        """Find and check the recordings, once; Lightning calls this in one process only."""
        if self.found:
            return
        self.found = self.recordings()
        if self.check:
            check_content(self.found)

    def setup(self, stage: str | None = None) -> None:
        """Make the data sets of a stage, "fit" or "validate", or of both; evaluate.py reads the test split itself."""
        self.found = self.found or self.recordings()
        if stage in ("fit", None):
            longest = max(self.found["train"], key=lambda recording: recording.frames)
            if longest.frames < self.segment_length:
                raise ValueError(
                    f"No training recording is as long as a crop of {self.segment_length} samples: the "
                    f"longest, {longest.input}, has {longest.frames}. Bring longer recordings, or pass "
                    f"data.segment_length={longest.frames} or less."
                )
            unused = [recording for recording in self.found["train"] if recording.frames < self.segment_length]
            if unused:
                minutes = sum(recording.seconds for recording in unused) / 60
                warnings.warn(
                    f"{len(unused)} of {len(self.found['train'])} training recordings ({minutes:.1f} min) are shorter "
                    f"than a crop of {self.segment_length} samples and are not used, the first is {unused[0].input}. "
                    f"Pass a smaller data.segment_length, or join them.",
                    stacklevel=2,
                )
            self.train_set = Chunks(
                self.found["train"], self.segment_length, self.seed, self.polarity_flip, self.preload
            )
        if stage in ("fit", "validate", None):
            self.val_set = self._blocks("val")

    def train_dataloader(self) -> DataLoader[Segment]:
        return DataLoader(
            self.train_set,
            batch_size=self.batch_size,
            collate_fn=_as_it_is,  # type: ignore[arg-type]  # the chunks come as a batch
            sampler=EpochSampler(self.train_set, self.seed, self.same_crops),
            num_workers=self.num_workers,
            persistent_workers=self.num_workers > 0,
            pin_memory=torch.cuda.is_available(),
        )

    def val_dataloader(self) -> DataLoader[Segment]:
        return self._block_loader(self.val_set)

    def _blocks(self, split: str) -> Blocks:
        shortest = min(self.found[split], key=lambda recording: recording.frames)
        if shortest.frames < SHORTEST_RECORDING:
            raise ValueError(
                f"{shortest.input} has {shortest.frames} samples, too few for the metrics, which need "
                f"{SHORTEST_RECORDING}. Remove the pair from {split}, or join it with another."
            )
        return Blocks(self.found[split], self.eval_length, self.context, self.eval_minimum, self.preload)

    def _block_loader(self, blocks: Blocks) -> DataLoader[Segment]:
        return DataLoader(
            blocks,
            batch_size=None,  # the sampler gives whole batches
            sampler=BlockSampler(blocks, self.eval_batch_size),
            num_workers=self.num_workers,
            persistent_workers=self.num_workers > 0,
            pin_memory=torch.cuda.is_available(),
        )


def _as_it_is(batch: Segment) -> Segment:
    return batch


# Lightning leaves a DistributedSampler alone, in training on several devices too, and tells it the epoch
# (also when a run is continued). Other samplers it would wrap, and shuffle its way.


class EpochSampler(DistributedSampler):
    """Keys (epoch, index) of all items in an order that depends on seed and epoch only.

    Each of several devices gets its share. If there is no equal share for all, some items are given twice.

    Args:
        dataset: the items.
        seed: of the order.
        same: give the keys of the first epoch in every epoch.
    """

    def __init__(self, dataset: Chunks, seed: int, same: bool = False) -> None:
        super().__init__(dataset, *_device(), seed=seed)
        self._items = len(dataset)
        self._same = same

    def __iter__(self) -> Iterator[tuple[int, int]]:
        epoch = 0 if self._same else self.epoch
        order = random_generator(ORDER, self.seed, epoch).permutation(self._items)
        mine = np.resize(order, self.total_size)[self.rank :: self.num_replicas]
        return ((epoch, int(index)) for index in mine)


class BlockSampler(DistributedSampler):
    """Batches of blocks in order. On one device every block comes exactly once.

    On several devices some batches may be given twice, as all devices must make the same number of steps.
    """

    def __init__(self, blocks: Blocks, batch_size: int) -> None:
        self._batches = blocks.batches(batch_size)
        super().__init__(self._batches, *_device(), shuffle=False)  # type: ignore[arg-type]

    def __iter__(self) -> Iterator[list[int]]:
        return (self._batches[index] for index in super().__iter__())


def _device() -> tuple[int, int]:
    """The number of devices, and which of them this process drives."""
    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_world_size(), distributed.get_rank()
    return 1, 0
