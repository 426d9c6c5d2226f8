"""The first second of a server: the page's own files at once, everything else as soon as it can be answered."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from weightsmith.errors import WeightsmithError
from weightsmith.web.built import built_file
from weightsmith.web.faults import StartError, line_of


class Starting:
    """Answers while the application still loads.

    A browser takes about as long to fetch and run the page as Python to import what answers the page's first question:
    so neither waits for the other. Whatever is not a file of the page waits for the application.

    Args:
        load: makes the application, called once in a thread of its own.

    Attributes:
        loading: gives the application. Where it cannot be made, it raises a `WeightsmithError`, and every request that
            waited for it is answered with that.
    """

    def __init__(self, load: Callable[[], ASGIApp]) -> None:
        thread = ThreadPoolExecutor(1, "weightsmith start")
        self.loading = thread.submit(partial(_loaded, load))
        thread.shutdown(wait=False)  # it ends with what it was given, and the process waits for that

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or have it answered."""
        if scope["type"] == "http" and not self.loading.done():
            path, root = scope["path"], scope.get("root_path", "") + "/"
            path = path.removeprefix(root if path.startswith(root) else "/")
            file = await asyncio.to_thread(built_file, Request(scope), path or "index.html")
            if file is not None:
                await file(scope, receive, send)
                return
        try:
            app = await asyncio.wrap_future(self.loading)
        except WeightsmithError as error:
            app = JSONResponse({"error": line_of(error)}, 503)
        await app(scope, receive, send)


def _loaded(load: Callable[[], ASGIApp]) -> ASGIApp:
    """The application.

    Raises:
        StartError: it cannot be made: some library is missing, or breaks as it is imported.
    """
    try:
        return load()
    except WeightsmithError:
        raise
    except BaseException as error:
        advice = "; install weightsmith again" if isinstance(error, ImportError) else ""
        reason = f"{type(error).__name__}: {' '.join(str(error).split())}".removesuffix(": ")
        raise StartError(f"the page cannot be served: {reason}{advice}") from error
