"""STFT loss at random resolutions."""

from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any, NamedTuple

import torch
from torch import Tensor

from auraloss.repeated import Calls
from auraloss.resolutions import MultiResolutionSTFTLoss
from auraloss.spectrum import Window, make_window
from auraloss.stft import SpectralLoss


class _Resolutions(NamedTuple):
    """A draw."""

    fft_sizes: Sequence[int]
    hop_sizes: Sequence[int]
    win_lengths: Sequence[int]
    window: list[Window]


class RandomResolutionSTFTLoss(SpectralLoss):
    """`MultiResolutionSTFTLoss` with resolutions drawn anew for every call.

    FFT sizes are powers of two, the window 1, 1/2 or 1/4 of the FFT size, the hop a fraction of the window.
    FFT sizes that do not fit the signal are not drawn. The draws come from a generator of the loss's own: it
    is seeded from torch's generator (so that `torch.manual_seed` governs it) or by `seed`, and its state is
    part of the state dict. A call draws once, for the shortest of its signals, also within another loss. Ranks of a
    distributed training that are seeded alike draw alike, and a call that activation checkpointing repeats draws as it
    did before.

    Args:
        resolutions: how many are drawn.
        min_fft_size, max_fft_size: in samples, powers of two, both included.
        min_hop_size, max_hop_size: as a fraction of the window, up to 1.
        windows: to draw from, see `STFTLoss`.
        w_sc, w_log_mag, w_lin_mag, w_phs: weights, see `STFTLoss`.
        sample_rate, scale, n_mels: for mel bands, see `STFTLoss`.
        randomize_rate: number of calls for which a draw is kept, unless a signal is too short for it.
        output, reduction, pool: see `MultiResolutionSTFTLoss`.
        seed: of the generator; drawn from torch's if left out.
        **options: any other argument of `STFTLoss`, for every resolution.

    Shape:
        - input, target: `[*, T]`, `T > min_fft_size // 2`.
        - output: a scalar, or `[*]` for `reduction="none"`.

    Raises:
        ValueError: for sizes that are no powers of two, ranges without content, signals too short for `min_fft_size`,
            and as `STFTLoss` does.

    Source: Steinmetz & Reiss, auraloss: Audio-focused loss functions in PyTorch, 2020.

    >>> loss = RandomResolutionSTFTLoss(seed=0)
    >>> loss.draw(1, samples=18_446).fft_sizes
    (32, 2048, 32768)
    """

    random = True

    def __init__(
        self,
        resolutions: int = 3,
        min_fft_size: int = 16,
        max_fft_size: int = 32768,
        min_hop_size: float = 0.1,
        max_hop_size: float = 1.0,
        windows: Sequence[Window] = (
            "hann_window",
            "bartlett_window",
            "blackman_window",
            "hamming_window",
            "kaiser_window",
        ),
        w_sc: float = 1.0,
        w_log_mag: float = 1.0,
        w_lin_mag: float = 0.0,
        w_phs: float = 0.0,
        sample_rate: float | None = None,
        scale: str | None = None,
        n_mels: int | None = None,
        randomize_rate: int = 1,
        output: str = "loss",
        reduction: str = "mean",
        pool: str = "item",
        seed: int | None = None,
        **options: Any,
    ) -> None:
        super().__init__(resolutions, w_sc, w_log_mag, w_lin_mag, w_phs, output, reduction, pool)
        for size in (min_fft_size, max_fft_size):
            if size < 4 or size & (size - 1):
                raise ValueError(f"RandomResolutionSTFTLoss: FFT size {size} is not a power of two, 4 or more.")
        if min_fft_size > max_fft_size or not 0 < min_hop_size <= max_hop_size <= 1:
            raise ValueError(
                f"RandomResolutionSTFTLoss: needs min_fft_size <= max_fft_size and 0 < min_hop_size <= "
                f"max_hop_size <= 1, got {min_fft_size}, {max_fft_size}, {min_hop_size}, {max_hop_size}."
            )
        if isinstance(windows, str):
            raise ValueError(f"RandomResolutionSTFTLoss: windows={windows!r} must be a list of windows.")
        if resolutions < 1 or randomize_rate < 1 or not windows:
            raise ValueError(
                f"RandomResolutionSTFTLoss: needs 1 or more of each, got resolutions={resolutions}, "
                f"randomize_rate={randomize_rate} and windows={windows!r}."
            )
        self.resolutions = resolutions
        self.min_fft_size = min_fft_size
        self.max_fft_size = max_fft_size
        self.min_hop_size = min_hop_size
        self.max_hop_size = max_hop_size
        self.windows = tuple(windows)
        self.sample_rate = sample_rate
        self.scale = scale
        self.n_mels = n_mels
        self.randomize_rate = randomize_rate
        self.seed = seed
        self.options = options
        seed = int(torch.randint(2**31, (), device="cpu")) if seed is None else seed
        self._state = torch.Generator(device="cpu").manual_seed(seed).get_state()  # before the current draw
        self._next_state = self._state  # after it
        self._calls = 0  # since the current draw
        self._drawn: list[MultiResolutionSTFTLoss] = []  # a list: the draw is no submodule
        self._latest = Calls[_Resolutions]()
        # Bad arguments fail here, not at the draw that meets them.
        self.draw(0)
        for window in self.windows:
            make_window(window, self.max_fft_size)

    def draw(
        self, source: int | torch.Generator, samples: int | None = None, device: torch.device | None = None
    ) -> MultiResolutionSTFTLoss:
        """A frozen draw of resolutions, the same for the same seed.

        Args:
            source: seed or generator.
            samples: length of the signals; FFT sizes that do not fit it are not drawn.
            device: where to make the windows.

        Raises:
            ValueError: if not even `min_fft_size` fits `samples`.
        """
        generator = torch.Generator(device="cpu").manual_seed(source) if isinstance(source, int) else source
        largest = self.max_fft_size
        while samples is not None and samples <= largest // 2 and largest > self.min_fft_size:
            largest //= 2
        if samples is not None and samples <= largest // 2:
            raise ValueError(
                f"RandomResolutionSTFTLoss: min_fft_size={self.min_fft_size} needs more than {largest // 2} "
                f"samples, got {samples}."
            )

        def pick(count: int) -> int:
            return int(torch.randint(count, (), generator=generator, device="cpu"))

        fft_sizes, hop_sizes, win_lengths, windows = [], [], [], []
        for _ in range(self.resolutions):
            fft_size = self.min_fft_size << pick((largest // self.min_fft_size).bit_length())
            win_length = fft_size >> pick(3)
            uniform = float(torch.rand((), generator=generator, device="cpu"))
            fraction = self.min_hop_size + uniform * (self.max_hop_size - self.min_hop_size)
            fft_sizes.append(fft_size)
            win_lengths.append(win_length)
            hop_sizes.append(max(1, int(fraction * win_length)))
            windows.append(self.windows[pick(len(self.windows))])
        return self._made(_Resolutions(fft_sizes, hop_sizes, win_lengths, windows), device)

    def _made(self, resolutions: _Resolutions, device: torch.device | None) -> MultiResolutionSTFTLoss:
        # Never of inference tensors: a kept draw may serve a training.
        with nullcontext() if device is None else torch.device(device), torch.inference_mode(False):
            return MultiResolutionSTFTLoss(
                *resolutions,
                self.w_sc,
                self.w_log_mag,
                self.w_lin_mag,
                self.w_phs,
                output=self.output,
                reduction=self.reduction,
                pool=self.pool,
                **{"sample_rate": self.sample_rate, "scale": self.scale, "n_bins": self.n_mels, "device": device}
                | self.options,
            )

    def _statistics(self, input: Tensor, target: Tensor) -> tuple[Tensor, ...]:
        return self._of_call(input.shape[-1], input.device)._statistics(input, target)

    def _of_call(self, samples: int, device: torch.device) -> MultiResolutionSTFTLoss:
        resolutions = self._latest.repeated()
        if resolutions is None:
            drawn = self._next(samples, device)
            resolutions = _Resolutions(drawn.fft_sizes, drawn.hop_sizes, drawn.win_lengths, list(drawn.window))
        else:
            drawn = self._made(resolutions, device)
        self._latest.remember(resolutions)
        return drawn

    def _next(self, samples: int, device: torch.device) -> MultiResolutionSTFTLoss:
        """The draw for another call."""
        if not self._drawn or samples <= max(self._drawn[0].fft_sizes) // 2:
            generator = torch.Generator(device="cpu")
            generator.set_state(self._state)
            self._drawn = [self.draw(generator, samples, device)]
            self._next_state = generator.get_state()
        drawn = self._drawn[0]
        self._calls += 1
        if self._calls == self.randomize_rate:
            self._state = self._next_state
            self._calls = 0
            self._drawn.clear()
        return drawn

    def get_extra_state(self) -> Tensor:
        """State of the generator before the current draw, then the number of calls since, as bytes."""
        return torch.cat([self._state, torch.tensor([self._calls], device="cpu").view(torch.uint8)])

    def set_extra_state(self, state: Tensor) -> None:
        state = state.cpu()
        self._state = state[:-8].clone()
        self._calls = int(state[-8:].clone().view(torch.int64))
        self._drawn.clear()
