import multiprocessing
import os
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weightsmith.errors import InputError
from weightsmith.kernels import parallel
from weightsmith.kernels.parallel import map_blocks, threads


def test_threads_follow_the_environment(monkeypatch):
    monkeypatch.setenv("WEIGHTSMITH_THREADS", "3")
    assert threads() == 3
    monkeypatch.delenv("WEIGHTSMITH_THREADS")
    assert 1 <= threads() <= os.cpu_count()


@pytest.mark.parametrize("given", ["0", "-1", "two", "1.5"])
def test_a_senseless_number_of_threads_is_refused(monkeypatch, given):
    monkeypatch.setenv("WEIGHTSMITH_THREADS", given)
    with pytest.raises(InputError, match="WEIGHTSMITH_THREADS"):
        threads()


@given(st.integers(0, 300), st.integers(1, 100), st.integers(1, 9))
def test_blocks_cover_the_range_in_order(size, block, workers):
    blocks = map_blocks(lambda start, stop: (start, stop), size, block, workers)
    assert [element for start, stop in blocks for element in range(start, stop)] == list(range(size))
    assert all(stop - start == block for start, stop in blocks[:-1])


def test_one_block_runs_in_the_calling_thread():
    assert map_blocks(lambda *_: threading.get_ident(), 10, 10, 8) == [threading.get_ident()]


def test_blocks_run_at_the_same_time():
    meet = threading.Barrier(3, timeout=60)
    assert sorted(map_blocks(lambda *_: meet.wait(), 3, 1, 3)) == [0, 1, 2]


def test_the_first_failure_is_raised_and_later_blocks_dropped():
    begun = []

    def fail(start, _):
        begun.append(start)
        raise KeyError(start)

    with pytest.raises(KeyError):
        map_blocks(fail, 1000, 1, 2)
    assert len(begun) <= 2


def test_a_failure_in_a_helper_reaches_the_caller():
    caller = threading.get_ident()
    meet = threading.Barrier(2, timeout=60)

    def fail_elsewhere(*_):
        meet.wait()
        if threading.get_ident() != caller:
            raise KeyError("helper")

    with pytest.raises(KeyError, match="helper"):
        map_blocks(fail_elsewhere, 2, 1, 2)


def test_nested_calls_from_many_threads_do_not_wait_for_each_other():
    def inner(start, stop):
        return sum(map_blocks(lambda a, b: sum(range(start + a, start + b)), stop - start, 3, 8))

    with ThreadPoolExecutor(16) as pool:
        totals = list(pool.map(lambda _: sum(map_blocks(inner, 500, 7, 8)), range(64)))
    assert totals == [sum(range(500))] * 64


def test_works_once_no_more_threads_can_be_started(monkeypatch):
    pool = ThreadPoolExecutor(1)
    pool.shutdown()
    monkeypatch.setattr(parallel, "_pool", pool)
    assert map_blocks(lambda start, _: start, 4, 1, 4) == [0, 1, 2, 3]


def _squares(connection):
    connection.send(map_blocks(lambda start, _: start**2, 4, 1, 4))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_gets_threads_of_its_own():
    map_blocks(lambda start, _: start, 4, 1, 4)
    context = multiprocessing.get_context("fork")
    receive, send = context.Pipe(duplex=False)
    child = context.Process(target=_squares, args=(send,))
    child.start()
    assert receive.poll(60)
    assert receive.recv() == [0, 1, 4, 9]
    child.join()
