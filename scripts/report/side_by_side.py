"""Work side by side: what is measured and drawn is shared out among processes, as Python runs one thread at a time."""

from __future__ import annotations

import os
import pickle
import sys
import warnings
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import Any, ParamSpec, TypeVar

import torch

from models.net import Net

P = ParamSpec("P")
T = TypeVar("T")

WORTHWHILE = 3  # networks: with fewer a process takes longer to start than it saves
# A copy of this process has imported already what takes seconds. It has one thread, as those that read for a training,
# and so needs none of the threads of this process. Elsewhere a copy is not safe, or cannot be had.
_CONTEXT = get_context("fork" if sys.platform == "linux" else "spawn")


def cores() -> int:
    """That this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def each(nets: Mapping[str, Net], work: Callable[[Net], T]) -> tuple[dict[str, T], dict[str, str]]:
    """What some work gives for each network, and the reason for each that fails with a ValueError, by label."""
    return _sorted_out((label, _attempt(work, net)) for label, net in nets.items())


class Workers:
    """This process and others, one for each core; this one alone if others are not worthwhile.

        with Workers(networks=6) as workers:
            chart = workers.begin(section, curves, looks)
            measured = workers.each(nets, measure)
            ...  # something else
            chart(), measured()

    The others take what was begun in its order. What none has taken when its result is asked for is done here. Results
    are the same either way, and an error of the function is raised when its result is asked for. Functions and
    arguments have to be picklable.
    """

    def __init__(self, networks: int) -> None:
        others = min(cores() - 1, networks) if networks >= WORTHWHILE else 0
        self._threads = 1 if others else torch.get_num_threads()
        self._pool = ProcessPoolExecutor(others, _CONTEXT, torch.set_num_threads, (1,)) if others else None

    def __enter__(self) -> Workers:
        self._before = torch.get_num_threads()
        torch.set_num_threads(self._threads)
        return self

    def __exit__(self, *_: object) -> None:
        torch.set_num_threads(self._before)
        if self._pool:
            self._pool.shutdown(cancel_futures=True)

    def begin(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Callable[[], T]:
        """Gives what waits for the result."""
        future = self._submitted(function, *args, **kwargs)

        def result() -> T:
            if future and not future.cancel():
                try:
                    return pickle.loads(future.result())
                except BrokenProcessPool:
                    pass
            return function(*args, **kwargs)

        return result

    def each(
        self, nets: Mapping[str, Net], work: Callable[[Net], T]
    ) -> Callable[[], tuple[dict[str, T], dict[str, str]]]:
        """Begins what `each` does; gives what waits for it."""
        begun = {label: self.begin(_attempt, work, net) for label, net in nets.items()}

        def result() -> tuple[dict[str, T], dict[str, str]]:
            results = {label: begun[label]() for label in reversed(begun)}  # the others come from the front
            return _sorted_out((label, results[label]) for label in begun)

        return result

    def _submitted(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Future[bytes] | None:
        if not self._pool:
            return None
        # Copied here: the pool would move the memory of tensors, while this process computes with them.
        work = pickle.dumps((function, args, kwargs))
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)  # of Python 3.12, see _CONTEXT
                return self._pool.submit(_done, work)
        except BrokenProcessPool:  # none can be started, or one was killed
            return None


ALONE = Workers(networks=0)


def _done(work: bytes) -> bytes:
    function, args, kwargs = pickle.loads(work)
    return pickle.dumps(function(*args, **kwargs))


def _attempt(work: Callable[[Net], T], net: Net) -> T | ValueError:
    try:
        return work(net)
    except ValueError as error:
        return error


def _sorted_out(results: Iterable[tuple[str, T | ValueError]]) -> tuple[dict[str, T], dict[str, str]]:
    found: dict[str, T] = {}
    failed: dict[str, str] = {}
    for label, result in results:
        if isinstance(result, ValueError):
            failed[label] = str(result)
        else:
            found[label] = result
    return found, failed
