"""Changes of runs reach everybody who listens, soon, and nobody looks for nobody."""

import asyncio
import time
from types import SimpleNamespace

import pytest

from weightsmith.store import Event
from weightsmith.web import watch
from weightsmith.web.faults import BusyError
from weightsmith.web.watch import Watcher


def run(scenario):
    asyncio.run(asyncio.wait_for(scenario(), 240))


async def until(condition):
    while not condition():
        await asyncio.sleep(0.01)


@pytest.fixture(autouse=True)
def looks(monkeypatch):
    """Grows with each look that is done; only what happens after the first is a change."""
    done, look = [], watch._Watched.look

    def noted(self):
        changes = look(self)
        done.append(changes)
        return changes

    monkeypatch.setattr(watch._Watched, "look", noted)
    return done


class Listener:
    """Gathers what it is told, with the time."""

    def __init__(self, watcher):
        self.told = []
        self._stream = watcher.changes(0.5)
        self._task = asyncio.create_task(self._listen())

    async def _listen(self):
        async for change in self._stream:
            if change is not None:
                self.told.append((time.monotonic(), change))

    async def next(self, status, patience=60.0):
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            for told in list(self.told):
                self.told.remove(told)
                if told[1]["status"] == status:
                    return told
            await asyncio.sleep(0.01)
        raise AssertionError(f"nothing was told of a run that is {status}")

    async def leave(self):
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        await self._stream.aclose()


def test_a_run_is_told_when_it_begins_goes_on_ends_and_is_deleted(store, looks):
    async def scenario():
        watcher = Watcher({"s0": store})
        listener = Listener(watcher)
        await until(lambda: looks)
        writer = store.create_run(name="live", recipe=None, environment={}, weights=[])
        _, change = await listener.next("running")
        assert (change["store"], change["id"], change["step"]) == ("s0", writer.id, None)
        waited = []
        for step in range(10, 210, 10):
            writer.write(series={("loss", None): ([step], [1.0])}, events=[Event(step, "note", {})])
            wrote = time.monotonic()
            told, change = await listener.next("running")
            assert change["step"] == step
            waited.append(told - wrote)
            if len(waited) > 1 and min(waited) < 0.9:  # a busy machine may be late now and then, and not each time
                break
        assert min(waited) < 0.9
        writer.finish("completed")
        assert (await listener.next("completed"))[1]["id"] == writer.id
        store.annotate(writer.id, tags="baseline")
        assert (await listener.next("completed"))[1]["id"] == writer.id
        store.delete_run(writer.id)
        assert (await listener.next("deleted"))[1]["id"] == writer.id
        await listener.leave()

    run(scenario)


def test_a_write_that_is_committed_a_moment_after_its_file_changed_is_told(store, monkeypatch):
    """Between the two, a look sees the new file and the old runs, and nothing of the file changes any more."""
    now = 0.0
    monkeypatch.setattr(watch, "time", SimpleNamespace(monotonic=lambda: now))
    watched = watch._Watched(store)
    assert watched.is_due()
    assert watched.look() == []
    now = 2.0
    assert not watched.is_due()
    before = store.signs()
    store.create_run(name="live", recipe=None, environment={}, weights=[])
    assert watched.is_due()
    with monkeypatch.context() as early:
        early.setattr(type(store), "signs", lambda _: before)
        assert watched.look() == []
    now = 2.9
    assert watched.is_due()
    assert [change["status"] for change in watched.look()] == ["running"]
    now = 3.1
    assert not watched.is_due()


def test_a_database_that_gives_no_sign_is_asked_each_time(store, monkeypatch, looks):
    monkeypatch.setattr(type(store), "revision", lambda _: None)
    monkeypatch.setattr(watch, "LATEST", 1e9)

    async def scenario():
        listener = Listener(Watcher({"s0": store}))
        await until(lambda: looks)
        store.create_run(name="live", recipe=None, environment={}, weights=[])
        await listener.next("running")
        await listener.leave()

    run(scenario)


def test_what_was_there_before_is_no_change(store, record, looks):
    async def scenario():
        record()
        listener = Listener(Watcher({"s0": store}))
        await until(lambda: len(looks) > 1)
        assert listener.told == []
        await listener.leave()

    run(scenario)


