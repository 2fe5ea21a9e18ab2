"""Segments of recordings: crops for training, blocks for validation and test."""

from collections import Counter, defaultdict

import numpy as np
import pytest
import torch

from data import audio
from data.segments import Blocks, Chunks
from data.signaltrain import Recording


def make(tmp_path, *lengths, channels=1) -> list[Recording]:
    """Recordings in which a sample is its index + 1 + 10,000 · the recording's number, the target ½ more."""
    made = []
    for number, frames in enumerate(lengths):
        samples = np.arange(1, frames + 1) + 10_000 * number + 100_000 * np.arange(channels)[:, None]
        paths = tmp_path / f"input_{number}_.wav", tmp_path / f"target_{number}_box__1__30.wav"
        audio.write(paths[0], samples, 44_100)
        audio.write(paths[1], samples + 0.5, 44_100)
        made.append(Recording(str(number), "train", *paths, frames, 44_100, channels, (1.0, 0.3), "1__30"))
    return made


LENGTHS = (1000, 250, 99, 300)  # 10, 2, 0 and 3 chunks of 100; 0, 50, 99 and 0 samples remain


@pytest.fixture(params=[False, True], ids=["from files", "preloaded"])
def preload(request):
    return request.param


# -- chunks ----------------------------------------------------------------------------------------------


