"""`.../statistics`: the statistics of every weight, each as soon as it has been scanned, and kept once all are told."""

from collections.abc import AsyncIterator, Callable
from typing import Any

from anyio import to_thread
from fastapi import APIRouter
from fastapi.responses import StreamingResponse

from weightsmith.names import printable
from weightsmith.scan import Summary, scan
from weightsmith.sketch import Sketch
from weightsmith.web.answer import numbers
from weightsmith.web.faults import line_of
from weightsmith.web.library import Opened
from weightsmith.web.served import Here
from weightsmith.web.stream import event, streamed
from weightsmith.web.work import AbandonedError, Check

router = APIRouter()

BINS = 32
"""Of the little histogram in the table."""


@router.get(
    "/api/sources/{source}/statistics",
    responses={200: {"content": {"text/event-stream": {}}}},
    response_class=StreamingResponse,
)
async def statistics(here: Here, source: str) -> StreamingResponse:
    """Events `weight` in the order in which weights are done, then `done`, or `failed` with one line."""
    opened = await to_thread.run_sync(here.library.source, source)
    here.work.refuse_crowd()

    def produce(give: Callable[[dict[str, Any]], None], check: Check) -> None:
        _scan(opened, give, check)

    key = ("statistics", opened.content)

    async def events() -> AsyncIterator[bytes]:
        known: bytes | None = here.results.get(key)
        if known is not None:
            yield known
            return
        told: list[bytes] = []
        try:
            async for facts in here.work.stream(produce):
                told.append(event("weight", facts))
                yield told[-1]
            told.append(event("done", {}))
            here.results.put(key, b"".join(told), sum(map(len, told)))
            yield told[-1]
        except AbandonedError:
            return
        except Exception as error:  # noqa: BLE001 -- the answer has begun: nobody above could still tell the client
            yield event("failed", {"message": line_of(error)})

    return streamed(events())


def _scan(opened: Opened, give: Callable[[dict[str, Any]], None], check: Check) -> None:
    def each(index: int, summary: Summary) -> None:
        check()
        give({"index": index, **summarized(summary, BINS)})

    scan(opened.source, cache=opened.cache, each=each, progress=lambda *_: check())


def summarized(summary: Summary, bins: int) -> dict[str, Any]:
    """Statistics and histogram of a weight, or the reason why there are none."""
    if summary.sketch is None:
        return {"reason": printable(summary.reason or "it could not be read")}
    return {**summary.sketch.to_json(), "bits": summary.effective_bits, "histogram": histogram(summary.sketch, bins)}


def histogram(sketch: Sketch, bins: int) -> dict[str, Any]:
    """Edges and counts of at most `bins` bins; without counts where nothing is finite."""
    if not sketch.finite:
        return {"edges": [], "counts": []}
    edges = sketch.edges(bins)
    return {"edges": numbers(edges, 7), "counts": numbers(sketch.histogram(edges), 7)}
