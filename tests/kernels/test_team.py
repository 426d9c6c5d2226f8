import multiprocessing
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest
from numba import njit

from weightsmith.kernels import team as teams
from weightsmith.kernels.shared_words import task_of
from weightsmith.kernels.team import ALONE, team, together

LONG = 5e-4
pytestmark = pytest.mark.skipif(os.name != "posix", reason="there are no teams")


@njit(nogil=True)
def _count(arguments, part):
    seen, turns = arguments
    for i in range(turns):
        seen[part, 1] += seen[part, 0] ^ i
    seen[part, 0] += 1


_counting = task_of(_count)


@njit(nogil=True)
def count(team, seen, turns):
    arguments = (seen, turns)
    if not together(team, _counting(arguments), seen.shape[0]):
        for part in range(seen.shape[0]):
            _count(arguments, part)


@njit(nogil=True)
def _fail(arguments, part):
    (seen,) = arguments
    if part == seen.size - 1:
        raise MemoryError
    seen[part] += 1


_failing = task_of(_fail)


@njit(nogil=True)
def fail(team, seen):
    arguments = (seen,)
    if not together(team, _failing(arguments), seen.size):
        for part in range(seen.size):
            _fail(arguments, part)


@pytest.fixture
def pair(monkeypatch):
    """A team of two, whatever the processors here."""
    monkeypatch.setattr(teams, "default_threads", lambda: 2)
    monkeypatch.setattr(teams, "_team", None)
    monkeypatch.setattr(teams, "_members", members := [])
    (words, members_wanted), parts = team(LONG, 2)
    assert words.size
    assert (members_wanted, parts) == (2, 2)
    yield words
    words[teams._STOP] = 1
    teams._wake(words)
    for member in members:
        member.join(60)
        assert not member.is_alive()


def counted(words, parts, turns=20_000):
    seen = np.zeros((parts, 2), np.int64)
    count((words, 2), seen, turns)
    return seen[:, 0].tolist()


@pytest.mark.parametrize("parts", [0, 1, 2, 3, 50])
def test_every_part_is_done_once(pair, parts):
    for _ in range(200):
        assert counted(pair, parts, 500) == [1] * parts
    assert counted(ALONE[0], parts) == [1] * parts


def test_a_helper_takes_part(pair):
    until = time.monotonic() + 60
    while not pair[teams._BACK]:
        assert counted(pair, 8) == [1] * 8
        assert time.monotonic() < until


def test_helpers_sleep_when_there_is_nothing_to_do(pair):
    counted(pair, 2)
    until = time.monotonic() + 60
    while not pair[teams._ASLEEP]:
        assert time.monotonic() < until
        time.sleep(0.01)
    before = time.process_time()
    time.sleep(0.2)
    assert time.process_time() - before < 0.1


@pytest.mark.parametrize("_", range(20))
def test_a_part_that_raises_fails_the_task_and_not_the_next_one(pair, _):
    with pytest.raises(MemoryError):
        fail((pair, 2), np.zeros(5, np.int64))
    assert counted(pair, 4) == [1] * 4


def test_calls_from_many_threads_at_once(pair):
    counted(pair, 2)
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda _: [counted(pair, 7, 200) for _ in range(100)], range(16)))
    assert results == [[[1] * 7] * 100] * 16
    assert pair[teams._BUSY] == pair[teams._INSIDE] == pair[teams._OPEN] == 0


def test_one_thread_and_short_work_need_no_team(monkeypatch):
    assert team(LONG, 1) == (ALONE, 1)
    assert team(1e-6, 2) == (ALONE, 1)
    monkeypatch.setenv("WEIGHTSMITH_THREADS", "1")
    monkeypatch.setattr(teams, "_team", None)
    assert team(LONG) == (ALONE, 1)
    assert teams._team is None


def test_short_work_wakes_helpers_only_when_calls_follow_closely(pair, monkeypatch):
    until = time.monotonic() + 60
    while not pair[teams._ASLEEP]:
        assert time.monotonic() < until
        time.sleep(0.01)
    monkeypatch.setattr(teams, "_called", 0.0)
    clock = iter([10.0, 11.0, 11.0001])
    monkeypatch.setattr(teams, "time", SimpleNamespace(perf_counter=lambda: next(clock)))
    assert [team(5e-5, 2)[1] for _ in range(3)] == [1, 1, 2]


def _child(connection):
    teams.default_threads = lambda: 2
    (words, _), _ = team(LONG, 2)
    connection.send((len(teams._members), counted(words, 5)))


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_gets_helpers_of_its_own(pair):
    counted(pair, 5)
    context = multiprocessing.get_context("fork")
    receive, send = context.Pipe(duplex=False)
    child = context.Process(target=_child, args=(send,))
    child.start()
    assert receive.poll(60)
    assert receive.recv() == (1, [1] * 5)
    child.join(60)
    assert child.exitcode == 0
    assert counted(pair, 5) == [1] * 5


_LAST_WORDS = """
import numpy as np
from weightsmith.kernels import team as teams
from weightsmith.kernels.xnor import xnor_counts
teams.default_threads = lambda: 2
a, w = np.zeros((4, 64), np.uint64), np.zeros((4096, 64), np.uint64)
for _ in range(20):
    xnor_counts(a, w, 4096, threads=2)
assert len(teams._members) == 1
"""


def test_the_interpreter_ends_while_helpers_watch():
    done = subprocess.run([sys.executable, "-c", _LAST_WORDS], capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_threads_are_named_and_do_not_keep_the_process(pair):
    found = [thread for thread in threading.enumerate() if thread.name == "weightsmith-team"]
    assert found
    assert all(thread.daemon for thread in found)
