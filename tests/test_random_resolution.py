"""Draws of random resolutions: in bounds, governed by a seed, resumed from a state, and fit for the signal."""

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from auraloss.freq import MultiResolutionSTFTLoss, RandomResolutionSTFTLoss, STFTLoss
from tests.loss_calls import noise


def resolutions(loss: MultiResolutionSTFTLoss) -> list[tuple[Any, ...]]:
    return list(zip(loss.fft_sizes, loss.hop_sizes, loss.win_lengths, loss.window, strict=True))


def pair(samples: int) -> tuple[torch.Tensor, torch.Tensor]:
    return noise(1, 1, samples), noise(1, 1, samples, seed=1)


def test_draws_stay_in_bounds_and_reach_them() -> None:
    drawn = resolutions(RandomResolutionSTFTLoss(resolutions=400, seed=0).draw(1))
    sizes, hops, windows, names = zip(*drawn, strict=True)
    assert set(sizes) == {2**n for n in range(4, 16)}
    assert set(names) == {f"{name}_window" for name in ("hann", "bartlett", "blackman", "hamming", "kaiser")}
    assert {size // window for size, window in zip(sizes, windows, strict=True)} == {1, 2, 4}
    assert all(1 <= hop <= window for hop, window in zip(hops, windows, strict=True))
    fractions = [hop / window for hop, window in zip(hops, windows, strict=True) if window > 1000]
    assert 0.09 < min(fractions) < 0.15
    assert 0.95 < max(fractions) <= 1


def test_draws_are_governed_by_torchs_seed_or_their_own() -> None:
    signals = pair(4000)

    def three(**keywords: Any) -> list[float]:
        loss = RandomResolutionSTFTLoss(**keywords)
        return [loss(*signals).item() for _ in range(3)]

    torch.manual_seed(5)
    np.random.seed(1)  # noqa: NPY002  must have no effect
    first = three()
    torch.manual_seed(5)
    assert three() == first
    assert len(set(first)) == 3
    assert three() != first
    assert three(seed=3) == three(seed=3) != first
    torch.manual_seed(5)
    before = torch.get_rng_state()
    three(seed=3)
    assert torch.equal(torch.get_rng_state(), before)


def test_ranks_that_are_seeded_alike_draw_alike_whatever_their_data() -> None:
    """On the same signals, after others and after other random numbers."""
    ranks = []
    for rank in range(2):
        torch.manual_seed(5)
        loss = RandomResolutionSTFTLoss()
        torch.manual_seed(100 + rank)
        for call in range(3):
            torch.rand(1 + rank)
            loss(noise(1, 1, 4000, seed=10 * rank + call), noise(1, 1, 4000, seed=50 + call))
        ranks.append([loss(*pair(4000)).item() for _ in range(3)])
    assert ranks[0] == ranks[1]


@pytest.mark.parametrize("rate", [1, 3])
@pytest.mark.parametrize("calls", [0, 1, 2, 3, 4])
def test_a_restored_loss_continues_its_draws(rate: int, calls: int, tmp_path: Path) -> None:
    signals = pair(400)
    loss = RandomResolutionSTFTLoss(2, 16, 256, randomize_rate=rate)
    for _ in range(calls):
        loss(*signals)
    torch.save(loss.state_dict(), tmp_path / "state.pt")
    restored = RandomResolutionSTFTLoss(2, 16, 256, randomize_rate=rate)
    restored.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    copied = copy.deepcopy(loss)
    following = [loss(*signals) for _ in range(4)]
    assert [restored(*signals) for _ in range(4)] == following
    assert [copied(*signals) for _ in range(4)] == following


def test_a_draw_is_kept_for_as_many_calls_as_asked() -> None:
    signals = pair(4000)
    loss = RandomResolutionSTFTLoss(randomize_rate=2, seed=0)
    a, b, c, d, e = (loss(*signals).item() for _ in range(5))
    assert a == b != c == d != e


def test_a_frozen_draw_is_the_same_for_the_same_seed() -> None:
    one, other = RandomResolutionSTFTLoss(), RandomResolutionSTFTLoss()
    signals = pair(18_446)
    frozen = one.draw(7)
    assert resolutions(frozen) == resolutions(other.draw(7)) != resolutions(other.draw(8))
    assert frozen(*signals) == frozen(*signals)
    one(*signals)
    assert resolutions(one.draw(7)) == resolutions(frozen)


def test_draws_fit_short_signals() -> None:
    loss = RandomResolutionSTFTLoss(resolutions=50, seed=0)
    assert max(loss.draw(0, samples=1025).fft_sizes) == 2048
    assert max(loss.draw(0, samples=1024).fft_sizes) == 1024
    assert loss(*pair(100)).isfinite()
    with pytest.raises(ValueError, match="8 samples, got 8"):
        loss(*pair(8))


def test_random_resolutions_take_every_option() -> None:
    options: dict[str, Any] = {"eps": 1e-3, "mag_distance": "L2", "scale_invariance": True}
    loss = RandomResolutionSTFTLoss(w_lin_mag=0.5, scale="mel", sample_rate=44100, n_mels=20, **options)
    for part in loss.draw(0).stft_losses:
        assert isinstance(part, STFTLoss)
        assert (part.w_lin_mag, part.scale, part.n_bins) == (0.5, "mel", 20)
        assert {name: getattr(part, name) for name in options} == options


def test_a_frozen_draw_is_reduced_and_pooled_alike() -> None:
    settings = {"output": "full", "reduction": "sum", "pool": "batch"}
    frozen = RandomResolutionSTFTLoss(**settings).draw(0)
    assert {name: getattr(frozen, name) for name in settings} == settings


def test_a_kept_draw_that_no_longer_fits_is_drawn_anew() -> None:
    loss = RandomResolutionSTFTLoss(1, 64, 4096, randomize_rate=100, seed=14)
    assert loss.draw(14, 4096).fft_sizes == (4096,)
    for samples in (4096, 300, 300):
        expected = loss.draw(14, samples)
        assert loss(*pair(samples)) == expected(*pair(samples))
    assert loss(*pair(4096)) == expected(*pair(4096))  # which fits a longer signal still


def test_a_kept_draw_counts_its_calls_from_the_first() -> None:
    loss, other = (RandomResolutionSTFTLoss(1, 64, 4096, randomize_rate=3, seed=14) for _ in range(2))
    for samples in (4096, 300, 300):
        loss(*pair(samples))
    for _ in range(3):
        other(*pair(300))
    assert [loss(*pair(4096)) for _ in range(6)] == [other(*pair(4096)) for _ in range(6)]
