"""The report's listening tests in a real Chromium: blind until the end, scored as clicked, saved as told."""

from __future__ import annotations

import csv
import html
import io
import re
from datetime import datetime

import numpy as np
import pytest
from playwright.sync_api import Page
from scipy import stats

from tests.page_context import FORMULA, HOSTILE, Open, until

# Draws from these words in turn instead of the system's generator: the first, the second, …, the first again.
DRAWS = """crypto.getRandomValues = (array) => {
  window.drawn = (window.drawn ?? -1) + 1;
  array[0] = WORDS[window.drawn % WORDS.length];
  return array;
};"""


def draws(*words: int) -> str:
    return DRAWS.replace("WORDS", str(list(words)))


def saved(page: Page, place: str) -> list[dict[str, str]]:
    """The rows of the CSV that a section's button downloads."""
    with page.expect_download() as download:
        page.click(f"{place} button:text('Save as CSV')")
    text = download.value.path().read_bytes().decode()
    assert text.endswith("\r\n")
    return list(csv.DictReader(io.StringIO(text, newline=""), strict=True))


def start_abx(page: Page, a: str = "target", b: str = "hostile", trials: int = 5) -> None:
    page.locator("#abx").scroll_into_view_if_needed()
    page.locator("#abx select.b option").nth(1).wait_for(state="attached")
    page.select_option("#abx select.a", a)
    page.select_option("#abx select.b", b)
    page.fill("#abx input[type=number]", str(trials))
    page.click("#abx button:text('Start')")
    page.wait_for_selector("#abx [data-name=X]")


def start_mushra(page: Page) -> None:
    page.locator("#mushra").scroll_into_view_if_needed()
    page.click("#mushra button:text('Start')")
    page.wait_for_selector("#mushra .rating")


def answer(page: Page, choice: str) -> None:
    """Hears X, then answers; until X was heard there is no answering."""
    assert page.locator("#abx [data-choice=A]").is_disabled()
    page.keyboard.press("x")
    until(page, "!document.querySelector('#abx [data-choice=A]').disabled")
    page.click(f"#abx [data-choice={choice}]")


def still(page: Page) -> str:
    """The markup of the whole page, less times, which run, and the audio that it embeds."""
    parts = "[document.head, ...document.body.children].filter((part) => part.type !== 'application/json')"
    around = "[document.documentElement, document.body].map((part) => part.cloneNode(false))"
    text = page.evaluate(f"[location.href, ...[...{around}, ...{parts}].map((part) => part.outerHTML)].join()")
    return re.sub(r"\d+:\d\d\.\d\d|\d+\.\d+", "", text)


def panel(page: Page, place: str) -> str:
    """The markup of a test that runs."""
    return str(page.locator(f"{place} .panel").evaluate("e => e.outerHTML"))


def test_abx_scores_what_was_clicked(visit: Open) -> None:
    page = visit(script=draws(0, 1, 1, 0, 1))  # X is A, B, B, A, B
    start_abx(page)
    for choice in "ABBBB":
        answer(page, choice)
    p = stats.binom.sf(3, 5, 0.5)  # four of five, or more
    assert page.locator("#abx .result").inner_text() == (
        f"4 of 5 right, p = {p:.3f}. This does not show that a difference was heard."
    )
    rows = saved(page, "#abx")
    assert list(rows[0]) == ["test", "time", "passage", "trial", "A", "B", "X", "answer", "correct", "matched"]
    assert [row["X"] for row in rows] == list("ABBAB")
    assert [row["answer"] for row in rows] == list("ABBBB")
    assert [row["correct"] for row in rows] == list("11101")
    assert [row["trial"] for row in rows] == list("12345")
    assert {(row["A"], row["B"], row["matched"]) for row in rows} == {("target", HOSTILE, "1")}
    assert all(datetime.fromisoformat(row["time"]).tzinfo for row in rows)


def test_abx_shows_nothing_that_depends_on_what_x_is(visit: Open) -> None:
    seen: list[list[str]] = []
    for word, result in ((0, "5 of 5 right"), (1, "0 of 5 right")):
        page = visit(script=draws(word))
        start_abx(page)
        seen.append([])
        for _ in range(5):
            seen[-1].append(still(page))
            assert not any(secret in panel(page, "#abx") for secret in ("alert(1)", "target", "hostile"))
            answer(page, "A")
        assert page.inner_text("#abx .result").split(",")[0] == result
    assert seen[0] == seen[1]


def test_abx_runs_16_trials_unless_told_otherwise_and_wants_two_signals(visit: Open) -> None:
    page = visit()
    start_abx(page, trials=16)
    assert page.locator("#abx [role=status]").inner_text() == "Trial 1 of 16. Listen to X, then say what it is."
    page.click("#abx button:text('Give up')")
    page.locator("#abx select.b option").nth(1).wait_for(state="attached")
    assert page.locator("#abx input[type=number]").input_value() == "16"
    page.select_option("#abx select.a", "esr")
    page.select_option("#abx select.b", "esr")
    page.click("#abx button:text('Start')")
    assert page.locator("#abx .error").inner_text() == "A and B are the same signal: choose two."


def test_abx_keys_hear_a_b_and_x_at_one_position(visit: Open) -> None:
    page = visit()
    start_abx(page)
    for key in "axb":
        page.keyboard.press(key)
        until(page, f"document.querySelector('#abx [data-name={key.upper()}]').ariaPressed === 'true'")
    until(page, "[...document.querySelectorAll('#abx button')].some((b) => b.textContent === 'Pause')")
    page.keyboard.press(" ")
    assert page.locator("#abx button:text('Play'):not([data-name])").is_visible()
    times = [page.locator("#abx output").inner_text()]
    for name in "AX":
        page.locator(f"#abx [data-name={name}]").focus()
        times.append(page.locator("#abx output").inner_text())
    assert times[0] == times[1] == times[2]
    assert times[0] != "0:00.00 / 0:02.00"


