"""Picture of what each loss hears and what it is blind to.

python -m scripts.reactions                              writes docs/reactions.png, about a minute

Losses have different scales, and some are in dB. To compare them, each disturbance is rated by the level of a noise
that costs as much, in dB relative to the signal: a loss that says "−18 dB" to a gain of +1 dB takes it for as bad as
noise at a signal-to-noise ratio of 18 dB. No rescaling of a loss changes that level. The noise has the signal's own
spectrum, so that it disturbs all frequencies alike.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from auraloss.base import Loss
from auraloss.freq import (
    ChromaSTFTLoss,
    ComplexSTFTLoss,
    MelSTFTLoss,
    MultiResolutionSTFTLoss,
    MultiScaleMelLoss,
    RandomResolutionSTFTLoss,
    SpectralTransportLoss,
    STFTLoss,
    SumAndDifferenceSTFTLoss,
)
from auraloss.level import CumulativeEnergyLoss, GainReductionLoss, LoudnessLoss
from auraloss.perceptual import FIRFilter, PreEmphasis
from auraloss.time import DCLoss, ESRLoss, L1Loss, LogCoshLoss, MSELoss, SDSDRLoss, SISDRLoss, SNRLoss
from data.instruments import Audio, Instrument, bass, bowed, drums, gain, plucked, speech
from data.replacing import replacing

SAMPLE_RATE = 44_100  # Hz
SAMPLES = 2**17  # 3 s
LEVEL_DB = -20.0  # mean square of the signal, dB re 1
LEVELS_DB = np.arange(-100, 24, 4)  # of the noise, relative to the signal
DEAF_DB = -80.0  # what costs less than noise of this level counts as not heard
ROUNDING = 1e-12  # of a loss in float64
MIX: tuple[tuple[Instrument, float, float], ...] = (  # level in dB, place from 0 (left) to 1 (right)
    (bass, 0, 0.5),
    (drums, 0, 0.5),
    (speech, -3, 0.5),
    (plucked, -4, 0.15),
    (bowed, -6, 0.85),
)
Change = Callable[[Tensor], Tensor]


def signal() -> Tensor:
    """A stereo mix of five synthesised instruments, `(1, 2, SAMPLES)`, float64."""
    rng = np.random.default_rng(5)
    mix = np.zeros((2, SAMPLES))
    for instrument, level_db, place in MIX:
        sound: Audio = instrument(rng, SAMPLES, SAMPLE_RATE)
        sound *= gain(level_db) / np.sqrt(np.mean(sound**2))
        mix += np.sqrt([[1 - place], [place]]) * sound
    mix *= gain(LEVEL_DB) / np.sqrt(np.mean(mix**2))
    mix += gain(-80) * rng.standard_normal(mix.shape)  # of the recording: no band is empty
    return torch.from_numpy(mix - mix.mean(axis=-1, keepdims=True))[None]


def like(x: Tensor) -> Tensor:
    """Noise of the signal's spectrum and level, independent in each channel: random phases."""
    transform = torch.fft.rfft(x)
    phases = torch.rand(transform.shape, generator=torch.Generator().manual_seed(6), dtype=x.dtype)
    return torch.fft.irfft(torch.polar(transform.abs(), 2 * torch.pi * phases), x.shape[-1])


def shifted(x: Tensor, delay: float) -> Tensor:
    """`x` later by `delay` samples, or a fraction of one; what leaves at the end comes in at the start."""
    transform = torch.fft.rfft(x)
    angle = -2 * torch.pi * delay / x.shape[-1] * torch.arange(transform.shape[-1], dtype=x.dtype)
    return torch.fft.irfft(transform * torch.polar(torch.ones_like(angle), angle), x.shape[-1])


def without_octave(x: Tensor, centre: float) -> Tensor:
    """`x` without the frequencies from `centre / √2` to `centre · √2`, in Hz."""
    transform = torch.fft.rfft(x)
    frequencies = torch.fft.rfftfreq(x.shape[-1], 1 / SAMPLE_RATE)
    lost = (frequencies > centre / 2**0.5) & (frequencies < centre * 2**0.5)
    return torch.fft.irfft(transform.masked_fill(lost, 0), x.shape[-1])


def noisy(x: Tensor, snr_db: float) -> Tensor:
    """`x` with white noise, whose own offset, small as it is, is removed."""
    noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(7), dtype=x.dtype)
    noise = noise - noise.mean(-1, keepdim=True)
    return x + noise * (x.square().mean() / noise.square().mean()).sqrt() * 10 ** (-snr_db / 20)


