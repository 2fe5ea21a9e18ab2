"""A made-up report: what the builder gives to the page's template, with tones for signals, and hostile names."""

from __future__ import annotations

import base64
import json
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup
from playwright.sync_api import Browser, ConsoleMessage, Dialog, Page, Request, sync_playwright

from data import audio
from scripts.report import build
from tests.conftest import missing

Open = Callable[..., Page]

RATE = 8_000  # Hz
SECONDS = 2.0
HOSTILE = "<img src=x onerror=alert(1)>"
FORMULA = '=HYPERLINK("http://example.org"),"x"'

# id, label, kind, loudness in LUFS, amplitudes of harmonics 1, 2, 3, … of 220 Hz
SIGNALS: list[tuple[str, str, str, float | None, list[float]]] = [
    ("input", "input", "input", -12.0, [0.5]),
    ("target", "target", "target", -18.0, [0.25, 0.02]),
    ("esr", "ESR", "model", -19.5, [0.21, 0.02, 0.03]),
    ("hostile", HOSTILE, "model", -24.0, [0.125, 0.05, 0.02, 0.02]),
    ("formula", FORMULA, "model", None, [0.2, 0.0, 0.1]),
    ("anchor", "anchor", "anchor", -18.2, [0.25]),
]
PALETTE = {"esr": "#cc8400", "hostile": "#18a86c", "formula": "#5448fc", "input": "#8c7f6c", "target": "#546c6c"}