def test_mushra_shows_nothing_that_depends_on_the_order(visit: Open) -> None:
    seen = []
    for words in ((0,), (3, 2, 1)):  # which shuffle differently; the passages' order too
        page = visit(script=draws(*words))
        start_mushra(page)
        seen.append(still(page))
    assert seen[0] == seen[1]
    shown = panel(page, "#mushra")
    for secret in (HOSTILE, FORMULA, "ESR", "esr", "anchor", "target", "--c-", "kind"):
        assert secret not in shown
        assert html.escape(secret, quote=False) not in shown


def test_mushra_from_the_first_passage_to_the_statistics(visit: Open) -> None:
    page = visit()
    start_mushra(page)
    given: list[list[int]] = []
    generator = np.random.default_rng(0)
    for trial in range(2):
        assert page.locator("#mushra .rating").count() == 5  # three models, the reference, the anchor
        proceed = page.locator("#mushra .answers .primary")
        ratings = generator.integers(0, 101, 5).tolist()
        page.click("#mushra [data-name=Reference]")
        for index, rating in enumerate(ratings):
            assert proceed.is_disabled()
            page.locator("#mushra .rating input").nth(index).fill(str(rating))
        assert proceed.is_disabled()  # rated, but not heard
        for name in "12345":
            page.keyboard.press(name)
            until(page, f"document.querySelector('#mushra [data-name=\"{name}\"]').ariaPressed === 'true'")
        until(page, "!document.querySelector('#mushra .answers .primary').disabled")
        assert proceed.inner_text() == ["Next passage", "Show the results"][trial]
        proceed.click()
        given.append(ratings)
    rows = saved(page, "#mushra")
    names = ["test", "time", "passage", "trial", "position", "system", "kind", "rating", "matched"]
    assert list(rows[0]) == names
    assert [int(row["rating"]) for row in rows] == given[0] + given[1]
    assert [row["position"] for row in rows] == list("1234512345")
    assert len({row["passage"] for row in rows}) == 2
    systems = {"ESR", HOSTILE, "'" + FORMULA, "hidden reference", "hidden anchor"}
    assert {row["system"] for row in rows[:5]} == {row["system"] for row in rows[5:]} == systems
    assert {row["kind"] for row in rows if row["system"].startswith("hidden")} == {"target", "anchor"}
    shown = {
        line.locator("th").inner_text(): line.locator("td").all_inner_texts()
        for line in page.locator("#mushra tbody tr").all()
    }
    for system in systems:
        values = [int(row["rating"]) for row in rows if row["system"] == system]
        mean, error = np.mean(values), stats.sem(values)
        low, high = stats.t.interval(0.95, 1, mean, error) if error > 0 else (mean, mean)
        interval = f"{max(0, low):.1f} to {min(100, high):.1f}"
        assert shown[system.removeprefix("'")] == [f"{mean:.1f}", interval, "2"]
    low = sum(int(row["rating"]) < 90 for row in rows if row["kind"] == "target")
    assert f"rated below 90 in {low} of 2 trials" in page.inner_text("#mushra .panel")
    assert ("leaves such a listener out" in page.inner_text("#mushra .panel")) is (low > 0.15 * 2)


def test_statistics_are_those_of_scipy(visit: Open) -> None:
    page = visit()
    cases = [(0, 16), (8, 16), (12, 16), (16, 16), (60, 100)]
    tails = page.evaluate("cases => cases.map(([k, n]) => report.statistics.binomialTail(k, n))", cases)
    assert tails == pytest.approx([stats.binom.sf(k - 1, n, 0.5) for k, n in cases], rel=1e-12)
    degrees = [1, 2, 5, 11, 30, 200]
    quantiles = page.evaluate("degrees => degrees.map((n) => report.statistics.studentQuantile(n))", degrees)
    assert quantiles == pytest.approx(stats.t.ppf(0.975, degrees).tolist(), rel=1e-9)


def test_draws_are_uniform_and_shuffles_lose_nothing(visit: Open) -> None:
    page = visit()
    counts = page.evaluate("""() => {
      const counts = new Array(24).fill(0);
      for (let n = 0; n < 24000; n++) {
        const [a, b, c] = report.random.shuffled([0, 1, 2, 3]);
        counts[a * 6 + (b - (b > a)) * 2 + (c > 6 - a - b - c)]++;
      }
      return counts;
    }""")
    assert sum(counts) == 24_000
    assert stats.chisquare(counts).pvalue > 1e-9  # all 24 orders, equally often


def test_csv_quotes_as_rfc_4180_says_and_starts_no_formula(visit: Open) -> None:
    page = visit()
    cells = ['a "b"', "c,d", "e\r\nf", "=1+1", "+1", "-1", "@x", "\tx", "plain", "ä"]
    text = page.evaluate("cells => report.csv.format(['x', 'n'], cells.map((x) => ({ x, n: -1.5 })))", cells)
    rows = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    guarded = ["'" + cell if cell[0] in "=+-@\t" else cell for cell in cells]
    assert rows == [["x", "n"], *[[cell, "-1.5"] for cell in guarded]]
    assert text.startswith('x,n\r\n"a ""b""",-1.5\r\n')
