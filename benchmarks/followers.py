"""What 50 open pages cost a training that they follow: `python benchmarks/followers.py [SECONDS]`.

Steps a second of a training on one thread, alone and with 50 clients in turns, `SECONDS` (120) of each. A client does
what the page does: it listens to the events, and asks for the run and its curves when one comes, four times a second at
most, with ETags. The training and the server have two processors; the clients run in a process of their own, as if on
other machines: on the processors that are left, or at the lowest priority where there are none.
"""

import http.client
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import closing
from pathlib import Path
from statistics import median

from page import Listener, cpu_seconds, server
from weightsmith.store import Store

CLIENTS = 50
ROUNDS = 6
PROCESSORS = sorted(os.sched_getaffinity(0))
TRAINING = [
    "budget.epochs=1000000",
    "batch_size=4",
    "penalties.l2=0.001",
    "model.hidden=[512,512]",
    "record.snapshots=false",
]


class Follower(threading.Thread):
    """One page on a live run; counts its answers by status."""

    def __init__(self, port: int, run: str, answers: "Counter[int]") -> None:
        super().__init__(daemon=True)
        self._listener = Listener(port)
        self._port, self._answers = port, answers
        self._base = f"/api/stores/s0/runs/{run}"
        self._tags: dict[str, str] = {}

    def run(self) -> None:
        """Follow until the process ends."""
        self._listener.start()
        while True:
            self._listener.heard.wait()
            self._listener.heard.clear()
            self._ask(self._base)
            self._ask(f"{self._base}/series?name=loss&name=train_loss&name=val_loss")
            time.sleep(0.25)

    def _ask(self, address: str) -> None:
        with closing(http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)) as connection:
            headers = {"Accept-Encoding": "gzip", "If-None-Match": self._tags.get(address, "")}
            connection.request("GET", address, headers=headers)
            answer = connection.getresponse()
            answer.read()
            self._tags[address] = answer.getheader("ETag") or ""
            self._answers[answer.status] += 1


def follow(port: int, run: str) -> None:
    """Be 50 pages until the input ends, and say what was answered."""
    os.nice(19)
    answers: Counter[int] = Counter()
    followers = [Follower(port, run, answers) for _ in range(CLIENTS)]
    for follower in followers:
        follower.start()
    sys.stdin.read()
    print(f"answers by status: {dict(answers)}", flush=True)
    os._exit(0)


def written(store: Store, run: str) -> tuple[int | None, float]:
    """The last step of the next write, and when it came: steps come to the store in batches, seconds apart."""
    known = store.last_step(run)
    while (step := store.last_step(run)) == known:
        time.sleep(0.02)
    return step, time.perf_counter()


def speed(store: Store, run: str, seconds: float) -> float:
    """Steps a second over a stretch of time, from one write to another."""
    first, start = written(store, run)
    time.sleep(seconds)
    last, end = written(store, run)
    assert first is not None
    assert last is not None
    return (last - first) / (end - start)


def begun(store: Store) -> str:
    """The run, once it has taken a step."""
    while True:
        for run in store.runs():
            if store.last_step(run.id):
                return run.id
        time.sleep(0.2)


def main(seconds: float) -> None:
    os.sched_setaffinity(0, PROCESSORS[:2])
    with tempfile.TemporaryDirectory() as folder, Store.open(Path(folder)) as store:
        command = [sys.executable, "-m", "weightsmith", "train", "--quiet", "--store", folder]
        command += [part for setting in TRAINING for part in ("--set", setting)]
        training = subprocess.Popen(command, stdout=subprocess.DEVNULL, env={**os.environ, "OMP_NUM_THREADS": "1"})
        alone, watched, spent, followed = [], [], 0.0, 0.0
        try:
            with server(Path(folder)) as (port, pid):
                run = begun(store)
                os.sched_setaffinity(0, PROCESSORS[2:] or PROCESSORS)
                time.sleep(10)
                for _ in range(ROUNDS):
                    alone.append(speed(store, run, seconds / ROUNDS))
                    follow = [sys.executable, __file__, str(port), run]
                    before, began = cpu_seconds(pid), time.perf_counter()
                    with subprocess.Popen(follow, stdin=subprocess.PIPE):
                        time.sleep(4)
                        watched.append(speed(store, run, seconds / ROUNDS))
                    spent += cpu_seconds(pid) - before
                    followed += time.perf_counter() - began
        finally:
            training.terminate()
            training.wait()
    slower = 1 - median(one / other for one, other in zip(watched, alone, strict=True))
    told = [", ".join(f"{each:.0f}" for each in speeds) for speeds in (alone, watched)]
    print(f"steps a second alone {told[0]}; with {CLIENTS} pages {told[1]}: {slower:.1%} slower in the median pair")
    print(f"the server took {spent / followed:.0%} of a core")


if __name__ == "__main__":
    if len(sys.argv) == 3:
        follow(int(sys.argv[1]), sys.argv[2])
    else:
        main(float(sys.argv[1]) if len(sys.argv) > 1 else 120.0)
