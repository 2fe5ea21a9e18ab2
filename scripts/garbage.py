"""When Python looks for garbage: usually after some hundred new objects, and often through all old ones as well."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

SELDOM = 50_000  # new objects


@contextmanager
def never() -> Iterator[None]:
    """Around imports that take seconds: nothing of what they make is garbage, and looking for some takes a fifth of
    their time.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@contextmanager
def seldom() -> Iterator[None]:
    """Around work that makes many small objects, as drawing does, which otherwise takes a quarter longer."""
    usual = gc.get_threshold()
    gc.set_threshold(SELDOM, *usual[1:])
    try:
        yield
    finally:
        gc.set_threshold(*usual)
