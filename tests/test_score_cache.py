"""Scores that are kept: read as written, dropped when anything they depend on is another, never half a file."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import replace
from pathlib import Path

import pytest

from models.digest import digest, digest_files
from scripts.scoring import cache
from scripts.scoring.cache import Scored
from scripts.scoring.rows import Score

L1 = Score("standard", "L1", "29", "0__75", 0, 0, 262_144, 0.1)
L1_NEXT = Score("standard", "L1", "29", "0__75", 1, 262_144, 300_000, 1e-300)
POOLED = Score("paper2020", "ESR", "", "", 0, None, 562_144, math.inf)
KEYS = {("standard", "L1"): "k1", ("paper2020", "ESR"): "k2"}
PLACES = {
    ("standard", "L1"): [("29", "0__75", 0, 0, 262_144), ("29", "0__75", 1, 262_144, 300_000)],
    ("paper2020", "ESR"): [("", "", 0, None, 562_144)],
}
SCORED = Scored(-1.25, 0.75, {("standard", "L1"): [L1, L1_NEXT], ("paper2020", "ESR"): [POOLED]})


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file with the scores above."""
    path = tmp_path / "scores" / "best-data.json"
    cache.save(path, "subject", KEYS, SCORED)
    return path


def test_what_was_saved_is_loaded(file: Path) -> None:
    assert cache.load(file, "subject", KEYS, PLACES) == SCORED
    assert [path.name for path in file.parent.iterdir()] == ["best-data.json"]


def test_a_value_that_is_not_a_number_is_kept(file: Path) -> None:
    scores = [replace(L1, value=math.nan), L1_NEXT]
    cache.save(file, "subject", KEYS, Scored(0.0, 1.0, {("standard", "L1"): scores}))
    found, _ = cache.load(file, "subject", KEYS, PLACES).scores["standard", "L1"]
    assert math.isnan(found.value)


def test_without_a_file_nothing_is_known(tmp_path: Path) -> None:
    assert cache.load(tmp_path / "none.json", "subject", KEYS, PLACES) == Scored()


def test_another_subject_knows_nothing_and_replaces_the_file(file: Path) -> None:
    assert cache.load(file, "other", KEYS, PLACES) == Scored()
    cache.save(file, "other", KEYS, Scored(0.0, 1.0, {("paper2020", "ESR"): [POOLED]}))
    assert list(cache.load(file, "other", KEYS, PLACES).scores) == [("paper2020", "ESR")]
    assert cache.load(file, "subject", KEYS, PLACES) == Scored()


def test_of_a_metric_with_other_options_nothing_is_known_and_the_rest_stays(file: Path) -> None:
    keys = KEYS | {("standard", "L1"): "changed"}
    assert list(cache.load(file, "subject", keys, PLACES).scores) == [("paper2020", "ESR")]
    cache.save(file, "subject", keys, Scored(-1.25, 0.75, {("standard", "L1"): [L1_NEXT, L1]}))
    assert list(cache.load(file, "subject", keys, PLACES).scores) == [("paper2020", "ESR")]  # in another order
    again = Scored(-1.25, 0.75, {("standard", "L1"): [L1, replace(L1_NEXT, value=0.3)]})
    cache.save(file, "subject", keys, again)
    found = cache.load(file, "subject", keys, PLACES).scores
    assert found == again.scores | {("paper2020", "ESR"): [POOLED]}
    assert file.read_text().count('"key"') == 2  # the old one is gone


def test_a_file_damaged_anywhere_holds_nothing(file: Path) -> None:
    whole = file.read_bytes()
    for place in range(0, len(whole) - 1, 7):
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        assert cache.load(file, "subject", KEYS, PLACES) == Scored(), place
    for length in (0, 10, 64, 65, len(whole) // 2, len(whole) - 2):
        file.write_bytes(whole[:length])
        assert cache.load(file, "subject", KEYS, PLACES) == Scored(), length
    cache.save(file, "subject", KEYS, SCORED)
    assert file.read_bytes() == whole


@pytest.mark.parametrize(
    "row",
    [
        ["29", "0__75", 0, 0, 262_144],
        ["29", "0__75", 0, 0, 262_144, "0.1"],
        ["29", "0__75", 0, "", 262_144, 0.1],
        [29, "0__75", 0, 0, 262_144, 0.1],
        ["29", {}, 0, 0, 262_144, 0.1],
        ["29", "0__75", True, 0, 262_144, 0.1],
        "abcdef",
        7,
    ],
)
def test_a_whole_file_of_something_else_holds_nothing(file: Path, row: object) -> None:
    metrics = {"standard.L1": {"key": "k1", "rows": [row]}}
    text = json.dumps({"subject": "subject", "level_db": 0.0, "correlation": 1.0, "metrics": metrics})
    file.write_text(f"{hashlib.sha256(text.encode()).hexdigest()}\n{text}\n")
    assert cache.load(file, "subject", KEYS, PLACES) == Scored()


@pytest.mark.parametrize("content", [[], 3, None, {"subject": "subject"}, {"subject": "subject", "metrics": 3}])
def test_a_whole_file_of_another_shape_holds_nothing(file: Path, content: object) -> None:
    text = json.dumps(content)
    file.write_text(f"{hashlib.sha256(text.encode()).hexdigest()}\n{text}\n")
    assert cache.load(file, "subject", KEYS, PLACES) == Scored()
    cache.save(file, "subject", KEYS, SCORED)
    assert cache.load(file, "subject", KEYS, PLACES) == SCORED


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [L1],
        [L1, L1_NEXT, L1_NEXT],
        [L1_NEXT, L1],
        [L1, replace(L1_NEXT, recording="30")],
        [L1, replace(L1_NEXT, setting="1__75")],
        [L1, replace(L1_NEXT, segment=2)],
        [L1, replace(L1_NEXT, start=0)],
        [L1, replace(L1_NEXT, samples=299_999)],
    ],
)
def test_a_metric_whose_rows_are_not_those_of_the_split_counts_as_missing(file: Path, rows: list[Score]) -> None:
    cache.save(file, "subject", KEYS, Scored(-1.25, 0.75, {("standard", "L1"): rows}))
    found = cache.load(file, "subject", KEYS, PLACES)
    assert found == Scored(-1.25, 0.75, {("paper2020", "ESR"): [POOLED]})


def test_an_interrupted_write_leaves_the_old_file(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = Path.write_text

    def half(self: Path, text: str, **options: str) -> None:
        write(self, text[: len(text) // 2], **options)
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "write_text", half)
    with pytest.raises(KeyboardInterrupt):
        cache.save(file, "subject", KEYS, Scored(0.0, 1.0, {("standard", "L1"): [L1_NEXT]}))
    assert cache.load(file, "subject", KEYS, PLACES) == SCORED
    assert [path.name for path in file.parent.iterdir()] == ["best-data.json"]


def test_other_values_have_another_digest(tmp_path: Path) -> None:
    values = [(), ({},), ({"a": 1},), ({"a": 1.0},), ({"a": "1"},), ("a", "b"), ("ab",), (["a", "b"],)]
    assert len({digest(*value) for value in values}) == len(values)
    assert digest({"a": [1, 2]}) == digest({"a": [1, 2]})
    for name, text in (("a.py", "x = 1\n"), ("b.py", "x = 2\n")):
        (tmp_path / name).write_text(text)
    a, b = tmp_path / "a.py", tmp_path / "b.py"
    assert digest_files([a, b]) == digest_files([b, a])
    assert len({digest_files([a]), digest_files([b]), digest_files([a, b])}) == 3
