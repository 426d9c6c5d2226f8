import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from weightsmith.web.memory import Memory, Turns


def test_the_least_recently_used_goes_first():
    memory = Memory(10)
    for key in "abc":
        memory.put(key, key, 3)
    memory.get("a")
    memory.put("d", "d", 3)
    assert [memory.get(key) for key in "abcd"] == ["a", None, "c", "d"]
    assert memory.held <= 10


def test_what_is_larger_than_the_bound_is_handed_out_and_not_kept():
    memory = Memory(10)
    assert memory.result("a", lambda: "large", lambda _: 11) == "large"
    assert memory.get("a") is None
    assert memory.held == 0


def test_the_last_one_may_be_kept_however_large_it_is():
    memory = Memory(10, last=True)
    memory.put("a", "a", 3)
    memory.put("b", "large", 100)
    assert (memory.get("a"), memory.get("b")) == (None, "large")
    memory.put("c", "c", 3)
    assert (memory.get("b"), memory.get("c"), memory.held) == (None, "c", 3)


def test_putting_again_counts_once():
    memory = Memory(10)
    memory.put("a", 1, 6)
    memory.put("a", 2, 7)
    assert (memory.get("a"), memory.held) == (2, 7)


def test_all_who_want_the_same_wait_for_one_computation():
    memory, made = Memory(10), []

    def make():
        time.sleep(0.05)
        made.append(1)
        return "made"

    found = []
    threads = [threading.Thread(target=lambda: found.append(memory.result("a", make, lambda _: 1))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (found, made) == (["made"] * 8, [1])


def test_after_a_failure_the_next_tries_again():
    memory = Memory(10)
    with pytest.raises(ZeroDivisionError):
        memory.result("a", lambda: 1 // 0, lambda _: 1)
    assert memory.result("a", lambda: 5, lambda _: 1) == 5


def test_who_asks_while_a_result_is_made_shares_the_next_one():
    turns, made, begun, go = Turns(), [], threading.Event(), threading.Event()

    def make():
        made.append(len(made))
        begun.set()
        assert go.wait(60)
        return made[-1]

    with ThreadPoolExecutor(8) as pool:
        first = pool.submit(turns.result, "key", make)
        assert begun.wait(60)
        later = [pool.submit(turns.result, "key", make) for _ in range(7)]
        while turns._waiting["key"].waiting < 8:
            time.sleep(0.001)
        go.set()
        assert first.result() == 0  # the others may have asked for something newer than what was being made
        assert [one.result() for one in later] == [1] * 7
    assert turns.result("key", make) == 2
    assert not turns._waiting


def test_a_turn_that_fails_is_taken_by_the_next():
    turns = Turns()
    with pytest.raises(KeyError):
        turns.result("key", lambda: {}["missing"])
    assert turns.result("key", lambda: 1) == 1
    assert not turns._waiting
