"""Long computations: off the event loop, few at a time, each done once, and given up when nobody waits any more."""

import asyncio
import atexit
import threading
import time
from collections.abc import AsyncIterator, Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from starlette.requests import Request

from weightsmith.web.faults import BusyError
from weightsmith.web.memory import Memory

Result = TypeVar("Result")

AT_ONCE = 2
"""Computations that run at the same time; each may use all processors for part of its time."""

QUEUED = 64
"""Computations that may be under way or waiting; beyond, a client is told to come back."""


LOOKS = 0.2
"""Seconds between two looks at how far a computation is."""

PATIENCE = 5.0
"""Seconds for which the end of the process waits for computations that were given up; LAPACK hears of it late."""


class AbandonedError(Exception):
    """Raised inside a computation that nobody waits for any more."""


@dataclass(frozen=True)
class Progress:
    """How far a computation is.

    Attributes:
        share: 0 to 1; None where that cannot be told.
        doing: what is being done, in words.
    """

    share: float | None
    doing: str


class Check:
    """What a computation is handed: it calls it as often as it likes, and is ended there once nobody waits any more.

    Attributes:
        progress: what the computation said last.
    """

    def __init__(self) -> None:
        self.progress = Progress(None, "Waiting for other computations")
        self._stop = threading.Event()

    def __call__(self, done: float = 0, total: float = 0, doing: str = "") -> None:
        """Say how far it is, where that is known.

        Raises:
            AbandonedError: nobody waits for it any more.
        """
        if self.given_up:
            raise AbandonedError
        if doing:
            self.progress = Progress(min(1.0, done / total) if total > 0 else None, doing)

    def give_up(self) -> None:
        """Have the next call raise."""
        self._stop.set()

    @property
    def given_up(self) -> bool:
        """Whether the next call raises."""
        return self._stop.is_set()


@dataclass
class _Job:
    task: "asyncio.Task[Any]"
    check: Check
    waiting: int = 0


_computing: dict[threading.Thread, Check] = {}
"""All computations of this process that have a thread."""


def is_computing() -> bool:
    """Whether a computation of this process has a thread."""
    return bool(_computing)


def end() -> None:
    """Give up every computation of this process and wait for them, `PATIENCE` seconds at most.

    A thread that comes back from C++ code of some library when the interpreter is gone can abort the process.
    """
    deadline = time.monotonic() + PATIENCE
    computing = dict(_computing)
    for check in computing.values():
        check.give_up()
    for thread in computing:
        thread.join(max(0.0, deadline - time.monotonic()))


atexit.register(end)