def test_every_chunk_once_and_no_sample_twice(tmp_path, preload):
    chunks = Chunks(make(tmp_path, *LENGTHS), 100, polarity_flip=False, preload=preload)
    assert len(chunks) == 10 + 2 + 0 + 3
    for epoch in range(3):
        seen = np.concatenate([chunks[epoch, index].input.numpy()[0] for index in range(len(chunks))])
        assert len(np.unique(seen)) == 1500
        assert Counter(seen.astype(int) // 10_000) == {0: 1000, 1: 200, 3: 300}


def test_chunks_are_whole_and_target_belongs_to_input(tmp_path, preload):
    recordings = make(tmp_path, *LENGTHS, channels=2)
    chunks = Chunks(recordings, 100, polarity_flip=False, preload=preload)
    for index in range(len(chunks)):
        recording, start = chunks.place(5, index)
        sound, target, controls = chunks[5, index]
        number = int(recording.id)
        first = start + 1 + 10_000 * number
        expected = torch.arange(first, first + 100.0) + torch.tensor([[0.0], [100_000.0]])
        torch.testing.assert_close(sound, expected, rtol=0, atol=0)
        torch.testing.assert_close(target, expected + 0.5, rtol=0, atol=0)
        torch.testing.assert_close(controls, torch.tensor([1.0, 0.3]))


def test_the_remainder_is_used_over_the_epochs(tmp_path):
    chunks = Chunks(make(tmp_path, 250), 100)
    starts = {chunks.place(epoch, 0)[1] for epoch in range(1000)}
    assert starts == set(range(51))  # 0 … 50, both included
    assert all(chunks.place(epoch, 1)[1] == chunks.place(epoch, 0)[1] + 100 for epoch in range(100))


def test_recordings_are_shifted_independently(tmp_path):
    chunks = Chunks(make(tmp_path, 199, 199), 100)
    shifts = np.array([[chunks.place(epoch, index)[1] for index in (0, 1)] for epoch in range(1000)])
    assert abs(np.corrcoef(shifts.T)[0, 1]) < 0.13  # four standard deviations of 1000 independent pairs


def test_half_of_the_chunks_are_flipped_input_and_target_together(tmp_path, preload):
    recordings = make(tmp_path, 3000)
    chunks = Chunks(recordings, 10, seed=4, preload=preload)
    plain = Chunks(recordings, 10, seed=4, preload=preload, polarity_flip=False)
    flipped = 0
    for index in range(300):
        sound, target, _ = chunks[2, index]
        sign = torch.sign(sound[0, 0])
        flipped += int(sign < 0)
        sound_of_plain, target_of_plain, _ = plain[2, index]
        assert torch.equal(sign * sound, sound_of_plain)
        assert torch.equal(sign * target, target_of_plain)
    assert abs(flipped - 150) < 35  # four standard deviations of 300 throws of a coin
    again = chunks[2, 17]  # a flip leaves what is kept in memory as it was
    torch.testing.assert_close(again.input, chunks[2, 17].input, rtol=0, atol=0)


def flips_and_starts(chunks, epoch):
    flips = tuple(bool(chunks[epoch, index].input[0, 0] < 0) for index in range(len(chunks)))
    return flips, tuple(chunks.place(epoch, index)[1] for index in range(len(chunks)))


def test_places_and_flips_depend_on_seed_and_epoch_only(tmp_path):
    recordings = make(tmp_path, 1099, 599, 499)
    first = flips_and_starts(Chunks(recordings, 100, seed=1), 0)
    np.random.seed(7)  # noqa: NPY002 (the global generators have no say, and are left alone)
    torch.manual_seed(7)
    expected = np.random.RandomState(7).random(), torch.rand((), generator=torch.Generator().manual_seed(7))
    assert flips_and_starts(Chunks(recordings, 100, seed=1), 0) == first
    assert (np.random.random(), torch.rand(())) == expected  # noqa: NPY002
    for other in (
        flips_and_starts(Chunks(recordings, 100, seed=1), 1),
        flips_and_starts(Chunks(recordings, 100), 0),
    ):
        assert other[0] != first[0]
        assert other[1] != first[1]


def test_places_and_flips_are_those_of_every_earlier_training(tmp_path):
    """Runs are continued across versions: what is drawn for (seed, epoch, index) is part of the format."""
    chunks = Chunks(make(tmp_path, 1099, 250), 100, seed=9)
    for epoch in (3, 0, 3):
        for index in range(12):
            number = int(index >= 10)
            shift = np.random.default_rng([2, 9, epoch, number]).integers((99, 50)[number] + 1)
            assert chunks.place(epoch, index)[1] == shift + 100 * (index - 10 * number)
            flipped = np.random.default_rng([3, 9, epoch, index]).random() < 0.5
            assert bool(chunks[epoch, index].input[0, 0] < 0) == flipped


@pytest.mark.parametrize("channels", [1, 2])
def test_a_batch_holds_the_chunks_in_the_order_of_their_keys(tmp_path, preload, channels):
    chunks = Chunks(make(tmp_path, *LENGTHS, channels=channels), 100, preload=preload)
    keys = [(1, 14), (0, 3), (1, 0), (1, 11)]
    batch = chunks.__getitems__(keys)
    assert batch.input.shape == batch.target.shape == (4, channels, 100)
    for item, key in enumerate(keys):
        for together, alone in zip(batch, chunks[key], strict=True):
            torch.testing.assert_close(together[item], alone, rtol=0, atol=0)


def test_no_chunk_beyond_the_last(tmp_path):
    chunks = Chunks(make(tmp_path, *LENGTHS), 100)
    for index in (-1, 15):
        with pytest.raises(IndexError, match=f"{index} of 15"):
            chunks[0, index]


# -- blocks ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("minimum", [0, 40, 51, 10_000])
def test_blocks_tile_every_recording(tmp_path, preload, minimum):
    recordings = make(tmp_path, *LENGTHS)
    blocks = Blocks(recordings, 100, minimum=minimum, preload=preload)
    heard = defaultdict(list)
    for index, block in enumerate(blocks.blocks):
        sound, target, controls = blocks[index]
        assert sound.shape == target.shape == (1, block.frames)
        assert sound[0, 0] == block.start + 1 + 10_000 * int(block.recording.id)
        assert block.number == len(heard[block.recording.id])
        torch.testing.assert_close(controls, torch.tensor([1.0, 0.3]))
        heard[block.recording.id].append((sound, target))
    for recording in recordings:
        sound, target = (torch.cat(parts, -1).numpy() for parts in zip(*heard[recording.id], strict=True))
        np.testing.assert_array_equal(sound, audio.read(recording.input))
        np.testing.assert_array_equal(target, audio.read(recording.target))


def test_short_remainders_join_the_block_before(tmp_path):
    recordings = make(tmp_path, *LENGTHS)

    def frames(minimum):
        return [block.frames for block in Blocks(recordings, 100, minimum=minimum).blocks]

    assert frames(0) == frames(50) == [100] * 10 + [100, 100, 50] + [99] + [100] * 3
    assert frames(51) == frames(100) == [100] * 10 + [100, 150] + [99] + [100] * 3


def test_beyond_the_ends_of_a_recording_is_silence(tmp_path, preload):
    (recording,) = recordings = make(tmp_path, 250)
    blocks = Blocks(recordings, 100, context=(120, 30), preload=preload)
    whole = np.pad(audio.read(recording.input), ((0, 0), (120, 30)))
    target = np.pad(audio.read(recording.target), ((0, 0), (120, 30)))
    for index, (start, length) in enumerate([(0, 250), (100, 250), (200, 200)]):  # in the padded recording
        np.testing.assert_array_equal(blocks[index].input, whole[:, start : start + length])
        np.testing.assert_array_equal(blocks[index].target, target[:, start : start + length])


class DelayNet:
    """A net of known receptive field that does nothing: its kernel is 1 at the place of the output sample."""

    def __init__(self, receptive_field: int, lookahead: int) -> None:
        self.receptive_field, self.lookahead = receptive_field, lookahead
        self.kernel = torch.zeros(1, 1, receptive_field)
        self.kernel[..., receptive_field - 1 - lookahead] = 1

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.conv1d(x, self.kernel)


@pytest.mark.parametrize(("receptive_field", "lookahead"), [(1, 0), (31, 0), (31, 15), (31, 30), (400, 7)])
def test_a_net_returns_exactly_the_block(tmp_path, receptive_field, lookahead):
    net = DelayNet(receptive_field, lookahead)
    recordings = make(tmp_path, *LENGTHS)
    context = (receptive_field - 1 - lookahead, lookahead)
    blocks = Blocks(recordings, 100, context, minimum=60)
    for index, block in enumerate(blocks.blocks):
        sound, target, _ = blocks[index]
        output = net(sound[None])[0]
        first = receptive_field - 1 - lookahead
        cropped = target[..., first : first + output.shape[-1]]
        part = slice(block.start, block.start + block.frames)
        np.testing.assert_array_equal(output, audio.read(block.recording.input)[:, part])
        np.testing.assert_array_equal(cropped, audio.read(block.recording.target)[:, part])


def test_the_target_of_a_crop_lies_beside_the_output(tmp_path):
    net = DelayNet(31, 12)
    chunks = Chunks(make(tmp_path, 1099), 100)
    for index in range(len(chunks)):
        sound, target, _ = chunks[0, index]
        output = net(sound[None])[0]
        cropped = target[..., 31 - 1 - 12 :][..., : output.shape[-1]]
        torch.testing.assert_close((cropped - output).abs(), torch.full_like(output, 0.5), rtol=0, atol=0)


def test_batches_hold_blocks_of_one_length_in_order(tmp_path):
    blocks = Blocks(make(tmp_path, *LENGTHS), 100, context=(5, 5))
    batches = blocks.batches(4)
    assert batches == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11], [12], [13], [14, 15, 16]]
    batch = blocks[batches[2]]
    assert batch.input.shape == batch.target.shape == (4, 1, 110)
    assert batch.controls.shape == (4, 2)
    torch.testing.assert_close(batch.target[3], blocks[11].target, rtol=0, atol=0)
    assert blocks.batches(1) == [[index] for index in range(17)]
