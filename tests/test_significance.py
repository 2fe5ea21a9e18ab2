"""Intervals and tests: answers on paper, textbook formulas, and how often they are right where the truth is known."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from scripts.results import significance
from scripts.results.significance import Comparison, Interval

Array = NDArray[np.float64]


def bounds(values: Array, samples: Array | None = None, units: Array | None = None, ratio: bool = False) -> Interval:
    """The interval of values ``(runs, segments)``, each segment a recording unless said otherwise."""
    count = values.shape[1]
    samples = np.ones(count) if samples is None else samples
    found = significance.interval(
        values, samples, np.arange(count) if units is None else units.astype(np.int64), ratio=ratio
    )
    assert found is not None
    return found


def compare(models: Mapping[str, Array], ratio: bool = False, **seeds: list[str]) -> dict[frozenset[str], Comparison]:
    """All pairs; seeds are 0, 1, … unless said otherwise."""
    numbered = {name: [str(i) for i in range(len(values))] for name, values in models.items()}
    segments = next(iter(models.values())).shape[1]
    return significance.compare(models, numbered | seeds, np.ones(segments), ratio=ratio)


AB = frozenset("ab")


# The mean


def test_the_mean_weighs_segments_by_their_samples_and_runs_alike() -> None:
    values = np.array([[1.0, 5.0], [3.0, 3.0]])
    assert significance.mean(values, np.array([300.0, 100.0])) == 2.5  # ((3·1 + 5) / 4 + 3) / 2


# Intervals


def test_many_recordings_of_one_run_give_the_t_interval_of_a_textbook() -> None:
    values = np.random.default_rng(0).normal(3.0, 1.0, (1, 100))
    half = stats.t.ppf(0.975, 99) * values.std(ddof=1) / 10
    found = bounds(values)
    assert found.over == "recordings"
    assert found.low == pytest.approx(values.mean() - half, abs=0.01)
    assert found.high == pytest.approx(values.mean() + half, abs=0.01)


def test_one_recording_of_several_runs_covers_seeds_alone() -> None:
    found = bounds(np.array([[1.0], [2.0], [3.0], [4.0], [5.0]]))
    half = stats.t.ppf(0.975, 4) * math.sqrt(2.5 / 5)  # the variance of 1 … 5 is 2.5
    assert found.over == "seeds"
    assert (found.low + found.high) / 2 == pytest.approx(3.0, abs=0.05)
    assert (found.high - found.low) / 2 == pytest.approx(half, rel=0.03)


def test_runs_and_recordings_both_add_to_the_width() -> None:
    generator = np.random.default_rng(1)
    of_run, of_recording = generator.normal(0, 1, (12, 1)), generator.normal(0, 2, (1, 30))
    found = bounds(of_run + of_recording)
    error = math.sqrt(of_run.var(ddof=1) / 12 + of_recording.var(ddof=1) / 30)
    assert found.over == "seeds and recordings"
    assert (found.high - found.low) / (2 * error) == pytest.approx(2.03, abs=0.08)  # t of some 35 degrees of freedom


def test_without_several_runs_or_recordings_there_is_no_interval() -> None:
    one = significance.interval(np.array([[1.0, 2.0]]), np.ones(2), np.zeros(2, np.int64), ratio=False)
    assert one is None


def test_segments_of_a_recording_count_as_one() -> None:
    by_recording = np.array([[1.0, 2.0, 4.0]])
    cut = np.repeat(by_recording, 50, axis=1)
    whole = bounds(by_recording, samples=np.full(3, 50.0))
    assert bounds(cut, units=np.repeat(np.arange(3), 50)) == pytest.approx((*whole[:2], whole.over))


def test_a_longer_recording_weighs_more() -> None:
    values = np.arange(12.0)[None]
    even, weighted = bounds(values), bounds(values, np.where(values[0] < 6, 3.0, 1.0))
    assert sum(even[:2]) / 2 == pytest.approx(5.5, abs=0.1)
    assert sum(weighted[:2]) / 2 == pytest.approx(4.0, abs=0.4)  # (3·15 + 51) / 24


def test_an_interval_of_errors_stays_positive_and_scales_with_them() -> None:
    values = np.array([[0.1, 0.2, 0.9]])
    found, larger = bounds(values, ratio=True), bounds(1000 * values, ratio=True)
    assert 0 < found.low < 0.4 < found.high
    assert bounds(values).low < 0  # on the natural scale
    assert larger.low == pytest.approx(1000 * found.low)
    assert larger.high == pytest.approx(1000 * found.high)


def test_an_interval_is_the_same_each_time_and_ignores_the_global_generator() -> None:
    values = np.random.default_rng(2).random((3, 5))
    first = bounds(values)
    np.random.seed(5)  # noqa: NPY002 the global generator is what the test is about
    assert bounds(values) == first


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_no_number_has_no_interval(value: float) -> None:
    values = np.array([[1.0, value], [1.0, 2.0]])
    assert significance.interval(values, np.ones(2), np.arange(2), ratio=False) is None


@pytest.mark.parametrize("ratio", [False, True])
def test_equal_values_give_an_interval_of_no_width(ratio: bool) -> None:
    found = bounds(np.full((3, 4), 0.1), ratio=ratio)
    assert found.low == found.high == pytest.approx(0.1)


def coverage(runs: int, recordings: int, of_seed: float, of_recording: float, trials: int) -> float:
    """Share of intervals that hold the true mean 0; normal effects of both levels and their interaction."""
    generator = np.random.default_rng(3)
    held = 0
    for _ in range(trials):
        values = of_seed * (runs > 1) * generator.standard_normal((runs, 1))
        values = values + of_recording * generator.standard_normal((1, recordings))
        values = values + 0.05 * generator.standard_normal((runs, recordings))
        found = bounds(values)
        held += found.low <= 0 <= found.high
    return held / trials


@pytest.mark.parametrize(("runs", "recordings"), [(1, 4), (3, 4), (5, 20)])
def test_intervals_hold_the_true_mean_nearly_as_often_as_they_say(
    runs: int, recordings: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(significance, "RESAMPLES", 1000)
    significance._draws.cache_clear()
    share = coverage(runs, recordings, 0.1, 0.3, trials=400)
    significance._draws.cache_clear()
    assert 0.91 < share < 0.99  # a plain percentile bootstrap of 4 recordings: 0.81


@pytest.mark.slow
@pytest.mark.parametrize(("of_seed", "of_recording"), [(0.1, 0.3), (0.3, 0.1), (0.1, 1.0)])
@pytest.mark.parametrize(("runs", "recordings"), [(1, 4), (3, 4), (3, 20), (5, 20)])
def test_intervals_hold_the_true_mean_whatever_level_varies_most(
    runs: int, recordings: int, of_seed: float, of_recording: float
) -> None:
    share = coverage(runs, recordings, of_seed, of_recording, trials=1000)
    assert 0.90 < share < 0.99


# Tests of two models


def test_a_test_over_segments_is_wilcoxons_exact_one() -> None:
    a = np.arange(1.0, 9.0)[None]
    b = a + np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8])
    found = compare({"a": a, "b": b})
    assert found[AB] == Comparison(pytest.approx(2 / 2**8), "segments")


def test_one_difference_against_the_others_counts_by_its_rank() -> None:
    a = np.zeros((1, 8))
    b = np.array([[-0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8]])
    assert compare({"a": a, "b": b})[AB].p == pytest.approx(2 * 2 / 2**8)  # rank sums 0 and 1 of 2^8


def test_segments_that_speak_against_the_means_show_nothing() -> None:
    a = np.zeros((1, 10))
    b = np.full((1, 10), 0.1) * np.arange(1, 11)
    b[0, -1] = -9.0  # the mean of b is smaller, but b is larger on nine of ten
    assert compare({"a": a, "b": b})[AB].p == 1.0


def test_with_two_models_of_the_same_seeds_the_test_over_seeds_is_the_paired_t_test() -> None:
    a, b = np.array([[1.0], [2.0], [4.0]]), np.array([[1.5], [2.4], [4.7]])
    found = compare({"a": a, "b": b})
    assert found[AB].over == "seeds"
    assert found[AB].p == pytest.approx(stats.ttest_rel(a[:, 0], b[:, 0]).pvalue)


def test_with_more_models_the_error_is_the_residual_of_models_and_seeds() -> None:
    layout = np.random.default_rng(4).random((4, 3))  # models × seeds
    models = {name: row[:, None] for name, row in zip("abcd", layout, strict=True)}
    residual = layout - layout.mean(1, keepdims=True) - layout.mean(0) + layout.mean()
    error = math.sqrt(2 / 3 * (residual**2).sum() / 6)  # (4 − 1)·(3 − 1) degrees of freedom
    expected = 2 * stats.t.sf(abs(layout[0].mean() - layout[2].mean()) / error, 6)
    found = compare(models)
    assert len(found) == 6
    assert found[frozenset("ac")].p == pytest.approx(expected)


def test_seeds_are_matched_by_name_not_by_their_order() -> None:
    a, b = np.array([[1.0], [2.0], [4.0]]), np.array([[4.7], [1.5], [2.4]])
    found = compare({"a": a, "b": b}, a=["1", "2", "3"], b=["3", "1", "2"])
    assert found[AB].p == pytest.approx(stats.ttest_rel([1.0, 2.0, 4.0], [1.5, 2.4, 4.7]).pvalue)


def test_models_of_different_seeds_are_compared_by_welchs_test() -> None:
    a, b = np.array([[1.0], [2.0], [4.0]]), np.array([[5.0], [5.5], [9.0], [7.0]])
    expected = stats.ttest_ind(a[:, 0], b[:, 0], equal_var=False).pvalue
    assert compare({"a": a, "b": b})[AB].p == pytest.approx(expected)


def test_a_difference_has_to_hold_over_segments_and_over_seeds() -> None:
    generator = np.random.default_rng(5)
    segments = generator.random((1, 8))
    a = segments + np.array([[0.0], [1.0], [2.0]])
    b = a + 0.1 + np.array([[0.3], [-0.3], [0.1]])  # larger on every segment on average, but not for every seed
    found = compare({"a": a, "b": b})[AB]
    over_seeds = stats.ttest_rel(a.mean(1), b.mean(1)).pvalue
    assert found.over == "segments and seeds"
    assert found.p == pytest.approx(over_seeds)
    assert over_seeds > 0.3 > 2 / 2**8  # the latter over segments alone


def test_fewer_than_six_segments_of_one_run_cannot_be_tested() -> None:
    assert compare({"a": np.zeros((1, 5)), "b": np.ones((1, 5))}) == {}
    assert AB in compare({"a": np.zeros((1, 6)), "b": np.ones((1, 6)) * np.arange(1, 7)})


def test_identical_models_have_p_1_without_a_warning() -> None:
    values = np.random.default_rng(6).random((3, 12))
    assert compare({"a": values, "b": values.copy()})[AB] == Comparison(1.0, "segments and seeds")
    assert compare({"a": values[:1], "b": values[:1].copy()}, ratio=True)[AB] == Comparison(1.0, "segments")


def test_errors_are_compared_as_ratios() -> None:
    a = np.array([[1.0], [2.0], [4.0]])
    b = 1.5 * a
    assert compare({"a": a, "b": b}, ratio=True)[AB].p < 1e-6  # 1.5 times as large for each seed
    assert compare({"a": a, "b": b})[AB].p > 0.05


def test_a_model_without_a_number_is_left_out_of_the_comparisons() -> None:
    good = np.random.default_rng(7).random((2, 8))
    bad = np.where(np.arange(8) == 3, math.nan, good)
    found = compare({"a": good, "b": good + 1, "c": bad})
    assert set(found) == {AB}


# Correction for the number of comparisons


def test_holms_correction_multiplies_by_what_is_left_and_never_falls() -> None:
    corrected = significance.holm({"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.005})
    assert corrected == pytest.approx({"d": 0.02, "a": 0.03, "c": 0.06, "b": 0.06})  # ·4, ·3, ·2, and 0.04 after 0.06
    assert significance.holm({"a": 0.7, "b": 0.8}) == {"a": 1.0, "b": 1.0}
    assert significance.holm({}) == {}


def false_marks(runs: int, segments: int, of_seed: float, trials: int) -> float:
    """How often one of six equal models is called worse than the best of them."""
    generator = np.random.default_rng(8)
    wrong = 0
    for _ in range(trials):
        common = generator.standard_normal((1, 1, segments)) + 0.1 * generator.standard_normal((1, runs, 1))
        own = of_seed * generator.standard_normal((6, runs, 1)) + 0.1 * generator.standard_normal((6, runs, segments))
        models = dict(zip("abcdef", np.exp(common + own), strict=True))
        p = significance.holm({pair: found.p for pair, found in compare(models, ratio=True).items()})
        best = min(models, key=lambda name: significance.mean(models[name], np.ones(segments)))
        wrong += any(best in pair and p[pair] <= 0.05 for pair in p)
    return wrong / trials


def test_equal_models_are_seldom_called_different() -> None:
    assert false_marks(runs=3, segments=12, of_seed=0.05, trials=50) <= 0.08


@pytest.mark.slow
@pytest.mark.parametrize(
    ("runs", "segments", "of_seed"), [(1, 12, 0.0), (1, 100, 0.0), (3, 1, 0.05), (3, 12, 0.05), (5, 12, 0.1)]
)
def test_equal_models_are_called_different_in_less_than_one_column_of_twenty(
    runs: int, segments: int, of_seed: float
) -> None:
    assert false_marks(runs, segments, of_seed, trials=300) <= 0.08  # 0.05 and more than two standard errors


def test_differences_that_are_there_are_found() -> None:
    generator = np.random.default_rng(9)
    common = generator.standard_normal((1, 1, 12)) + 0.1 * generator.standard_normal((1, 3, 1))
    noise = 0.05 * generator.standard_normal((3, 3, 1)) + 0.1 * generator.standard_normal((3, 3, 12))
    worse = np.array([0.0, 0.4, 0.7])[:, None, None]
    models = dict(zip("abc", np.exp(common + noise + worse), strict=True))
    p = significance.holm({pair: found.p for pair, found in compare(models, ratio=True).items()})
    assert all(p[frozenset(pair)] < 0.01 for pair in itertools.combinations("abc", 2))
