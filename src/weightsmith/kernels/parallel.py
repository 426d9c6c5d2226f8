"""Threads for kernels that release the GIL: one shared pool, blocks handed out as workers become free.

numba's own parallel loops are not used: their default layer must not be entered from two threads at once.
"""

import os
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import TypeVar

from weightsmith.errors import InputError

Result = TypeVar("Result")

_POOL_SIZE = 64
"""Upper bound of the pool; its threads start only when work is waiting for them."""

_lock = threading.Lock()
_pool: ThreadPoolExecutor | None = None


def threads() -> int:
    """How many threads kernels use by default: `WEIGHTSMITH_THREADS`, else the processors this process may use.

    Raises:
        InputError: `WEIGHTSMITH_THREADS` is not a positive whole number.
    """
    given = os.environ.get("WEIGHTSMITH_THREADS")
    if given:
        if not given.isdecimal() or int(given) < 1:
            raise InputError(f"WEIGHTSMITH_THREADS is '{given}': give a whole number of threads, at least 1")
        return int(given)
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def map_blocks(
    function: Callable[[int, int], Result], size: int, block: int, threads: int | None = None
) -> list[Result]:
    """Call `function(start, stop)` for each block of `range(size)`; the results come in block order.

    The calling thread takes blocks as well, so nested calls and calls from many threads at once cannot wait for
    each other. With one block or one thread everything runs in the calling thread.

    Args:
        function: called with the bounds of one block; should spend its time without the GIL.
        size: number of elements; 0 gives an empty list.
        block: elements per block; the last block may be shorter.
        threads: most threads to use, the calling one included; by default `threads()`.

    Raises:
        Exception: the first that `function` raised; blocks not yet begun are then dropped.
    """
    assert block > 0
    ranges = [(start, min(start + block, size)) for start in range(0, size, block)]
    workers = min(_default_threads() if threads is None else threads, len(ranges), _POOL_SIZE)
    if workers <= 1:
        return [function(start, stop) for start, stop in ranges]
    results: dict[int, Result] = {}
    pending = deque(enumerate(ranges))

    def drain() -> None:
        while True:
            try:
                index, (start, stop) = pending.popleft()
            except IndexError:
                return
            try:
                results[index] = function(start, stop)
            except BaseException:
                pending.clear()
                raise

    helpers = _submit(drain, workers - 1)
    try:
        drain()
    finally:
        # A helper that never started has nothing left to do; one that did must end before we return.
        failures = [helper.exception() for helper in helpers if not helper.cancel()]
    for failure in failures:
        if failure is not None:
            raise failure
    return [results[index] for index in range(len(ranges))]


_default_threads = threads


def _submit(task: Callable[[], None], copies: int) -> list["Future[None]"]:
    """Start `copies` of a task in the shared pool; fewer, or none, once the interpreter is shutting down."""
    global _pool
    futures: list[Future[None]] = []
    with suppress(RuntimeError), _lock:
        if _pool is None:
            _pool = ThreadPoolExecutor(_POOL_SIZE, thread_name_prefix="weightsmith")
        futures.extend(_pool.submit(task) for _ in range(copies))
    return futures


def _forget_pool() -> None:
    """A forked child inherits the pool but none of its threads."""
    global _pool, _lock
    _pool = None
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_pool)
