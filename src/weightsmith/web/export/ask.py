"""Asking the application inside its own process, without a socket."""

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive

from weightsmith.web.export.place import Asked
from weightsmith.web.faults import BusyError
from weightsmith.web.work import AbandonedError

_GOOD, _GONE, _BUSY = 200, 499, 503


@dataclass(frozen=True)
class Answer:
    """What an address gave.

    Attributes:
        status: HTTP status.
        headers: of the answer.
        body: whole, not compressed.
    """

    status: int
    headers: Headers
    body: bytes

    @property
    def good(self) -> bool:
        """Whether it is what was asked for, and not an error."""
        return self.status == _GOOD

    @property
    def kind(self) -> str:
        """Its media type."""
        return self.headers.get("content-type", "").partition(";")[0]

    def json(self) -> Any:
        """The body read as JSON."""
        return json.loads(self.body)

    @property
    def error(self) -> str:
        """The line that an error answers with."""
        try:
            return str(self.json()["error"])
        except (ValueError, KeyError, TypeError):
            return f"the server answered {self.status}"


Ask = Callable[[Asked], Awaitable[Answer]]


async def ask(app: ASGIApp, asked: Asked, receive: Receive) -> Answer:
    """The application's answer to a GET.

    Args:
        app: the application, without its guard.
        asked: what is asked for.
        receive: tells when whoever waits for it has left; then the computation is given up.

    Raises:
        AbandonedError: that has happened.
        BusyError: too much is under way.
    """
    status, headers, body = 0, Headers(), bytearray()

    async def send(message: Message) -> None:
        nonlocal status, headers
        if message["type"] == "http.response.start":
            status, headers = message["status"], Headers(raw=message["headers"])
        else:
            body.extend(message.get("body", b""))

    path = "/" + "/".join(["api", *asked.segments])
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": f"/{asked.path}".encode(),
        "query_string": asked.query.encode(),
        "root_path": "",
        "headers": [(b"host", b"localhost")],
        "client": None,
        "server": None,
    }
    try:
        await app(scope, receive, send)
    except Exception:
        if not status:  # otherwise it has been answered as an error, and is raised only to be logged
            raise
    if status == _GONE:
        raise AbandonedError
    answer = Answer(status, headers, bytes(body))
    if status == _BUSY:  # in a moment it would be another: such an answer is nothing to keep
        raise BusyError(answer.error)
    return answer
