"""Memory that a training step takes: a batch that does not fit is refused before the system ends the process."""

from __future__ import annotations

import ctypes
import os
from typing import Any

import torch
from torch import Tensor, nn

from models.net import Net


def saved_bytes(net: Net, loss: nn.Module, input: Tensor, controls: Tensor) -> int:
    """Bytes that the backward pass keeps of a forward pass, parameters aside; proportional to the batch."""
    own = {tensor.untyped_storage().data_ptr() for tensor in (*net.parameters(), *net.buffers())}
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    training = net.training
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        output = net.eval()(input, controls)  # evaluation keeps as much, and leaves the batch norm's statistics alone
        result: Any = loss(output, torch.zeros_like(output))
    del result
    net.train(training)
    return sum(kept.values())


def keep_freed() -> bool:
    """Has this process keep freed memory for its next tensors, where the C library is glibc; returns whether it does.

    A training step frees and takes the same hundreds of megabytes again and again. Given back to the system they come
    with new pages each time, which for small networks is a fifth of the step.
    """
    mmap_max, trim_threshold = -4, -1  # M_MMAP_MAX, M_TRIM_THRESHOLD of malloc.h
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, TypeError, AttributeError):
        return False
    return bool(mallopt(mmap_max, 0) and mallopt(trim_threshold, 2**31 - 1))


def physical_bytes() -> int | None:
    """Memory of this machine, if the system tells."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return None
