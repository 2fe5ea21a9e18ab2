"""Accuracy against cost: where networks differ, what each gives for its multiplications, numbers and time."""

from __future__ import annotations

from collections.abc import Mapping

from markupsafe import Markup
from matplotlib.lines import Line2D

from models.net import Net
from scripts.measure.cost import BLOCKS, Cost, cost
from scripts.report.cells import row
from scripts.report.charts import WIDE, Canvas, Chart, Section, Sheet, plain, scale
from scripts.report.colours import Look
from scripts.results.scores import Evaluation
from scripts.results.table import row_labels

METRICS = ("ESR", "MR")
TEXT = (
    "Each network where its error and its cost meet; down and to the left is better, for speed to the right. "
    "Multiplications are counted, speeds measured on one core of the machine that made this page."
)
CAPTION = "Test errors are means over all segments and seeds. Speeds are multiples of real time."


def section(evaluation: Evaluation, nets: Mapping[str, Net], looks: Mapping[str, Look]) -> Section | None:
    """A figure for each metric, above them a table; none unless there are networks of different cost.

    Args:
        nets: by the label of a model, as far as they could be loaded.
        looks: likewise.
    """
    if len({(net.multiplications(), net.lookahead) for net in nets.values()}) < 2:
        return None
    costs = {label: cost(net, evaluation.info["sample_rate"]) for label, net in nets.items()}
    errors = {metric: of_runs for metric in METRICS if (of_runs := means(evaluation, metric)).keys() & costs.keys()}
    figures = [_figure(metric, of_runs, costs, looks) for metric, of_runs in errors.items()]
    return Section("cost", "Accuracy against cost", TEXT, figures, Sheet(_table(errors, costs), CAPTION))


def means(evaluation: Evaluation, metric: str) -> dict[str, float]:
    """Of each model's runs over the test split, by label; in the first convention that has the metric."""
    rows = evaluation.rows[evaluation.rows["metric"] == metric]
    rows = rows[rows["convention"] == rows["convention"].iloc[0]] if len(rows) else rows
    labels = row_labels(evaluation)
    weighted = (rows["value"] * rows["samples"]).groupby(rows["model"]).sum()
    found = weighted / rows["samples"].groupby(rows["model"]).sum()
    return {labels[str(model)]: float(value) for model, value in found.items()}


def _figure(metric: str, errors: Mapping[str, float], costs: Mapping[str, Cost], looks: Mapping[str, Look]) -> Chart:
    drawn = [label for label in costs if label in errors]
    panels: dict[str, list[float]] = {
        "multiplications a sample": [costs[label].multiplications for label in drawn],
        f"× real time, blocks of {BLOCKS[0]}": [costs[label].speeds[0] for label in drawn],
        "parameters": [costs[label].parameters for label in drawn],
    }
    canvas = Canvas(f"cost-{metric.lower()}", 1, len(panels), size=(WIDE, 3.3), sharey=True)
    for axes, (name, values) in zip(canvas.panels, panels.items(), strict=True):
        for label, value in zip(drawn, values, strict=True):
            look = looks[label]
            axes.plot(value, errors[label], look.marker, color=canvas.ink(look), markersize=7)
        axes.set_xlabel(name)
        axes.margins(x=0.12, y=0.12)
        scale(axes, "x", values)
    canvas.panels[0].set_ylabel(f"{metric} ↓")
    scale(canvas.panels[0], "y", [errors[label] for label in drawn])
    canvas.legend(
        [
            Line2D([], [], label=plain(label), color=canvas.ink(looks[label]), marker=looks[label].marker, linestyle="")
            for label in drawn
        ]
    )
    return Chart(canvas.svg(f"{metric} against cost"), f"{metric} against multiplications, speed and parameters.")


def _table(errors: Mapping[str, Mapping[str, float]], costs: Mapping[str, Cost]) -> Markup:
    names = (
        "network", "parameters", "multiplications a sample", "latency",
        *(f"× real time, {block}" for block in BLOCKS), *errors,
    )  # fmt: skip
    head = Markup("").join(Markup('<th scope="col">{}</th>').format(name) for name in names)
    rows = []
    for label, of_net in costs.items():
        cells = [f"{of_net.parameters:,}", f"{of_net.multiplications:,.0f}", f"{of_net.latency:.0f} ms"]
        cells += [f"{speed:.3g}" for speed in of_net.speeds]
        cells += [f"{of_runs[label]:.3g}" if label in of_runs else "–" for of_runs in errors.values()]
        rows.append(row(label, (Markup("<td>{}</td>").format(text) for text in cells)))
    return Markup('<table class="scores">\n<thead><tr>{}</tr></thead>\n<tbody>{}</tbody>\n</table>').format(
        head, Markup("\n").join(rows)
    )
