"""The page as its user waits for it, in a headless Chromium: `python benchmarks/browser.py [CHAPTER ...]`.

- run: until the first curve of a run with 100 weights and 10,000 steps is drawn, and the JavaScript that it takes;
- file: a safetensors file of 4 GB until its tree and first histogram are there, with a cached scan and without;
- pan: time between frames while a matrix of 8192 x 28672 is dragged about;
- live: from a write of a run to the number on the screen.

Each visit is of a new visitor, who has nothing cached. Needs Chromium and Playwright, and 5 GB in a temporary folder
(`TMPDIR`).
"""

import gzip
import http.client
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from playwright.sync_api import sync_playwright

from page import server
from weightsmith.sketch import Sketch
from weightsmith.sources import write_safetensors
from weightsmith.store import RunWriter, Store
from weightsmith.store.records import SketchRecord
from weightsmith.weight import WeightInfo

ARGUMENTS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
SCREEN = {"width": 1920, "height": 1080}
PATIENCE = 600.0
ROUNDS = 5

WEIGHTS = [WeightInfo(f"block.{i:02d}.weight", (256, 256), "float32", "linear", "Linear") for i in range(100)]
OWN_SERIES = ("loss", "train_loss", "val_loss", "val_accuracy", "learning_rate", "gradient_norm", "steps_per_second")
WEIGHT_SERIES = ("update_ratio", "gradient_norm", "norm", "zeros", "sign_flips")

CURVE = "document.querySelector('.uplot canvas') !== null"
HISTOGRAMS = "document.querySelector('section[aria-label*=\"over time\"] canvas') !== null"
TREE = "document.querySelectorAll('.tree svg.filled').length >= {}"
MATRIX = "document.querySelector('.heatmap canvas') !== null"
NOTE = "document.querySelector('section[aria-label=\"Loss\"] .panel-note')?.textContent"
WATCH_FRAMES = """
window.gaps = []; window.watched = true; let last = performance.now();
const watch = now => { gaps.push(now - last); last = now; if (watched) requestAnimationFrame(watch) };
requestAnimationFrame(watch)
"""


@contextmanager
def chromium() -> Iterator[Any]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=ARGUMENTS)
        yield browser
        browser.close()


def until(page: Any, condition: str) -> None:
    """Wait for JavaScript to be true, looking often."""
    deadline = time.monotonic() + PATIENCE
    while not page.evaluate(condition):
        assert time.monotonic() < deadline, condition
        time.sleep(0.005)


def visit(browser: Any, address: str, condition: str) -> tuple[float, Any]:
    """Seconds until a new visitor sees what he came for, and the page."""
    page = browser.new_context(viewport=SCREEN).new_page()
    page.set_default_timeout(1000 * PATIENCE)
    start = time.perf_counter()
    page.goto(address, wait_until="commit")
    until(page, condition)
    return time.perf_counter() - start, page


def visits(browser: Any, address: str, condition: str) -> list[float]:
    times = []
    for _ in range(ROUNDS):
        taken, page = visit(browser, address, condition)
        times.append(taken)
        page.context.close()
    return times


def tell(what: str, times: list[float]) -> None:
    later = times[1:]
    more = f", then {median(later):.2f} s ({min(later):.2f} to {max(later):.2f})" if later else ""
    print(f"{what:<56} first {times[0]:.2f} s{more}", flush=True)


def write_sketches(writer: RunWriter, count: int, stride: int) -> None:
    """Histograms of every weight at `count` steps, each of another spread."""
    random = np.random.default_rng(1)
    for place in range(count):
        values = random.standard_normal(4096, dtype=np.float32) * np.float32(1 + place / count)
        sketch = Sketch.of(values, threads=1)
        writer.write(sketches=[SketchRecord(info.name, "weight", place * stride, sketch) for info in WEIGHTS])


