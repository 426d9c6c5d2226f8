"""Several windows of one browser on one server: they share one stream of events, and all hear what happens."""

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from weightsmith.store import Store
from weightsmith.web.app import create_app
from weightsmith.web.guard import Guard
from weightsmith.web.library import Library
from weightsmith.web.serve import listen, server
from weightsmith.web.served import Served

WITHOUT_WORKERS = "delete window.SharedWorker"
WORKER_DOES_NOT_LOAD = """window.SharedWorker = class extends SharedWorker {
  constructor() { super("assets/missing.js"); }
}"""


class Streams:
    """An application of which streams of events are counted.

    Attributes:
        open: how many there are now.
        opened: how many there have been.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.open = self.opened = 0
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not scope["path"].endswith("/api/events"):
            await self._app(scope, receive, send)
            return
        self.open += 1
        self.opened += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self.open -= 1


class LiveRun:
    """A run that goes on when the test says so, and the windows that show it.

    Attributes:
        store: where the run lives.
        place: the page's address of the run.
        streams: of the server that shows it.
    """

    def __init__(self, store: Store, open_tab: Callable[..., Any], expect: Any) -> None:
        self._writer = store.create_run(name="followed", recipe=None, environment={}, weights=[])
        self._open_tab, self._expect = open_tab, expect
        self._step = 0
        self.place = f"#/run/s0/{self._writer.id}"
        self.go_on()

    @property
    def last(self) -> str:
        """The last loss as the page writes it."""
        return f"{1000 + self._step:,}"

    def go_on(self) -> None:
        """One step more."""
        self._step += 1
        self._writer.write(series={("loss", None): ([self._step], [1000.0 + self._step])})

    def finish(self) -> None:
        self._writer.finish("completed")

    def windows(self, address: str, count: int, script: str = "", sign_in: str = "") -> list[Any]:
        """Windows of one browser that show the run."""
        windows: list[Any] = []
        for _ in range(count):
            tab = self._open_tab(address, beside=windows[0] if windows else None)
            if script:
                tab.page.add_init_script(script)
            if sign_in and not windows:
                tab.page.goto(address + sign_in)
            tab.open(self.place)
            windows.append(tab)
        return windows

    def is_shown(self, windows: list[Any]) -> None:
        """Wait until each of the windows shows the last step."""
        for tab in windows:
            self._expect(note(tab)).to_have_text(self.last)


def note(tab: Any) -> Any:
    return tab.page.locator('section[aria-label="Loss"] .panel-note')


@contextmanager
def serving(path: Path, **options: Any) -> Iterator[tuple[str, Streams]]:
    """A server in this process; gives where it is, without a prefix, and its streams."""
    opened = listen("127.0.0.1", None)
    with Store.open(path) as store:
        streams = Streams(create_app(Served(Library({"s0": store}, {}))))
        one = server(Guard(streams, **options))
        thread = threading.Thread(target=one.run, kwargs={"sockets": [opened]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{opened.getsockname()[1]}", streams
        finally:
            one.should_exit = True
            thread.join()


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., tuple[str, Streams]]]:
    """Serves the store of the run."""
    with ExitStack() as stack:
        yield lambda **options: stack.enter_context(serving(tmp_path / "runs", **options))


@pytest.fixture
def run(tmp_path: Path, serve: Any, server_of: Any, open_tab: Callable[..., Any], expect: Any) -> Iterator[LiveRun]:
    """A run whose windows are closed before the servers end, or these would be missed."""
    with Store.open(tmp_path / "runs") as store:
        one = LiveRun(store, open_tab, expect)
        yield one
        one.finish()


def test_eight_windows_hear_and_are_answered(run: LiveRun, serve: Any, expect: Any) -> None:
    address, streams = serve()
    windows = run.windows(f"{address}/", 8)  # a browser opens six connections to one server
    assert [tab.page.evaluate("document.hidden") for tab in windows] == [False] * 8
    run.is_shown(windows)
    for _ in range(3):
        run.go_on()
        run.is_shown(windows)
    assert (streams.open, streams.opened) == (1, 1)
    for tab in windows:
        tab.page.get_by_role("link", name="Runs", exact=True).click()
        expect(tab.page.get_by_role("row").filter(has_text="followed")).to_contain_text("running")


def test_windows_close_and_the_others_go_on(run: LiveRun, serve: Any) -> None:
    address, streams = serve()
    windows = run.windows(f"{address}/", 3)
    run.is_shown(windows)
    while len(windows) > 1:
        windows.pop(0).page.close()
        run.go_on()
        run.is_shown(windows)
    assert (streams.open, streams.opened) == (1, 1)


def test_hidden_windows_listen_no_more_and_catch_up(run: LiveRun, serve: Any, expect: Any) -> None:
    address, streams = serve()
    first, second = windows = run.windows(f"{address}/", 2)
    run.is_shown(windows)
    show(first, seen=False)
    first.rest(500)  # which it hears of in its own time
    run.go_on()
    run.is_shown([second])
    first.rest(500)
    expect(note(first)).to_have_text("1,001")
    show(first, seen=True)
    run.is_shown([first])  # from a stream that was open before
    assert (streams.open, streams.opened) == (1, 1)

    show(first, seen=False)
    show(second, seen=False)
    first.until(lambda: streams.open == 0, "the stream is closed")
    run.go_on()
    show(second, seen=True)
    run.is_shown([second])
    assert (streams.open, streams.opened) == (1, 2)

    second.page.close()
    first.until(lambda: streams.open == 0, "the stream is closed")


def test_a_server_goes_and_comes_back(run: LiveRun, server_of: Callable[..., Any], tmp_path: Path, expect: Any) -> None:
    own = server_of([tmp_path / "runs"])
    windows = run.windows(own.address, 3)
    run.is_shown(windows)
    own.stop()
    for tab in windows:
        expect(tab.page.locator(".banner")).to_contain_text("The server does not answer")
    run.go_on()
    own.start()
    for tab in windows:
        expect(tab.page.locator(".banner")).to_have_count(0)
    run.is_shown(windows)

    def hear() -> bool:  # the server tells of what comes after its first look, which is about now
        run.go_on()
        windows[0].rest(500)
        return all(note(tab).inner_text() == run.last for tab in windows)

    windows[0].until(hear, "all windows hear of a step")
    # The browser reports each request that found nobody.
    for tab in windows:
        assert all(re.search("ERR_CONNECTION|Failed to load", one) for one in tab.complaints), tab.complaints
        tab.complaints.clear()


def test_windows_share_behind_a_prefix_with_a_token(run: LiveRun, serve: Any) -> None:
    address, streams = serve(token="secret", prefix="/deep/er")
    windows = run.windows(f"{address}/deep/er/", 2, sign_in="?token=secret")
    run.is_shown(windows)
    run.go_on()
    run.is_shown(windows)
    # The page that took the token may have begun to listen before it was left.
    windows[0].until(lambda: streams.open == 1, "one stream is left")


@pytest.mark.parametrize("script", [WITHOUT_WORKERS, WORKER_DOES_NOT_LOAD], ids=["no workers", "does not load"])
def test_windows_that_cannot_share_have_streams_of_their_own(run: LiveRun, serve: Any, script: str) -> None:
    address, streams = serve()
    windows = run.windows(f"{address}/", 2, script)
    windows[0].until(lambda: streams.open == 2, "each has a stream")
    run.go_on()
    run.is_shown(windows)
    show(windows[0], seen=False)
    windows[0].until(lambda: streams.open == 1, "the stream is closed")
    for tab in windows:
        tab.complaints = [one for one in tab.complaints if "404" not in one]  # the script that is not there


def show(tab: Any, *, seen: bool) -> None:
    """Have the page believe that its window is shown, or that another one is over it."""
    hidden = "false" if seen else "true"
    tab.page.evaluate(f"Object.defineProperty(document, 'hidden', {{ configurable: true, get: () => {hidden} }})")
    tab.page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
