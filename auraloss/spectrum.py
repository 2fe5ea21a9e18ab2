"""Windows, and the short-time Fourier transform with its magnitude: the core that all spectral losses share.

The backward pass is written out. Autograd would store every step from frames to magnitudes and transform the
gradient with a complex FFT of full length; written out, it needs the spectrum and the magnitude, and a real
inverse FFT. It consists of differentiable operations, so that second derivatives work too.
"""

from typing import Any

import scipy.signal
import torch
from torch import Tensor

from auraloss.base import computed_once

Window = str | tuple[Any, ...]
"""A name, or with parameters a window of SciPy such as `("kaiser", 8.6)`."""
TORCH_WINDOWS = ("hann_window", "hamming_window", "blackman_window", "bartlett_window", "kaiser_window")


@computed_once
def make_window(name: Window, length: int) -> Tensor:
    """A periodic window, float32, by the name of a torch function or of a window of SciPy.

    >>> make_window("hann_window", 4), make_window(("tukey", 1.0), 4)
    (tensor([0.0000, 0.5000, 1.0000, 0.5000]), tensor([0.0000, 0.5000, 1.0000, 0.5000]))

    Raises:
        ValueError: if there is none of this name.
    """
    if name in TORCH_WINDOWS:
        made: Tensor = getattr(torch, str(name))(length, dtype=torch.float32)
        return made
    try:
        return torch.tensor(scipy.signal.get_window(name, length), dtype=torch.float32)
    except ValueError as error:
        known = ", ".join(TORCH_WINDOWS)
        raise ValueError(f"window={name!r} is none of {known}, nor a window of SciPy: {error}") from error


def check_sizes(name: str, fft_size: int, hop_size: int, win_length: int) -> None:
    """Raise a `ValueError` with the name of a loss unless the sizes of its transform fit together."""
    if not 0 < win_length <= fft_size or hop_size < 1:
        raise ValueError(
            f"{name}: needs 0 < win_length <= fft_size and hop_size >= 1, got win_length={win_length}, "
            f"fft_size={fft_size}, hop_size={hop_size}."
        )


def check_length(name: str, fft_size: int, samples: int) -> None:
    """Raise a `ValueError` with the name of a loss if a signal is too short to be reflected at its ends."""
    if samples <= fft_size // 2:
        raise ValueError(f"{name}: fft_size={fft_size} needs more than {fft_size // 2} samples, got {samples}.")


def frame_count(samples: int, fft_size: int, hop_size: int) -> int:
    """Frames of a signal that is padded by half a frame at both ends."""
    return 1 + (samples - fft_size % 2) // hop_size


def spectrum(signal: Tensor, window: Tensor, fft_size: int, hop_size: int, eps: float) -> tuple[Tensor, Tensor]:
    """Short-time Fourier transform `X` and its magnitude `sqrt(max(|X|², eps))`.

    The signal is reflected at both ends, as `torch.stft` does. Frames begin where the window does: `X` has the
    phase of `torch.stft` only up to a rotation that is the same in all signals.

    Below the floor the gradient of the magnitude falls in proportion to `|X|`, so that a faint prediction learns.

    Shape:
        - signal: `(rows, T)`, `T > fft_size // 2`.
        - output: two tensors `(rows, frames, fft_size // 2 + 1)`, complex and real.
    """
    padded = reflected(signal, *frame_padding(signal.shape[-1], window.numel(), fft_size, hop_size))
    transform, magnitude = _Spectrum.apply(padded, window, fft_size, hop_size, eps)
    return transform, magnitude


def frame_padding(samples: int, length: int, fft_size: int, hop_size: int) -> tuple[int, int]:
    """Samples by which a signal is reflected at its start and at its end: as far as windows of this length reach.

    >>> frame_padding(samples=16, length=4, fft_size=8, hop_size=4)
    (2, 2)
    """
    before = fft_size // 2 - (fft_size - length) // 2
    last = (frame_count(samples, fft_size, hop_size) - 1) * hop_size - before
    return before, max(last + length - samples, 0)


