"""The report's page in a real Chromium: it loads, sorts, draws, fits every screen, and keeps names as text."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Page

from tests import page_context
from tests.page_context import HOSTILE, Open, to_player, until


def luminance(colour: str) -> float:
    """Relative luminance of #rrggbb (WCAG 2.2)."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def column(page: Page, number: int) -> list[str]:
    return page.locator("table.scores").first.locator(f"tbody tr > :nth-child({number})").all_text_contents()


def test_page_shows_its_sections_and_asks_the_network_for_nothing(visit: Open) -> None:
    page = visit()
    headings = page.locator("h2").all_text_contents()
    assert headings == [
        "Does training on a metric minimise it?",
        "Tables",
        "Player",
        "Listening test",
        "Worst segments",
        "Learning curves",
        "By setting",
        "As a device",
        "Notes",
    ]
    assert "In 2 of 3 columns training on the metric itself minimises it." in page.inner_text("#findings")
    assert page.locator("nav a").count() == len(headings)
    assert page.locator("#device .terms").inner_text().split("\n") == ["zipper", page_context.HOSTILE]


def test_no_passage_is_parsed_before_the_player_is_near(visit: Open) -> None:
    count = "const parse = JSON.parse; window.parsed = 0; JSON.parse = (text) => (window.parsed++, parse(text));"
    page = visit(script=count, height=300)
    assert page.evaluate("parsed") == 0
    page.locator("#player").scroll_into_view_if_needed()
    until(page, "report.player.passage === '0'")
    assert page.evaluate("parsed") == 1  # the player and the listening test share it


def test_names_that_contain_html_stay_text(visit: Open) -> None:
    page = visit()
    for place in ("#player", "#listening", "#notes"):
        page.locator(place).scroll_into_view_if_needed()
    page.wait_for_selector("[data-signal=hostile]")
    page.select_option("#player-passage", "1")
    until(page, "report.player.passage === '1'")
    assert page.locator("img").count() == 0
    assert page.locator("[data-signal=hostile] .name").text_content() == HOSTILE
    assert page.locator("#player-passage option").nth(1).text_content() == (
        f"Limit, peak reduction 70, </script>{HOSTILE} (setting not trained on)"
    )
    assert HOSTILE in page.inner_text("header")
    assert HOSTILE in page.inner_text("#notes")


def test_tables_sort_by_click_with_missing_values_last(visit: Open) -> None:
    page = visit()
    head = page.locator("table.scores").first.locator("th").nth(2)
    assert column(page, 3) == ["9.5", "−1.25", "–", "10"]
    head.locator("button").click()
    assert column(page, 3) == ["−1.25", "9.5", "10", "–"]
    assert head.get_attribute("aria-sort") == "ascending"
    head.locator("button").click()
    assert column(page, 3) == ["10", "9.5", "−1.25", "–"]
    assert head.get_attribute("aria-sort") == "descending"
    head.locator("button").click()
    assert column(page, 3) == ["9.5", "−1.25", "–", "10"]


def test_tables_sort_by_keyboard_one_column_at_a_time(visit: Open) -> None:
    page = visit()
    heads = page.locator("table.scores").first.locator("th")
    heads.nth(0).locator("button").focus()
    page.keyboard.press("Enter")
    assert column(page, 1) == ["ESR", "L1", "MR", "unprocessed"]
    page.keyboard.press("Tab")
    page.keyboard.press(" ")
    assert column(page, 1) == ["ESR", "L1", "MR", "unprocessed"]
    assert [heads.nth(i).get_attribute("aria-sort") for i in range(3)] == ["none", "ascending", "none"]


@pytest.mark.parametrize("width", [360, 1280])
def test_page_never_scrolls_sideways(visit: Open, width: int) -> None:
    page = visit(width=width)
    for part in ("#player", "#listening"):
        page.locator(part).scroll_into_view_if_needed()
    page.wait_for_selector("[data-signal]")
    page.click("#mushra button:text('Start')")
    page.click("#abx button:text('Start')")
    page.wait_for_selector(".ratings")
    page.wait_for_selector("[data-choice=A]")
    assert page.evaluate("document.documentElement.scrollWidth") == width


@pytest.mark.parametrize(("scheme", "background"), [("light", "#ffffff"), ("dark", "#15181c")])
def test_text_has_the_contrast_of_wcag_aa(visit: Open, scheme: str, background: str) -> None:
    page = visit(scheme=scheme)
    names = ["--bg", "--panel", "--fg", "--muted", "--accent", "--good", "--bad", "--on-accent"]
    read = "names => names.map(n => getComputedStyle(document.documentElement).getPropertyValue(n).trim())"
    colours = dict(zip(names, page.evaluate(read, names), strict=True))
    assert colours["--bg"] == background
    pairs = [(ink, paper) for ink in ("--fg", "--muted", "--good", "--bad") for paper in ("--bg", "--panel")]
    for ink, paper in [*pairs, ("--accent", "--bg"), ("--on-accent", "--accent")]:
        low, high = sorted((luminance(colours[ink]), luminance(colours[paper])))
        assert (high + 0.05) / (low + 0.05) >= 4.5, f"{ink} on {paper}"


