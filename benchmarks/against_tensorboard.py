"""The histograms of a long run, here and in TensorBoard: `python benchmarks/against_tensorboard.py`.

100 weights with 1,000 histograms each, from the command on the shell to the picture in a headless Chromium, in turns.
Of TensorBoard, which shows what it has read so far, two times are told: to its first picture, and to one of all steps.
Needs `pip install tensorboard`.
"""

import http.client
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from browser import HISTOGRAMS, WEIGHTS, chromium, tell, visit, write_sketches
from torch.utils.tensorboard import SummaryWriter

from page import server
from weightsmith.store import Store

STEPS = 1000
ROUNDS = 5
PORT = 6123
DRAWN = """(() => {
  const all = root => [...root.querySelectorAll('*')].flatMap(e => e.shadowRoot ? [e, ...all(e.shadowRoot)] : [e]);
  return all(document).some(one => one.matches('tb-histogram svg path, .histogram path'));
})()"""


def write_events(folder: Path) -> None:
    random = np.random.default_rng(1)
    writer = SummaryWriter(str(folder))
    for step in range(STEPS):
        values = random.standard_normal(4096, dtype=np.float32) * np.float32(1 + step / STEPS)
        counts, edges = np.histogram(values, 64)
        for info in WEIGHTS:
            writer.add_histogram_raw(
                *(info.name, float(values.min()), float(values.max()), len(values), float(values.sum())),
                *(float((values * values).sum()), edges[1:].tolist(), counts.tolist(), step),
            )
    writer.close()


def ours(browser: Any, folder: Path, run: str) -> float:
    start = time.perf_counter()
    with server(folder) as (port, _):
        _, page = visit(browser, f"http://127.0.0.1:{port}/#/run/s0/{run}?tab=histograms", HISTOGRAMS)
        taken = time.perf_counter() - start
        page.context.close()
    return taken


def theirs(browser: Any, folder: Path) -> tuple[float, float]:
    """Seconds to the first picture of whatever has been read by then, and to one of all steps."""
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", str(folder), "--port", str(PORT)]
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for("/", lambda _: True)
        visit(browser, f"http://127.0.0.1:{PORT}/#histograms", DRAWN)[1].context.close()
        first = time.perf_counter() - start
        data = f"/data/plugin/histograms/histograms?run=.&tag={WEIGHTS[-1].name}"
        wait_for(data, lambda body: json.loads(body)[-1][1] == STEPS - 1)
        read = time.perf_counter() - start
        drawn, page = visit(browser, f"http://127.0.0.1:{PORT}/#histograms", DRAWN)
        page.context.close()
        return first, max(first, read + drawn)
    finally:
        process.terminate()
        process.wait()


def wait_for(address: str, enough: Callable[[bytes], bool]) -> None:
    """Ask TensorBoard again and again until an answer will do."""
    while True:
        try:
            with closing(http.client.HTTPConnection("127.0.0.1", PORT)) as connection:
                connection.request("GET", address)
                answer = connection.getresponse()
                body = answer.read()
        except OSError:
            pass
        else:
            if answer.status == 200 and enough(body):
                return
        time.sleep(0.02)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        events, runs = Path(folder) / "events", Path(folder) / "runs"
        write_events(events)
        with Store.open(runs) as store:
            writer = store.create_run(name="histograms", recipe=None, environment={}, weights=WEIGHTS)
            write_sketches(writer, STEPS, 1)
            writer.finish("completed")
        taken = [(ours(browser, runs, writer.id), *theirs(browser, events)) for _ in range(ROUNDS)]
    columns = [list(times) for times in zip(*taken, strict=True)]
    names = ("Weightsmith", "TensorBoard, first picture", "TensorBoard, all steps")
    for name, times in zip(names, columns, strict=True):
        tell(name, times)
        print(f"  {median(times) / median(columns[0]):.1f} times as long")


if __name__ == "__main__":
    main()
