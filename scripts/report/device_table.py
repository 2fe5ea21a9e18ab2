"""The table that sums up the models as devices: medians over all settings of the test."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from markupsafe import Markup

from models.net import Net
from scripts.measure.comparison import Behaviour, Comparison, comparisons, la2a_behaviour, medians, table, times
from scripts.measure.devices import Setting, network_at, parsed
from scripts.report.cells import cell, row
from scripts.report.charts import Sheet
from scripts.report.side_by_side import Workers

LARGE = 100_000  # parameters; a network with more is measured at the settings of the charts alone, as it takes long
DEVICE = "device"
COLUMNS = {
    "settings": "settings measured",
    "curve (dB)": "static curve: the largest error from −40 to 0 dBFS, median over settings",
    "worst (dB)": "the same, at the worst setting",
    "attack": "times the device's, median over the settings where both have one",
    "release": "times the device's, median over the settings where both have one",
}


@dataclass(frozen=True)
class Compared:
    """Each model beside the device at every setting."""

    models: dict[str, list[Comparison]]
    settings: int  # of the test split
    limited: list[str]  # models that were measured at fewer
    failed: dict[str, str]  # why a model is missing


def compare(
    nets: Mapping[str, Net], settings: Collection[str], drawn: Sequence[str], sample_rate: int, workers: Workers
) -> Callable[[], Compared]:
    """Begins to measure each network at all settings (``"0__75"``), a large one at those that are drawn; gives what
    waits for it.
    """
    every = {setting: parsed(setting) for setting in sorted(settings, key=parsed)}
    targets = la2a_behaviour(every.values(), sample_rate)
    of_charts = {every[setting]: targets[every[setting]] for setting in drawn}
    measured = workers.each(nets, partial(_comparisons, targets=targets, of_charts=of_charts, sample_rate=sample_rate))

    def result() -> Compared:
        found, failed = measured()
        limited = [label for label in found if _large(nets[label]) and len(of_charts) < len(targets)]
        return Compared(found, len(every), limited, failed)

    return result


def _comparisons(
    net: Net, targets: Mapping[Setting, Behaviour], of_charts: Mapping[Setting, Behaviour], sample_rate: int
) -> list[Comparison]:
    return comparisons(network_at(net), of_charts if _large(net) else targets, sample_rate)


def _large(net: Net) -> bool:
    return sum(weight.numel() for weight in net.parameters()) > LARGE


def files(compared: Compared, trained: Iterable[str]) -> dict[str, str]:
    """``devices.csv``, a row for each model and setting."""
    return {"devices.csv": table(compared.models, map(parsed, trained))}


def sheet(compared: Compared) -> Sheet | None:
    """The table, the device in its first row; None without a model."""
    if not compared.models:
        return None
    heads = Markup("").join(
        Markup('<th scope="col"><span title="{}">{}</span></th>').format(title, name) for name, title in COLUMNS.items()
    )
    device = [cell(compared.settings, str(compared.settings)), *[cell(0.0, "0")] * 2, *[cell(1.0, "×1")] * 2]
    rows = [row(DEVICE, device)]
    for label, found in compared.models.items():
        middle, worst = medians(found), max(setting.curve_error_db for setting in found)
        cells = [cell(len(found), str(len(found)))]
        cells += [cell(error, f"{error:.2f}") for error in (middle.curve_error_db, worst)]
        for ratio, (both, every) in ((middle.attack_ratio, middle.attacks), (middle.release_ratio, middle.releases)):
            cells.append(cell(ratio, times(ratio) + (f" ({both} of {every})" if both < every else "")))
        rows.append(row(label, cells))
    html = Markup(
        '<table class="scores sortable">\n<thead><tr><th scope="col">as devices</th>{}</tr></thead>\n'
        "<tbody>{}</tbody>\n</table>"
    ).format(heads, Markup("\n").join(rows))
    caption = (
        f"Medians over all {compared.settings} test settings: the largest error of the static curve, −40 to 0 dBFS, "
        "and attack and release as multiples of the device's. Brackets say at how many settings a model has one, "
        "if the device has one at more. All numbers are in devices.csv."
    )
    if compared.limited:
        names = ", ".join(compared.limited)
        caption += f" Measured at the settings of the charts alone, as they are large: {names}."
    return Sheet(html, caption)
