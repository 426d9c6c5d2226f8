"""Who counts the units of a scan: threads, processes of this machine, or a Ray cluster. All give the same counts.

Every unit is cut at multiples of the span of partial sums and counted by one thread, so that nothing depends on who
counts it. Processes and clusters open the files themselves, by path or URL; only counts travel.
"""

import logging
import os
import signal
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from multiprocessing import get_context
from typing import Any, Final

from weightsmith.errors import MissingExtraError, SourceError, WeightsmithError
from weightsmith.kernels.parallel import map_blocks
from weightsmith.names import printable
from weightsmith.scan.count import Counted, count_unit
from weightsmith.scan.units import Unit
from weightsmith.sources import File, LocalFile
from weightsmith.sources.remote import RemoteFile

Deliver = Callable[[list[Counted]], None]

MOST_AT_ONCE: Final = 8
"""Most units that are handed to another process in one go: 128 MiB, some 20 ms of work."""


class WorkerError(WeightsmithError):
    """The processes or machines that were to count could not."""


@dataclass(frozen=True)
class Handle:
    """How another process finds a file.

    Attributes:
        address: absolute path or URL.
        size: its length here; a file of another length elsewhere is not the same.
    """

    address: str
    size: int

    @classmethod
    def of(cls, file: File) -> "Handle | None":
        """The handle of a file; None where only this process can read it."""
        if isinstance(file, LocalFile):
            return cls(str(file.path.absolute()), file.size)
        return cls(file.label, file.size) if isinstance(file, RemoteFile) else None

    def open(self) -> File:
        """The file, on the machine that this runs on.

        Raises:
            SourceError: it is not there, or not the same.
        """
        file = _opened(self.address)
        if file.size != self.size:
            raise SourceError(f"{printable(self.address)} has {file.size} bytes there instead of {self.size}")
        return file


@lru_cache(maxsize=64)
def _opened(address: str) -> File:
    if "://" not in address:
        return LocalFile(address)
    return RemoteFile(address)


@dataclass(frozen=True)
class _Task:
    """Units that travel to another process together, with the files that they lie in."""

    handles: dict[int, Handle]
    units: tuple[Unit, ...]
    hashing: bool

    def run(self) -> list[Counted] | str:
        """The counts; or, as exceptions do not travel well, the line that says why this machine has none."""
        try:
            files = {number: handle.open() for number, handle in self.handles.items()}
        except WeightsmithError as error:
            return f"a worker on {socket.gethostname()} cannot read the file: {error}"
        return [found for unit in self.units for found in count_unit(files[unit.file], unit, hashing=self.hashing)]


def _run(task: _Task) -> list[Counted] | str:
    return task.run()


def count_in_threads(files: list[File], units: list[Unit], deliver: Deliver, *, workers: int, hashing: bool) -> None:
    """Count units on threads of this process.

    Args:
        files: what the units' numbers of files mean.
        units: the work.
        deliver: takes what was found; called from several threads at once.
        workers: most threads.
        hashing: whether digests are wanted.
    """

    def work(index: int, _: int) -> None:
        unit = units[index]
        deliver(count_unit(files[unit.file], unit, hashing=hashing))

    map_blocks(work, len(units), 1, workers)


def count_in_processes(files: list[File], units: list[Unit], deliver: Deliver, *, workers: int, hashing: bool) -> None:
    """Count units in new processes of this machine; see `count_in_threads`.

    Raises:
        WorkerError: a process died.
        SourceError: a process cannot open a file.
    """
    tasks = _shared(files, units, deliver, workers, hashing=hashing)
    try:
        with ProcessPoolExecutor(min(workers, len(tasks) or 1), get_context("spawn"), _die_of_interrupts) as pool:
            waiting: set[Future[list[Counted] | str]] = set()
            try:
                for task in tasks:
                    with _interrupts_held():  # processes start here, and inherit it
                        waiting.add(pool.submit(_run, task))
                    if len(waiting) > 2 * workers:
                        waiting = _delivered(waiting, deliver)
                while waiting:
                    waiting = _delivered(waiting, deliver)
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
    except BrokenProcessPool:
        raise WorkerError("a process of the scan died (out of memory?): try --executor threads") from None


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Keep Ctrl+C from this thread, and so from the processes that it starts, which would print where they were."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _die_of_interrupts() -> None:
    """Ctrl+C goes to the whole group of processes: these end at once and in silence, the user's own one says so."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


def _delivered(waiting: "set[Future[list[Counted] | str]]", deliver: Deliver) -> "set[Future[list[Counted] | str]]":
    done, rest = wait(waiting, return_when=FIRST_COMPLETED)
    for future in done:
        deliver(_understood(future.result()))
    return rest


def count_on_ray(files: list[File], units: list[Unit], deliver: Deliver, *, workers: int, hashing: bool) -> None:
    """Count units on a Ray cluster: the one of `RAY_ADDRESS` or of a running `ray.init`, else a local one of `workers`.

    Raises:
        MissingExtraError: Ray is not installed.
        WorkerError: the cluster cannot be reached, or a worker died.
        SourceError: a worker cannot open a file, as it lies on another machine.
    """
    try:
        import ray
    except ImportError:
        raise MissingExtraError("--executor ray needs Ray: pip install 'weightsmith[ray]'") from None
    tasks = _shared(files, units, deliver, workers, hashing=hashing)
    try:
        with _cluster(ray, workers):
            run = ray.remote(num_cpus=1)(_run)
            waiting: list[Any] = []
            for task in tasks:
                waiting.append(run.remote(task))
                if len(waiting) > 2 * workers:
                    done, waiting = ray.wait(waiting)
                    deliver(_understood(ray.get(done[0])))
            for found in waiting:
                deliver(_understood(ray.get(found)))
    except (ray.exceptions.RayError, ConnectionError) as error:
        line = printable((str(error).strip().splitlines() or [type(error).__name__])[0])
        raise WorkerError(f"Ray could not count: {line}") from None


@contextmanager
def _cluster(ray: Any, workers: int) -> Iterator[None]:
    """A running Ray, left as it was found."""
    if ray.is_initialized():
        yield
        return
    quiet = {"log_to_driver": False, "logging_level": logging.ERROR, "configure_logging": True}
    if os.environ.get("RAY_ADDRESS"):
        ray.init(**quiet)
    else:
        ray.init(num_cpus=workers, include_dashboard=False, **quiet)
    try:
        yield
    finally:
        ray.shutdown()


def _understood(found: list[Counted] | str) -> list[Counted]:
    if isinstance(found, str):
        raise SourceError(f"{found}; give a path that every machine sees, or use --executor threads")
    return found


def _shared(files: list[File], units: list[Unit], deliver: Deliver, workers: int, *, hashing: bool) -> list[_Task]:
    """Tasks for other processes; units of files that no other process can open are counted here and now."""
    handles = [Handle.of(file) for file in files]
    here = [unit for unit in units if handles[unit.file] is None]
    count_in_threads(files, here, deliver, workers=workers, hashing=hashing)
    there = [unit for unit in units if handles[unit.file] is not None]
    together = max(1, min(MOST_AT_ONCE, len(there) // (4 * workers)))
    tasks = []
    for start in range(0, len(there), together):
        some = tuple(there[start : start + together])
        needed = {unit.file: handle for unit in some if (handle := handles[unit.file]) is not None}
        tasks.append(_Task(needed, some, hashing))
    return tasks


Count = Callable[..., None]

EXECUTORS: Final[dict[str, Count]] = {
    "threads": count_in_threads,
    "processes": count_in_processes,
    "ray": count_on_ray,
}
