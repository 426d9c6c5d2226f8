"""Serving an application until it is told to stop: a free port, patience with an end, and a quiet way out."""

import asyncio
import socket
from concurrent.futures import Future
from typing import Any

import h11
import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from weightsmith.errors import InputError

HEAD_PATIENCE = 10.0
"""Seconds in which a client has to send the head of a request."""

CONNECTIONS = 512
"""Most connections at the same time; more are told to come back."""

GRACE = 3
"""Seconds for which the end of the server waits for answers that are under way."""


def listen(host: str, port: int | None, first: int = 8300, tries: int = 50) -> socket.socket:
    """A socket that listens.

    Args:
        host: name or address of this machine.
        port: which port; None for the first free one from `first` on, or any.
        first: port that is tried first.
        tries: how many ports are tried before the system chooses one.

    Raises:
        InputError: the port is taken, or the host is none of this machine's.
    """
    ports = [port] if port is not None else [*range(first, first + tries), 0]
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        raise InputError(f"--host {host}: no such host: give a name or an address of this machine") from error
    family, _, _, _, address = found[0]
    reason: OSError | None = None
    for candidate in ports:
        # asyncio looks at the protocol: without it, the second packet of an answer waits 40 ms for an acknowledgment.
        opened = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            opened.bind((address[0], candidate, *address[2:]))
            opened.listen(128)
        except OSError as error:
            opened.close()
            reason = error
            continue
        return opened
    advice = "leave out --port for a free one" if port is not None else "give an address of this machine as --host"
    detail = (reason.strerror or str(reason)).lower() if reason is not None else "no port"
    raise InputError(f"cannot listen at {host}{'' if port is None else f' port {port}'}: {detail}; {advice}")


class _Protocol(H11Protocol):
    """uvicorn's own, with an end to its patience: whoever connects, or begins a further head, has to end it."""

    _waiting: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)  # which ends the patience with an idle connection at the first byte
        if self.conn.their_state is not h11.IDLE:
            self._stop_waiting()
        elif self._waiting is None:
            self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def _wait(self) -> None:
        self._waiting = self.loop.call_later(HEAD_PATIENCE, self.transport.close)

    def _stop_waiting(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None


class _Ending:
    """Ends what would not end by itself: once `begun` is set, every request looks as if its client had left.

    Args:
        app: an ASGI application.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.begun = asyncio.Event()
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Have a request answered."""
        open_answer = False

        async def receive_or_end() -> Message:
            tasks = [asyncio.ensure_future(receive()), asyncio.ensure_future(self.begun.wait())]
            try:
                done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                first = tasks[0]
                return first.result() if first in done else {"type": "http.disconnect"}  # type: ignore[return-value]
            finally:
                for task in tasks:
                    task.cancel()

        async def send_noted(message: Message) -> None:
            nonlocal open_answer
            open_answer = message["type"] == "http.response.start" or message.get("more_body", False)
            await send(message)

        await self._app(scope, receive_or_end, send_noted)
        if self.begun.is_set() and open_answer:
            await send({"type": "http.response.body", "body": b""})


class _Server(uvicorn.Server):
    """uvicorn's own, whose open event streams end with it instead of holding it up."""

    def __init__(self, config: uvicorn.Config, ending: _Ending) -> None:
        super().__init__(config)
        self._ending = ending

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._ending.begun.set()
        await super().shutdown(sockets)


def server(app: ASGIApp) -> uvicorn.Server:
    """A server of an ASGI application: `run(sockets=[...])` serves until its `should_exit` is set."""
    ending = _Ending(app)
    config = uvicorn.Config(
        ending,
        http=_Protocol,
        ws="none",
        lifespan="off",
        access_log=False,
        log_level="warning",
        server_header=False,
        proxy_headers=False,
        limit_concurrency=CONNECTIONS,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=GRACE,
        h11_max_incomplete_event_size=32_768,
    )
    return _Server(config, ending)


def serve(app: ASGIApp, opened: socket.socket, needed: "Future[ASGIApp] | None" = None) -> None:
    """Serve until SIGINT or SIGTERM, then return.

    Args:
        app: an ASGI application.
        opened: what `listen` returned.
        needed: what the application cannot do without: where it fails, the server ends.

    Raises:
        Exception: what `needed` raised.
    """
    one = server(app)

    def end_without(done: "Future[ASGIApp]") -> None:
        one.should_exit = one.should_exit or done.exception() is not None

    if needed is not None:
        needed.add_done_callback(end_without)
    try:
        one.run(sockets=[opened])
    except KeyboardInterrupt:  # uvicorn raises the signal again after it has shut down
        return
    if needed is not None:
        needed.result()
