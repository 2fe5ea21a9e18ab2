"""The data module: what reaches training, validation and test, whatever the number of workers and devices."""

import os
import resource
from pathlib import Path

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from torch import distributed, multiprocessing

from data import audio, datamodule
from data.datamodule import AudioDataModule, BlockSampler, EpochSampler
from data.segments import Blocks, Chunks, Segment
from data.signaltrain import recordings

pytestmark = pytest.mark.filterwarnings("ignore:1 of 3 training recordings")  # as `root` has it


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(datamodule, "SHORTEST_RECORDING", 1)  # the recordings of these tests are tiny


@pytest.fixture
def root(tmp_path) -> Path:
    """Train: 2 + 1 chunks of 1000, 0 of the third; val 3 and test 3 blocks of 1000."""
    random = np.random.default_rng(0)
    lengths = {"Train": (2900, 1000, 999), "Val": (2500,), "Test": (1000, 1700)}
    for split, frames in lengths.items():
        for number, length in enumerate(frames):
            samples = random.uniform(0.1, 0.5, length)
            audio.write(tmp_path / "set" / split / f"input_{number}_.wav", samples, 44_100)
            audio.write(tmp_path / "set" / split / f"target_{number}_box__0__{number}.wav", samples / 2, 44_100)
    return tmp_path / "set"


def module(root, **options) -> AudioDataModule:
    options = {"segment_length": 1000, "eval_length": 1000, "eval_minimum": 0, "batch_size": 2} | options
    return AudioDataModule(recordings, root, **options)


def epochs(data: AudioDataModule, count: int) -> list[list[Segment]]:
    """The batches of some epochs from one loader, told the epoch as Lightning does."""
    loader = data.train_dataloader()
    batches = []
    for epoch in range(count):
        loader.sampler.set_epoch(epoch)
        batches.append(list(loader))
    return batches


def ready(root, stage=None, **options) -> AudioDataModule:
    data = module(root, **options)
    data.prepare_data()
    data.setup(stage)
    return data


def same(first, second) -> bool:
    return len(first) == len(second) and all(
        all(torch.equal(a, b) for a, b in zip(one, other, strict=True))
        for one, other in zip(first, second, strict=True)
    )


def test_epoch_has_all_chunks_and_a_smaller_last_batch(root):
    ((first, last),) = epochs(ready(root), 1)
    assert isinstance(first, Segment)
    assert first.input.shape == first.target.shape == (2, 1, 1000)
    assert last.input.shape == (1, 1, 1000)
    sounds = torch.cat([first.input, last.input])[:, 0].abs()
    assert len(torch.unique(sounds)) > 2990  # 3000 different samples, but for chance
    controls = torch.cat([first.controls, last.controls])
    assert sorted(controls[:, 1].tolist()) == pytest.approx([0.0, 0.0, 0.01])


def test_the_same_crops_in_every_epoch(root):
    first, second = epochs(ready(root, same_crops=True), 2)
    assert same(first, second)
    assert same(first, epochs(ready(root), 1)[0])
    assert not same(first, epochs(ready(root), 2)[1])


def test_order_depends_on_seed_and_epoch(root):
    chunks = Chunks(recordings(root)["train"], 10)
    orders = {}
    for seed, epoch in ((0, 0), (0, 1), (1, 0), (1, 1)):
        sampler = EpochSampler(chunks, seed)
        sampler.set_epoch(epoch)
        keys = list(sampler)
        assert sorted(keys) == [(epoch, index) for index in range(489)]  # 290 + 100 + 99, each once
        assert keys == list(sampler)
        orders[seed, epoch] = tuple(index for _, index in keys)
    assert len(set(orders.values())) == 4


