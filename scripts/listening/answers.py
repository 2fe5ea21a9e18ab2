"""The answers of listeners, as the report's page saves them and as webMUSHRA does.

A file of the page (``mushra.csv``, ``abx.csv``) is of one listener, who is called by the name of the file. A file of
webMUSHRA holds many, whom it tells apart by ``session_uuid``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import pandas as pd

REFERENCE, ANCHOR, MODEL = "target", "anchor", "model"
RATING_COLUMNS = ("passage", "trial", "system", "kind", "rating")
CHOICE_COLUMNS = ("passage", "A", "B", "X", "answer", "correct")
WEBMUSHRA_COLUMNS = ("session_uuid", "trial_id", "rating_stimulus", "rating_score")
HIDDEN = {"hidden reference": REFERENCE, "hidden anchor": ANCHOR, "reference": REFERENCE, "anchor35": ANCHOR}


def read(files: Iterable[Path]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """All ratings (MUSHRA) and all choices (ABX).

    Returns:
        ratings with the columns listener, passage, system, kind (`REFERENCE`, `ANCHOR` or `MODEL`) and rating (0 …
        100); choices with listener, passage, A, B and correct (0 or 1). Either may be empty.

    Raises:
        ValueError: for a file that is none of these, a value out of range, or a listener who stands in two files.
    """
    ratings: list[pd.DataFrame] = []
    choices: list[pd.DataFrame] = []
    seen: dict[str, Path] = {}
    for file in files:
        table = _table(file)
        if set(WEBMUSHRA_COLUMNS) <= set(table):
            found, into = _of_webmushra(table, file), ratings
        elif set(RATING_COLUMNS) <= set(table):
            found, into = _of_page(table, file, RATING_COLUMNS), ratings
        elif set(CHOICE_COLUMNS) <= set(table):
            found, into = _of_page(table, file, CHOICE_COLUMNS), choices
        else:
            raise ValueError(
                f"{file} has the columns {', '.join(map(str, table.columns))}: neither those that the report saves nor "
                "those of webMUSHRA's mushra.csv"
            )
        for listener in found["listener"].unique():
            if (earlier := seen.setdefault(f"{into is ratings} {listener}", file)) != file:
                raise ValueError(f"{file} and {earlier} are both of {listener}: rename one, or leave it out")
        into.append(found)
    return _joined(ratings, _checked_ratings), _joined(choices, _checked_choices)


def _table(file: Path) -> pd.DataFrame:
    try:
        table = pd.read_csv(file, dtype=str, keep_default_na=False, encoding="utf-8")
    except (OSError, ValueError) as error:  # not there; not a table, or not UTF-8
        raise ValueError(f"{file} cannot be read: {str(error).strip()}") from error
    if table.empty:
        raise ValueError(f"{file} holds no answers")
    return table


def _of_page(table: pd.DataFrame, file: Path, columns: Sequence[str]) -> pd.DataFrame:
    return table[list(columns)].assign(listener=file.stem, file=str(file), line=table.index + 2)


def _of_webmushra(table: pd.DataFrame, file: Path) -> pd.DataFrame:
    stimulus = table["rating_stimulus"]
    kind = stimulus.map(HIDDEN).fillna(MODEL)
    names = {REFERENCE: "hidden reference", ANCHOR: "hidden anchor"}
    return pd.DataFrame(
        {
            "listener": table["session_uuid"],
            "passage": table["trial_id"],
            "trial": table["trial_id"],
            "system": kind.map(names).fillna(stimulus),
            "kind": kind,
            "rating": table["rating_score"],
            "file": str(file),
            "line": table.index + 2,
        }
    )


def _joined(parts: list[pd.DataFrame], checked: Callable[[pd.DataFrame], pd.DataFrame]) -> pd.DataFrame:
    if not parts:
        return pd.DataFrame()
    return checked(pd.concat(parts, ignore_index=True))


def _checked_ratings(table: pd.DataFrame) -> pd.DataFrame:
    rating = pd.to_numeric(table["rating"], errors="coerce")
    _refuse(table, ~rating.between(0, 100), "rating", "a number from 0 to 100")
    _refuse(table, ~table["kind"].isin([REFERENCE, ANCHOR, MODEL]), "kind", f"{REFERENCE}, {ANCHOR} or {MODEL}")
    twice = table.duplicated(["listener", "passage", "system"])
    _refuse(table, twice, "system", "rated once by a listener in a passage")
    return table.assign(rating=rating)


def _checked_choices(table: pd.DataFrame) -> pd.DataFrame:
    _refuse(table, ~table["correct"].isin(["0", "1"]), "correct", "0 or 1")
    said = (table["answer"] == table["X"]).astype(int).astype(str)
    _refuse(table, said != table["correct"], "correct", "what answer and X say")
    return table.assign(correct=table["correct"].astype(int))


def _refuse(table: pd.DataFrame, wrong: pd.Series, column: str, needed: str) -> None:
    if wrong.any():
        row = table[wrong].iloc[0]
        raise ValueError(f"{row['file']}, line {row['line']}, {column}: {row[column]!r} is not {needed}")
