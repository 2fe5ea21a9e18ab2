"""What the listeners said, in Markdown."""

from __future__ import annotations

import math

import pandas as pd

from scripts.listening import pooled
from scripts.listening.answers import MODEL
from scripts.listening.pooled import ALPHA, FEWEST
from scripts.results import markdown


def summary(ratings: pd.DataFrame, choices: pd.DataFrame) -> str:
    """Both tests, as far as there are answers."""
    parts = []
    if len(ratings):
        parts.append(_mushra(ratings))
    if len(choices):
        parts.append(_abx(choices))
    return "\n\n".join(parts)


def _mushra(ratings: pd.DataFrame) -> str:
    kept, left_out = pooled.screened(ratings)
    listeners = kept["listener"].nunique()
    head = f"MUSHRA: {listeners} listeners, {kept['passage'].nunique()} passages."
    notes = [f"{name} is left out (BS.1534-3): {reason}." for name, reason in left_out.items()]
    if not listeners:
        return "\n\n".join([f"{head} Nobody is left after post-screening.", markdown.bullets(notes)])
    found = pooled.systems(kept)
    best = next((system.name for system in found if system.kind == MODEL), None)
    lines = [["system", "mean", "95 % interval", "median", "quartiles", "listeners"]]
    uncompared = []
    for system in found:
        mark = ""
        if system.name == best:
            mark = " *"
        elif system.kind == MODEL and not math.isnan(system.p):
            mark = "" if system.p < ALPHA else " ≈"
        elif system.kind == MODEL and listeners >= FEWEST:
            mark = " ?"
            uncompared.append(system.name)
        lower, median, upper = system.quartiles
        interval = (
            "–"
            if math.isnan(system.half)
            else f"{max(0.0, system.mean - system.half):.1f} to {min(100.0, system.mean + system.half):.1f}"
        )
        lines.append(
            [
                markdown.escaped(system.name) + mark,
                f"{system.mean:.1f}",
                interval,
                f"{median:.0f}",
                f"{lower:.0f} to {upper:.0f}",
                str(system.listeners),
            ]
        )
    legend = "*: the best model. "
    if listeners < FEWEST:
        legend += f"Models cannot be compared: that takes {FEWEST} listeners."
    else:
        legend += "≈: cannot be told from it (Wilcoxon over listeners, Holm, p ≥ 0.05)."
        if uncompared:
            legend += f" ?: not compared with it, as fewer than {FEWEST} listeners have rated both."
    return "\n\n".join([head, markdown.grid(lines), legend, *([markdown.bullets(notes)] if notes else [])])


def _abx(choices: pd.DataFrame) -> str:
    lines = [["pair", "listeners", "right", "trials", "p", "heard"]]
    for pair in pooled.pairs(choices):
        p = "< 0.001" if pair.p < 0.001 else f"{pair.p:.3f}"
        names = f"{markdown.escaped(pair.a)} and {markdown.escaped(pair.b)}"
        cells = [str(pair.listeners), str(pair.right), str(pair.trials), p, "yes" if pair.p < ALPHA else "not shown"]
        lines.append([names, *cells])
    return "\n\n".join(["ABX: p is the chance of as many right answers by guessing.", markdown.grid(lines)])