def test_picture_follows_the_colour_scheme_and_the_width(visit: Open) -> None:
    page = visit()
    to_player(page)
    page.click("[data-view=difference]")
    # The target heard: its difference from itself is 0 dB, which has the colour of the paper.
    page.keyboard.press("2")
    pixel = """() => { const c = document.querySelector('.picture');
      const copy = new OffscreenCanvas(1, 1).getContext('2d', { willReadFrequently: true });
      copy.drawImage(c, -c.width / 2, -c.height / 2);
      return [...copy.getImageData(0, 0, 1, 1).data].slice(0, 3) }"""
    assert page.evaluate(pixel) == [255, 255, 255]
    page.emulate_media(color_scheme="dark")
    until(page, f"({pixel})().join() === '21,24,28'")
    page.set_viewport_size({"width": 500, "height": 800})
    until(page, "(c => c.width === c.clientWidth && c.width < 500)(document.querySelector('.picture'))")


def test_print_leaves_out_what_paper_cannot_do(visit: Open) -> None:
    page = visit()
    page.emulate_media(media="print")
    assert not page.locator("#player").is_visible()
    assert not page.locator("#listening").is_visible()
    assert not page.locator("nav").is_visible()
    assert page.locator("#tables").is_visible()


def test_page_of_25_megabytes_is_usable_within_two_seconds(visit: Open, tmp_path: Path) -> None:
    content = page_context.context()
    heavy = [{**content["passages"][0], "id": str(n), "data": f'{{"x":"{"QUJD" * 520_000}"}}'} for n in range(12)]
    large = page_context.write(tmp_path / "large.html", passages=heavy, worst=[])
    assert large.stat().st_size > 24e6
    page = visit(large)
    page.locator("table.scores").first.locator("th button").first.click()
    milliseconds = page.evaluate("performance.now()")
    assert milliseconds < 2000


def test_spectrogram_is_the_hann_windowed_fft_in_dbfs(visit: Open) -> None:
    page = visit()
    noise = np.random.default_rng(0).uniform(-1, 1, 3000)
    noise[:512] += np.sin(2 * np.pi * 64 / 1024 * np.arange(512))
    result = page.evaluate(
        "x => { const s = report.spectrogram.of(Float32Array.from(x)); return [s.frames, s.bins, [...s.levels]] }",
        noise.tolist(),
    )
    padded = np.concatenate([np.zeros(512), noise, np.zeros(1024)])
    window = np.hanning(1025)[:-1]
    frames = np.stack([padded[start : start + 1024] for start in range(0, 3000, 256)])
    expected = 20 * np.log10(np.abs(np.fft.rfft(frames * window)) * 2 / window.sum() + 1e-15)
    assert result[:2] == list(expected.shape)
    levels = np.reshape(result[2], expected.shape)
    np.testing.assert_allclose(levels, np.maximum(expected, -90), atol=1e-3)


def test_full_scale_sine_is_0_dbfs_and_ten_seconds_take_less_than_200_ms(visit: Open) -> None:
    page = visit()
    level = page.evaluate("""() => {
      window.sine = Float32Array.from({ length: 441000 }, (_, n) => Math.sin((2 * Math.PI * 100 * n) / 1024));
      const { bins, levels } = report.spectrogram.of(sine);
      return levels[10 * bins + 100];
    }""")
    assert level == pytest.approx(0, abs=1e-3)
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable")
    taken = []  # of the processor: neighbours slow the clock, and hardly the work
    for _ in range(2):
        metrics = session.send("Performance.getMetrics")["metrics"]
        taken.append(next(metric["value"] for metric in metrics if metric["name"] == "ThreadTime"))
        page.evaluate("report.spectrogram.of(sine).frames")  # compiled by now
    session.detach()
    assert 0.001 < taken[1] - taken[0] < 0.2


def test_audio_that_cannot_be_decoded_is_said_in_words(visit: Open, tmp_path: Path) -> None:
    content = page_context.context()
    broken = content["passages"][0] | {"data": content["passages"][0]["data"].replace('"flac": "', '"flac": "AAAA')}
    page = visit(page_context.write(tmp_path / "broken.html", passages=[broken]))
    page.locator("#player").scroll_into_view_if_needed()
    error = page.locator("#player .error[role=alert]")
    error.wait_for()
    # All signals are broken and decoded at once; the one that fails first is named.
    assert re.search("“[^”]+” of “Compress, peak reduction 50", error.inner_text())
    assert "cannot be decoded" in error.inner_text()
    page.select_option("#player-passage", "worst-0")
    until(page, "report.player.passage === 'worst-0'")
    assert not error.is_visible()


def test_browser_without_web_audio_is_told_so(visit: Open) -> None:
    page = visit(script="delete window.AudioContext; delete window.OfflineAudioContext;")
    page.locator("#player").scroll_into_view_if_needed()
    error = page.locator("#player .error[role=alert]")
    error.wait_for()
    assert "no Web Audio" in error.inner_text()
    assert page.locator("table.scores").first.is_visible()


def test_page_without_audio_and_findings_still_has_its_tables(visit: Open, tmp_path: Path) -> None:
    empty: dict[str, list[Any]] = {"passages": [], "worst": [], "findings": [], "answer": "", "charts": [], "notes": []}
    page = visit(page_context.write(tmp_path / "bare.html", **empty))
    assert page.locator("h2").all_text_contents() == ["Tables"]
    page.locator("th button").first.click()
    assert column(page, 1)[0] == "ESR"
