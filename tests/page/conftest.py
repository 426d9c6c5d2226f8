"""A real server with a small trained store, and a headless Chromium that counts every complaint of the page."""

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from weightsmith.store import Store

try:
    from playwright import sync_api as playwright_api
except ModuleNotFoundError:  # then the tests that need it are skipped
    playwright_api = None

PATIENCE = 120.0
"""Seconds for which a busy machine may keep a test waiting: no test depends on how soon something is there."""

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
ARGUMENTS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
BUILT = Path(__file__).parents[2] / "src" / "weightsmith" / "web" / "page"

HOSTILE = {
    "<img src=x onerror=\"document.title='owned'\">.weight": (6, 5),
    "right\u202eto left\u200b.weight": (4, 4),
    "tab\there\nand\x07.bias": (7,),
    "long." + "x" * 10_000 + ".weight": (3, 4),
}


def missing() -> str | None:
    """What is not there that the tests need, or None."""
    if playwright_api is None:
        return "playwright is not installed (pip install playwright)"
    if CHROMIUM is None:
        return "Chromium is not installed (apt-get install chromium)"
    if not (BUILT / "index.html").is_file():
        return "the page is not built (npm ci && npm run build in ui/)"
    return None


@pytest.fixture(scope="session")
def large() -> np.ndarray:
    """float32[700, 1100] of three levels, with one value that stands out."""
    values = np.random.default_rng(0).normal(scale=0.02, size=(700, 1100)).astype(np.float32)
    values[123, 456] = 0.875
    return values


@pytest.fixture(scope="session")
def long_vector() -> np.ndarray:
    """float32[100003]: shown with cells of a height of their own, or it would be a thread."""
    return np.random.default_rng(2).normal(size=100_003).astype(np.float32)


@dataclass
class World:
    """What the server shows: a store with runs, and files.

    Attributes:
        store: the store's folder.
        large: a file with one weight of three levels.
        hostile: a file whose names try to be more than names.
        odd: a file of a long vector, a matrix without rows and one without a name.
    """

    store: Path
    large: Path
    hostile: Path
    odd: Path

    def train(self, name: str, *settings: str) -> None:
        """Train a small network on the digits into the store."""
        subprocess.run(training_command(self.store, name, *settings), check=True, capture_output=True)

    def snapshot(self, run: str) -> Path:
        """The file of a run's last snapshot."""
        return next((self.store / "files" / run / "snapshots").glob("final-*.safetensors"))


def training_command(store: Path, name: str, *settings: str) -> list[str]:
    """The command that trains into a store."""
    options = [part for setting in ("budget.epochs=4", *settings) for part in ("--set", setting)]
    return [sys.executable, "-m", "weightsmith", "train", "--quiet", "--store", str(store), "--name", name, *options]


