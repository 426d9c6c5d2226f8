"""The first second of a server: the page's own files at once, everything else as soon as it can be answered."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from weightsmith.web.built import built_file


class Starting:
    """Answers while the application still loads.

    A browser takes about as long to fetch and run the page as Python to import what answers the page's first question:
    so neither waits for the other. Whatever is not a file of the page waits for the application.

    Args:
        load: makes the application, called once in a thread of its own; what it raises, every waiting request raises.
    """

    def __init__(self, load: Callable[[], ASGIApp]) -> None:
        thread = ThreadPoolExecutor(1, "weightsmith start")
        self._loading = thread.submit(load)
        thread.shutdown(wait=False)  # it ends with what it was given, and the process waits for that

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or have it answered."""
        if scope["type"] == "http" and not self._loading.done():
            path = scope["path"].removeprefix(scope.get("root_path", "")).removeprefix("/")
            file = await asyncio.to_thread(built_file, Request(scope), path or "index.html")
            if file is not None:
                await file(scope, receive, send)
                return
        app = await asyncio.wrap_future(self._loading)
        await app(scope, receive, send)
