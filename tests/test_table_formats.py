"""Table 1 in five formats: the same figures and marks in each, names that stay text, LaTeX that compiles."""

from __future__ import annotations

import csv
import json
import math
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from omegaconf import OmegaConf

from scripts.results import formats, scores, table
from scripts.results.latex import text as escaped
from scripts.results.legend import label, legend
from scripts.results.scores import Evaluation
from scripts.results.table import COLUMNS, Table
from tests import made_scores
from tests.made_scores import row

CONFIGS = Path(__file__).parents[1] / "configs/metrics"
HOSTILE = '<script>alert("a&b")</script>|*_%$#{}~^\\ Ж'


def cells(text: str) -> dict[str, list[str]]:
    """The lines of a Markdown table by their first cell."""
    lines = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in text.splitlines() if line[:1] == "|"]
    return {line[0]: line[1:] for line in lines}


def first(evaluation: Evaluation) -> Table:
    return table.tables(evaluation)[0]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of three seeds, its tables written."""
    folder = tmp_path_factory.mktemp("results")
    evaluation = made_scores.evaluation(folder, made_scores.study(), notes=["a <note>"])
    formats.write(folder, evaluation)
    return folder


@pytest.fixture(scope="module")
def ours(folder: Path) -> list[Table]:
    return table.tables(scores.read(folder))


def test_an_interrupted_write_leaves_the_tables_of_before_or_whole_new_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluation = made_scores.evaluation(tmp_path, [row("l1", "ESR", 1.0), row("esr", "ESR", 2.0)])
    formats.write(tmp_path, evaluation)
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    write, written = Path.write_text, []

    def third_by_half(self: Path, text: str, **options: str) -> None:
        written.append(self)
        write(self, text[: len(text) // 2] if len(written) == 3 else text, **options)
        if len(written) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(Path, "write_text", third_by_half)
    with pytest.raises(KeyboardInterrupt):
        formats.write(tmp_path, evaluation)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before


def test_markdown_has_the_best_in_bold_ties_with_a_sign_and_intervals_in_brackets(tmp_path: Path) -> None:
    base, wobble = np.linspace(1, 2, 8), np.tile([0.01, -0.01], 4)
    values = {"l1": base, "esr": base + wobble + 1e-3, "stft": 2 * base}
    rows = [
        row(model, "ESR", float(value), recording=str(i))
        for model, of_model in values.items()
        for i, value in enumerate(of_model)
    ]
    lines = cells(formats.markdown(first(made_scores.evaluation(tmp_path, rows))))
    assert lines["training loss"] == ["ESR ↓"]
    assert re.fullmatch(r"\*\*1\.5000\*\* \[1\.\d{3}, 1\.\d{3}\]", lines["L1"][0])
    assert re.fullmatch(r"≈ 1\.5010 \[1\.\d{3}, 1\.\d{3}\]", lines["ESR"][0])
    assert re.fullmatch(r"3\.0000 \[2\.\d{3}, 3\.\d{3}\]", lines["STFT"][0])


def test_the_papers_table_has_its_footnotes_and_no_intervals() -> None:
    lines = cells(formats.markdown(table.paper_table()))
    assert lines["L1"] == ["**4.87e-03**", "**0.0085**", "**2.78e-05**", "0.824", "0.797", "0.558"]
    assert lines["ESR ² ³"] == ["5.56e-03", "0.0099", "3.23e-05", "0.806", "0.779", "0.549"]
    assert lines["Logcosh ²"] == ["5.30e-03", "0.0093", "3.03e-05", "0.831", "0.805", "0.566"]
    assert lines["MR"] == ["8.98e-03", "0.0553", "1.80e-04", "**0.440**", "**0.420**", "**0.331**"]
    assert lines["RR"] == ["1.55e-02", "0.2187", "7.05e-03 ¹", "0.525", "0.504", "0.392"]
    assert legend(table.paper_table()) == []


def test_the_document_holds_all_tables_the_answer_the_footnotes_and_the_notes(folder: Path) -> None:
    text = (folder / "table1.md").read_text(encoding="utf-8")
    titles = [line for line in text.splitlines() if line.startswith("#")]
    assert titles == [
        "# Test error of models trained with different losses",
        "## standard",
        "## paper2020",
        "## further",
        "## Table 1 of the paper",
        "## Does training on a metric minimise it?",
        "## By kind of setting",
        "## By setting",
        "## Notes",
    ]
    assert "- a &lt;note>" in text
    assert "columns training on the metric itself minimises it" in text
    assert "| 0 / 90, extreme" in text
    for fact in ("7.05e-4", "labels swapped", "ESR + DC", "one run of each loss"):
        assert fact in text


def test_the_legend_says_what_intervals_cover_and_what_was_tested(ours: list[Table], tmp_path: Path) -> None:
    assert legend(ours[0])[:2] == [
        "Mean of 3 runs of each model, which differ in the seed.",
        "In brackets: 95 % interval over seeds and recordings.",
    ]
    assert "tested over segments and seeds" in legend(ours[0])[2]
    assert legend(ours[1])[1] == "In brackets: 95 % interval over seeds only."
    assert "tested over seeds," in legend(ours[1])[2]
    single = table.tables(made_scores.evaluation(tmp_path, made_scores.study(seeds=["1"])))
    assert legend(single[0])[:2] == ["One run of each model.", "In brackets: 95 % interval over recordings only."]
    assert "tested over segments," in legend(single[0])[2]
    assert legend(single[1]) == [
        "One run of each model.",
        "No intervals.",
        "Bold: the best trained model. Too few runs and segments to test differences.",
    ]


def test_the_number_of_runs_stands_in_the_row_where_rows_differ_in_it(tmp_path: Path) -> None:
    rows = [row("l1", "ESR", 1.0), row("l1", "ESR", 4.0, seed="2"), row("esr", "ESR", 3.0)]
    found = first(made_scores.evaluation(tmp_path, rows))
    assert [label(found, name) for name in found.rows] == ["L1 (2 runs)", "ESR (1 run)"]
    even = first(made_scores.evaluation(tmp_path, [*rows, row("esr", "ESR", 3.0, seed="2")]))
    assert [label(even, name) for name in even.rows] == ["L1", "ESR"]


def test_all_formats_hold_the_same_figures_and_marks(folder: Path) -> None:
    with (folder / "table1.csv").open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    document = json.loads((folder / "table1.json").read_text(encoding="utf-8"))
    ours = {(r["source"], r["training_loss"], r["metric"]): r for r in rows if not r["source"].startswith("Table")}
    assert len(ours) == 7 * (7 + 7 + 2)  # rows times columns of the three conventions
    for part in document["tables"]:
        for name, of_row in part["rows"].items():
            for metric, cell in of_row.items():
                line = ours[part["convention"], name, metric]
                assert float(line["value"]) == cell["value"]
                assert line["low"] == ("" if cell["low"] is None else repr(cell["low"]))
                assert (line["best"], line["tied"]) == (str(cell["best"]), str(cell["tied"]))
                assert line["interval_over"] == cell["interval_over"]
    paper = {(r["training_loss"], r["metric"]): float(r["value"]) for r in rows if r["source"].startswith("Table")}
    assert len(paper) == 36
    assert paper["RR", "Logcosh"] == document["paper"]["RR"]["Logcosh"] == 7.05e-3
    assert document["notes"] == ["a <note>"]
    assert document["footnotes"] == list(table.FOOTNOTES)
    assert len(document["tables"][0]["findings"]) == 7


class Cells(HTMLParser):
    """The cells of HTML tables: attributes and text, by row."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.rows: list[list[tuple[dict[str, str | None], str]]] = []
        self.tags: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append((dict(attrs), ""))

    def handle_data(self, data: str) -> None:
        if self.rows and self.rows[-1]:
            attributes, text = self.rows[-1][-1]
            self.rows[-1][-1] = (attributes, text + data.strip("\n"))