@pytest.fixture(scope="session")
def world(browser: Any, tmp_path_factory: pytest.TempPathFactory, large: np.ndarray, long_vector: np.ndarray) -> World:
    """A store with two runs, and three files; not made where there is no browser to show them to."""
    folder = tmp_path_factory.mktemp("page")
    names = ("large.safetensors", "hostile.safetensors", "odd.safetensors")
    world = World(folder / "store", *(folder / name for name in names))
    world.train("first", "penalties.l1=0.001")
    world.train("second", "optimizer.lr=0.01", "model.hidden=[24,16]")
    save_file({"layer.weight": large}, world.large)
    rng = np.random.default_rng(1)
    save_file({"a.bias": long_vector, "b.weight": np.zeros((0, 5), np.float32), "": large[:6, :4].copy()}, world.odd)
    metadata = {"<b>note</b>": "<script>document.title='owned'</script>"}
    save_file(
        {name: rng.normal(size=shape).astype(np.float32) for name, shape in HOSTILE.items()}, world.hostile, metadata
    )
    return world


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@dataclass
class Server:
    """`weightsmith ui` as a process of its own.

    Attributes:
        what: stores and files that it shows.
        prefix: the path under which it shows them.
        port: where it listens, also after a stop and a start.
    """

    what: list[Path]
    prefix: str = ""
    port: int = field(default_factory=free_port)
    _process: "subprocess.Popen[bytes] | None" = None

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}{self.prefix}/"

    def start(self) -> None:
        """Start it and wait until it answers."""
        options = ["--no-browser", "--port", str(self.port), *(["--prefix", self.prefix] if self.prefix else [])]
        command = [sys.executable, "-m", "weightsmith", "ui", *map(str, self.what), *options]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                assert self._process.stderr is not None
                raise AssertionError(f"the server ended: {self._process.stderr.read().decode()}")
            with contextlib.suppress(urllib.error.URLError, ConnectionError):
                self.get("api/hello")
                return
            time.sleep(0.1)
        raise AssertionError(f"the server did not answer within {PATIENCE} s")

    def stop(self) -> None:
        """End it as Ctrl-C does."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        assert self._process.stderr is not None
        self._process.stderr.close()
        self._process = None

    def get(self, address: str) -> Any:
        """The JSON at an address."""
        with urllib.request.urlopen(self.address + address, timeout=PATIENCE) as answer:
            return json.load(answer)

    def run_named(self, name: str) -> dict[str, Any]:
        """What the server's list says of a run."""
        return next(run for run in self.get("api/runs")["runs"] if run["name"] == name)

    def path_of(self, name: str) -> str:
        """The page's address of a run."""
        run = self.run_named(name)
        return f"#/run/{run['store']}/{run['id']}"


@pytest.fixture(scope="session")
def server(world: World) -> Iterator[Server]:
    """One server for all tests that leave it as it is."""
    one = Server([world.store, world.large, world.hostile, world.odd])
    one.start()
    yield one
    one.stop()


@contextlib.contextmanager
def _servers() -> Iterator[Callable[..., Server]]:
    """Starts servers, each over a store that is made where it is not there, and ends them."""
    started: list[Server] = []

    def start(what: list[Path], prefix: str = "") -> Server:
        what[0].mkdir(parents=True, exist_ok=True)
        Store.open(what[0]).close()
        one = Server(what, prefix)
        started.append(one)
        one.start()
        return one

    try:
        yield start
    finally:
        for one in started:
            one.stop()


@pytest.fixture
def server_of() -> Iterator[Callable[..., Server]]:
    """Starts servers of a test's own."""
    with _servers() as start:
        yield start


@pytest.fixture(scope="module")
def lasting_server_of(browser: Any) -> Iterator[Callable[..., Server]]:
    """Starts servers for all tests of a module that leave them, their stores and their files as they are."""
    with _servers() as start:
        yield start


@pytest.fixture
def training() -> Callable[..., list[str]]:
    """The command that trains into a store."""
    return training_command


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """One Chromium."""
    reason = missing()
    if reason is not None:
        pytest.skip(reason)
    with playwright_api.sync_playwright() as playwright:
        playwright_api.expect.set_options(timeout=1000 * PATIENCE)
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield launched
        launched.close()


@dataclass
class Tab:
    """A tab of the browser, with what it complained about.

    Attributes:
        page: Playwright's page.
        complaints: errors and warnings of the console, uncaught errors, requests that left the server.
    """

    page: Any
    address: str
    complaints: list[str] = field(default_factory=list)

    def open(self, place: str) -> Any:
        """Go to a hash of the page and load it anew."""
        self.page.goto("about:blank")
        self.page.goto(self.address + place)
        return self.page

    def wait(self, condition: str) -> None:
        """Wait for JavaScript to be true. Playwright's own way evaluates text in the page, which its policy forbids."""
        self.until(lambda: self.page.evaluate(condition), condition)

    def until(self, condition: Callable[[], Any], what: str = "the condition") -> None:
        """Wait for a condition to hold."""
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < deadline, f"not so within {PATIENCE} s: {what}"
            self.page.wait_for_timeout(30)

    def rest(self, milliseconds: int = 50) -> None:
        """Let the page draw and then wait by its own clock: what it had put off for less has happened by then."""
        self.page.evaluate(
            f"new Promise(done => requestAnimationFrame(() => setTimeout(done, {milliseconds})))",
        )

    def settle(self) -> None:
        """Wait until nothing loads any more."""
        self.wait("document.querySelector('h1, h2') && !document.querySelector('.state.loading')")
        self.rest(150)

    @property
    def parameters(self) -> dict[str, str]:
        """What stands in the address after the place, once it has been written there."""
        self.rest(350)
        found: dict[str, str] = self.page.evaluate(
            "Object.fromEntries(new URLSearchParams(location.hash.split('?')[1]))"
        )
        return found

    def readout(self, expected: "str | re.Pattern[str]") -> None:
        """Wait until the picture of the matrix reads so."""
        playwright_api.expect(self.page.get_by_test_id("readout")).to_have_text(expected)


