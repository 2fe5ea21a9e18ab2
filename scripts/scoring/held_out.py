"""The test split that runs are scored on: the one that the command names, or that of the data most runs know."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from hydra.utils import instantiate
from omegaconf import DictConfig

from data import signaltrain
from data.fingerprint import fingerprint
from data.signaltrain import Recording
from models.source import Source


@dataclass(frozen=True)
class HeldOut:
    """Recordings to score on, all of one sample rate and number of channels."""

    source: Source
    recordings: list[Recording]
    trained_settings: list[str]  # those of the Train split beside it, e.g. "0__75"
    fingerprint: str
    named: bool  # by the command, so that a run may have learned from other data

    @property
    def note(self) -> str:
        """What was scored."""
        minutes = sum(recording.seconds for recording in self.recordings) / 60
        count = f"{len(self.recordings)} recording{'s' if len(self.recordings) > 1 else ''}"
        return f"Test split: {self.source.root}, {count}, {minutes:.1f} minutes, all scored."

    def note_on_training(self, sources: Iterable[Source | None]) -> list[str]:
        """What a reader has to know if runs have learned from other data than those beside the test split."""
        others = [source for source in sources if source is None or source.place != self.source.place]
        if not others:
            return []
        roots = ", ".join(dict.fromkeys(source.root if source else "unknown" for source in others))
        return [
            f"The test data, {self.source.root}, are not those of training ({roots}). Which settings a model has not "
            f"learned is told by the Train folder of {self.source.root}."
        ]


def most_common(sources: Iterable[Source]) -> Source:
    """The data that most runs were trained on; of equals, that of the first."""
    sources = list(sources)
    place, _ = Counter(source.place for source in sources).most_common(1)[0]
    return next(source for source in sources if source.place == place)


def named(data: DictConfig) -> HeldOut:
    """The test split that the command names, as in ``data=signaltrain data.root=…``; written first if it has to be."""
    module = instantiate(data)
    module.prepare_data()
    return _split(Source(str(data.root), data.sample_rate, data.channels), module.found, True)


def of(source: Source) -> HeldOut:
    """The test split of a training's data.

    Raises:
        ValueError: if it does not lie there, or cannot be used.
    """
    try:
        found = signaltrain.recordings(*source)
        signaltrain.check_content({"test": found["test"]})
    except ValueError as error:
        raise ValueError(
            f"{error}\nThe runs were trained on {source.root}. Name where it lies now: data=signaltrain data.root=…; "
            "data=synthetic or data=synthetic_small write the embedded set again."
        ) from error
    return _split(source, found, False)


def _split(source: Source, found: Mapping[str, list[Recording]], named: bool) -> HeldOut:
    settings = sorted({recording.setting for recording in found["train"]}, key=_order)
    return HeldOut(source, found["test"], settings, fingerprint(found["test"]), named)


def _order(setting: str) -> tuple[float, ...]:
    return tuple(float(value) for value in setting.split("__"))