def test_html_can_be_sorted_and_has_the_marks_as_classes_and_as_text(ours: list[Table]) -> None:
    found = ours[0]
    parsed = Cells(str(formats.html(found)))
    names = list(found.rows)
    assert [text for _, text in parsed.rows[0]] == ["training loss", *(c.heading for c in found.columns)]
    for name, line in zip(names, parsed.rows[1:], strict=True):
        assert line[0] == ({"scope": "row"}, name)
        for column, (attributes, text) in zip(found.columns, line[1:], strict=True):
            cell = found.rows[name][column.name]
            assert float(str(attributes["data-value"])) == cell.mean
            assert attributes.get("class") == ("best" if cell.best else "tied" if cell.tied else None)
            assert text.startswith(table.rounded(column.name, cell.mean))
            assert text.endswith("≈ best" if cell.tied else " best" if cell.best else "]")


def test_html_shows_hostile_names_as_text(tmp_path: Path) -> None:
    found = first(made_scores.evaluation(tmp_path, [row(HOSTILE, "ESR", 1.0)]))
    parsed = Cells(str(formats.html(found)))
    assert parsed.rows[1][0][1] == HOSTILE
    assert parsed.tags == {"table", "thead", "tbody", "tr", "th", "td", "span", "strong"}


def test_markdown_shows_hostile_names_as_text(tmp_path: Path) -> None:
    found = first(made_scores.evaluation(tmp_path, [row(HOSTILE, "ESR", 1.0)]))
    line = formats.markdown(found).splitlines()[2]
    assert "<" not in line
    assert re.findall(r"(?<!\\)\|", line) == ["|"] * 3


