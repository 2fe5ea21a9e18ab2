"""Figures of the report: the right data, in colours that everyone can tell apart, safe inside a page."""

from __future__ import annotations

import itertools
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import matplotlib
import numpy as np
import pandas
import pytest
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from numpy.typing import NDArray

from data.signaltrain import Recording
from scripts.report import by_setting, charts, colours, device_charts, learning, traces
from scripts.report.charts import Canvas
from scripts.report.colours import ANCHOR, BACKGROUNDS, FURTHER, INPUT, LOSSES, TARGET, Look
from scripts.report.passages import Passage, Place
from scripts.results import scores
from tests import made_scores

EVERY = {**LOSSES, **{f"further {n}": c for n, c in enumerate(FURTHER)}} | {
    look.id: look.colour for look in (TARGET, INPUT, ANCHOR)
}
# Machado, Oliveira and Fernandes (2009), severity 1.0, for linear sRGB.
BLINDNESS = {
    "none": np.eye(3),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]]
    ),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
}


def linear(colour: str) -> NDArray[np.float64]:
    values = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def luminance(colour: str) -> float:
    return float(linear(colour) @ [0.2126, 0.7152, 0.0722])


def lab(rgb: NDArray[np.float64]) -> NDArray[np.float64]:
    """CIELAB of linear sRGB, white point D65."""
    to_xyz = np.array([[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.072175]])
    to_xyz = np.vstack([to_xyz, [0.0193339, 0.119192, 0.9503041]])
    x, y, z = (
        v ** (1 / 3) if v > (6 / 29) ** 3 else v / (3 * (6 / 29) ** 2) + 4 / 29
        for v in to_xyz @ np.clip(rgb, 0, 1) / to_xyz.sum(axis=1)
    )
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("background", BACKGROUNDS)
@pytest.mark.parametrize("name", EVERY)
def test_every_colour_has_a_contrast_of_three_to_one(name: str, background: str) -> None:
    light, dark = sorted((luminance(EVERY[name]), luminance(background)), reverse=True)
    assert (light + 0.05) / (dark + 0.05) >= 3  # WCAG 2.2


@pytest.mark.parametrize("sight", BLINDNESS)
def test_the_papers_losses_and_the_target_can_be_told_apart(sight: str) -> None:
    seen = {name: lab(BLINDNESS[sight] @ linear(colour)) for name, colour in [*LOSSES.items(), ("", TARGET.colour)]}
    nearest = min(float(np.linalg.norm(seen[a] - seen[b])) for a, b in itertools.combinations(seen, 2))
    assert nearest > 20  # ΔE*ab; 2.3 is just noticeable


def test_a_loss_has_its_colour_whatever_else_is_on_the_page() -> None:
    for models in itertools.permutations([("ESR", "esr"), ("own", "own"), ("MR", "mrstft")]):
        looks = colours.looks(models)
        assert looks["ESR"].colour == LOSSES["esr"]
        assert looks["MR"].colour == LOSSES["mrstft"]
        assert looks["own"].colour == FURTHER[0]


def test_models_of_one_loss_differ() -> None:
    looks = colours.looks([("esr-8", "esr"), ("esr-16", "esr"), *((f"m{n}", f"m{n}") for n in range(7))])
    assert len({look.colour for look in looks.values()}) == 9
    assert len({look.id for look in looks.values()}) == 9
    assert looks["esr-8"].colour == LOSSES["esr"]


def test_ids_are_slugs_and_unique() -> None:
    labels = ["target", "input", "<img src=x>", "img src x", "ÄÖ", "ß", "anchor"]
    looks = colours.looks((label, "") for label in labels)
    ids = [look.id for look in looks.values()]
    assert [look.label for look in looks.values()] == labels
    assert all(re.fullmatch(r"[a-z0-9-]+", id) for id in ids)
    assert len({*ids, TARGET.id, INPUT.id, ANCHOR.id}) == len(labels) + 3