@pytest.fixture
def open_tab(browser: Any, server: Server, request: pytest.FixtureRequest) -> Iterator[Callable[..., Tab]]:
    """Opens tabs, `beside` another in its browser or apart; at the end of a test that passed none may have complained.

    Where `WEIGHTSMITH_SCREENSHOTS` names a folder, what they show in the end is kept there.
    """
    contexts, tabs = [], []

    def opened(address: str | None = None, *, beside: Tab | None = None, **options: Any) -> Tab:
        if beside is None:
            context = browser.new_context(**{"viewport": {"width": 1440, "height": 900}, **options})
            contexts.append(context)
        else:
            context = beside.page.context
        tab = Tab(context.new_page(), address or server.address)
        tab.page.set_default_timeout(1000 * PATIENCE)
        tab.page.on("console", lambda said: tab.complaints.extend(_complaint(said)))
        tab.page.on("pageerror", lambda error: tab.complaints.append(f"uncaught: {error}"))
        tab.page.on("request", lambda request: tab.complaints.extend(_foreign(request.url, tab.address)))
        tabs.append(tab)
        return tab

    yield opened
    if folder := os.environ.get("WEIGHTSMITH_SCREENSHOTS"):
        for place, tab in enumerate(one for one in tabs if not one.page.is_closed()):
            name = re.sub(r"[^\w.-]+", "-", f"{request.node.path.stem}-{request.node.name}-{place}")
            tab.page.screenshot(path=Path(folder) / f"{name[:150]}.png")
    for context in contexts:
        context.close()
    assert [complaint for tab in tabs for complaint in tab.complaints] == []


def _complaint(said: Any) -> list[str]:
    # Tests that look at pixels are told by Chromium that they are slow.
    return [said.text] if said.type in ("error", "warning") and "willReadFrequently" not in said.text else []


def _foreign(url: str, address: str) -> list[str]:
    return [] if url.startswith((address, "data:", "blob:", "about:")) else [f"a request left the server: {url}"]


@pytest.fixture
def saved(tmp_path: Path) -> Callable[[Any, str, str], Path]:
    """Saves what a panel shows as CSV, PNG or SVG."""

    def save(page: Any, region: str, kind: str) -> Path:
        panel = page.get_by_role("region", name=region, exact=True).first
        panel.get_by_role("button", name="Save", exact=True).click()
        with page.expect_download() as download:
            panel.get_by_role("group", name="Save as").get_by_role("button", name=kind).click()
        path = tmp_path / str(download.value.suggested_filename)
        download.value.save_as(path)
        return path

    return save


@pytest.fixture
def tab(open_tab: Callable[..., Tab]) -> Tab:
    """One tab in light colors."""
    return open_tab(color_scheme="light")


@pytest.fixture
def expect() -> Any:
    """Playwright's assertions, which wait."""
    return playwright_api.expect


@pytest.fixture(scope="session", autouse=True)
def private_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Servers and trainings started here leave the user's own cache alone."""
    before = os.environ.get("XDG_CACHE_HOME")
    os.environ["XDG_CACHE_HOME"] = str(tmp_path_factory.mktemp("cache"))
    yield
    if before is None:
        del os.environ["XDG_CACHE_HOME"]
    else:
        os.environ["XDG_CACHE_HOME"] = before