def test_latex_escapes_names() -> None:
    assert escaped("a_b & 50 % #1 {x} ~ ^ \\ <Ж>") == (
        r"a\_b \& 50 \% \#1 \{x\} \textasciitilde{} \textasciicircum{} \textbackslash{} \textless{}U+0416\textgreater{}"
    )


def test_latex_knows_every_sign_of_our_own_texts(folder: Path) -> None:
    text = (folder / "table1.tex").read_text(encoding="utf-8")  # all conventions, their legends, the footnotes
    assert all(f"\\caption{{{name}. " in text for name in table.CONVENTIONS)
    assert "10$^-$$^9$ in mean square" in text
    assert "U+" not in text
    metrics = [name for file in CONFIGS.glob("*.yaml") for name in OmegaConf.load(file)]
    assert metrics
    assert not [name for name in metrics if "U+" in escaped(str(name))]


def test_latex_has_the_rules_of_booktabs_the_marks_and_powers_of_ten(folder: Path) -> None:
    text = (folder / "table1.tex").read_text(encoding="utf-8")
    assert (
        text.count(r"\toprule") == text.count(r"\midrule") == text.count(r"\bottomrule") == 6
    )  # DC has two of its own
    assert r"$\mathbf{4.87\!\cdot\!10^{-3}}$" in text
    assert r"$\approx " in text
    assert r"SI-SDR (dB) $\uparrow$" in text
    assert len(set(re.findall(r"\\label\{(.*?)\}", text))) == 6


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="needs pdflatex, e.g. of texlive-latex-recommended")
def test_latex_compiles_within_the_width_of_a_page_whatever_the_names(tmp_path: Path) -> None:
    rows = made_scores.study()
    l1 = [made for made in rows if made["loss"] == "l1"]
    rows += [made | {"run": f"hostile {made['seed']}", "model": HOSTILE, "loss": "mine"} for made in l1]
    formats.write(tmp_path, made_scores.evaluation(tmp_path, rows))
    (tmp_path / "document.tex").write_text(
        "\\documentclass{article}\n\\usepackage{booktabs}\n\\begin{document}\n\\input{table1.tex}\n\\end{document}\n"
    )
    done = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "document.tex"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=60,
    )
    assert done.returncode == 0, done.stdout[-2000:]
    assert (tmp_path / "document.pdf").stat().st_size > 10_000


def test_a_table_without_any_number_is_still_written(tmp_path: Path) -> None:
    evaluation = made_scores.evaluation(tmp_path, [row("l1", "ESR", math.nan), row("esr", "ESR", math.inf)])
    text = formats.write(tmp_path, evaluation)
    assert "| L1            |     – |" in text.replace("**", "")
    document = json.loads((tmp_path / "table1.json").read_text(encoding="utf-8"))
    assert document["tables"][0]["rows"]["L1"]["ESR"]["value"] is None


def test_the_papers_columns_are_one_table_and_further_metrics_another(folder: Path) -> None:
    text = (folder / "table1.md").read_text(encoding="utf-8")
    standard = text.split("## paper2020")[0]
    heads = [line for line in standard.splitlines() if line.startswith("| training loss")]
    assert [re.findall(r"(\S+) ↓", head) for head in heads] == [list(COLUMNS), ["DC"]]


def test_the_legend_names_what_could_not_be_compared_with_the_best(tmp_path: Path) -> None:
    pooled = [
        row(model, "ESR", value + int(seed) / 9, recording="", seed=seed, convention="paper2020")
        for model, value in (("l1", 1.0), ("esr", 2.0))
        for seed in ("1", "2")
    ]
    alone = row("mrstft", "ESR", 3.0, recording="", convention="paper2020")
    found = first(made_scores.evaluation(tmp_path, [*pooled, alone]))
    assert legend(found)[-1] == "Not compared with the best, for want of runs or of numbers: MR in ESR."
    best = first(made_scores.evaluation(tmp_path, [*pooled, alone | {"value": 0.5}]))
    assert legend(best)[-1] == "Bold: the best trained model. Too few runs and segments to test differences."
