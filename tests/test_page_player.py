"""The report's player in a real Chromium: signals in step, without clicks, at the loudness and in the loop wanted."""

from __future__ import annotations

import json

import numpy as np
import pytest
from playwright.sync_api import Page

from tests.page_context import HOSTILE, Open, to_player, until

RATE = 16_000  # Hz, of signals that are rendered

# Plays signals given as functions of the time in s through the player's own engine, and returns the samples. What is
# to happen is {time in s: function of the engine}; an offline context stops at that time for it.
RENDER = """async (given) => {
  const [rate, seconds, signals, events, region] = JSON.parse(given);
  const context = new OfflineAudioContext(1, seconds * rate, rate);
  const engine = new report.Engine();
  engine.load(Object.entries(signals).map(([id, { kind, lufs, samples }]) => {
    const buffer = new AudioBuffer({ length: samples.length, sampleRate: rate, numberOfChannels: 1 });
    buffer.copyToChannel(Float32Array.from(samples), 0);
    return { id, kind, lufs, buffer, peak: Math.max(...samples.map(Math.abs)) };
  }));
  if (region) engine.loop(region);
  const positions = [];
  for (const [time, method, value] of events)
    context.suspend(time).then(() => {
      const before = engine.position;
      engine[method](value);
      positions.push([before, engine.position]);
      context.resume();
    });
  engine.play(context);
  const buffer = await context.startRendering();
  return JSON.stringify([[...buffer.getChannelData(0)], positions]);
}"""

Signals = dict[str, np.ndarray]


