"""The server as such: patience with an end, many clients, and the way out."""

import asyncio
import contextlib
import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from weightsmith.sources import write_safetensors
from weightsmith.store import Store
from weightsmith.web import serve as module
from weightsmith.web.serve import listen

SCRIPT = """
import sys
from weightsmith.scan import Cache
from weightsmith.store import Store
from weightsmith.web import serve
from weightsmith.web.app import create_app
from weightsmith.web.guard import Guard
from weightsmith.web.library import Library
from weightsmith.web.served import Served

serve.HEAD_PATIENCE = float(sys.argv[3])
serve.GRACE = 300
opened = serve.listen("127.0.0.1", None)
print(opened.getsockname()[1], flush=True)
serve.serve(Guard(create_app(Served(Library({"s0": Store.open(sys.argv[1])}, {"f0": sys.argv[2]})))), opened)
print("ended", flush=True)
"""


@contextlib.contextmanager
def serving(folder, weights_file, patience=300.0):
    """A process that serves; it waits for heads as long as `patience`, and longer than any test for its end."""
    command = [sys.executable, "-c", SCRIPT, str(folder), str(weights_file), str(patience)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    process.port = int(process.stdout.readline())
    yield process
    process.kill()
    process.communicate()


@pytest.fixture
def server(store, weights_file, tmp_path):
    """A server of the test's own, which the test may end."""
    with serving(tmp_path / "runs", weights_file) as process:
        yield process


@pytest.fixture(scope="module", params=[300.0])
def lasting(request, tmp_path_factory):
    """A server for all tests that leave it alive; it waits for heads as long as the parameter."""
    folder = tmp_path_factory.mktemp("lasting")
    write_safetensors(folder / "model.safetensors", {"big.weight": np.ones((700, 300), np.float32)})
    Store.open(folder / "runs").close()
    with serving(folder / "runs", folder / "model.safetensors", request.param) as process:
        yield process
        assert process.poll() is None


@contextlib.contextmanager
def connecting(server):
    """Open connections to a server that are closed after the test."""
    with contextlib.ExitStack() as stack:

        def open_one(**options):
            one = stack.enter_context(contextlib.closing(socket.socket()))
            for option, value in options.items():
                one.setsockopt(socket.SOL_SOCKET, getattr(socket, option), value)
            one.settimeout(120)
            one.connect(("127.0.0.1", server.port))
            return one

        yield open_one


@pytest.fixture
def connect(lasting):
    with connecting(lasting) as open_one:
        yield open_one


@pytest.fixture
def connect_to_own(server):
    with connecting(server) as open_one:
        yield open_one


def asking(address):
    return f"GET {address} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()


def fetch(port, address):
    """Status and body of a whole answer."""
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=120)) as connection:
        connection.request("GET", address)
        response = connection.getresponse()
        return response.status, response.read()


def listen_to_events(connect):
    """A connection to the stream of events, once its first line is there, and the status."""
    one = connect()
    one.sendall(asking("/api/events"))
    found = b""
    while b"still here" not in found and b" 503 " not in found:
        found += one.recv(4096)
    return one, int(found.split()[1])


def memory_of(process):
    pages = Path(f"/proc/{process.pid}/statm").read_text("ascii").split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def test_it_ends_quietly_while_pages_are_open(server, connect_to_own):
    streams = [listen_to_events(connect_to_own) for _ in range(3)]
    server.send_signal(signal.SIGINT)
    out, err = server.communicate(timeout=120)  # much less than it would wait for streams that do not end
    assert (server.returncode, out, err) == (0, "ended\n", "")
    assert all(status == 200 for _, status in streams)


def test_sigterm_ends_it_too(server):
    fetch(server.port, "/api/hello")
    server.terminate()
    _, err = server.communicate(timeout=120)
    assert "Traceback" not in err


@pytest.mark.parametrize("lasting", [0.5], indirect=True)
def test_who_connects_and_asks_for_nothing_is_dropped(connect):
    silent, partial = connect(), connect()
    partial.sendall(b"GET /api/hello HTTP/1.1\r\nHost: local")
    for connection in (silent, partial):
        assert connection.recv(100) == b""