def test_a_run_whose_process_is_gone_is_told_though_nothing_was_written(store, monkeypatch, looks):
    monkeypatch.setattr(watch, "LATEST", 0.2)

    async def scenario():
        store.create_run(name="live", recipe=None, environment={}, weights=[])
        listener = Listener(Watcher({"s0": store}))
        await until(lambda: looks)
        monkeypatch.setattr("weightsmith.store.liveness._exists", lambda _: False)
        await listener.next("lost")
        await listener.leave()

    run(scenario)


def test_nobody_looks_for_nobody_and_a_quiet_store_is_not_read(store, monkeypatch, looks):
    monkeypatch.setattr(watch, "SETTLED", 0.1)
    monkeypatch.setattr(watch, "LATEST", 1e9)

    async def scenario():
        watcher = Watcher({"s0": store})
        await asyncio.sleep(0.5)
        assert looks == []
        listeners = [Listener(watcher) for _ in range(20)]
        await until(lambda: looks)
        await asyncio.sleep(1.0)
        assert len(looks) == 1
        for listener in listeners:
            await listener.leave()
        await until(watcher._task.done)
        again = Listener(watcher)
        await until(lambda: len(looks) == 2)
        await again.leave()

    run(scenario)


def test_who_does_not_listen_for_a_while_gets_the_latest_state_and_no_more(store, looks):
    async def scenario():
        watcher = Watcher({"s0": store})
        slow = watcher.changes(0.1)
        assert await anext(slow) is None
        await until(lambda: looks)
        writer = store.create_run(name="live", recipe=None, environment={}, weights=[])
        for step in range(1, 6):
            writer.write(series={("loss", None): ([step], [1.0])})
            await asyncio.sleep(0.3)
        (listener,) = watcher._listeners
        await until(lambda: any(change["step"] == 5 for change in listener._changes.values()))
        change = await anext(slow)
        assert change["step"] == 5
        assert await anext(slow) is None
        await slow.aclose()

    run(scenario)


def test_a_store_that_fails_for_a_while_is_looked_at_again(store, monkeypatch, looks):
    from weightsmith.errors import StoreError

    signs, broken, failed = type(store).signs, [True], []

    def fail(self):
        if broken[0]:
            failed.append(1)
            raise StoreError("locked")
        return signs(self)

    monkeypatch.setattr(type(store), "signs", fail)

    async def scenario():
        listener = Listener(Watcher({"s0": store}))
        await until(lambda: failed)
        broken[0] = False
        await until(lambda: looks)
        store.create_run(name="live", recipe=None, environment={}, weights=[])
        await listener.next("running")
        await listener.leave()

    run(scenario)


def test_too_many_listeners_are_sent_away(store, monkeypatch):
    monkeypatch.setattr(watch, "LISTENERS", 2)

    async def scenario():
        watcher = Watcher({"s0": store})
        listeners = [Listener(watcher) for _ in range(2)]
        await asyncio.sleep(0.1)
        with pytest.raises(BusyError):
            watcher.refuse_crowd()
        for listener in listeners:
            await listener.leave()
        watcher.refuse_crowd()

    run(scenario)


def test_a_file_that_becomes_another_is_told_once_it_is_written():
    tags = {"f0": ("a", "a"), "f1": ("x", "x")}
    files = watch._Files(lambda: dict(tags))
    assert files.look() == files.look() == []
    tags["f0"] = ("a", "b")
    assert files.look() == []  # perhaps half written
    tags["f0"] = ("a", "c")
    assert files.look() == []
    assert files.look() == [{"source": "f0", "content": "c"}]
    tags["f0"] = ("c", "c")  # opened anew
    assert files.look() == files.look() == []
    tags["f1"] = ("x", None)
    assert [files.look(), files.look()] == [[], [{"source": "f1", "content": None}]]


def test_a_file_that_changed_before_the_first_look_is_told():
    files = watch._Files(lambda: {"f0": ("a", "b")})
    assert [files.look(), files.look(), files.look()] == [[], [{"source": "f0", "content": "b"}], []]


def test_everybody_hears_of_a_file(store):
    async def scenario():
        tags = {"f0": ("a", "a")}
        watcher = Watcher({"s0": store}, lambda: dict(tags))
        stream = watcher.changes(0.1)
        assert await anext(stream) is None
        tags["f0"] = ("a", "b")
        told = await anext(stream)
        while told is None:
            told = await anext(stream)
        assert told == {"source": "f0", "content": "b"}
        await stream.aclose()

    run(scenario)
