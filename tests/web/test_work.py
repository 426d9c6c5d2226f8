"""Long computations: once for all who ask, given up when nobody does, bounded in number."""

import asyncio
import subprocess
import sys
import threading
import time

import pytest

from weightsmith.web import work as module
from weightsmith.web.faults import BusyError
from weightsmith.web.memory import Memory
from weightsmith.web.work import AbandonedError, Progress, Work


class Client:
    """A request whose client leaves when told to."""

    def __init__(self):
        self.left = asyncio.Event()
        self._asked = False

    async def receive(self):
        if not self._asked:
            self._asked = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await self.left.wait()
        return {"type": "http.disconnect"}


def run(scenario):
    asyncio.run(asyncio.wait_for(scenario(), 120))


async def until(condition):
    while not condition():
        await asyncio.sleep(0.01)


def test_two_who_want_the_same_get_one_computation_and_the_next_gets_it_from_memory():
    calls = []

    def compute(_):
        calls.append(1)
        time.sleep(0.1)
        return b"done"

    async def scenario():
        work = Work(Memory(100))
        wanted = [work.result(Client(), "key", compute, len) for _ in range(3)]
        assert await asyncio.gather(*wanted) == [b"done"] * 3
        assert await work.result(Client(), "key", compute, len) == b"done"
        assert calls == [1]

    run(scenario)


def test_a_computation_ends_when_its_last_client_leaves():
    ended = threading.Event()

    def compute(check):
        try:
            while True:
                check()
                time.sleep(0.01)
        finally:
            ended.set()

    async def scenario():
        work, first, second = Work(Memory(100)), Client(), Client()
        tasks = [asyncio.create_task(work.result(client, "key", compute, len)) for client in (first, second)]
        await asyncio.sleep(0.1)
        first.left.set()
        with pytest.raises(AbandonedError):
            await tasks[0]
        assert not ended.is_set()
        second.left.set()
        with pytest.raises(AbandonedError):
            await tasks[1]
        await until(ended.is_set)
        assert await work.result(Client(), "key", lambda _: b"again", len) == b"again"

    run(scenario)


def test_one_that_was_given_up_does_not_take_its_successors_place_away():
    free = threading.Event()

    async def scenario():
        work, first = Work(Memory(100)), Client()

        async def ask(client):
            return await work.result(client, "key", lambda _: b"done" if free.wait(60) else b"", len)

        async def ask_once_it_is_given_up():
            while "key" in work._jobs:
                await asyncio.sleep(0)
            return await ask(Client())

        given_up = asyncio.create_task(ask(first))
        await until(lambda: "key" in work._jobs)
        successor = asyncio.create_task(ask_once_it_is_given_up())
        first.left.set()
        with pytest.raises(AbandonedError):
            await given_up
        await asyncio.sleep(0.05)
        assert "key" in work._jobs  # whoever asks now joins it
        free.set()
        assert await successor == b"done"

    run(scenario)


def test_who_follows_hears_how_far_it_is_and_then_gets_what_all_get():
    said, heard = threading.Event(), threading.Event()

    def compute(check):
        check(1, 4, "counting")
        said.set()
        heard.wait(60)
        return b"done"

    async def scenario():
        work = Work(Memory(100))
        other = asyncio.create_task(work.result(Client(), "key", compute, len))
        await until(said.is_set)
        news = work.follow("key", compute, len)
        assert await anext(news) == Progress(0.25, "counting")
        heard.set()
        assert [one async for one in news] == [b"done"]
        assert await other == b"done"

    run(scenario)


def test_much_that_is_handed_out_at_once_leaves_others_their_turn():
    produced, turns = threading.Event(), 0

    def produce(give, check):
        for item in range(100):
            give(item)
        produced.set()

    async def other():
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async def scenario():
        news = Work(Memory(100)).stream(produce)
        assert await anext(news) == 0
        await until(produced.is_set)
        task = asyncio.create_task(other())
        assert [one async for one in news] == list(range(1, 100))
        task.cancel()
        assert turns > 90

    run(scenario)


def test_a_computation_is_given_up_when_the_last_who_follows_leaves():
    ended = threading.Event()

    def compute(check):
        try:
            while True:
                check(1, 2, "going on")
                time.sleep(0.01)
        finally:
            ended.set()

    async def scenario():
        work = Work(Memory(100))
        first, second = work.follow("key", compute, len), work.follow("key", compute, len)
        for news in (first, second):
            while await anext(news) != Progress(0.5, "going on"):
                pass
        await first.aclose()
        await asyncio.sleep(0.05)
        assert not ended.is_set()
        await second.aclose()
        await until(ended.is_set)

    run(scenario)


