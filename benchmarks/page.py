"""The server of the page, over HTTP as a browser asks it: `python benchmarks/page.py [SECONDS]`.

Makes two float32 matrices of 8192 x 28672 in a temporary folder (`TMPDIR`) and a store with one run, starts
`weightsmith ui` in a process of its own, and measures:

- tiles: from the request to the last byte, for different tiles of each level, none of which was asked for before; of
  the matrix as it is, with its rows in the order of their norms, and less the matrix of another file;
- idle: processor time of the server while one page listens and nothing happens;
- live: from a committed write of a run to the event at each of 50 listening clients, and what they cost the server.
"""

import http.client
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np

from weightsmith.sources import write_safetensors
from weightsmith.store import RunWriter, Store

SHAPE = (8192, 28672)
ALL = ("maximum", "minimum", "magnitude", "mean")
PICTURES = (
    ("as it is", "", ALL),
    ("rows by norm", "&rows=norm", ("magnitude",)),
    ("difference", "&against=f1&show=difference", ("magnitude",)),
)
TILES = 60
CLIENTS = 50
IDLE = 20.0


@contextmanager
def server(*what: Path) -> Iterator[tuple[int, int]]:
    """Port and process id of a running server."""
    command = [sys.executable, "-m", "weightsmith", "ui", "--no-browser", *map(str, what)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield int(process.stdout.readline().split()[3].rstrip("/").rpartition(":")[2]), process.pid
    finally:
        process.send_signal(signal.SIGINT)
        process.wait()


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def shown(times: list[float]) -> str:
    middle, late = np.quantile(times, [0.5, 0.95]) * 1e3
    return f"{len(times):5d} measured, median {middle:7.1f} ms, 95th percentile {late:7.1f} ms"


def measure_tiles(port: int, what: str, parameters: str, statistics: tuple[str, ...]) -> None:
    """Tiles of each level; `parameters` say in which order, and against which other file."""
    random = np.random.default_rng(0)
    with closing(http.client.HTTPConnection("127.0.0.1", port)) as connection:

        def ask(address: str) -> float:
            start = time.perf_counter()
            connection.request("GET", f"/api/sources/f0/weights/0/tiles/{address}{parameters}")
            response = connection.getresponse()
            body = response.read()
            assert response.status == 200, body
            return time.perf_counter() - start

        print(f"{what + ': the pass for all coarse levels':<44}{ask('7/0/0?statistic=mean'):7.2f} s")
        ask("0/0/0?statistic=mean")
        ask("1/0/0?statistic=mean")  # compiled kernels are loaded
        everything = []
        for level in range(8):
            down, across = (-(-length // (256 << level)) for length in SHAPE)
            places = [f"{level}/{r}/{c}" for r in range(down) for c in range(across)]
            wanted = [f"{p}?statistic={s}" for p in places for s in statistics]
            times = [ask(address) for address in random.permutation(wanted)[:TILES]]
            everything += times
            print(f"  tiles of level {level:<27}{shown(times)}")
        print(f"{'  tiles of all levels':<44}{shown(everything)}", flush=True)


class Listener(threading.Thread):
    """One client of the stream of events; notes when it was told of which step, and that it was."""

    def __init__(self, port: int) -> None:
        super().__init__(daemon=True)
        self.told: dict[int, float] = {}
        self.heard = threading.Event()
        self._connection = http.client.HTTPConnection("127.0.0.1", port)
        self._connection.request("GET", "/api/events")
        self._response = self._connection.getresponse()
        assert self._response.readline()

    def run(self) -> None:
        """Read until the server ends."""
        while line := self._response.readline():
            now = time.perf_counter()
            if b'"step":' in line:
                step = line.rpartition(b'"step":')[2].rstrip(b"}\n")
                if step.isdigit():
                    self.told.setdefault(int(step), now)
                    self.heard.set()


def measure_live(port: int, pid: int, writer: RunWriter, seconds: float) -> None:
    listeners = [Listener(port) for _ in range(CLIENTS)]
    for listener in listeners:
        listener.start()
    time.sleep(2)
    wrote: dict[int, float] = {}
    before, began = cpu_seconds(pid), time.monotonic()
    while time.monotonic() - began < seconds:
        step = len(wrote) + 1
        writer.write(series={("loss", None): ([step], [1.0 / step])})
        wrote[step] = time.perf_counter()
        time.sleep(0.83)  # not in step with the server's own looks
    time.sleep(2)
    spent = (cpu_seconds(pid) - before) / (time.monotonic() - began)
    late = [
        listener.told[step] - when for listener in listeners for step, when in wrote.items() if step in listener.told
    ]
    missed = len(listeners) * len(wrote) - len(late)
    print(f"live, {CLIENTS} clients{'':<27}{shown(late)}, longest {max(late) * 1e3:.1f} ms, {missed} missed")
    print(f"{'  the server meanwhile':<44}{spent:7.1%} of a core")


def main(seconds: float) -> None:
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / name for name in ("large.safetensors", "other.safetensors")]
        for seed, file in enumerate(files):
            write_safetensors(file, {"w": np.random.default_rng(seed).standard_normal(SHAPE, dtype=np.float32)})
        store = Path(folder) / "runs"
        with Store.open(store) as opened:
            writer = opened.create_run(name="live", recipe=None, environment={}, weights=[])
            with server(store, *files) as (port, pid):
                for picture in PICTURES:
                    measure_tiles(port, *picture)
                quiet = Listener(port)
                quiet.start()
                time.sleep(6)
                before = cpu_seconds(pid)
                time.sleep(IDLE)
                print(f"{'idle, one page':<44}{(cpu_seconds(pid) - before) / IDLE:7.1%} of a core")
                measure_live(port, pid, writer, seconds)
            writer.finish("completed")


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 30.0)
