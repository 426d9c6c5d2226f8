"""`api/events`: tells when a run appears, goes on, ends or is deleted, and when a file becomes another."""

from collections.abc import AsyncIterator

from fastapi import APIRouter
from fastapi.responses import StreamingResponse

from weightsmith.web.served import Here
from weightsmith.web.stream import COMMENT, event, streamed

router = APIRouter()

SILENCE = 15.0
"""Seconds after which a comment shows that the server is still there."""


@router.get("/api/events", responses={200: {"content": {"text/event-stream": {}}}}, response_class=StreamingResponse)
async def events(here: Here) -> StreamingResponse:
    """Events `run` (store, id, status, time and last step) and `source` (id and `content`); comments in between.

    `content` is null where the file is gone or damaged.
    """
    here.watcher.refuse_crowd()

    async def told() -> AsyncIterator[bytes]:
        yield COMMENT
        async for change in here.watcher.changes(SILENCE):
            yield COMMENT if change is None else event("source" if "source" in change else "run", change)

    return streamed(told())