@pytest.mark.filterwarnings("ignore:This DataLoader will create 8 worker processes")  # more than cores
@pytest.mark.parametrize("workers", [2, pytest.param(8, marks=pytest.mark.slow)])
def test_workers_change_nothing(root, workers):
    options = {"segment_length": 100, "batch_size": 4, "seed": 3}
    alone = epochs(ready(root, **options), 2)
    together = epochs(ready(root, num_workers=workers, **options), 2)
    assert len(alone[0]) == 12  # 29 + 10 + 9 chunks
    for epoch in range(2):
        assert same(alone[epoch], together[epoch])
    assert not same(alone[0], alone[1])
    blocks = list(ready(root).val_dataloader())
    assert same(blocks, list(ready(root, num_workers=workers).val_dataloader()))


def test_preloading_changes_nothing(root):
    plain, kept = ready(root), ready(root, preload=True)
    assert same(epochs(plain, 1)[0], epochs(kept, 1)[0])
    assert same(list(plain.val_dataloader()), list(kept.val_dataloader()))


def test_flips_in_training_only(root):
    data = ready(root, segment_length=100)
    signs = torch.cat([torch.sign(batch.input[:, 0, 0]) for batch in epochs(data, 1)[0]])
    assert set(signs.tolist()) == {-1.0, 1.0}
    assert all(bool((batch.input > 0).all()) for batch in data.val_dataloader())
    unflipped = epochs(ready(root, segment_length=100, polarity_flip=False), 1)[0]
    assert all(bool((batch.input > 0).all()) for batch in unflipped)


@pytest.mark.parametrize("batch_size", [1, 2, 5])
def test_evaluation_goes_through_every_recording(root, batch_size):
    data = ready(root, receptive_field=51, lookahead=20, eval_batch_size=batch_size)
    batches = list(data.val_dataloader())
    assert all(batch.input.ndim == 3 and len(batch.input) <= batch_size for batch in batches)
    parts = [item[:, 30:-20] for batch in batches for item in batch.target]
    whole = [audio.read(recording.target) for recording in data.found["val"]]
    np.testing.assert_array_equal(torch.cat(parts, -1), np.concatenate(whole, -1))


def test_crop_shorter_than_the_receptive_field(root):
    with pytest.raises(ValueError, match=r"1000 samples .*receptive field of 1001 samples.*data\.segment_length="):
        module(root, receptive_field=1001)
    assert module(root, receptive_field=1000).crop_samples == 1
    assert module(root, receptive_field=701).crop_samples == 300


def test_no_recording_as_long_as_a_crop(root):
    data = module(root, segment_length=2901)
    data.prepare_data()
    with pytest.raises(ValueError, match=r"2901 samples.*Train/input_0_\.wav, has 2900.*data\.segment_length=2900"):
        data.setup("fit")


def test_nan_is_found_before_training(root):
    samples = np.zeros(2500)
    samples[7] = np.nan
    audio.write(root / "Val" / "input_0_.wav", samples, 44_100)
    with pytest.raises(ValueError, match=r"Val/input_0_\.wav: 1 samples are NaN or infinite, the first is sample 7"):
        module(root).prepare_data()
    module(root, check=False).prepare_data()


def test_unused_and_too_short_recordings_are_named(root, monkeypatch):
    with pytest.warns(UserWarning, match=r"1 of 3 training recordings .* crop of 1000 samples.*Train/input_2_\.wav"):
        module(root).setup("fit")
    monkeypatch.setattr(datamodule, "SHORTEST_RECORDING", 2500)
    module(root).setup("validate")
    monkeypatch.setattr(datamodule, "SHORTEST_RECORDING", 2501)
    with pytest.raises(ValueError, match=r"Val/input_0_\.wav has 2500 samples, too few .* need 2501"):
        module(root).setup("validate")


def test_recordings_are_not_read_before_they_are_needed(root):
    calls = []

    def find(folder, **options):
        calls.append(folder)
        return recordings(folder, **options)

    data = AudioDataModule(find, root, segment_length=1000)
    assert not calls
    data.setup()  # also without Lightning, which would call prepare_data first
    assert calls == [root]
    assert len(data.train_set) == 3


# -- with Lightning --------------------------------------------------------------------------------------