class Work:
    """Runs computations in threads of its own, for which the process waits a little at its end.

    Args:
        memory: where results are kept.
    """

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._jobs: dict[Hashable, _Job] = {}
        self._under_way = 0
        self._free = asyncio.Semaphore(AT_ONCE)

    async def result(
        self, request: Request, key: Hashable, compute: Callable[[Check], Result], size: Callable[[Result], int]
    ) -> Result:
        """The result of a computation; from memory, from one that is under way for another client, or computed now.

        Args:
            request: who waits for it.
            key: of the result; content and all parameters are part of it.
            compute: called in a thread with a function that it may call as often as it likes: it raises where the
                computation is no longer wanted.
            size: bytes of the result.

        Raises:
            BusyError: too much is under way.
            AbandonedError: the client has left.
            Exception: whatever the computation raised.
        """
        known: Result | None = self.known(key)
        if known is not None:
            return known
        with self._joined(key, compute, size) as job:
            leaving = asyncio.create_task(_left(request))
            try:
                await asyncio.wait({job.task, leaving}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                leaving.cancel()
            if not job.task.done():
                raise AbandonedError
            result: Result = job.task.result()
            return result

    async def follow(
        self, key: Hashable, compute: Callable[[Check], Result], size: Callable[[Result], int]
    ) -> AsyncIterator[Progress | Result]:
        """How far a computation is, whenever that changes, and its result at the end; else as `result`.

        Whoever closes the iterator has left.
        """
        with self._joined(key, compute, size) as job:
            told: Progress | None = None
            while not job.task.done():
                if job.check.progress != told:
                    yield (told := job.check.progress)
                await asyncio.wait({job.task}, timeout=LOOKS)
            yield job.task.result()

    def known(self, key: Hashable) -> Any:
        """A result that is in memory; None where it is not."""
        return self._memory.get(key)

    async def stream(self, produce: "Callable[[Callable[[Result], None], Check], None]") -> AsyncIterator[Result]:
        """What a computation hands out, as it does so; given up when the iterator is closed.

        Args:
            produce: called in a thread with a function that takes each item, and one that raises where nobody wants
                more.

        Raises:
            BusyError: too much is under way.
            Exception: whatever the computation raised.
        """
        self.refuse_crowd()
        loop = asyncio.get_running_loop()
        items: asyncio.Queue[tuple[Result] | None] = asyncio.Queue()
        check = Check()

        def give(item: Result) -> None:
            _tell(loop, items.put_nowait, (item,))

        task = asyncio.create_task(self._run(lambda: produce(give, check), check))
        task.add_done_callback(lambda _: items.put_nowait(None))
        try:
            while (item := await items.get()) is not None:
                yield item[0]
                # A queue with items never waits: others have their turn, and so has the news that the client left.
                await asyncio.sleep(0)
            task.result()
        finally:
            check.give_up()
            task.cancel()

    def refuse_crowd(self) -> None:
        """Raise `BusyError` where too much is under way."""
        if self._under_way >= QUEUED:
            raise BusyError("the server is busy with other computations: try again in a moment")

    @contextmanager
    def _joined(
        self, key: Hashable, compute: Callable[[Check], Result], size: Callable[[Result], int]
    ) -> Iterator[_Job]:
        """One who waits for a computation, which begins with the first of them and is given up with the last."""
        job = self._jobs.get(key)
        if job is None:
            self.refuse_crowd()
            check = Check()
            job = _Job(asyncio.create_task(self._run(lambda: compute(check), check)), check)
            self._jobs[key] = job
            job.task.add_done_callback(lambda done: self._finished(key, done, size))
        job.waiting += 1
        try:
            yield job
        finally:
            job.waiting -= 1
            if not job.waiting and not job.task.done():
                job.check.give_up()
                job.task.cancel()
                self._jobs.pop(key, None)

    def _finished(self, key: Hashable, done: "asyncio.Task[Any]", size: Callable[[Any], int]) -> None:
        # One that was given up may end after its successor has begun, and must not take its place away.
        if key in self._jobs and self._jobs[key].task is done:
            del self._jobs[key]
        if not done.cancelled() and done.exception() is None:
            self._memory.put(key, done.result(), size(done.result()))

    async def _run(self, compute: Callable[[], Result], check: Check) -> Result:
        self._under_way += 1
        try:
            await self._free.acquire()
        except asyncio.CancelledError:
            self._under_way -= 1
            raise
        loop = asyncio.get_running_loop()
        done: asyncio.Future[Result] = loop.create_future()

        def leave() -> None:
            self._free.release()
            self._under_way -= 1

        def work() -> None:
            _computing[threading.current_thread()] = check
            try:
                check(doing="Beginning")
                result = compute()
            except BaseException as error:  # noqa: BLE001 -- handed to whoever waits
                # Imports fail once the interpreter has begun to end: nobody wants to read of that.
                _tell(loop, _fail, done, AbandonedError() if check.given_up else error)
            else:
                _tell(loop, _succeed, done, result)
            finally:
                _computing.pop(threading.current_thread(), None)
                _tell(loop, leave)  # only now: who was given up may still be computing

        threading.Thread(target=work, daemon=True, name="weightsmith page").start()
        return await done


async def _left(request: Request) -> None:
    """Return when the client has closed the connection; what it still sends before is no body of ours."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _succeed(done: "asyncio.Future[Result]", result: Result) -> None:
    if not done.done():
        done.set_result(result)


def _fail(done: "asyncio.Future[Any]", error: BaseException) -> None:
    if not done.done():
        done.set_exception(error)


def _tell(loop: asyncio.AbstractEventLoop, function: Callable[..., object], *arguments: object) -> None:
    """Have the event loop call a function; where it has ended, nobody is left to be told."""
    try:
        loop.call_soon_threadsafe(function, *arguments)
    except RuntimeError:
        return