class _Reflected(torch.autograd.Function):
    """A signal with reflections at its ends; on a processor in a quarter of the time of torch's own."""

    generate_vmap_rule = True

    @staticmethod
    def forward(signal: Tensor, before: int, after: int) -> Tensor:
        samples = signal.shape[-1]
        start, end = signal[..., 1 : before + 1], signal[..., samples - 1 - after : samples - 1]
        return torch.cat([start.flip(-1), signal, end.flip(-1)], -1)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, int, int], output: Tensor) -> None:
        signal, ctx.before, ctx.after = inputs
        ctx.samples = signal.shape[-1]

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        padded, before, samples = gradients[0], ctx.before, ctx.samples
        gradient = padded[..., before : before + samples].clone()
        gradient[..., 1 : before + 1] += padded[..., :before].flip(-1)
        gradient[..., samples - 1 - ctx.after : samples - 1] += padded[..., before + samples :].flip(-1)
        return gradient, None, None


def reflected(signal: Tensor, before: int, after: int) -> Tensor:
    """The signal with so many samples before its first and after its last one mirrored there, `[*, T]`.

    >>> reflected(torch.tensor([1.0, 2.0, 3.0]), 1, 2)
    tensor([2., 1., 2., 3., 2., 1.])
    """
    padded: Tensor = _Reflected.apply(signal, before, after)
    return padded


class _Spectrum(torch.autograd.Function):
    """Spectrum and magnitude of the frames of a padded signal."""

    generate_vmap_rule = True

    @staticmethod
    def forward(signal: Tensor, window: Tensor, fft_size: int, hop_size: int, eps: float) -> tuple[Tensor, Tensor]:
        frames = signal.unfold(-1, window.numel(), hop_size) * window
        transform = torch.fft.rfft(frames, fft_size)
        squares = torch.view_as_real(transform).square()  # in a third of the time of abs
        power = squares[..., 0] + squares[..., 1]
        # Not sqrt_: torch.compile loses the gradient of an output that was changed in place, without a word.
        return transform, power.clamp_(min=eps).sqrt()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
        signal, window, ctx.fft_size, ctx.hop_size, _ = inputs
        ctx.save_for_backward(window, *output)
        ctx.samples = signal.shape[-1]
        ctx.set_materialize_grads(False)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, None, None, None, None]:
        window, transform, magnitude = ctx.saved_tensors
        of_transform, of_magnitude = gradients
        if of_transform is None and of_magnitude is None:
            return None, None, None, None, None
        gradient: Any = 0.0 if of_magnitude is None else transform * (of_magnitude / magnitude)
        if of_transform is not None:
            gradient = gradient + of_transform
        # The inverse counts each bin twice, for itself and its mirror image, except those without one: they are
        # doubled, and all halved with the window.
        gradient[..., 0] *= 2
        if ctx.fft_size % 2 == 0:
            gradient[..., -1] *= 2
        frames = torch.fft.irfft(gradient, ctx.fft_size, norm="forward")[..., : window.numel()] * (window / 2)
        return overlap_add(frames, ctx.hop_size, ctx.samples), None, None, None, None


def overlap_add(frames: Tensor, hop_size: int, samples: int) -> Tensor:
    """Sum of frames that start `hop_size` apart, `(rows, frames, length)` → `(rows, samples)`."""
    rows, count, length = frames.shape
    hops = max(count - 1 + -(-length // hop_size), -(-samples // hop_size))
    total = frames.new_zeros(rows, hops, hop_size)
    for shift, start in enumerate(range(0, length, hop_size)):
        part = frames[..., start : start + hop_size]
        total[:, shift : shift + count, : part.shape[-1]] += part
    return total.view(rows, -1)[:, :samples]
