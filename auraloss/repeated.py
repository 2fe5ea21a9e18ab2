"""What a call used that activation checkpointing repeats in the backward pass."""

import sys
from collections import deque
from types import FrameType
from typing import Generic, TypeVar

import torch
from torch.utils import checkpoint

Used = TypeVar("Used")
REMEMBERED = 1024
"""Calls that can be repeated."""


class Calls(Generic[Used]):
    """What the latest calls of a loss used, such as random resolutions, for the time when they are repeated.

    A repeated call is told by the order of autograd's nodes. A checkpointed forward pass has a node that is made before
    it, and whoever repeats it knows this node: its calls are the first that came after.

    >>> calls = Calls[int]()
    >>> calls.remember(3)
    >>> calls.repeated() is None  # outside of a backward pass
    True
    """

    def __init__(self) -> None:
        self._latest: deque[tuple[int, Used]] = deque(maxlen=REMEMBERED)  # number of the next node; what was used
        self._repeating = (-1, -1)  # backward pass, and node of the forward pass that it repeats
        self._count = 0  # calls that are repeated already

    def remember(self, used: Used) -> None:
        """Note what is used in this call."""
        self._latest.append((torch.autograd._get_sequence_nr(), used))

    def repeated(self) -> Used | None:
        """What the call used that is repeated here; nothing for a new call.

        Raises:
            RuntimeError: if more than `REMEMBERED` calls have come since.
        """
        backward_pass = torch._C._current_graph_task_id()  # −1 outside of any
        node = None if backward_pass < 0 else _repeated_node()
        if node is None:
            return None
        if self._repeating != (backward_pass, node):
            self._repeating, self._count = (backward_pass, node), 0
        numbers = [number for number, _ in self._latest]
        if len(numbers) == REMEMBERED and min(numbers) > node:
            raise RuntimeError(
                f"A loss that draws at random is repeated by activation checkpointing after more than {REMEMBERED} "
                f"other calls: call backward() more often, or leave the loss out of the checkpointed part."
            )
        since = [used for number, used in self._latest if number > node]
        self._count += 1
        return since[self._count - 1] if self._count <= len(since) else None


def _repeated_node() -> int | None:
    """Number of the node of the checkpointed forward pass that is repeated here, the innermost of several."""
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        # Both kinds of checkpointing keep the node under one name where they repeat a forward pass.
        if frame.f_globals is vars(checkpoint) and frame.f_code.co_name in ("backward", "unpack_hook"):
            return int(frame.f_locals["ctx"]._sequence_nr())
        frame = frame.f_back
    node = torch._C._current_autograd_node()  # that of another library's checkpointing
    return None if node is None else int(node._sequence_nr())