def render(
    page: Page,
    signals: Signals,
    events: list[tuple[float, str, object]],
    seconds: float = 1.0,
    region: dict[str, float] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Samples that are heard, and the position before and after each event."""
    given = {id: {"kind": "model", "lufs": None, "samples": samples.tolist()} for id, samples in signals.items()}
    # As text, as Playwright is slow with so many numbers.
    samples, positions = json.loads(page.evaluate(RENDER, json.dumps([RATE, seconds, given, events, region])))
    return np.array(samples), np.array(positions)


def test_audio_plays_and_its_time_advances(visit: Open) -> None:
    page = visit()
    to_player(page)
    page.click("#player button:text('Play')")
    until(page, "report.player.position > 0.05")
    first, second, clock = page.evaluate("""async () => {
      const read = () => [report.player.position, performance.now() / 1000];
      const before = read();
      await new Promise((resolve) => setTimeout(resolve, 300));
      const after = read();
      return [before[0], after[0], after[1] - before[1]];
    }""")
    assert second - first == pytest.approx(clock, abs=0.1)
    page.click("#player button:text('Pause')")
    assert page.evaluate("report.player.playing") is False
    assert page.evaluate("report.player.position") > second
    for _ in range(2):
        page.keyboard.press("ArrowRight")  # to the last 50 ms
    page.click("#player button:text('Play')")
    until(page, "!report.player.playing && report.player.position === 0")  # the passage ends


def test_switching_signals_keeps_the_position_within_20_ms(visit: Open) -> None:
    """Beyond the time that the click itself takes, in which the signals play on."""
    page = visit()
    to_player(page)
    page.click("#player button:text('Play')")
    until(page, "report.player.position > 0.05")
    jumps = page.evaluate("""() => [...document.querySelectorAll('[data-signal]')].map((button) => {
      const now = () => report.player.position - performance.now() / 1000;
      const before = now();
      button.click();
      return [report.player.signal === button.dataset.signal, now() - before];
    })""")
    assert [switched for switched, _ in jumps] == [True] * 5
    assert max(abs(jump) for _, jump in jumps) < 0.02
    assert page.evaluate("report.player.playing") is True


def test_switching_moves_no_sample_and_leaves_no_gap(visit: Open) -> None:
    page = visit()
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, RATE).astype(np.float32)
    heard, positions = render(page, {"a": noise, "b": noise}, [(0.25, "select", "b"), (0.5, "select", "a")], 0.9)
    # Crossfading a signal into itself must be the signal itself; it starts after a lead of 5 ms and a fade of 10 ms.
    start = round(0.005 * RATE)
    np.testing.assert_allclose(heard[start + 170 :], noise[170 : len(heard) - start], atol=1e-6)
    np.testing.assert_allclose(positions[:, 0], positions[:, 1], rtol=0, atol=1e-9)


def test_switching_does_not_click(visit: Open) -> None:
    page = visit()
    time = np.arange(RATE) / RATE
    signals = {"a": 0.5 * np.cos(2 * np.pi * 50 * time), "b": -0.5 * np.cos(2 * np.pi * 50 * time)}
    quick = [(0.296, "select", "b"), (0.304, "select", "a"), (0.312, "select", "b"), (0.6, "select", "a")]
    heard, _ = render(page, signals, [*quick, (0.8, "pause", None)])
    # The steepest sample of the tone, and of a fade of 10 ms between the two; a hard switch would be a step of up to 1.
    steepest = 0.5 * 2 * np.pi * 50 / RATE + 1.0 / (0.01 * RATE)
    assert np.abs(np.diff(heard)).max() <= steepest * 1.01
    late = slice(round(0.65 * RATE), round(0.79 * RATE))
    assert np.abs(heard[late]).max() == pytest.approx(0.5, abs=1e-3)
    assert np.abs(heard[round(0.83 * RATE) :]).max() == 0


def test_seeking_does_not_click_and_lands_where_it_should(visit: Open) -> None:
    page = visit()
    ramp = np.linspace(0, 1, 2 * RATE, endpoint=False)  # sample value = time / 2 s
    heard, _ = render(page, {"a": ramp}, [(0.3, "seek", 1.5)], 0.7)
    assert np.abs(np.diff(heard)).max() < 1.0 / (0.01 * RATE) * 1.01
    # 1.5 s plays from 5 ms after 0.3 s; 0.6 s is 0.295 s later.
    assert 2 * heard[round(0.6 * RATE)] == pytest.approx(1.5 + 0.295, abs=0.004)


def test_loop_stays_inside_its_region_without_a_click(visit: Open) -> None:
    page = visit()
    ramp = np.linspace(0, 1, RATE, endpoint=False)  # sample value = time in s
    heard, _ = render(page, {"a": ramp}, [(0.9, "select", "a")], 1.5, {"start": 0.25, "end": 0.5})
    steady = heard[round(0.02 * RATE) :]
    assert steady.min() >= 0.25 - 0.011  # the seam fades into the 10 ms before the start
    assert steady.max() <= 0.5
    period = round(0.25 * RATE)
    np.testing.assert_allclose(steady[period:], steady[:-period], atol=1e-6)
    assert np.abs(np.diff(steady)).max() < 0.25 / (0.01 * RATE) * 1.1


def test_dragging_over_the_picture_loops_that_part(visit: Open) -> None:
    page = visit()
    to_player(page)
    box = page.locator("#player .cursor").bounding_box()
    assert box is not None
    width = box["width"] - 50 - 56  # less the axes
    left, middle = box["x"] + 50, box["y"] + 60
    page.mouse.move(left + 0.25 * width, middle)
    page.mouse.down()
    page.mouse.move(left + 0.3 * width, middle)
    page.mouse.up()
    region = page.evaluate("report.player.region")
    assert [region["start"], region["end"]] == pytest.approx([0.5, 0.6], abs=0.01)
    page.click("#player button:text('Play')")
    until(page, "report.player.playing")
    positions = page.evaluate("""async () => {
      const found = [];
      for (let n = 0; n < 40; n++) {
        found.push(report.player.position);
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
      return found;
    }""")
    assert min(positions) >= region["start"]
    assert max(positions) <= region["end"]
    assert sum(np.diff(positions) < 0) >= 2  # it came round
    page.click("#player button:text('Pause')")
    page.mouse.click(left + 0.28 * width, middle)
    assert page.evaluate("report.player.position") == pytest.approx(0.56, abs=0.01)


def test_loudness_match_is_the_difference_of_the_loudnesses(visit: Open) -> None:
    page = visit()
    to_player(page)
    names = ["input", "target", "esr", "hostile", "formula"]
    assert page.evaluate("report.player.gains") == dict.fromkeys(names, 1)
    page.click("#player button:text('Match loudness')")
    gains = page.evaluate("report.player.gains")
    decibels = [20 * np.log10(gains[name]) for name in names]
    assert decibels == pytest.approx([-6.0, 0.0, 1.5, 6.0, 0.0], abs=1e-9)  # without a loudness: as it is
    assert page.locator("[data-signal=hostile] small").text_content() == "+6.0 dB"
    assert page.locator("[data-signal=input] small").text_content() == "−6.0 dB"


def test_loudness_match_lowers_all_alike_rather_than_clip(visit: Open) -> None:
    page = visit()
    gains = dict(
        page.evaluate("""() => [...report.matching([
          { id: 'target', kind: 'target', lufs: -10, peak: 0.5 },
          { id: 'soft', kind: 'model', lufs: -20, peak: 0.8 },
        ])]""")
    )
    assert gains["soft"] * 0.8 == pytest.approx(1)  # 10 dB more would make its peak 2.53
    assert gains["soft"] / gains["target"] == pytest.approx(10 ** (10 / 20))


def test_keyboard_plays_switches_seeks_loops_and_matches(visit: Open) -> None:
    page = visit()
    to_player(page)
    page.keyboard.press(" ")
    until(page, "report.player.playing && report.player.position > 0")
    page.keyboard.press(" ")
    assert page.evaluate("report.player.playing") is False
    page.keyboard.press("4")
    assert page.evaluate("report.player.signal") == "hostile"
    assert page.locator("[data-signal=hostile]").get_attribute("aria-pressed") == "true"
    page.keyboard.press("9")  # there are five
    assert page.evaluate("report.player.signal") == "hostile"
    before = page.evaluate("report.player.position")
    page.keyboard.press("ArrowRight")
    assert page.evaluate("report.player.position") == pytest.approx(before + 1)
    page.keyboard.press("ArrowLeft")
    assert page.evaluate("report.player.position") == pytest.approx(before)
    page.keyboard.press("l")
    assert page.evaluate("report.player.region") == {"start": 0, "end": 2}
    page.keyboard.press("m")
    assert page.evaluate("report.player.matched") is True
    page.keyboard.press("l")
    assert page.evaluate("report.player.region") is None


def test_keys_belong_to_the_field_while_typing(visit: Open) -> None:
    page = visit()
    to_player(page)
    page.locator("#listening").scroll_into_view_if_needed()
    page.locator("#abx input[type=number]").fill("")
    page.keyboard.type("43")
    assert page.locator("#abx input[type=number]").input_value() == "43"
    page.locator("#player-passage").focus()
    page.keyboard.press("4")
    page.keyboard.press("Control+4")
    assert page.evaluate("report.player.signal") == "input"
    assert page.evaluate("report.player.playing") is False


def test_space_on_a_focused_button_is_that_button(visit: Open) -> None:
    page = visit()
    to_player(page)
    page.locator("[data-signal=esr]").focus()
    page.keyboard.press(" ")
    assert page.evaluate("[report.player.signal, report.player.playing]") == ["esr", False]


def test_another_passage_keeps_the_signal_that_is_heard(visit: Open) -> None:
    page = visit()
    to_player(page)
    page.click("[data-signal=hostile]")
    page.click("button[data-listen]")
    until(page, "report.player.passage === 'worst-0' && report.player.playing")
    assert page.evaluate("[report.player.signal, ...report.player.signals]") == [
        "hostile",
        "input",
        "target",
        "hostile",
    ]
    assert page.locator("#player .caption").inner_text() == f"Waveform of {HOSTILE}."