def one_flipped(x: Tensor) -> Tensor:
    return x * torch.tensor([[1.0], [-1.0]], dtype=x.dtype)


def losses() -> dict[str, Loss]:
    """The rows."""
    return {
        "L1": L1Loss(),
        "MSE": MSELoss(),
        "ESR": ESRLoss(),
        "ESR, pre-emphasis": PreEmphasis(FIRFilter("hp", coef=0.95), ESRLoss()),
        "DC": DCLoss(),
        "log-cosh": LogCoshLoss(),
        "SNR": SNRLoss(),
        "SI-SDR": SISDRLoss(),
        "SD-SDR": SDSDRLoss(),
        "STFT": STFTLoss(),
        "STFT with phase": STFTLoss(w_phs=1.0),
        "complex STFT": ComplexSTFTLoss(),
        "STFT, A-weighted": STFTLoss(perceptual_weighting=True, sample_rate=SAMPLE_RATE),
        "MR": MultiResolutionSTFTLoss(),
        "RR, one draw": RandomResolutionSTFTLoss(seed=0).draw(1, SAMPLES),
        "mel": MelSTFTLoss(SAMPLE_RATE),
        "multi-scale mel": MultiScaleMelLoss(SAMPLE_RATE),
        "chroma": ChromaSTFTLoss(SAMPLE_RATE, fft_size=4096, hop_size=1024, win_length=4096),
        "transport": SpectralTransportLoss(),
        "MR, sum & difference": SumAndDifferenceSTFTLoss(),
        "gain reduction": GainReductionLoss(SAMPLE_RATE),
        "loudness": LoudnessLoss(SAMPLE_RATE),
        "cumulative energy": CumulativeEnergyLoss(),
    }


def changes() -> dict[tuple[str, str], Change]:
    """The columns, by group and label."""
    return {
        **{("time shift\nsamples", label): _shift(d) for label, d in (("¼", 0.25), ("1", 1), ("10", 10), ("100", 100))},
        **{("gain\ndB", f"{db:+g}".replace("-", "−")): _gain(db) for db in (-6, -1, 1, 6)},
        ("polarity\nflipped", "both"): lambda x: -x,
        ("polarity\nflipped", "right"): one_flipped,
        ("channels\nswapped", "L ↔ R"): lambda x: x.flip(-2),
        **{
            ("octave lost\naround, Hz", label): _lost(f)
            for label, f in (("125", 125), ("500", 500), ("2 k", 2000), ("8 k", 8000))
        },
        **{("white noise\nSNR, dB", str(snr)): _noise(snr) for snr in (40, 20)},
        ("offset\ndBFS", "−30"): lambda x: x + 10 ** (-30 / 20),
    }


def _shift(delay: float) -> Change:
    return lambda x: shifted(x, delay)


def _gain(db: float) -> Change:
    return lambda x: x * 10 ** (db / 20)


def _lost(centre: float) -> Change:
    return lambda x: without_octave(x, centre)


def _noise(snr_db: float) -> Change:
    return lambda x: noisy(x, snr_db)


class Rating:
    """Rates what a change costs by the level of the noise that costs as much.

    Args:
        loss, target: whose changes are rated.
        levels_db: of the noise, relative to the signal; rising, what lies between is interpolated.
    """

    def __init__(self, loss: Loss, target: Tensor, levels_db: NDArray[np.int64] = LEVELS_DB) -> None:
        self.bound = loss.bind(target)
        self.target = target
        self.levels_db = levels_db
        self.least = self._value(target)
        noise = like(target)
        costs = [self.cost(target + noise * 10 ** (float(level) / 20)) for level in levels_db]
        self.costs = np.maximum.accumulate(np.maximum(costs, ROUNDING))

    def cost(self, x: Tensor) -> float:
        """The loss beyond that of an input equal to the target."""
        return self._value(x) - self.least

    def _value(self, x: Tensor) -> float:
        return self.bound.report(x)["loss"].item()  # a call may give the terms as well

    def __call__(self, change: Change) -> float:
        """Level in dB relative to the signal; −inf for a change that is not heard, inf for one beyond all noise."""
        cost = self.cost(change(self.target))
        if cost > self.costs[-1]:
            return np.inf
        level = float(np.interp(np.log(max(cost, ROUNDING)), np.log(self.costs), self.levels_db))
        return level if cost > ROUNDING and level > DEAF_DB else -np.inf


