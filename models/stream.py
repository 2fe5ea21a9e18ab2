"""A signal of any length through a network, in blocks of any size: live, or for hours in constant memory.

    stream = Stream(Run.read("runs/quick/l1-seed1").net(), controls=(1, 0.65))
    for block in blocks:  # (B, in_channels, n), as they come
        play(stream.feed(block))
    play(stream.flush())

All outputs joined are as long as the input, and are what the network gives for the whole signal with silence on both
sides.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor

from models.net import Net, Steps

Controls = Sequence[float] | Sequence[Sequence[float]] | Tensor


class Stream:
    """Runs a network over a signal that comes in blocks.

    An output sample is returned as soon as all input samples are there on which it depends. A causal network thus
    returns n samples for n. Another one holds back the first `latency` samples, returns n for n from then on, and the
    rest at `flush`, as if silence followed.

    Controls may be set between blocks, and hold for the input samples to come; a TCN comes to them over the next block
    (1,024 samples at most), in a straight line of each channel's scale and shift, so that no step is heard. Every layer
    computes each of its samples once, with the controls of the newest input sample on which that one depends; what was
    computed before the change stays as it is, and has left the network a receptive field later. (A network that has
    only the general `Net.step` computes each output sample anew with the controls of the newest input sample.) Before
    the signal there was endless silence, at the controls of its first sample.

    The network is copied: the stream does not see what is done to it later.

    Args:
        net: in evaluation mode, on any device, of any precision that it computes in.
        controls: ``(P,)`` for all items of a batch, or ``(B, P)``; empty for a network without.

    Raises:
        ValueError: for a network in training mode, or controls of another number than it has.

    Example:
        >>> from models.tcn import TCN
        >>> stream = Stream(TCN(blocks=2, kernel_size=3).eval(), controls=(0, 0.5))
        >>> stream.latency
        3
        >>> [stream.feed(torch.zeros(1, 1, n)).shape[-1] for n in (2, 2, 50)], stream.flush().shape[-1]
        ([0, 1, 50], 3)
    """

    def __init__(self, net: Net, controls: Controls = ()) -> None:
        if net.training:
            raise ValueError("the network is in training mode, where its output depends on the batch: call net.eval()")
        self._items: int | None = None  # of the batch, once a signal has begun
        self._steps: Steps | None = None
        self._missing = 0  # samples that the output is still to hold back
        with torch.inference_mode():
            self._net = copy.deepcopy(net)
            like = next(self._net.parameters(), torch.empty(0))
            self._dtype, self._device = like.dtype, like.device
            self._count: int | None = getattr(net, "controls", None)
            self._controls = self._checked(controls)
            self._count = self._controls.shape[-1]
            # A sample of silence tells how many channels there will be.
            output = self._net.steps(self._of_items(1)[:1]).step(self._zeros(1, net.in_channels, 1))
            self.out_channels: int = output.shape[1]

    @property
    def latency(self) -> int:
        """Samples that are held back: the network's look-ahead, 0 if it is causal."""
        return self._net.lookahead

    @property
    def controls(self) -> Tensor:
        """The controls of the samples to come, as they were set: ``(P,)`` or ``(B, P)``."""
        return self._controls.clone()

    @controls.setter
    def controls(self, controls: Controls) -> None:
        with torch.inference_mode():
            checked = self._checked(controls)
            if torch.equal(checked, self._controls):
                return
            self._controls = checked
            if self._steps is not None and self._items is not None:
                self._steps.set(self._of_items(self._items))

    def feed(self, block: Tensor) -> Tensor:
        """Takes the next samples, and returns those of the output that are complete now.

        Shape:
            ``(B, in_channels, n)``, n ≥ 0 → ``(B, out_channels, m)``; m is n, less what is still to be held back.

        Raises:
            ValueError: for a block of another shape, precision or device, or of another B than the one before.
        """
        self._check(block)
        with torch.inference_mode():
            if self._steps is None or self._items is None:
                self._items, self._missing = len(block), self.latency
                self._steps = self._net.steps(self._of_items(self._items))
            return self._advance(self._steps, block)

    def flush(self) -> Tensor:
        """Ends the signal and returns what was held back. The next block begins another, as after `reset`.

        Shape:
            ``(B, out_channels, m)``; m is `latency`, or the length of the signal if that is less.
        """
        with torch.inference_mode():
            if self._steps is None or self._items is None:
                return self._zeros(len(self._of_items(1)), self.out_channels, 0)
            silence = self._zeros(self._items, self._net.in_channels, self.latency)
            held_back = self._advance(self._steps, silence)
        self.reset()
        return held_back

    def reset(self) -> None:
        """Forgets the signal, and what was held back of it; the controls stay."""
        self._steps = self._items = None

    def _advance(self, steps: Steps, block: Tensor) -> Tensor:
        count = block.shape[-1]
        if count == 0:
            return self._zeros(len(block), self.out_channels, 0)
        output = steps.step(block)
        before = min(self._missing, count)  # these belong to the silence before the signal
        self._missing -= before
        return output[..., before:].contiguous()

    def _zeros(self, *shape: int) -> Tensor:
        return torch.zeros(shape, dtype=self._dtype, device=self._device)

    def _of_items(self, items: int) -> Tensor:
        """The controls of each item, ``(B, P)``."""
        return self._controls if self._controls.ndim == 2 else self._controls.expand(items, -1)

    def _checked(self, controls: Controls) -> Tensor:
        found = torch.as_tensor(controls, dtype=self._dtype, device=self._device).clone()
        shape = found.shape
        count = self._count if self._count is not None else shape[-1] if found.ndim else 0
        items_fit = found.ndim == 1 or (found.ndim == 2 and (len(found) == self._items if self._items else len(found)))
        if not items_fit or shape[-1] != count:
            expected = f"({count},) or ({self._items or 'B'}, {count})"
            raise ValueError(f"controls must have shape {expected}, got {tuple(shape)}")
        return found

    def _check(self, block: Tensor) -> None:
        items = self._items or (len(self._controls) if self._controls.ndim == 2 else None)
        channels = self._net.in_channels
        if block.ndim != 3 or len(block) != (items or max(len(block), 1)) or block.shape[1] != channels:
            expected = f"({items or 'B'}, {channels}, n)"
            raise ValueError(f"a block must have shape {expected}, got {tuple(block.shape)}")
        for what, ours, its in (("dtype", self._dtype, block.dtype), ("device", self._device, block.device)):
            if ours != its:
                raise ValueError(f"a block must have the network's {what}, {ours}, got {its}")
