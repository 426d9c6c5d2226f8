"""The pass itself: plan, count, add up; or the cache instead."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from weightsmith.kernels.parallel import map_blocks
from weightsmith.kernels.parallel import threads as default_threads
from weightsmith.names import choose
from weightsmith.scan.record import Record
from weightsmith.scan.summary import Scan, Summary
from weightsmith.scan.units import plan
from weightsmith.sources import LocalFile, Source, Weight

if TYPE_CHECKING:
    from weightsmith.scan.cache import Cache
    from weightsmith.scan.ledger import Ledger, Progress

EXECUTORS: Final = ("threads", "processes", "ray")

REMOTE_THREADS: Final = 8
"""Least number of threads where a file is remote: they wait for answers, not for the processor."""

_SIDE_BY_SIDE: Final = frozenset({"gguf"})
"""Formats of which several weights may be computed at once; others share a decoder or a lock of their library."""


def scan(
    source: Source,
    *,
    threads: int | None = None,
    progress: "Progress | None" = None,
    cache: "Cache | None" = None,
    executor: str = "threads",
    each: "Callable[[int, Summary], None] | None" = None,
) -> Scan:
    """Count and measure every weight of a source in one pass, a few megabytes at a time.

    The result depends on the values alone: not on the number of threads, the executor, or whether a weight was read
    in parallel or as a stream. What cannot be read gets a reason, and the scan goes on. Weights that share their
    storage with an earlier one are counted once and listed with its statistics. Beside a few megabytes per thread,
    each weight of the result takes up to 50 KB.

    Args:
        source: what to scan.
        threads: most threads or processes; by default as many as the process may use.
        progress: called with the bytes done, all bytes and the name of a weight, from any thread, one call at a time.
        cache: where an earlier scan of the same content is looked up, and this one is kept.
        executor: `threads`, `processes` (of this machine) or `ray`. Weights that do not lie plain in a file are
            counted by this process whatever the executor.
        each: called with the place and the summary of each weight as soon as it is known, from any thread and in any
            order. What it or `progress` raises ends the scan.

    Raises:
        InputError: an unknown executor.
        MissingExtraError: Ray is not installed.
        WorkerError: processes or the cluster failed.
    """
    choose(executor, EXECUTORS, "executor")
    began = time.perf_counter()
    workers = default_threads() if threads is None else max(threads, 1)
    before = cache.visit(source) if cache is not None else None
    records = before.find(workers) if before is not None else None
    cached = records is not None
    weights = list(source.values())

    def tell(index: int, record: Record) -> None:
        if each is not None:
            each(index, _summary(weights[index], record))

    if records is None:
        records = _count(source, workers, progress, executor, tell, hashing=before is not None)
        if before is not None:
            before.keep(records)
    else:
        for index, record in enumerate(records):
            tell(index, record)
    return Scan(
        label=source.label,
        file_format=source.file_format,
        summaries=tuple(_summary(weight, record) for weight, record in zip(weights, records, strict=True)),
        aside=source.aside,
        cached=cached,
        seconds=time.perf_counter() - began,
        remark=before.remark if before is not None else None,
    )


def _summary(weight: Weight, record: Record) -> Summary:
    return Summary(weight.info, weight.nbytes, **vars(record))


def _count(
    source: Source,
    workers: int,
    progress: "Progress | None",
    executor: str,
    tell: Callable[[int, Record], None],
    *,
    hashing: bool,
) -> list[Record]:
    from weightsmith.scan.executors import EXECUTORS as COUNTERS  # with all below it, loads numba
    from weightsmith.scan.ledger import Ledger

    weights = list(source.values())
    tied = first_of_tied(source)
    own = [(index, weight) for index, weight in enumerate(weights) if index not in tied]
    placed = [(index, weight) for index, weight in own if weight.place is not None]
    total = sum(weight.nbytes for _, weight in own)
    ledger = Ledger(source.label, weights, total, progress, tell, hashing=hashing)
    files, units = plan(placed)
    if any(not isinstance(file, LocalFile) for file in files):
        workers = max(workers, REMOTE_THREADS)
    COUNTERS[executor](files, units, ledger.add, workers=workers, hashing=hashing)
    _compute(source.file_format, [index for index, weight in own if weight.place is None], ledger, workers)
    for index, first in tied.items():
        tell(index, ledger.records[first])
    return [ledger.records[tied.get(index, index)] for index in range(len(weights))]


def _compute(file_format: str, indexes: list[int], ledger: "Ledger", workers: int) -> None:
    def work(at: int, _: int) -> None:
        ledger.compute(indexes[at])

    map_blocks(work, len(indexes), 1, workers if file_format in _SIDE_BY_SIDE else 1)


def first_of_tied(source: Source) -> dict[int, int]:
    """Position of each weight that is an earlier one of the same shape and type, to the position of that one."""
    positions: dict[str, int] = {}
    found: dict[int, int] = {}
    for index, weight in enumerate(source.values()):
        positions[weight.name] = index
        owner = weight.info.tied_to
        if owner is None:  # and not "": a name may be empty
            continue
        first = positions.get(owner)
        if first is not None and first != index and _alike(weight, source[owner]):
            found[index] = found.get(first, first)
    return found


def _alike(weight: Weight, other: Weight) -> bool:
    return (weight.shape, weight.dtype) == (other.shape, other.dtype)
