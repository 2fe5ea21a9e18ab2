"""The start of a program."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def imports() -> Iterator[None]:
    """Around imports that take seconds: nothing of what they make is garbage, and looking for some takes a fifth of
    their time.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
