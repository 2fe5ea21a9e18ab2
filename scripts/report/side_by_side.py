"""Work side by side: networks in threads, as compiled loops leave Python to others; figures in another process."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import ParamSpec, TypeVar

import torch

from models.net import Net

P = ParamSpec("P")
T = TypeVar("T")

WORTHWHILE = 3  # networks: with fewer a process takes longer to start than it saves


def cores() -> int:
    """That this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def each(nets: Mapping[str, Net], work: Callable[[Net], T]) -> tuple[dict[str, T], dict[str, str]]:
    """What some work gives for each network, and the reason for each that fails with a ValueError, by label.

    As many at a time as there are cores, each on one thread; one alone on all.
    """

    def done(net: Net) -> T | ValueError:
        try:
            return work(net)
        except ValueError as error:
            return error

    at_once = min(cores(), len(nets))
    if at_once > 1:
        threads = torch.get_num_threads()
        with ThreadPoolExecutor(at_once, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            results = dict(zip(nets, pool.map(done, nets.values()), strict=True))
        torch.set_num_threads(threads)
    else:
        results = {label: done(net) for label, net in nets.items()}
    failed = {label: str(result) for label, result in results.items() if isinstance(result, ValueError)}
    return {label: result for label, result in results.items() if not isinstance(result, ValueError)}, failed


class Drawing:
    """Draws figures, in a process of its own if that is worthwhile, in the order in which they are asked for.

        with Drawing(networks=6) as draw:
            chart = draw(section, curves, looks)
            ...  # measure
            chart()  # waits for it

    What is drawn is the same either way. An error of the function is raised when its result is asked for.
    """

    def __init__(self, networks: int) -> None:
        beside = networks >= WORTHWHILE and cores() > 1
        self._pool = ProcessPoolExecutor(1, get_context("spawn")) if beside else None

    def __enter__(self) -> Drawing:
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool:
            self._pool.shutdown(cancel_futures=True)

    def __call__(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Callable[[], T]:
        """Begins to draw; gives what waits for the result."""
        if self._pool is None:
            return lambda: function(*args, **kwargs)
        future: Future[T] = self._pool.submit(function, *args, **kwargs)

        def result() -> T:
            try:
                return future.result()
            except BrokenProcessPool:  # no other process can be started, or it was killed
                return function(*args, **kwargs)

        return result
