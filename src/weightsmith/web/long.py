"""Answers that take long: as JSON once they are there, or as events that say how far they are until then."""

from collections.abc import AsyncIterator, Callable, Hashable

from fastapi import Request, Response

from weightsmith.web.answer import encoded
from weightsmith.web.faults import line_of, status_of
from weightsmith.web.served import Served
from weightsmith.web.stream import event, streamed, written
from weightsmith.web.work import AbandonedError, Check, Progress

EVENTS = "text/event-stream"


async def long_answer(request: Request, here: Served, key: Hashable, compute: Callable[[Check], bytes]) -> Response:
    """The JSON that `compute` makes, once for all who ask for it under this key.

    Who takes events gets `progress` with `share` (0 to 1, or null) and `doing`, then `result` with that JSON, or
    `failed` with `error` and `status`; and the JSON at once where it is in memory. Closing the request cancels.

    Args:
        request: who waits for it.
        here: the server's state.
        key: of the result; content and all parameters are part of it.
        compute: called in a thread.
    """
    known = here.work.known(key)
    if known is None and EVENTS in request.headers.get("accept", ""):
        here.work.refuse_crowd()
        return streamed(_events(here, key, compute))
    if known is None:
        known = await here.work.result(request, key, compute, len)
    return encoded(request, known, "application/json")


async def _events(here: Served, key: Hashable, compute: Callable[[Check], bytes]) -> AsyncIterator[bytes]:
    try:
        async for news in here.work.follow(key, compute, len):
            if isinstance(news, Progress):
                yield event("progress", {"share": news.share, "doing": news.doing})
            else:
                yield written("result", news)
    except AbandonedError:
        return
    except Exception as error:  # noqa: BLE001 -- the answer has begun: nobody above could still tell the client
        yield event("failed", {"error": line_of(error), "status": status_of(error)})