def write_run(store: Store, steps: int = 10_000, at_once: int = 500) -> str:
    """A run with all series that a training records, at every step, and 100 histograms of each weight."""
    random = np.random.default_rng(0)
    writer = store.create_run(name="long", recipe={"model": {"name": "mlp"}}, environment={}, weights=WEIGHTS)
    for first in range(1, steps + 1, at_once):
        at = list(range(first, first + at_once))
        points = {(name, None): (at, (random.random(at_once) + 100 / first).tolist()) for name in OWN_SERIES}
        keys = [(name, info.name) for info in WEIGHTS for name in WEIGHT_SERIES]
        points |= {key: (at, random.random(at_once).tolist()) for key in keys}
        writer.write(series=points)
    write_sketches(writer, 100, steps // 100)
    writer.finish("completed")
    return writer.id


def measure_run(browser: Any, folder: Path) -> None:
    with Store.open(folder / "runs") as store:
        run = write_run(store)
    with server(folder / "runs") as (port, _):
        address = f"http://127.0.0.1:{port}/#/run/s0/{run}"
        tell("a run of 100 weights x 10,000 steps, its first curve", visits(browser, address, CURVE))
        tell("... its first histograms", visits(browser, f"{address}?tab=histograms", HISTOGRAMS))
        with closing(http.client.HTTPConnection("127.0.0.1", port)) as connection:
            print(f"{'JavaScript, gzipped':<56} {scripts(connection) / 1000:.1f} KB")


def scripts(connection: http.client.HTTPConnection) -> int:
    """Bytes of all scripts of the page as they are sent."""

    def ask(address: str) -> bytes:
        connection.request("GET", address)
        return connection.getresponse().read()

    parts = ask("/").decode().split('src="')[1:]
    return sum(len(gzip.compress(ask("/" + part.partition('"')[0].removeprefix("./")), 5)) for part in parts)


def measure_file(browser: Any, folder: Path) -> None:
    path = folder / "four.safetensors"
    block = np.random.default_rng(0).standard_normal((4096, 4096), dtype=np.float32)
    write_safetensors(path, {f"layers.{i}.weight": block + np.float32(i) for i in range(64)})
    print(f"a file of {path.stat().st_size / 1e9:.1f} GB")
    for scan in ("not scanned before", "scan cached", "scan cached"):
        start = time.perf_counter()
        with server(path) as (port, _):
            ready = time.perf_counter() - start
            first, page = visit(browser, f"http://127.0.0.1:{port}/#/source/f0", TREE.format(1))
            until(page, TREE.format(64))
            every = time.perf_counter() - start - ready
            page.context.close()
            print(f"  {scan}: server {ready:.2f} s, then first histogram {first:.2f} s, all {every:.2f} s", flush=True)


def measure_pan(browser: Any, folder: Path) -> None:
    path = folder / "large.safetensors"
    write_safetensors(path, {"w": np.random.default_rng(0).standard_normal((8192, 28672), dtype=np.float32)})
    with server(path) as (port, _):
        _, page = visit(browser, f"http://127.0.0.1:{port}/#/source/f0/weight/0", MATRIX)
        page.wait_for_timeout(4000)
        box = page.locator(".heatmap canvas").first.bounding_box()
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        page.mouse.move(x, y)
        for zoom in range(9):
            page.evaluate(WATCH_FRAMES)
            page.mouse.down()
            for i in range(60):
                page.mouse.move(x + 150 * np.sin(i / 6), y + 100 * np.cos(i / 6))
            page.mouse.up()
            gaps = np.array(page.evaluate("watched = false, gaps")[2:])
            middle, late = np.quantile(gaps, [0.5, 0.95])
            counted = f"panning, {zoom} zooms in: {len(gaps)} frames"
            print(f"{counted:<56} median {middle:.1f} ms, 95th percentile {late:.1f} ms", flush=True)
            page.mouse.wheel(0, -400)
            page.wait_for_timeout(500)


def measure_live(browser: Any, folder: Path) -> None:
    with Store.open(folder / "runs") as store:
        writer = store.create_run(name="live", recipe=None, environment={}, weights=WEIGHTS)
        writer.write(series={("loss", None): ([0], [1000.0])})
        with server(folder / "runs") as (port, _):
            _, page = visit(browser, f"http://127.0.0.1:{port}/#/run/s0/{writer.id}", f"{NOTE} === '1,000'")
            waits = []
            for i in range(1, 31):
                writer.write(series={("loss", None): ([i], [1000.0 + i])})
                start = time.perf_counter()
                until(page, f"{NOTE} === '{1000 + i:,}'")
                waits.append(time.perf_counter() - start)
                time.sleep(0.37)  # not in step with the server's own looks
            middle, late = np.quantile(waits, [0.5, 0.95])
            print(f"{'from a write to the screen':<56} median {middle:.2f} s, 95th percentile {late:.2f} s", flush=True)
        writer.finish("completed")


CHAPTERS: dict[str, Callable[[Any, Path], None]] = {
    "run": measure_run,
    "file": measure_file,
    "pan": measure_pan,
    "live": measure_live,
}


def main(names: list[str]) -> None:
    with chromium() as browser:
        for name in names or CHAPTERS:
            with tempfile.TemporaryDirectory() as folder:
                CHAPTERS[name](browser, Path(folder))


if __name__ == "__main__":
    main(sys.argv[1:])