class Recorder(pl.LightningModule):
    """Trains nothing, but remembers which batches it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(()))
        self.sums: list[tuple[int, float]] = []

    def training_step(self, batch, index):
        self.sums.append((self.current_epoch, float(batch.input.double().sum())))
        return self.weight * batch.target.mean()

    def validation_step(self, batch, index):
        assert batch.input.ndim == 3

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.0)


def trainer(epochs: int, folder: Path) -> pl.Trainer:
    return pl.Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder,
        log_every_n_steps=1,
    )


@pytest.mark.filterwarnings("ignore:.*does not have many workers")
@pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning")  # Lightning's own use of torch
def test_lightning_tells_the_epoch_also_when_a_run_is_continued(root, tmp_path):
    data = module(root, segment_length=100, batch_size=16)
    whole = Recorder()
    trainer(3, tmp_path).fit(whole, data)
    expected = [
        (epoch, float(batch.input.double().sum())) for epoch, batches in enumerate(epochs(data, 3)) for batch in batches
    ]
    assert whole.sums == expected
    assert len(set(whole.sums)) == 9

    begun = trainer(1, tmp_path)
    begun.fit(Recorder(), module(root, segment_length=100, batch_size=16))
    begun.save_checkpoint(tmp_path / "last.ckpt")
    continued = Recorder()
    trainer(3, tmp_path).fit(
        continued, module(root, segment_length=100, batch_size=16), ckpt_path=tmp_path / "last.ckpt"
    )
    assert continued.sums == expected[3:]


def test_a_batch_is_moved_to_another_device_as_what_it_is(root):
    ((batch, _),) = epochs(ready(root), 1)
    moved = Recorder().transfer_batch_to_device(batch, torch.device("meta"), 0)
    assert isinstance(moved, Segment)
    assert [field.device.type for field in moved] == ["meta"] * 3
    assert [field.shape for field in moved] == [field.shape for field in batch]


# -- several devices -------------------------------------------------------------------------------------


def _keys(rank: int, size: int, root: Path, folder: Path) -> None:
    os.environ |= {"MASTER_ADDR": "127.0.0.1"}
    distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=size)
    found = recordings(root)
    sampler = EpochSampler(Chunks(found["train"], 100), seed=5)
    sampler.set_epoch(2)
    blocks = Blocks(found["train"], 1000)
    torch.save((list(sampler), list(BlockSampler(blocks, 1))), folder / f"{rank}.pt")
    distributed.destroy_process_group()


@pytest.mark.slow
def test_devices_share_an_epoch(root, tmp_path):
    multiprocessing.spawn(_keys, (2, root, tmp_path), nprocs=2)
    (train_0, eval_0), (train_1, eval_1) = (torch.load(tmp_path / f"{rank}.pt") for rank in range(2))
    alone = EpochSampler(Chunks(recordings(root)["train"], 100), seed=5)
    alone.set_epoch(2)
    assert len(train_0) == len(train_1) == 24
    assert [key for pair in zip(train_0, train_1, strict=True) for key in pair] == list(alone)
    assert eval_0 == [[0], [2], [4]]  # 3 + 1 + 1 blocks: the first is given again
    assert eval_1 == [[1], [3], [0]]


# -- memory ----------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_memory_stays_flat(tmp_path):
    samples = np.zeros(25_000_000, dtype=np.float32)  # 100 MB
    for split in ("Train", "Val", "Test"):
        for number in range(2 if split == "Train" else 1):
            audio.write(tmp_path / split / f"input_{number}_.wav", samples, 44_100)
            audio.write(tmp_path / split / f"target_{number}_box__0__5.wav", samples, 44_100)
    multiprocessing.spawn(_read_all, (tmp_path,))  # a process that has had no peak of memory before
    assert int((tmp_path / "grown").read_text()) < 50_000  # kB on Linux; 800,000 are there to read


def _read_all(_: int, root: Path) -> None:
    data = module(root, segment_length=32_768, eval_length=262_144, batch_size=8)
    data.setup()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for loader in (data.train_dataloader(), data.val_dataloader()):
        for _ in loader:
            pass
    (root / "grown").write_text(str(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before))