LINES = {  # of the sweeps; colours that the colour-blind tell apart, by Okabe and Ito
    "ESR": "#0072b2",
    "ESR, pre-emphasis": "#56b4e9",
    "SI-SDR": "#009e73",
    "STFT": "#d55e00",
    "STFT with phase": "#e69f00",
    "mel": "#cc79a7",
}
STYLES = ("-", "--", ":", "-", "--", "-.")
SWEEPS: tuple[tuple[str, NDArray[np.float64], Callable[[float], Change]], ...] = (
    ("time shift / samples", np.geomspace(0.1, 1000, 33), _shift),
    ("gain / dB", np.linspace(-12, 12, 49), _gain),
    ("centre of the lost octave / Hz", np.geomspace(63, 16000, 25), _lost),
)


def draw(file: Path) -> None:
    """A heat map of all losses and changes; below it three kinds of change in steps, for some losses."""
    ratings = {name: Rating(loss, signal()) for name, loss in losses().items()}
    levels = np.array([[rating(change) for change in changes().values()] for rating in ratings.values()])
    picture = Figure(figsize=(11, 11.4), layout="constrained")
    grid = picture.add_gridspec(2, 1, height_ratios=(2.95, 1))
    top, bottom = (picture.add_subfigure(grid[row]) for row in range(2))
    title = "Level of the noise that costs as much, in dB relative to the signal (dark: heard loud; –: not heard)"
    top.suptitle(title, fontsize=11)
    _heat_map(top.subplots(), levels, list(ratings), list(changes()))
    panels = bottom.subplots(1, len(SWEEPS), sharey=True)
    _sweeps(panels, ratings)
    bottom.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=len(LINES), frameon=False)
    with replacing(file) as part:
        picture.savefig(part, dpi=150, format=file.suffix[1:] or "png")


def _heat_map(panel: Axes, levels: NDArray[np.float64], rows: list[str], columns: list[tuple[str, str]]) -> None:
    low, high = -60.0, 6.0  # where the colours end
    heard = np.ma.masked_equal(levels, -np.inf)
    panel.imshow(np.clip(heard, low, high), cmap="viridis_r", vmin=low, vmax=high, aspect="auto")
    panel.set_facecolor("white")
    for i, j in np.ndindex(*levels.shape):
        level = float(levels[i, j])
        panel.text(
            j, i, _number(level), ha="center", va="center", fontsize=8.5, color="white" if level > -27 else "black"
        )
    panel.set_yticks(range(len(rows)), rows)
    panel.set_xticks(range(len(columns)), [label for _, label in columns])
    panel.xaxis.tick_top()
    panel.tick_params(length=0)
    panel.spines[:].set_visible(False)
    groups = [group for group, _ in columns]
    for group in dict.fromkeys(groups):
        first, count = groups.index(group), groups.count(group)
        panel.text(first + (count - 1) / 2, -1.35, group, ha="center", va="bottom", fontsize=9.5)
        panel.axvline(first - 0.5, color="white", linewidth=5)
    for first in (6, 9, 19, 20):  # ratios in dB, spectra, stereo, level
        panel.axhline(first - 0.5, color="white", linewidth=5)


def _number(level: float) -> str:
    if np.isinf(level):
        return f"> {LEVELS_DB[-1]}" if level > 0 else "–"
    return f"{round(level)}".replace("-", "−")


def _sweeps(panels: Sequence[Axes], ratings: Mapping[str, Rating]) -> None:
    for panel, (title, steps, make) in zip(panels, SWEEPS, strict=True):
        for (name, colour), style in zip(LINES.items(), STYLES, strict=True):
            heard = [ratings[name](make(float(step))) for step in steps]
            panel.plot(steps, np.clip(heard, DEAF_DB, LEVELS_DB[-1]), style, color=colour, label=name, clip_on=False)
        panel.set(xlabel=title, xlim=(steps[0], steps[-1]), ylim=(DEAF_DB - 5, LEVELS_DB[-1]))
        panel.grid(color="0.9")
        panel.spines[["top", "right"]].set_visible(False)
    for panel, ticks in ((panels[0], (0.1, 1, 10, 100, 1000)), (panels[2], (63, 250, 1000, 4000, 16000))):
        panel.set_xscale("log")
        panel.set_xticks(ticks, [f"{tick / 1000:g} k" if tick >= 1000 else f"{tick:g}" for tick in ticks])
        panel.minorticks_off()
    panels[0].set_yticks([DEAF_DB, -60, -40, -20, 0, 20], ["not heard", "−60", "−40", "−20", "0", "20"])
    panels[0].set_ylabel("noise that costs as much / dB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("docs/reactions.png"), help="default: %(default)s")
    draw(parser.parse_args().output)


if __name__ == "__main__":
    main()