@pytest.mark.parametrize("lasting", [0.5], indirect=True)
def test_who_begins_another_head_has_to_end_it(connect):
    connection = connect()
    connection.sendall(asking("/api/hello"))
    found = b""
    while b'"files"' not in found:
        found += connection.recv(4096)
    connection.sendall(b"GET /api/hello HT")
    assert connection.recv(100) == b""


@pytest.mark.parametrize("lasting", [0.5], indirect=True)
def test_who_has_asked_may_take_longer_than_a_head(connect):
    one, _ = listen_to_events(connect)
    one.settimeout(1.5)
    with pytest.raises(TimeoutError):
        one.recv(100)


def test_nothing_after_a_body_is_answered(connect):
    connection = connect()
    head = b"GET /api/hello HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"
    connection.sendall(head + b"0\r\n\r\n" + asking("/api/runs"))
    found = b""
    while piece := connection.recv(4096):
        found += piece
    assert found.startswith(b"HTTP/1.1 413")
    assert found.count(b"HTTP/1.1 ") == 1


def test_a_head_without_end_is_refused(connect):
    connection = connect()
    with contextlib.suppress(ConnectionError):
        connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"X-A: " + b"a" * 200_000)
        assert b" 200 " not in connection.recv(100)


def test_who_does_not_read_holds_no_memory(lasting, connect):
    address = "/api/sources/f0/weights/0/tiles/0/0/0"
    assert len(fetch(lasting.port, address)[1]) == 256 * 256 * 4
    before = memory_of(lasting)
    for _ in range(60):
        connect(SO_RCVBUF=4096).sendall(asking(address) * 50)  # 13 MB each if all were held
    time.sleep(2)
    assert memory_of(lasting) - before < 100e6
    assert fetch(lasting.port, "/api/hello")[0] == 200


def test_a_stream_that_was_left_no_longer_costs_anything(connect):
    streams = [listen_to_events(connect) for _ in range(100)]
    assert all(status == 200 for _, status in streams)
    assert listen_to_events(connect)[1] == 503
    for one, _ in streams:
        one.close()
    deadline = time.monotonic() + 120
    while listen_to_events(connect)[1] != 200:
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_a_request_that_is_left_in_the_middle_is_given_up(server, connect_to_own):
    connection = connect_to_own()
    connection.sendall(asking("/api/sources/f0/weights/0/embedding?method=tsne"))
    time.sleep(2)
    connection.close()
    server.send_signal(signal.SIGINT)
    _, err = server.communicate(timeout=120)
    assert err == ""


def test_short_answers_do_not_wait_for_acknowledgments(lasting):
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", lasting.port, timeout=120)) as connection:

        def seconds():
            started = time.monotonic()
            connection.request("GET", "/api/hello")
            connection.getresponse().read()
            return time.monotonic() - started

        # A delayed acknowledgment takes 0.04 s every time, a busy machine only now and then.
        assert any(seconds() < 0.03 for _ in range(500))


def test_fifty_clients_at_once_are_all_answered(server, record):
    record()
    statuses = []

    def look():
        addresses = ("/api/runs", "/api/hello", "/api/sources/f0/weights/0/tiles/1/0/0") * 5
        statuses.extend(fetch(server.port, address)[0] for address in addresses)

    threads = [threading.Thread(target=look) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [200] * 750


def test_ending_looks_like_a_client_that_left():
    sent = []

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        assert (await receive())["type"] == "http.request"
        assert (await receive())["type"] == "http.disconnect"

    async def scenario():
        ending = module._Ending(app)
        messages = [{"type": "http.request", "body": b""}]

        async def receive():
            if messages:
                return messages.pop()
            return await asyncio.Event().wait()

        async def send(message):
            sent.append(message["type"])

        task = asyncio.create_task(ending({"type": "http"}, receive, send))
        await asyncio.sleep(0.05)
        ending.begun.set()
        await asyncio.wait_for(task, 60)

    asyncio.run(scenario())
    assert sent == ["http.response.start", "http.response.body"]


def test_a_socket_is_listening_before_anything_is_served():
    with listen("127.0.0.1", None) as opened:
        socket.create_connection(opened.getsockname()).close()
