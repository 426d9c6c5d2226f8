import threading
import time

import pytest

from weightsmith.web.memory import Memory


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
