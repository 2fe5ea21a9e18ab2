"""Listening tests of many listeners: their files, post-screening, scores, and the export to webMUSHRA."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import soundfile
import yaml

from scripts.listening import __main__, answers, pooled, text, webmushra

PAGE = ["test", "time", "passage", "trial", "position", "system", "kind", "rating", "matched"]
ABX = ["test", "time", "passage", "trial", "A", "B", "X", "answer", "correct", "matched"]


def write(file: Path, columns: Sequence[str], rows: Sequence[dict[str, Any]]) -> Path:
    with file.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, columns, restval="")
        writer.writeheader()
        writer.writerows(rows)
    return file


def listener(folder: Path, name: str, ratings: dict[str, Sequence[float]]) -> Path:
    """A file of the page: of each system its ratings in passages 1, 2, …"""
    kinds = {"hidden reference": "target", "hidden anchor": "anchor"}
    rows = [
        {"passage": f"p{n}", "trial": n, "system": system, "kind": kinds.get(system, "model"), "rating": rating}
        for system, given in ratings.items()
        for n, rating in enumerate(given, 1)
    ]
    return write(folder / f"{name}.csv", PAGE, rows)


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Seven who hear that MR is better than L1 and as good as RR, and two who do not hear what they should."""
    good = [
        listener(
            tmp_path,
            f"ann{n}",
            {
                "hidden reference": [100, 95],
                "hidden anchor": [20, 10 + n],
                "MR": [80 + n, 84],
                "RR": [82 + n, 81 + (n % 2)],
                "L1": [60 - n, 50],
            },
        )
        for n in range(7)
    ]
    deaf = listener(tmp_path, "bob", {"hidden reference": [70, 100], "hidden anchor": [50, 50], "MR": [0, 0]})
    kind = listener(tmp_path, "cid", {"hidden reference": [100, 100], "hidden anchor": [95, 20], "MR": [1, 1]})
    return [*good, deaf, kind]


def test_who_does_not_hear_the_reference_or_praises_the_anchor_is_left_out(files: list[Path]) -> None:
    ratings, _ = answers.read(files)
    kept, left_out = pooled.screened(ratings)
    assert left_out == {
        "bob": "rated the hidden reference below 90 in 1 of 2 trials",
        "cid": "rated the anchor above 90 in 1 of 2 trials",
    }
    assert sorted(kept["listener"].unique()) == [f"ann{n}" for n in range(7)]


def test_fifteen_percent_are_allowed(tmp_path: Path) -> None:
    good = listener(tmp_path, "a", {"hidden reference": [80, *[100] * 6], "MR": [50] * 7})  # one of seven: 14.3 %
    bad = listener(tmp_path, "b", {"hidden reference": [80, *[100] * 5], "MR": [50] * 6})  # one of six
    assert pooled.screened(answers.read([good, bad])[0])[1].keys() == {"b"}


def test_scores_of_systems(files: list[Path]) -> None:
    ratings, _ = answers.read(files)
    found = {system.name: system for system in pooled.systems(pooled.screened(ratings)[0])}
    assert list(found) == ["hidden reference", "MR", "RR", "L1", "hidden anchor"]
    means = [(80 + n + 84) / 2 for n in range(7)]
    assert found["MR"].mean == pytest.approx(sum(means) / 7)
    deviation = math.sqrt(sum((m - found["MR"].mean) ** 2 for m in means) / 6)
    assert found["MR"].half == pytest.approx(2.4469 * deviation / math.sqrt(7), rel=1e-4)  # Student, 6 degrees
    assert found["MR"].quartiles[1] == 84
    assert found["L1"].p == pytest.approx(2 * 2 / 2**7)  # all seven agree; twice for Holm
    assert found["RR"].p > 0.05
    assert math.isnan(found["MR"].p)
    assert math.isnan(found["hidden anchor"].p)


def test_the_summary_names_best_and_equal_and_who_is_left_out(files: list[Path]) -> None:
    said = text.summary(*answers.read(files))
    assert "7 listeners, 2 passages" in said
    assert "| MR \\*" not in said
    assert "| MR * " in said
    assert "| RR ≈" in said
    assert "| L1  " in said
    assert "bob is left out (BS.1534-3)" in said
    assert "?" not in said
    assert "cannot be compared: that takes 6" in text.summary(*answers.read(files[:2]))
    assert "Nobody is left" in text.summary(*answers.read(files[-1:]))


def choices(folder: Path, name: str, right: int, trials: int, pair: tuple[str, str] = ("target", "MR")) -> Path:
    rows = [
        dict(zip(ABX[2:9], ("p", n, *pair, "A", "AB"[n >= right], int(n < right)), strict=True)) for n in range(trials)
    ]
    return write(folder / f"{name}.csv", ABX, rows)


def test_a_model_that_few_have_rated_is_marked_as_not_compared(tmp_path: Path) -> None:
    everybody = {"hidden reference": [100], "hidden anchor": [20], "MR": [84], "L1": [50]}
    files = [listener(tmp_path, f"ann{n}", everybody | ({"RR": [83]} if n < 3 else {})) for n in range(8)]
    said = text.summary(*answers.read(files))
    assert re.search(r"\| RR \? +\| +83\.0", said)
    assert "?: not compared with it, as fewer than 6 listeners have rated both." in said


def test_trials_of_a_pair_are_added_up_either_way_round(tmp_path: Path) -> None:
    files = [
        choices(tmp_path, "a", 9, 10),
        choices(tmp_path, "b", 6, 10, ("MR", "target")),
        choices(tmp_path, "c", 5, 10, ("L1", "MR")),
    ]
    ratings, found = answers.read(files)
    assert ratings.empty
    first, second = pooled.pairs(found)
    assert (first.a, first.b, first.listeners, first.right, first.trials) == ("MR", "target", 2, 15, 20)
    assert first.p == pytest.approx(sum(math.comb(20, k) for k in range(15, 21)) / 2**20)
    assert second.p == pytest.approx(0.623, abs=1e-3)
    said = text.summary(ratings, found)
    assert "| MR and target | " in said
    assert "yes" in said and "not shown" in said  # noqa: PT018