def test_errors_reach_everybody_and_are_not_kept():
    async def scenario():
        work = Work(Memory(100))

        def compute(_):
            time.sleep(0.05)
            raise ValueError("no")

        found = await asyncio.gather(
            *(work.result(Client(), "key", compute, len) for _ in range(2)), return_exceptions=True
        )
        assert [str(error) for error in found] == ["no", "no"]
        assert await work.result(Client(), "key", lambda _: b"yes", len) == b"yes"

    run(scenario)


def test_only_some_run_at_once_and_too_many_are_sent_away(monkeypatch):
    monkeypatch.setattr(module, "QUEUED", 5)
    running, most = [], []
    free = threading.Event()

    def compute(_):
        running.append(1)
        most.append(len(running))
        free.wait(60)
        running.pop()
        return b""

    async def scenario():
        work = Work(Memory(100))
        tasks = [asyncio.create_task(work.result(Client(), key, compute, len)) for key in range(5)]
        await asyncio.sleep(0.1)
        with pytest.raises(BusyError):
            await work.result(Client(), "more", compute, len)
        free.set()
        await asyncio.gather(*tasks)
        assert max(most) <= module.AT_ONCE
        assert await work.result(Client(), "more", lambda _: b"now", len) == b"now"

    run(scenario)


def test_who_waits_for_a_free_place_and_leaves_costs_nothing():
    free = threading.Event()
    begun = []

    async def scenario():
        work, waiting = Work(Memory(100)), Client()
        busy = [
            asyncio.create_task(work.result(Client(), key, lambda _: bytes(free.wait(60)), len))
            for key in range(module.AT_ONCE)
        ]
        await asyncio.sleep(0.05)
        task = asyncio.create_task(work.result(waiting, "late", lambda _: bytes(len(begun.append(1) or "")), len))
        await asyncio.sleep(0.05)
        waiting.left.set()
        with pytest.raises(AbandonedError):
            await task
        free.set()
        await asyncio.gather(*busy)
        await until(lambda: work._under_way == 0)
        assert begun == []

    run(scenario)


def test_a_stream_hands_out_items_and_ends_its_computation_when_closed():
    ended = threading.Event()

    def produce(give, check):
        try:
            for item in range(10_000):
                check()
                give(item)
                time.sleep(0.001)
        finally:
            ended.set()

    async def scenario():
        work = Work(Memory(100))
        stream = work.stream(produce)
        assert [await anext(stream) for _ in range(3)] == [0, 1, 2]
        await stream.aclose()
        await until(ended.is_set)
        assert [item async for item in work.stream(lambda give, _: give("all"))] == ["all"]
        with pytest.raises(ZeroDivisionError):
            async for _ in work.stream(lambda *_: 1 // 0):
                pass

    run(scenario)


BEGIN = """
import asyncio, contextlib, sys, threading, time
from weightsmith.web import work as module
from weightsmith.web.memory import Memory

def compute(check):
    try:
        while True:
            check()
            time.sleep(0.01)
    except module.AbandonedError:
        print("given up", flush=True)
        raise

def serve():
    work = module.Work(Memory(100))
    class Client:
        async def receive(self):
            await asyncio.sleep(3600)
    with contextlib.suppress(module.AbandonedError):
        asyncio.run(work.result(Client(), "key", COMPUTE, len))

threading.Thread(target=serve, daemon=True).start()
while not module._computing:
    time.sleep(0.01)
"""


def ending(compute, last=""):
    """What a process prints that ends while it computes, and its status."""
    script = BEGIN.replace("COMPUTE", compute) + last
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
    assert done.stderr == ""
    return done.stdout, done.returncode


def test_the_end_of_the_process_gives_up_what_is_computed_and_waits_for_it():
    assert ending("compute", "sys.exit(3)") == ("given up\n", 3)


def test_what_goes_wrong_in_what_was_given_up_is_not_told():
    compute = "lambda check: [time.sleep(0.01) for _ in iter(lambda: check.given_up, True)] and 1 // 0"
    last = "module.end()\nfor thread in threading.enumerate()[1:]:\n    thread.join(60)"
    assert ending(compute, last) == ("", 0)


def test_the_end_of_the_process_does_not_wait_for_ever():
    last = "module.PATIENCE = 0.1\nmodule.end()\nprint(module.is_computing(), flush=True)"
    assert ending("lambda _: time.sleep(3600)", last) == ("True\n", 0)
