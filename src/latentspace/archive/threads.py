"""Several blocks at a time, in order."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from typing import Any, TypeVar

__all__ = ["ordered", "single_blas", "threads"]

T = TypeVar("T")


def ordered(
    pool: ThreadPoolExecutor, work: Callable[[Any], T], given: Iterable[Any], ahead: int
) -> Iterator[T]:
    """`work` on all that is given, in order, at most `ahead` at a time."""
    waiting: deque[Future[T]] = deque()
    try:
        for one in given:
            waiting.append(pool.submit(work, one))
            if len(waiting) >= ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()


def single_blas() -> AbstractContextManager[Any]:
    """Matrix products of one thread each, as there are several blocks at a time."""
    from threadpoolctl import threadpool_limits

    limits: AbstractContextManager[Any] = threadpool_limits(1)
    return limits


def threads() -> int:
    """How many blocks at a time."""
    there = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(4, there)