CHART = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 480 240" width="480" height="240" role="img">
<path d="M40 10V200H470" fill="none" stroke="currentColor"/>
<path d="M40 190L150 90L260 60L470 40" fill="none" stroke="var(--c-esr)" stroke-width="2"/>
<path d="M40 180L150 110L260 100L470 96" fill="none" stroke="var(--c-hostile)" stroke-width="2"/>
<text x="255" y="228" text-anchor="middle" fill="currentColor">epoch</text></svg>"""

TABLE = """<table class="scores sortable"><thead><tr><th scope="col">training loss</th><th scope="col">L1 ↓</th>
<th scope="col">SI-SDR ↑ / dB</th></tr></thead><tbody>
<tr><th scope="row">ESR</th><td data-value="0.00849">8.49e-03</td><td data-value="9.5"><strong>9.5</strong></td></tr>
<tr><th scope="row">L1</th><td data-value="0.0086">8.60e-03</td><td data-value="-1.25">−1.25</td></tr>
<tr><th scope="row">unprocessed</th><td data-value="0.0339">3.39e-02</td><td>–</td></tr>
<tr><th scope="row">MR</th><td data-value="0.0101">1.01e-02</td><td data-value="10">10</td></tr>
</tbody></table>"""


def tone(amplitudes: list[float], silence: float) -> np.ndarray:
    """Harmonics of 220 Hz that come in bursts; `silence` seconds precede the first."""
    time = np.arange(round(SECONDS * RATE)) / RATE
    sound = sum(a * np.sin(2 * np.pi * 220 * n * time) for n, a in enumerate(amplitudes, 1))
    return np.asarray(sound * (time >= silence) * (0.35 + 0.65 * np.exp(-4 * np.mod(time, 0.5))))


def passage(id: str, title: str, silence: float = 0.0, only: tuple[str, ...] = ()) -> dict[str, Any]:
    """A passage of all signals, or of those with the ids `only`."""
    signals = []
    for name, label, kind, lufs, amplitudes in SIGNALS:
        if not only or name in only:
            flac = base64.b64encode(audio.encode_flac(tone(amplitudes, silence), RATE)).decode()
            signals.append({"id": name, "label": label, "kind": kind, "lufs": lufs, "flac": flac})
    content = {"id": id, "title": title, "sample_rate": RATE, "seconds": SECONDS, "signals": signals}
    return {"id": id, "title": title, "trained": True, "data": json.dumps(content)}


def context() -> dict[str, Any]:
    """Everything that the template shows."""
    passages = [
        passage("0", "Compress, peak reduction 50, recording 235 from 12.5 s"),
        passage("1", f"Limit, peak reduction 70, </script>{HOSTILE}", silence=0.2) | {"trained": False},
    ]
    heard = ("input", "target", "hostile")
    worst = passage("worst-0", "Limit, peak reduction 100, recording 259 from 3.0 s", 0.1, heard)
    findings = [
        ("L1", "Logcosh", False, True, "The least L1 is had by training on Logcosh (7.00e-03), not on L1 (8.59e-03)."),
        ("ESR", "ESR", True, True, "Training on ESR gives the least ESR (0.2311)."),
        ("MR", "RR", True, False, f"Training on {HOSTILE} gives the least MR, but so may RR."),
        ("SI-SDR", "ESR", None, False, "No model was trained on SI-SDR; ESR does best."),
    ]
    keys = ("column", "winner", "own_wins", "significant", "sentence")
    figure = {"svg": Markup(CHART), "caption": HOSTILE}
    sheet = {"html": Markup(TABLE), "caption": HOSTILE, "terms": [("zipper", HOSTILE)]}
    charts = [("learning", "Learning curves"), ("settings", "By setting"), ("device", "As a device")]
    return {
        "made_of": "0",
        "title": "Six losses, one compressor",
        "subtitle": f"Data set la2a-8min, runs {HOSTILE}, seeds 1, 2, 3",
        "facts": [("Sample rate", "16 kHz"), ("Test split", "3 recordings, 0.8 h"), ("Models", HOSTILE)],
        "notes": [f"runs/broken was left out: its checkpoint {HOSTILE} cannot be read."],
        "answer": f"In 2 of 3 columns training on the metric itself minimises it. {HOSTILE}",
        "findings": [dict(zip(keys, finding, strict=True)) | {"own": finding[0]} for finding in findings],
        "tables": [
            {"title": "Table 1", "description": "Mean and 95 % interval.", "html": Markup(TABLE)},
            {"title": "Convention of 2020", "description": HOSTILE, "html": Markup(TABLE)},
        ],
        "footnotes": ["Bold: best of the column.", HOSTILE],
        "charts": [
            {
                "id": id,
                "title": title,
                "text": HOSTILE,
                "figures": [figure] * 2,
                "table": sheet if id == "device" else None,
            }
            for id, title in charts
        ],
        "palette": [{"id": id, "label": id, "colour": colour} for id, colour in PALETTE.items()],
        "passages": passages,
        "worst": [worst | {"run": f"runs/quick/{HOSTILE}", "label": HOSTILE, "metric": "ESR", "value": 1.75}],
    }


def write(file: Path, **changes: Any) -> Path:
    """The page with the context above, less what `changes` replaces."""
    file.write_text(build.render(context() | changes), encoding="utf-8")
    return file


class Tab:
    """A tab of a browser, and what its documents complain about."""

    def __init__(self, browser: Browser) -> None:
        self.page = browser.new_page()
        self.page.set_default_timeout(60_000)  # ms; a busy machine is no fault of the page
        self.complaints: list[str] = []
        self.page.on("console", self._said)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("dialog", self._shown)
        self.page.on("request", self._asked)

    def open(self, file: Path, script: str, width: int, height: int, scheme: Any) -> None:
        """Shows a file, for which a script runs first."""
        self.page.set_viewport_size({"width": width, "height": height})
        self.page.emulate_media(color_scheme=scheme, media="null")
        with self.page.add_init_script(script):
            self.page.goto(file.as_uri())

    def _said(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    def _asked(self, request: Request) -> None:
        """Every address is a complaint, but the page's own."""
        if not request.url.startswith(("file:", "blob:", "data:")):
            self.complaints.append(request.url)

    def _shown(self, dialog: Dialog) -> None:
        self.complaints.append(dialog.message)
        dialog.dismiss()


@contextmanager
def chromium_tab() -> Iterator[Tab]:
    """A Chromium with one tab; tests are `missing` where there is none."""
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        missing("the browser tests need chromium on the PATH")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield Tab(browser)
        browser.close()


@contextmanager
def visiting(tab: Tab, file: Path) -> Iterator[Open]:
    """Opens a page, `file` unless told otherwise; at the end no page may have complained."""
    tab.complaints.clear()
    tab.page.mouse.move(0, 0)  # over nothing, wherever the test before has left it

    def start(
        page_file: Path = file, script: str = "", width: int = 1280, height: int = 800, scheme: Any = "light"
    ) -> Page:
        tab.open(page_file, script, width, height, scheme)
        return tab.page

    yield start
    assert not tab.complaints, tab.complaints


def until(page: Page, condition: str, seconds: float = 10) -> None:
    """Waits for an expression to hold; Playwright's own way needs eval, which the page's policy forbids."""
    end = time.monotonic() + seconds
    while not page.evaluate(condition):
        assert time.monotonic() < end, f"not in {seconds} s: {condition}"
        page.wait_for_timeout(10)


def to_player(page: Page) -> None:
    """Scrolls to the player, and waits until it has its first passage."""
    page.locator("#player").scroll_into_view_if_needed()
    until(page, "report.player.passage !== null")