def drawn(name: str = "one", title: str = "A title") -> str:
    canvas = Canvas(name, 1, 2)
    look = Look("esr", "ESR", "#cc8400")
    canvas.panels[0].plot([0, 1, 2], [1, 3, 2], color=canvas.ink(look))
    canvas.panels[1].plot([0, 1], [0, 1], "o", color=canvas.ink(TARGET))
    canvas.heading(canvas.panels[0], "E = $mc^2$ <b>&")
    return str(canvas.svg(title))


@pytest.fixture(scope="module")
def svg() -> str:
    return drawn()


def test_a_figure_takes_its_colours_from_the_page(svg: str) -> None:
    assert "stroke: var(--c-esr,#cc8400)" in svg
    assert "fill: var(--c-target,#687878)" in svg
    assert "fill: currentColor" in svg
    without = re.sub(r"var\([^)]*\)|url\(#[^)]*\)", "", svg)
    assert set(re.findall(r"#[0-9a-f]{3,8}\b", without)) <= set(re.findall(r'(?<=href=")#\S+?(?=")', svg))


def test_a_figure_is_well_formed_and_brings_no_style_or_font_of_its_own() -> None:
    svg = drawn(title='<script>alert("1")</script>')
    root = ElementTree.fromstring(svg)
    assert root.get("aria-label") == '<script>alert("1")</script>'
    assert root.get("viewBox")
    assert root.get("width") is None
    assert "<style" not in svg
    assert "<metadata" not in svg
    assert "font-family" not in svg
    assert "DejaVu" not in svg
    texts = ["".join(element.itertext()).strip() for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert "E = $mc^2$ <b>&" in texts


def test_ids_of_two_figures_do_not_meet(svg: str) -> None:
    first, second = (re.findall(r' id="([^"]*)"', text) for text in (svg, drawn("two")))
    assert len(first) == len(set(first)) > 0
    assert not set(first) & set(second)
    assert set(re.findall(r'(?:url\(#|href="#)([^)"]+)', svg)) == set(first)


def test_equal_data_give_equal_bytes(svg: str) -> None:
    assert drawn() == svg


def test_a_thinned_line_keeps_its_extremes_and_gaps() -> None:
    x = np.arange(10_000) / 100
    y = np.sin(x)
    y[4321], y[8000:8200] = 7, np.nan
    thin_x, thin_y = charts.thinned(x, y, 200)
    assert len(thin_x) <= 200
    assert np.nanmax(thin_y) == 7
    assert np.isnan(thin_y).any()
    assert set(thin_x) <= set(x)
    assert (np.diff(thin_x) > 0).all()
    np.testing.assert_array_equal(thin_y, y[np.searchsorted(x, thin_x)])


@pytest.mark.parametrize(
    ("values", "expected"), [([1, 5], "log"), ([1, 3], "linear"), ([-1, 5], "linear"), ([np.nan], "linear")]
)
def test_an_axis_is_logarithmic_where_its_values_span_a_lot(values: list[float], expected: str) -> None:
    axes = Canvas("scale").panels[0]
    charts.scale(axes, "y", values)
    assert axes.get_yscale() == expected


@pytest.fixture
def plotted(undrawn: None, monkeypatch: pytest.MonkeyPatch) -> list[tuple[list[float], list[float]]]:
    """x and y of every call of Axes.plot."""
    calls: list[tuple[list[float], list[float]]] = []
    original = Axes.plot

    def plot(self: Axes, x: object, y: object, *args: object, **kwargs: object) -> object:
        calls.append((np.atleast_1d(np.asarray(x, dtype=float)).tolist(), np.atleast_1d(y).tolist()))  # type: ignore[call-overload]
        return original(self, x, y, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(Axes, "plot", plot)
    return calls


def run_with(folder: Path, name: str, text: str) -> dict[str, str]:
    (folder / name).mkdir()
    (folder / name / "metrics.csv").write_text(text)
    model, _, seed = name.partition("-seed")
    return {"run": str(folder / name), "model": model, "loss": model, "seed": seed}


def test_learning_curves_show_each_seed_and_their_mean(
    tmp_path: Path, plotted: list[tuple[list[float], list[float]]]
) -> None:
    head = "epoch,step,train/loss,val/ESR,val/score\n"
    runs = [
        run_with(tmp_path, "esr-seed1", head + "0,9,3.0,0.5,1.0\n1,18,2.0,0.4,0.8\n2,27,1.5,0.3,0.9\n"),
        run_with(tmp_path, "esr-seed2", head + "0,9,5.0,0.7,1.4\n1,18,4.0,0.2,1.2\n"),
    ]
    curves, notes = learning.read(runs, tmp_path / "results")
    assert notes == []
    section = learning.section(curves, colours.looks([("esr", "esr")]))
    assert section is not None
    assert [figure.caption.split(":")[0] for figure in section.figures] == ["val/ESR", "val/score", "Training loss"]
    assert ([0, 1, 2], [0.5, 0.4, 0.3]) in plotted
    assert ([0, 1], [0.7, 0.2]) in plotted
    assert any(x == [0, 1] and y == pytest.approx([0.6, 0.3]) for x, y in plotted)  # for the epochs that both have
    assert ([1], [0.4]) in plotted  # val/ESR at the epoch of the best val/score
    assert any(x == [0, 1] and y == pytest.approx([4, 3]) for x, y in plotted)


def test_a_run_without_readable_metrics_is_noted(tmp_path: Path) -> None:
    runs = [
        run_with(tmp_path, "esr-seed1", "epoch,val/ESR\n0,0.5\n"),
        run_with(tmp_path, "l1-seed1", ""),
        {"run": str(tmp_path / "gone-seed1"), "model": "gone", "loss": "", "seed": "1"},
    ]
    curves, notes = learning.read(runs, tmp_path / "results")
    assert list(curves) == ["esr"]
    assert len(notes) == 2
    assert "l1-seed1" in notes[0]
    assert "gone-seed1" in notes[1]
    assert learning.section({}, {}) is None


def test_of_an_epoch_that_was_logged_twice_the_last_counts(tmp_path: Path) -> None:
    runs = [
        run_with(tmp_path, "esr-seed1", "epoch,val/ESR\n0,0.5\n1,0.9\n1,0.4\n"),
        run_with(tmp_path, "esr-seed2", "epoch,val/ESR\n0,0.3\n1,0.2\n"),
    ]
    curves, notes = learning.read(runs, tmp_path / "results")
    assert notes == []
    assert learning.mean(curves["esr"], "val/ESR").tolist() == pytest.approx([0.4, 0.3])
    assert learning.section(curves, colours.looks([("esr", "esr")])) is not None


@pytest.mark.parametrize("line", ["1,high", "one,0.4", ",0.4"])
def test_a_run_whose_metrics_are_no_numbers_is_noted(tmp_path: Path, line: str) -> None:
    runs = [
        run_with(tmp_path, "esr-seed1", f"epoch,val/ESR\n0,0.5\n{line}\n"),
        run_with(tmp_path, "l1-seed1", "epoch,val/ESR\n0,0.3\n"),
        run_with(tmp_path, "stft-seed1", "epoch,val/ESR\n"),
    ]
    curves, notes = learning.read(runs, tmp_path / "results")
    assert "esr" not in curves
    assert curves["l1"][0]["val/ESR"].tolist() == [0.3]
    assert len(notes) == 1
    assert "esr-seed1" in notes[0]
    assert learning.section(curves, colours.looks([("l1", "l1"), ("stft", "stft")])) is not None


def test_a_study_that_was_moved_is_found_beside_its_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_with(tmp_path, "esr-seed1", "epoch,val/ESR\n0,0.5\n")
    (tmp_path / "here/runs/elsewhere").mkdir(parents=True)
    run_with(tmp_path / "here/runs/elsewhere", "esr-seed1", "epoch,val/ESR\n0,0.9\n")  # another study of that name
    monkeypatch.chdir(tmp_path / "here")
    runs = [{"run": "runs/elsewhere/esr-seed1", "model": "esr", "loss": "esr", "seed": "1"}]
    curves, notes = learning.read(runs, tmp_path / "results")
    assert notes == []
    assert curves["esr"][0]["val/ESR"].tolist() == [0.5]


def test_by_setting_draws_the_mean_of_each_setting(
    tmp_path: Path, plotted: list[tuple[list[float], list[float]]]
) -> None:
    rows = []
    for setting, values in {"0__40": (1.0, 3.0), "0__75": (10.0, 20.0), "1__55": (5.0, 7.0)}.items():
        for seed, value in zip(("1", "2"), values, strict=True):
            rows.append(made_scores.row("esr", "ESR", value, seed=seed, recording=setting, setting=setting))
        rows.append(made_scores.row(scores.UNPROCESSED, "ESR", 50, recording=setting, setting=setting))
    evaluation = scores.read(made_scores.write(tmp_path, rows))
    section, notes = by_setting.section(evaluation, colours.looks([("ESR", "esr")]))
    assert section is not None
    assert notes == []
    assert len(section.figures) == 1
    assert ([40, 75], [2, 15]) in plotted
    assert ([55], [6]) in plotted
    assert ([40, 75], [50, 50]) in plotted
    assert "smaller is better" in section.figures[0].caption
    assert "lowest to the highest seed" in section.text


def levels(models: dict[str, float]) -> device_charts._Lines:
    """A device whose gain falls from 0 to −10 dB, and models that are so many dB off."""
    x, gain = np.arange(100.0), np.linspace(0, -10, 100)
    return device_charts._Lines([(x, gain)], {label: [(x, gain + off)] for label, off in models.items()})


def test_a_silent_model_does_not_decide_on_the_scale_of_device_curves(
    plotted: list[tuple[list[float], list[float]]],
) -> None:
    looks = colours.looks([("esr", "esr"), ("l1", "l1")])
    device_charts._grid("gain", ["Compress 75"], levels({"esr": 1.0, "l1": -200.0}), looks, "s", "dB", "Gain", "")
    values = [y for _, y in plotted]
    assert min(min(y) for y in values) == -30  # 20 dB below the least of the device's
    assert any(y == [-20.0] * 100 for y in values)  # its error
    assert any(y == pytest.approx([1.0] * 100) for y in values)  # the other's error, as it is


def test_a_silent_model_does_not_decide_on_the_scale_of_traces(
    tmp_path: Path, plotted: list[tuple[list[float], list[float]]]
) -> None:
    recording = Recording("7", "test", tmp_path, tmp_path, 8000, 8000, 1, (1.0, 0.55), "1__55")
    sound = 0.1 * np.random.default_rng(0).standard_normal(8000)
    passage = Passage(Place(recording, 0, 8000), sound, sound / 2, {"esr": sound / 2, "l1": 1e-9 * sound})
    section = traces.section([passage], colours.looks([("esr", "esr"), ("l1", "l1")]))
    assert section is not None
    assert len(section.figures) == 1
    highest = max(np.nanmax(y) for _, y in plotted)
    assert highest == pytest.approx(20 * np.log10(2) + 20)  # 180 dB without a limit


def test_the_mean_of_one_table_is_that_table() -> None:
    table = pandas.DataFrame({"a": [1.0, 2.0]}, index=[0, 1])
    assert learning.mean([table], "a").tolist() == [1, 2]


def test_minor_ticks_take_no_room_and_are_drawn() -> None:
    def made() -> Canvas:
        canvas = Canvas("room", 1, 2, sharey=True)
        for axes in canvas.panels:
            axes.plot([1, 2], [1e-3, 5])
            axes.set_yscale("log")
            axes.set_ylabel("error")
            canvas.heading(axes, "Compress")
        return canvas

    canvas, plain = made(), made()
    assert canvas.svg("a line").count("<use") > 60
    FigureCanvasSVG(plain.figure)
    plain.figure.dpi = 72
    engine = plain.figure.get_layout_engine()
    assert engine is not None
    with matplotlib.rc_context(charts._STYLE):
        engine.execute(plain.figure)
    for one, other in zip(canvas.panels, plain.panels, strict=True):
        np.testing.assert_allclose(one.get_position().bounds, other.get_position().bounds, atol=1e-9)
