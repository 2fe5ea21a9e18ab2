"""Statistics of many losses from one pass, forward only: what an evaluation with many spectral metrics needs.

Losses that ask for the same transform share it, and several inputs share what is computed of their target. Signals are
transformed a few frames at a time, which stay in the processor's cache with all that is made of them; memory does not
grow with the signal.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from auraloss.base import Loss, check_shapes
from auraloss.resolutions import MultiResolutionSTFTLoss
from auraloss.spectrum import frame_count, frame_padding
from auraloss.stft import STFTLoss, audible

Magnitude = tuple[Tensor, Tensor | None]
"""A magnitude as a loss defines it, and its logarithm for a loss that needs it."""
Distances = Callable[[Sequence[STFTLoss], Iterable[Tensor]], Tensor]
"""What `distances` is, or a faster one."""
CPU_BINS = 2**17
"""Bins of a signal that a CPU computes at once: 512 kB, so that a handful of tensors fits the cache of a core."""
GPU_BINS = 2**24
"""The same on a GPU, whose memory this bounds."""


def distances(losses: Sequence[STFTLoss], spectra: Iterable[Tensor]) -> Tensor:
    """The four sums of `auraloss.magnitude.Distances` of each input and loss; 0 for those that a loss does not need.

    Args:
        losses: of the same transform.
        spectra: of the target, then of N inputs, `(frames, bins)` each. They may come one by one, and are overwritten.

    Shape:
        - output: `(N, losses, 4)`.

    >>> from auraloss.freq import STFTLoss
    >>> target, input = torch.ones(2, 1, 3, dtype=torch.complex64) * torch.tensor([[[1, 2, 1]], [[1, 1, 1]]])
    >>> distances([STFTLoss(4, 1, 4)], [target, input])
    tensor([[[1.0000, 6.0000, 0.6931, 0.0000]]])
    """
    levels = (_magnitudes(losses, _power(spectrum)) for spectrum in spectra)
    of_target = list(next(levels))
    zero = of_target[0][0].new_zeros(())
    energies = [magnitude.square().sum() for magnitude, _ in of_target]
    rows: list[Tensor] = []
    for of_input in levels:
        for loss, x, y, energy in zip(losses, of_input, of_target, energies, strict=True):
            rows += _sums(loss, x, y, energy, zero)
    return torch.stack(rows).view(-1, len(losses), 4)


@torch.no_grad()
def statistics(
    losses: Mapping[str, Any], input: Tensor, target: Tensor, compute: Distances = distances
) -> dict[str, Tensor]:
    """`loss.statistics(input, target)` of each loss, in float64 and on the CPU, without gradients.

    Args:
        losses: by name; any with `statistics`, as `auraloss.base.Loss` has. STFT losses on the signals as they are,
            without phase and scale invariance, share their transforms; all others are computed one by one.
        compute: what a caller who has something faster than `distances` wants to be used instead.

    Shape:
        - input: `[N, *, T]`; target: the same, or `[1, *, T]` for several inputs with one target.
        - output: `[N, *, size]` for each name.

    Raises:
        ValueError: as the losses do, with the name of the loss before the message.

    >>> from auraloss.freq import STFTLoss
    >>> losses = {"a": STFTLoss(16, 4, 16), "b": STFTLoss(16, 4, 16, eps=1e-4)}
    >>> impulse = torch.nn.functional.one_hot(torch.tensor([8]), 16).float()
    >>> found = statistics(losses, torch.cat([impulse, 0.5 * impulse]), impulse)
    >>> losses["a"].value(found["a"])
    tensor([0.0000, 1.0545], dtype=torch.float64)
    """
    one = input.ndim == target.ndim > 1 and len(target) == 1  # a target for all inputs
    all_targets = target.expand(len(input), *target.shape[1:]) if one else target
    sharing: dict[str, list[STFTLoss]] = {}
    found: dict[str, Tensor] = {}
    for name, loss in losses.items():
        try:
            resolutions = _resolutions(loss)
            if resolutions is None:
                if one and isinstance(loss, Loss):
                    bound = loss.bind(target)
                    sums = torch.cat([bound.statistics(of_one) for of_one in input.split(1)])
                else:
                    sums = loss.statistics(input, all_targets)
                found[name] = sums.cpu().double()
                continue
            check_shapes(type(loss).__name__, input, all_targets)
            for resolution in resolutions:
                resolution.check_length(input.shape[-1])
            sharing[name] = resolutions
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error
    if sharing:
        needed = [resolution for of_loss in sharing.values() for resolution in of_loss]
        with torch.autocast(input.device.type, enabled=False):
            shared = _shared(needed, input, target, len(input) if one else 1, compute)
        found |= {name: torch.cat([shared[r] for r in of_loss], -1) for name, of_loss in sharing.items()}
    return {name: found[name] for name in losses}


def _resolutions(loss: Any) -> list[STFTLoss] | None:
    """The STFT losses that it consists of; nothing if one needs more than magnitudes of the signals as they are."""
    computed = getattr(type(loss), "_statistics", None)
    parts: list[Any] = []
    if computed is STFTLoss._statistics:
        parts = [loss]
    elif computed is MultiResolutionSTFTLoss._statistics and loss.prefilter is None:
        parts = list(loss.stft_losses)
    plain = all(not part.w_phs and not part.scale_invariance and part.prefilter is None for part in parts)
    return parts if parts and plain else None


def _shared(
    losses: Sequence[STFTLoss], input: Tensor, target: Tensor, inputs: int, compute: Distances
) -> dict[STFTLoss, Tensor]:
    """The statistics `[*, 7]` of each, with one transform for all that ask for the same."""
    dtype = torch.promote_types(torch.promote_types(input.dtype, target.dtype), torch.float32)
    samples = input.shape[-1]
    y = target.to(dtype).reshape(1, -1, samples)
    x = input.to(dtype).reshape(inputs, -1, samples)
    groups: dict[object, list[STFTLoss]] = defaultdict(list)
    for loss in losses:
        groups[loss.fft_size, loss.hop_size, loss.win_length, repr(loss.window)].append(loss)
    paddings = {
        key: frame_padding(samples, alike[0].win_length, alike[0].fft_size, alike[0].hop_size)
        for key, alike in groups.items()
    }
    before, after = map(max, zip(*paddings.values(), strict=True))
    padded = _reflected(y, x, before, after)  # once, as far as the longest frame
    found: dict[STFTLoss, Tensor] = {}
    for key, group in groups.items():
        length, hop = group[0].win_length, group[0].hop_size
        count = frame_count(samples, group[0].fft_size, hop)
        frames = padded[..., before - paddings[key][0] :].unfold(-1, length, hop)[:, :, :count]
        sums = torch.stack([_of_group(group, frames[:, row], compute) for row in range(frames.shape[1])], 2)
        found |= dict(zip(group, sums.reshape(len(group), *input.shape[:-1], 7), strict=True))
    return found


def _reflected(target: Tensor, inputs: Tensor, before: int, after: int) -> Tensor:
    """A target and N audible inputs `(1 + N, rows, before + T + after)`, reflected at both ends as by `torch.stft`."""
    samples = inputs.shape[-1]
    signals = inputs.new_empty(1 + len(inputs), *inputs.shape[1:-1], before + samples + after)
    middle = signals[..., before : before + samples]
    middle[:1], middle[1:] = target, inputs
    if not inputs.all():  # as a rule there is nothing to do
        middle[1:] = audible(inputs, target)
    signals[..., :before] = middle[..., 1 : before + 1].flip(-1)
    signals[..., before + samples :] = middle[..., samples - 1 - after : samples - 1].flip(-1)
    return signals


def _of_group(group: Sequence[STFTLoss], frames: Tensor, compute: Distances) -> Tensor:
    """Statistics of losses of one transform, of a target and N inputs `(1 + N, frames, length)` → `(losses, N, 7)`."""
    fft_size, width = group[0].fft_size, group[0].fft_size // 2 + 1
    window = group[0].window_values.to(frames)
    different = {_key(loss): loss for loss in group}
    losses = list(different.values())
    size = max(1, (CPU_BINS if frames.is_cpu else GPU_BINS) // width)
    room = frames.new_zeros(min(size, frames.shape[1]), fft_size)  # behind the window all frames are 0
    sums = [compute(losses, _spectra(part, window, room)) for part in frames.split(size, dim=1)]
    # Float32 is enough for the sum of one part, not for that of many.
    total = torch.stack(sums).cpu().double().sum(0)
    found = {}
    for number, (key, loss) in enumerate(different.items()):
        bands = width if loss.filterbank is None else len(loss.filterbank)
        counts = frames.shape[1] * total.new_tensor([bands, 0, width])
        found[key] = torch.cat([total[:, number], counts.expand(len(total), -1)], -1)
    return torch.stack([found[_key(loss)] for loss in group])


def _spectra(frames: Tensor, window: Tensor, room: Tensor) -> Iterator[Tensor]:
    """Of each signal in turn, `(signals, frames, length)` → `(frames, bins)`."""
    padded = room[: frames.shape[1]]
    for of_signal in frames:
        torch.mul(of_signal, window, out=padded[:, : len(window)])
        yield torch.fft.rfft(padded)


def _power(spectrum: Tensor) -> Tensor:
    squares = torch.view_as_real(spectrum).square_()
    return squares[..., 0] + squares[..., 1]


def _magnitudes(losses: Collection[STFTLoss], power: Tensor) -> Iterator[Magnitude]:
    """Of the power of some frames, for each loss."""
    lowest = min(loss.eps for loss in losses)
    magnitude = power.clamp_(min=lowest).sqrt_()
    log: Tensor | None = None
    for loss in losses:
        floor = None if loss.eps == lowest else loss.eps**0.5
        own = magnitude if floor is None else magnitude.clamp(min=floor)
        shift = loss.distance[1]
        if not loss.w_log_mag:
            yield loss.bands(own), None
        elif loss.filterbank is not None or shift:
            own = loss.bands(own)
            yield own, (own + shift if shift else own).log()
        else:  # one logarithm for all floors
            log = magnitude.log() if log is None else log
            yield own, log if floor is None else log.clamp(min=math.log(floor))


def _sums(loss: STFTLoss, x: Magnitude, y: Magnitude, energy: Tensor, zero: Tensor) -> list[Tensor]:
    """The four sums of `auraloss.magnitude.Distances`; `zero` stands for those that the loss does not need."""
    squared, _, convergence, _, linear = loss.distance
    distance = torch.square_ if squared else torch.abs_
    sums = [zero, energy if convergence else zero, zero, zero]
    if convergence:
        sums[0] = (x[0] - y[0]).square_().sum()
    if x[1] is not None and y[1] is not None:
        sums[2] = distance(x[1] - y[1]).sum()
    if linear:
        sums[3] = distance(x[0] - y[0]).sum()
    return sums


def _key(loss: STFTLoss) -> object:
    """Losses of one transform and one key are equal."""
    bands = loss.scale, loss.n_bins, loss.sample_rate, loss.f_min, loss.f_max, loss.band_floor
    return loss.eps, bands, loss.distance