def test_what_webmushra_writes(tmp_path: Path) -> None:
    rows = [
        {"session_uuid": uuid, "trial_id": "p", "rating_stimulus": stimulus, "rating_score": score}
        for uuid, scores in {"u1": (100, 20, 70), "u2": (95, 10, 60)}.items()
        for stimulus, score in zip(("reference", "hidden anchor", "MR"), scores, strict=True)
    ]  # fmt: skip
    columns = ["session_uuid", "trial_id", "rating_stimulus", "rating_score", "rating_time"]
    ratings, _ = answers.read([write(tmp_path / "mushra.csv", columns, rows)])
    assert {system.name: system.mean for system in pooled.systems(pooled.screened(ratings)[0])} == {
        "hidden reference": 97.5,
        "hidden anchor": 15.0,
        "MR": 65.0,
    }


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rating": "101"}, r"line 2, rating: '101' is not a number from 0 to 100"),
        ({"rating": ""}, r"line 2, rating: '' is not"),
        ({"kind": "ghost"}, r"line 2, kind: 'ghost' is not target, anchor or model"),
    ],
)
def test_answers_that_cannot_be(tmp_path: Path, change: dict[str, str], message: str) -> None:
    row = {"passage": "p", "trial": 1, "system": "MR", "kind": "model", "rating": 50}
    file = write(tmp_path / "a.csv", PAGE, [row | change])
    with pytest.raises(ValueError, match=rf"a\.csv, {message}"):
        answers.read([file])


def test_files_that_cannot_be(tmp_path: Path) -> None:
    one = listener(tmp_path, "a", {"MR": [50]})
    (tmp_path / "sub").mkdir()
    same = listener(tmp_path / "sub", "a", {"MR": [60]})
    with pytest.raises(ValueError, match="are both of a: rename one"):
        answers.read([one, same])
    twice = write(tmp_path / "b.csv", PAGE, [{"passage": "p", "system": "MR", "kind": "model", "rating": 1}] * 2)
    with pytest.raises(ValueError, match=r"b\.csv, line 3, system: 'MR' is not rated once"):
        answers.read([twice])
    lie = write(tmp_path / "c.csv", ABX, [{"A": "x", "B": "y", "X": "A", "answer": "B", "correct": 1}])
    with pytest.raises(ValueError, match=r"line 2, correct: '1' is not what answer and X say"):
        answers.read([lie])
    other = write(tmp_path / "d.csv", ["x"], [{"x": 1}])
    with pytest.raises(ValueError, match=r"d\.csv has the columns x"):
        answers.read([other])
    with pytest.raises(ValueError, match=r"gone\.csv cannot be read"):
        answers.read([tmp_path / "gone.csv"])
    (tmp_path / "empty.csv").write_text("")
    with pytest.raises(ValueError, match=r"empty\.csv cannot be read"):
        answers.read([tmp_path / "empty.csv"])


def test_a_report_becomes_a_test_of_webmushra(page_file: Path, tmp_path: Path) -> None:
    file = webmushra.export(page_file, tmp_path / "web", "la2a")
    assert file == tmp_path / "web/configs/la2a.yaml"
    written = file.read_text(encoding="utf-8")
    # webMUSHRA's reader: a list in a list begins on a line of its own, and a text is one line.
    assert "\n-\n  - random\n  - type: mushra\n" in written
    line = re.compile(r" *(-|- random|(- )?\S.*:( .*)?)")
    assert [found for found in written.splitlines() if not line.fullmatch(found)] == []
    test = yaml.safe_load(written)
    kind, *trials = next(page for page in test["pages"] if isinstance(page, list))
    expected = webmushra.passages(page_file)
    assert kind == "random"
    assert len(trials) == len(expected) > 0
    for trial, (title, content) in zip(trials, expected, strict=True):
        assert trial["id"].endswith(title)
        models = [signal["label"] for signal in content["signals"] if signal["kind"] == "model"]
        assert [name for name in trial["stimuli"] if name != "hidden anchor"] == models
        for name in (trial["reference"], *trial["stimuli"].values()):
            sound = soundfile.info(tmp_path / "web" / name)
            assert (sound.samplerate, sound.subtype) == (content["sample_rate"], "PCM_16")
            assert sound.frames == pytest.approx(content["seconds"] * content["sample_rate"], abs=1)
    with pytest.raises(ValueError, match="there already"):
        webmushra.export(page_file, tmp_path / "web", "la2a")
    with pytest.raises(ValueError, match="small letters"):
        webmushra.export(page_file, tmp_path / "web", "../x")


def test_a_page_without_passages_is_refused(tmp_path: Path) -> None:
    (tmp_path / "report.html").write_text("<html></html>")
    with pytest.raises(ValueError, match="holds no passages"):
        webmushra.export(tmp_path, tmp_path / "web", "la2a")


def test_the_command(files: list[Path], page_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    __main__.main([str(file) for file in files])
    assert "| MR * " in capsys.readouterr().out
    __main__.main(["--export", str(page_file), "--out", str(tmp_path / "web")])
    assert "?config=listening.yaml" in capsys.readouterr().out
    for wrong in ([], ["x.csv", "--export", "y"], ["gone.csv"]):
        with pytest.raises(SystemExit):
            __main__.main(wrong)
    assert "gone.csv cannot be read" in capsys.readouterr().err
