"""What takes networks and recordings: passages to hear, gain reduction, device curves."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from data import signaltrain
from data.signaltrain import Recording
from models.net import Net
from scripts.measure.devices import is_embedded
from scripts.report import device_charts, device_table, devices, inner_gain, knob, passages, traces
from scripts.report.charts import Section
from scripts.report.colours import Look
from scripts.report.knob import Knobs
from scripts.report.passages import Passage, Place
from scripts.report.side_by_side import ALONE, Workers
from scripts.results.findings import Worst

PASSAGES = 4
SECONDS = 6.0  # of a passage
WORST_SECONDS = 3.0
TRACES = 2  # passages whose gain reduction is drawn
MEGABYTES = 18.0, 7.0  # of the passages and of the worst segments on the page, about


@dataclass
class Heard:
    """A part of the page."""

    passages: list[dict[str, Any]] = field(default_factory=list)
    worst: list[dict[str, Any]] = field(default_factory=list)
    sections: list[Section] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    files: dict[str, str] = field(default_factory=dict)  # text by name, to lie beside the page
    knobs: Knobs | None = None  # where the device can be run


@dataclass(frozen=True)
class Study:
    """What is heard and measured, and who does it."""

    recordings: Sequence[Recording]  # of the test split
    trained: set[str]  # settings
    nets: Mapping[str, Net]  # by the label of their model, as the looks
    looks: Mapping[str, Look]
    device: torch.device
    workers: Workers

    @property
    def measuring(self) -> Workers:
        """Those who measure networks: this process alone where they are on a GPU."""
        return self.workers if self.device.type == "cpu" else ALONE


def gather(
    info: Mapping[str, Any],
    nets: Mapping[str, Net],
    worst: Sequence[tuple[Worst, Net]],
    looks: Mapping[str, Look],
    workers: Workers,
) -> Heard:
    """Renders and measures the networks, on a GPU if there is one.

    Args:
        info: of the evaluation: root, sample_rate, channels, trained_settings
        nets: the network of each model, by its label
        worst: segments to be heard, each with the network of its run
        looks: of each model, by its label
        workers: measure networks that are on the CPU, and draw
    """
    heard = Heard()
    if not nets:
        heard.notes.append("There is nothing to hear and no device curve: no network can be loaded.")
        return heard
    try:
        recordings = signaltrain.recordings(info["root"], info["sample_rate"], info["channels"])["test"]
    except ValueError as error:
        heard.notes.append(f"There is nothing to hear and no device curve: {error}")
        return heard
    torch.backends.cudnn.allow_tf32 = False  # as in scoring: what is heard is what was scored
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    for net in (*nets.values(), *(net for _, net in worst)):
        net.to(device)
    if info["channels"] > 1:
        heard.notes.append(f"Signals of the player are the mean of the {info['channels']} channels.")
    study = Study(recordings, set(info["trained_settings"]), nets, looks, device, workers)
    embedded = is_embedded(Path(info["root"]))
    seconds = passages.budget(len(nets) + 3, info["sample_rate"], PASSAGES, SECONDS, MEGABYTES[0])
    places = passages.choose(recordings, study.trained, PASSAGES, seconds)
    measured = _driven(study, places) if embedded else _recorded(study)
    found = _passages(heard, study, places)
    for passage in found[:TRACES]:
        heard.notes += inner_gain.add(passage, nets, embedded, device)
    traced = workers.begin(traces.section, found[:TRACES], looks)
    _worst(heard, study, worst)
    measured(heard)
    if section := traced():
        heard.sections.append(section)
    return heard


def _passages(heard: Heard, study: Study, places: Sequence[Place]) -> list[Passage]:
    found = []
    for place in places:
        found.append(passages.hear(place, study.nets, study.device))
        title = passages.title(place)
        heard.notes += [f"{label} is not heard in “{title}”: {why}." for label, why in found[-1].failed.items()]
        _add(heard, study, heard.passages, found[-1], f"passage-{len(found)}", title)
    return found


def _worst(heard: Heard, study: Study, worst: Sequence[tuple[Worst, Net]]) -> None:
    by_id = {recording.id: recording for recording in study.recordings}
    seconds = passages.budget(3, study.recordings[0].sample_rate, len(worst), WORST_SECONDS, MEGABYTES[1])
    for number, (segment, net) in enumerate(worst, 1):
        recording = by_id.get(segment.recording)
        if recording is None or segment.start + segment.samples > recording.frames:
            heard.notes.append(
                f"Recording {segment.recording} has changed since it was scored: its segments are not heard."
            )
            continue
        whole = passages.hear(Place(recording, segment.start, segment.samples), {segment.label: net}, study.device)
        if segment.label in whole.failed:
            why = whole.failed[segment.label]
            heard.notes.append(f"{segment.label} ({segment.run}) is not heard in its worst segments: {why}.")
            continue
        passage = passages.worst_part(whole, seconds)
        title = f"{segment.label}, {segment.metric} {segment.value:.3g}: {passages.title(passage.place)}"
        about = {"run": segment.run, "metric": segment.metric, "value": segment.value, "label": segment.label}
        _add(heard, study, heard.worst, passage, f"worst-{number}", title, about)


def _add(
    heard: Heard,
    study: Study,
    to: list[dict[str, Any]],
    passage: Passage,
    id: str,
    title: str,
    about: Mapping[str, Any] | None = None,
) -> None:
    """Encodes a passage, and says so if it had to be scaled."""
    data, factor = passages.encoded(passage, id, title, study.looks, with_anchor=about is None)
    if factor < 1:
        heard.notes.append(f"“{title}”: all signals are scaled by {factor:.3f}, as one of them exceeds full scale.")
    known = passage.place.recording.setting in study.trained
    to.append({"id": id, "title": title, "trained": known, "data": data, **(about or {})})


def _driven(study: Study, places: Sequence[Place]) -> Callable[[Heard], None]:
    """Begins to measure the networks beside the device itself; gives what adds that to the page."""
    rate = study.recordings[0].sample_rate
    every = {recording.setting for recording in study.recordings}
    settings = devices.choose_settings(every, study.trained)
    driven = devices.drive(study.nets, settings, study.trained, rate, study.measuring)
    compared = device_table.compare(study.nets, every, settings, rate, study.measuring)
    knobs = knob.measure(study.nets, places, rate, study.measuring)

    def add(heard: Heard) -> None:
        curves = driven()
        section = device_charts.driven(curves, study.looks)  # while the others go on measuring
        table, heard.knobs = compared(), knobs()
        heard.sections.append(replace(section, table=device_table.sheet(table)))
        heard.files |= device_table.files(table, study.trained)
        heard.notes += _missing(curves.failed | table.failed | heard.knobs.failed)

    return add


def _recorded(study: Study) -> Callable[[Heard], None]:
    """Begins to measure them beside recordings of the device; gives what adds that to the page."""
    settings = devices.choose_settings((recording.setting for recording in study.recordings), study.trained)
    compared = devices.compare(study.nets, study.recordings, settings, study.trained, study.device, study.measuring)

    def add(heard: Heard) -> None:
        found = compared()
        if section := device_charts.recorded(found, study.looks):
            heard.sections.append(section)
        heard.notes += _missing({label: why for item in found for label, why in item.failed.items()})

    return add


def _missing(failed: Mapping[str, str]) -> list[str]:
    return [f"{label} is missing among the device curves: {why}." for label, why in failed.items()]
