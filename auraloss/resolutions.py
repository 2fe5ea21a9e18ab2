"""STFT losses at several resolutions: fixed ones, random ones, and on sum and difference of stereo."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from auraloss.base import Loss, check_choice, reduce
from auraloss.perceptual import SumAndDifference, a_weighting
from auraloss.stft import Output, SpectralLoss, STFTLoss


class MultiResolutionSTFTLoss(SpectralLoss):
    """Mean of `STFTLoss` over several resolutions.

    Args:
        fft_sizes, hop_sizes, win_lengths: in samples, one of each for a resolution.
        window: see `STFTLoss`; one name, or one for each resolution.
        w_sc, w_log_mag, w_lin_mag, w_phs: weights, see `STFTLoss`.
        perceptual_weighting: A-weight both signals first (needs `sample_rate`).
        output: `"loss"`, or `"full"` for the loss and a list over the resolutions for each of the four terms.
        reduction, pool: see `auraloss.base.Loss`.
        **options: any other argument of `STFTLoss`.

    Shape:
        - input, target: `[*, T]`, `T > max(fft_sizes) // 2`.
        - output: a scalar, or `[*]` for `reduction="none"`.

    Raises:
        ValueError: if the three lists differ in length or are empty, and as `STFTLoss` does.

    Source: Yamamoto et al., Parallel WaveGAN, 2020.
    """

    def __init__(
        self,
        fft_sizes: Sequence[int] = (1024, 2048, 512),
        hop_sizes: Sequence[int] = (120, 240, 50),
        win_lengths: Sequence[int] = (600, 1200, 240),
        window: str | Sequence[str] = "hann_window",
        w_sc: float = 1.0,
        w_log_mag: float = 1.0,
        w_lin_mag: float = 0.0,
        w_phs: float = 0.0,
        perceptual_weighting: bool = False,
        output: str = "loss",
        reduction: str = "mean",
        pool: str = "item",
        **options: Any,
    ) -> None:
        if not 0 < len(fft_sizes) == len(hop_sizes) == len(win_lengths):
            raise ValueError(
                f"MultiResolutionSTFTLoss: fft_sizes, hop_sizes and win_lengths must be equally many, "
                f"got {len(fft_sizes)}, {len(hop_sizes)} and {len(win_lengths)}."
            )
        super().__init__(len(fft_sizes), w_sc, w_log_mag, w_lin_mag, w_phs, output, reduction, pool)
        self.fft_sizes = tuple(fft_sizes)
        self.hop_sizes = tuple(hop_sizes)
        self.win_lengths = tuple(win_lengths)
        self.window = window
        self.perceptual_weighting = perceptual_weighting
        self.options = options
        windows = [window] * len(fft_sizes) if isinstance(window, str) else window
        resolutions = zip(fft_sizes, hop_sizes, win_lengths, windows, strict=True)
        self.stft_losses = torch.nn.ModuleList(
            STFTLoss(*resolution, w_sc, w_log_mag, w_lin_mag, w_phs, **options) for resolution in resolutions
        )
        rate, device = options.get("sample_rate"), options.get("device")
        self.prefilter = a_weighting(rate, device) if perceptual_weighting else None

    def _statistics(self, input: Tensor, target: Tensor) -> Tensor:
        if self.prefilter is not None:
            input, target = self.prefilter(input, target)
        return torch.cat([loss.statistics(input, target) for loss in self._resolutions()], -1)

    def _resolutions(self) -> list[STFTLoss]:
        return [loss for loss in self.stft_losses if isinstance(loss, STFTLoss)]


class RandomResolutionSTFTLoss(SpectralLoss):
    """`MultiResolutionSTFTLoss` with resolutions drawn anew for every call.

    FFT sizes are powers of two, the window 1, 1/2 or 1/4 of the FFT size, the hop a fraction of the window.
    FFT sizes that do not fit the signal are not drawn. The draws come from a generator of the loss's own: it
    is seeded from torch's generator (so that `torch.manual_seed` governs it) or by `seed`, and its state is
    part of the state dict.

    Args:
        resolutions: how many are drawn.
        min_fft_size, max_fft_size: in samples, powers of two, both included.
        min_hop_size, max_hop_size: as a fraction of the window, up to 1.
        windows: names of window functions to draw from.
        w_sc, w_log_mag, w_lin_mag, w_phs: weights, see `STFTLoss`.
        sample_rate, scale, n_mels: for mel bands, see `STFTLoss`.
        randomize_rate: number of calls for which a draw is kept.
        output, reduction, pool: see `MultiResolutionSTFTLoss`.
        seed: of the generator; drawn from torch's if left out.
        **options: any other argument of `STFTLoss`.

    Shape:
        - input, target: `[*, T]`, `T > min_fft_size // 2`.
        - output: a scalar, or `[*]` for `reduction="none"`.

    Source: Steinmetz & Reiss, auraloss: Audio-focused loss functions in PyTorch, 2020.
    """

    def __init__(
        self,
        resolutions: int = 3,
        min_fft_size: int = 16,
        max_fft_size: int = 32768,
        min_hop_size: float = 0.1,
        max_hop_size: float = 1.0,
        windows: Sequence[str] = (
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
        if resolutions < 1 or randomize_rate < 1:
            raise ValueError(
                f"RandomResolutionSTFTLoss: resolutions={resolutions} and randomize_rate={randomize_rate} "
                f"must be at least 1."
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
        seed = int(torch.randint(2**31, ())) if seed is None else seed
        self._state = torch.Generator().manual_seed(seed).get_state()  # before the current draw
        self._next_state = self._state  # after it
        self._calls = 0  # since the current draw
        self._drawn: list[MultiResolutionSTFTLoss] = []  # a list: the draw is no submodule
        self.draw(torch.Generator().manual_seed(0))  # bad arguments fail here

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
        generator = torch.Generator().manual_seed(source) if isinstance(source, int) else source
        largest = self.max_fft_size
        while samples is not None and samples <= largest // 2 and largest > self.min_fft_size:
            largest //= 2
        if samples is not None and samples <= largest // 2:
            raise ValueError(
                f"RandomResolutionSTFTLoss: min_fft_size={self.min_fft_size} needs more than {largest // 2} "
                f"samples, got {samples}."
            )

        def pick(count: int) -> int:
            return int(torch.randint(count, (), generator=generator))

        fft_sizes, hop_sizes, win_lengths, windows = [], [], [], []
        for _ in range(self.resolutions):
            fft_size = self.min_fft_size << pick((largest // self.min_fft_size).bit_length())
            win_length = fft_size >> pick(3)
            uniform = float(torch.rand((), generator=generator))
            fraction = self.min_hop_size + uniform * (self.max_hop_size - self.min_hop_size)
            fft_sizes.append(fft_size)
            win_lengths.append(win_length)
            hop_sizes.append(max(1, int(fraction * win_length)))
            windows.append(self.windows[pick(len(self.windows))])
        return MultiResolutionSTFTLoss(
            fft_sizes,
            hop_sizes,
            win_lengths,
            windows,
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

    def _statistics(self, input: Tensor, target: Tensor) -> Tensor:
        if not self._drawn:
            generator = torch.Generator()
            generator.set_state(self._state)
            self._drawn.append(self.draw(generator, input.shape[-1], input.device))
            self._next_state = generator.get_state()
        statistics = self._drawn[0].statistics(input, target)
        self._calls += 1
        if self._calls == self.randomize_rate:
            self._state = self._next_state
            self._calls = 0
            self._drawn.clear()
        return statistics

    def get_extra_state(self) -> Tensor:
        """State of the generator before the current draw, then the number of calls since, as bytes."""
        return torch.cat([self._state, torch.tensor([self._calls]).view(torch.uint8)])

    def set_extra_state(self, state: Tensor) -> None:
        state = state.cpu()
        self._state = state[:-8].clone()
        self._calls = int(state[-8:].clone().view(torch.int64))
        self._drawn.clear()


class SumAndDifferenceSTFTLoss(Loss):
    """`MultiResolutionSTFTLoss` of sum and difference of two channels, `(w_sum·L₊ + w_diff·L₋) / 2`.

    Args:
        fft_sizes, hop_sizes, win_lengths, window: see `MultiResolutionSTFTLoss`.
        w_sum, w_diff: weights of sum and difference.
        output: `"loss"`, or `"full"` for `(loss, loss of the sum, loss of the difference)`.
        reduction, pool: see `auraloss.base.Loss`; an item has one value.
        **options: any other argument of `MultiResolutionSTFTLoss`.

    Shape:
        - input, target: `(batch, 2, samples)`.
        - output: a scalar, or `(batch, 1)` for `reduction="none"`.

    Raises:
        ValueError: if there are not two channels, and as `MultiResolutionSTFTLoss` does.

    Source: Steinmetz et al., Automatic multitrack mixing with a differentiable mixing console, 2021.
    """

    def __init__(
        self,
        fft_sizes: Sequence[int] = (1024, 2048, 512),
        hop_sizes: Sequence[int] = (120, 240, 50),
        win_lengths: Sequence[int] = (600, 1200, 240),
        window: str = "hann_window",
        w_sum: float = 1.0,
        w_diff: float = 1.0,
        output: str = "loss",
        reduction: str = "mean",
        pool: str = "item",
        **options: Any,
    ) -> None:
        super().__init__(reduction, pool)
        check_choice("output", output, ("loss", "full"))
        self.sd = SumAndDifference()
        self.mrstft = MultiResolutionSTFTLoss(fft_sizes, hop_sizes, win_lengths, window, **options)
        self.fft_sizes = self.mrstft.fft_sizes
        self.hop_sizes = self.mrstft.hop_sizes
        self.win_lengths = self.mrstft.win_lengths
        self.window = window
        self.w_sum = w_sum
        self.w_diff = w_diff
        self.output = output
        self.options = options
        self.size = 2 * self.mrstft.size

    def _statistics(self, input: Tensor, target: Tensor) -> Tensor:
        pairs = zip(self.sd(input), self.sd(target), strict=True)
        return torch.cat([self.mrstft.statistics(x, y) for x, y in pairs], -1)

    def _sum_and_difference(self, statistics: Tensor) -> tuple[Tensor, Tensor]:
        of_sum, of_difference = statistics.chunk(2, -1)
        return self.mrstft.value(of_sum), self.mrstft.value(of_difference)

    def value(self, statistics: Tensor) -> Tensor:
        of_sum, of_difference = self._sum_and_difference(statistics)
        return (self.w_sum * of_sum + self.w_diff * of_difference) / 2

    def forward(self, input: Tensor, target: Tensor) -> Output:
        statistics = self.pooled(self.statistics(input, target))
        loss = reduce(self.value(statistics), self.reduction)
        if self.output == "loss":
            return loss
        return loss, *(reduce(part, self.reduction) for part in self._sum_and_difference(statistics))
