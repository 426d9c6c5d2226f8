"""Server-sent events, as browsers' `EventSource` reads them."""

from collections.abc import AsyncIterator, Mapping
from typing import Any

from fastapi.responses import StreamingResponse

from weightsmith.web.answer import as_json

COMMENT = b": still here\n\n"


def event(kind: str, data: Mapping[str, Any]) -> bytes:
    """One event."""
    return written(kind, as_json(data))


def written(kind: str, data: bytes) -> bytes:
    """One event with what `as_json` made: ASCII alone has no line breaks that could end it early."""
    return b"event: " + kind.encode("ascii") + b"\ndata: " + data + b"\n\n"


def streamed(events: AsyncIterator[bytes]) -> StreamingResponse:
    """An endless or long answer that no proxy may hold back or keep."""
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(events, media_type="text/event-stream", headers=headers)
