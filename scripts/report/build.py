"""Gathers a report from a results folder and writes it as one page that needs no network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from models.atomic import write_text
from models.net import Net
from models.run import RunError
from scripts import garbage
from scripts.report import by_setting, certificate, cost, heard, learning, made_of, tracking, trained
from scripts.report.colours import ANCHOR, INPUT, TARGET, looks
from scripts.report.side_by_side import Workers
from scripts.results import findings, html, scores, table
from scripts.results.legend import legend
from scripts.results.scored_run import scored_run
from scripts.results.scores import Evaluation

HERE = Path(__file__).parent
PAGE = "report.html"
WORST = 10


def write(folder: Path) -> Path:
    """Makes report.html in a results folder, and the files of figures that belong to it; each appears whole or not at
    all.

    Runs and recordings that are gone are left out, with a note on the page.

    Raises:
        ValueError: if the folder does not hold the results of evaluate.py.
    """
    page = Path(folder) / PAGE
    shown = context(Path(folder))
    for name, text in shown["files"].items():
        write_text(Path(folder) / name, text)
    write_text(page, render(shown))
    return page


def is_current(folder: Path) -> bool:
    """Whether a results folder holds the report that `write` would make; errors as there."""
    return made_of.read(Path(folder) / PAGE) == made_of.made_of(scores.read(Path(folder)), Path(folder))


def render(context: Mapping[str, Any]) -> str:
    """The page; all text is escaped, style and scripts are part of it."""
    environment = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, keep_trailing_newline=True
    )
    files = sorted(
        HERE.glob("js/*.js"), key=lambda file: (file.name == "main.js", file.name)
    )  # main.js starts the others
    styles = (HERE / "style.css").read_text(encoding="utf-8")
    scripts = [file.read_text(encoding="utf-8").replace("</script", r"<\/script") for file in files]
    return environment.get_template("page.html.j2").render(
        **context, styles=Markup(styles), scripts=[Markup(script) for script in scripts]
    )


def context(folder: Path) -> dict[str, Any]:
    """What the page shows, by the names that the template has for it, and under `files` what lies beside it."""
    evaluation = scores.read(folder)
    runs = _runs(evaluation)
    look_of = looks(dict.fromkeys((item["model"], item["loss"]) for item in runs))
    with garbage.seldom(), Workers(networks=len(look_of)) as workers:
        curves, without_curve = learning.read(runs, folder, evaluation.info["checkpoint"])
        learned = workers.begin(learning.section, curves, look_of)
        settings = workers.begin(by_setting.section, evaluation, look_of, certificate.shown(evaluation))
        tracked = workers.begin(tracking.section, folder)
        networks, without_network = trained.load(runs, folder, evaluation.info["checkpoint"])
        nets = {network.label: network.net for network in networks}
        accuracy = cost.section(evaluation, nets, look_of)
        worst, without_audio = _worst(evaluation, folder, networks)
        tables = table.tables(evaluation)
        found = _findings(tables)
        audio = heard.gather(evaluation.info, nets, worst, look_of, workers)
        knob = certificate.gather(evaluation, audio.knobs)
        of_learning, (of_settings, undrawn), (of_tracking, of_other_results) = learned(), settings(), tracked()
    sections = [of_learning, accuracy, knob and certificate.section(knob), of_settings, of_tracking, *audio.sections]
    notes = [*evaluation.notes, *_heard(networks), *without_network, *without_curve, *without_audio, *audio.notes]
    notes += [*undrawn, *of_other_results]
    return {
        "made_of": made_of.made_of(evaluation, folder),
        "title": "What a model learns from its loss",
        "subtitle": _subtitle(evaluation.info),
        "facts": _facts(evaluation.info, networks),
        "notes": list(dict.fromkeys(notes)),
        "answer": " ".join(
            filter(
                None,
                (
                    findings.overall(found),
                    findings.waveform_or_spectra(tables[0]),
                    findings.no_better_than_the_input(tables[0]),
                ),
            )
        ),
        "findings": found,
        "tables": [_table(one) for one in (*tables, table.paper_table())],
        "footnotes": [f"{mark} {text}" for mark, text in zip("¹²³⁴", table.FOOTNOTES, strict=True)],
        "charts": [section for section in sections if section],
        "palette": [
            {"id": look.id, "label": look.label, "colour": look.colour}
            for look in (*look_of.values(), TARGET, INPUT, ANCHOR)
        ],
        "passages": audio.passages,
        "worst": audio.worst,
        "files": audio.files | (certificate.file(knob) if knob else {}),
    }


def _runs(evaluation: Evaluation) -> list[dict[str, str]]:
    """The runs in the order of the table, with its labels as names of their models."""
    labels = table.row_labels(evaluation)
    order = list(labels)
    runs = sorted(evaluation.info["runs"], key=lambda item: order.index(item["model"]))
    return [{**item, "model": labels[item["model"]]} for item in runs]


def _findings(tables: Sequence[table.Table]) -> list[findings.Finding]:
    """One answer for each metric, by the first convention that has it; none if all models have the same loss."""
    if len({loss for one in tables for loss in one.losses.values() if loss}) < 2:
        return []
    answers: dict[str, findings.Finding] = {}
    for one in tables:
        for finding in findings.question(one):
            answers.setdefault(finding.column, finding)
    return list(answers.values())


def _table(one: table.Table) -> dict[str, Any]:
    description = " ".join(
        [f"{one.description[:1].upper()}{one.description[1:]}".removesuffix(".") + ".", *legend(one)]
    )
    title = f"Convention {one.title}" if one.runs else one.title
    return {"title": title, "description": description, "html": html.html(one)}


def _worst(
    evaluation: Evaluation, folder: Path, networks: Sequence[trained.Trained]
) -> tuple[list[tuple[findings.Worst, Net]], list[str]]:
    """The worst segments with the networks of their runs, and a note for each run that is gone or has changed.

    Args:
        networks: that are loaded already
    """
    loaded = {network.run: network.net for network in networks}
    found, notes = [], []
    items = {item["run"]: item for item in evaluation.info["runs"]}
    for segment in findings.worst(evaluation, WORST):
        try:
            if segment.run not in loaded:
                item = items.get(segment.run, {"run": segment.run})
                loaded[segment.run] = scored_run(item, folder, evaluation.info["checkpoint"]).net()
        except RunError as error:
            notes.append(f"Segments of {segment.run} cannot be heard: {error}.")
            continue
        found.append((segment, loaded[segment.run]))
    return found, notes


def _subtitle(info: Mapping[str, Any]) -> str:
    seeds = sorted({item["seed"] for item in info["runs"]}, key=lambda seed: (len(seed), seed))
    models = len({item["model"] for item in info["runs"]})
    count = f"{models} model" + "s" * (models != 1)
    return f"{count}, seed{'s' * (len(seeds) != 1)} {', '.join(seeds)}, tested on {Path(info['root']).name}"


def _facts(info: Mapping[str, Any], networks: Sequence[trained.Trained]) -> list[tuple[str, str]]:
    facts = [
        ("Runs scored", str(len(info["runs"]))),
        ("Sample rate", f"{info['sample_rate'] / 1000:g} kHz"),
        ("Channels", str(info["channels"])),
        ("Segment", f"{info['eval_length'] / info['sample_rate']:.1f} s"),
        ("Checkpoint", info["checkpoint"]),
    ]
    if seeds := {network.seed for network in networks}:
        facts.append(
            ("Heard and measured", f"seed {seeds.pop()}" if len(seeds) == 1 else "one seed of each, see Notes")
        )
    return facts


def _heard(networks: Sequence[trained.Trained]) -> list[str]:
    """The note that says which run stands for each model."""
    if not networks:
        return []
    names = ", ".join(f"{network.label} ({Path(network.run).name})" for network in networks)
    return [f"Heard and measured is the run of the smallest seed of each model: {names}."]
