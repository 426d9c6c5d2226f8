"""What must survive: kills, full disks, several processes at once."""

import os
import signal
import subprocess
import threading
import time
from contextlib import contextmanager

import numpy as np
import pytest
import sqlalchemy

from weightsmith.errors import StoreError
from weightsmith.sources import open_safetensors
from weightsmith.store import Event, Store, schema
from weightsmith.store.files import write_file

WRITE_FOR_EVER = """
    import sys
    import numpy as np
    from weightsmith.store import Event, Store
    store = Store.open(sys.argv[1])
    run = store.create_run(name="killed", recipe=None, environment={}, weights=[])
    for step in range(1, 10**9):
        run.write(
            series={("loss", None): ([step], [step / 2]), ("norm", "w"): ([step], [step / 4])},
            events=[Event(step, "tick", {})],
        )
        print("written", step)
        if step % 5 == 0:
            run.snapshot(step, {"w": np.full(200_000, step)})
            print("kept", step)
"""


@pytest.mark.parametrize("patience", [0.0, 0.05, 0.2])
def test_every_acknowledged_write_survives_a_kill(store, location, start, patience):
    process = start(WRITE_FOR_EVER, location)
    acknowledged = [process.stdout.readline() for _ in range(8)]
    time.sleep(patience)
    process.send_signal(signal.SIGKILL)
    acknowledged += process.stdout.read().splitlines()
    process.wait()
    done = {"written": 0, "kept": 0}
    for line in acknowledged:
        if len(line.split()) == 2:
            done[line.split()[0]] = int(line.split()[1])
    run = store.run("killed")
    assert run.status == "lost"
    steps = run.series("loss").steps
    assert len(steps) >= done["written"] > 0
    assert steps.tolist() == list(range(1, len(steps) + 1))
    assert run.series("norm", "w").values.tolist() == [step / 4 for step in steps]
    assert [event.step for event in run.events()] == steps.tolist()
    snapshots = run.snapshots()
    assert len(snapshots) * 5 >= done["kept"]
    for snapshot in snapshots:
        weight = open_safetensors(snapshot.path)["w"].read()
        assert weight.size == 200_000
        assert (weight == snapshot.step).all()

    again = store.resume_run(run.id)
    again.truncate(done["written"])
    again.snapshot(done["written"], {"w": np.zeros(3)})
    assert not list((again.files / "snapshots").glob(".*"))
    again.finish("completed")
    assert store.run("killed").series("loss").steps.tolist() == list(range(1, done["written"] + 1))


STOP_INSIDE_A_SNAPSHOT = """
    import os, sys, time
    import numpy as np
    from weightsmith.store import Store
    run = Store.open(sys.argv[1]).create_run(name="killed", recipe=None, environment={}, weights=[])
    run.snapshot(1, {"w": np.full(1000, 1.0)})
    def hang(descriptor):
        print("inside")
        time.sleep(600)
    os.fsync = hang
    run.snapshot(2, {"w": np.full(1000, 2.0)})
"""


def test_a_kill_inside_a_snapshot_lists_nothing_half_written(store, location, start):
    process = start(STOP_INSIDE_A_SNAPSHOT, location)
    assert process.stdout.readline() == "inside\n"
    process.send_signal(signal.SIGKILL)
    process.wait()
    run = store.run("killed")
    assert [snapshot.step for snapshot in run.snapshots()] == [1]
    assert run.source()["w"].read()[0] == 1
    assert len(list((run.files / "snapshots").glob(".*.tmp"))) == 1
    store.resume_run(run.id).snapshot(2, {"w": np.zeros(1)})
    assert not list((run.files / "snapshots").glob(".*.tmp"))


WRITE_SOME = """
    import sys
    from weightsmith.store import Event, Store
    with Store.open(sys.argv[1]) as store:
        run = store.create_run(name=sys.argv[2], recipe=None, environment={}, weights=[])
        print("begun")
        for step in range(150):
            run.write(series={("loss", None): ([step], [float(step)])}, events=[Event(step, "tick", {})])
        run.finish("completed")
"""


def test_writers_at_once_and_a_reader_among_them(location, start):
    """The store does not even exist when they begin."""
    writers = {name: start(WRITE_SOME, location, name) for name in ("one", "two", "three")}
    for process in writers.values():
        assert process.stdout.readline() == "begun\n"
    with Store.open(location) as store:
        seen = dict.fromkeys(writers, 0)
        deadline = time.monotonic() + 120
        while any(process.poll() is None for process in writers.values()):
            assert time.monotonic() < deadline
            for name in writers:
                steps = store.run(name).series("loss").steps
                assert steps.tolist() == list(range(len(steps)))
                assert len(steps) >= seen[name]
                seen[name] = len(steps)
        assert [process.wait() for process in writers.values()] == [0, 0, 0]
        for name in writers:
            run = store.run(name)
            assert run.status == "completed"
            assert run.series("loss").steps.tolist() == list(range(150))
            assert len(run.events()) == 150


def test_many_make_the_same_store_at_once(tmp_path):
    def make(barrier, path, failures):
        barrier.wait()
        try:
            Store.open(path).close()
        except StoreError as error:
            failures.append(error)

    for attempt in range(10):
        barrier, failures = threading.Barrier(8), []
        arguments = (barrier, tmp_path / str(attempt), failures)
        threads = [threading.Thread(target=make, args=arguments) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == []


@contextmanager
def another_writer(location):
    """A transaction of another connection that has written to all runs and does not end."""
    with Store.open(location) as other, other._database.write() as connection:
        connection.execute(sqlalchemy.update(schema.runs).values(error="held"))
        yield


def test_a_writer_waits_for_another(store, begin, location):
    run, begun = begin(), time.monotonic()
    with another_writer(location):
        thread = threading.Thread(target=run.write, kwargs={"events": [Event(1, "late", {})]})
        thread.start()
        thread.join(0.5)
        assert thread.is_alive()
        assert store.run().events() == []  # a reader does not wait
    thread.join()
    assert time.monotonic() - begun > 0.5
    assert len(store.run().events()) == 1


def test_a_writer_that_waits_too_long_says_so(location, monkeypatch):
    monkeypatch.setattr("weightsmith.store.database._PATIENCE", 0.1)
    with Store.open(location) as store:
        run = store.create_run(name=None, recipe=None, environment={}, weights=[])
        with another_writer(location), pytest.raises(StoreError, match="is busy") as caught:
            run.heartbeat()
        assert "\n" not in str(caught.value)


def test_points_are_written_while_a_snapshot_is(store, begin, monkeypatch):
    run, inside, leave = begin(), threading.Event(), threading.Event()

    def slow(*arguments):
        inside.set()
        assert leave.wait(60)
        return write_file(*arguments)

    monkeypatch.setattr("weightsmith.store.writer.write_file", slow)
    thread = threading.Thread(target=run.snapshot, args=(1, {"a": np.ones(1)}))
    thread.start()
    assert inside.wait(60)
    run.write(events=[Event(1, "meanwhile", {})])
    assert store.run().snapshots() == []
    leave.set()
    thread.join()
    assert len(store.run().snapshots()) == 1


def test_threads_write_one_run_at_once(store, begin, monkeypatch):
    monkeypatch.setattr("weightsmith.store.writer.FAN", 3)
    run = begin()

    def work(name):
        for step in range(30):
            run.write(series={(name, None): ([step], [step])})
            run.heartbeat()

    threads = [threading.Thread(target=work, args=(name,)) for name in "abc"]
    for thread in threads:
        thread.start()
    run.set_summary({"a": 1})
    for thread in threads:
        thread.join()
    run.finish("completed")
    for name in "abc":
        assert store.run().series(name).steps.tolist() == list(range(30))


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 2 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        pytest.skip("only root can mount the small file system that this test fills")
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", folder], capture_output=True, check=False)
    if done.returncode != 0:
        pytest.skip("mounting a small file system is not allowed here")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def fill(run) -> int:
    """Write until there is no room; how many writes were acknowledged."""
    for step in range(10_000):
        points = (np.full(2000, step), np.full(2000, 0.5))
        try:
            run.write(series={("loss", None): points}, events=[Event(step, "tick", {})])
        except StoreError as error:
            message = str(error)
            break
    assert message.startswith("disk full")
    assert "\n" not in message
    return step


def test_full_disk_keeps_everything_committed(small_disk):
    with Store.open(small_disk) as store:
        run = store.create_run(name="full", recipe=None, environment={}, weights=[])
        kept = run.snapshot(0, {"w": np.ones(100)})
        with pytest.raises(StoreError, match="disk full") as caught:
            run.snapshot(1, {"w": np.ones(1_000_000)})
        assert "\n" not in str(caught.value)
        assert [path.name for path in kept.path.parent.iterdir()] == [kept.path.name]
        written = fill(run)
        assert written > 5
        with pytest.raises(StoreError, match="disk full"):
            run.write(series={("loss", None): (range(50_000), np.ones(50_000))})
        check(store, written, kept)
    with Store.open(small_disk) as store:  # a later process, still without room
        check(store, written, kept)


def check(store, written, kept):
    run = store.run("full")
    steps = run.series("loss").steps
    assert len(steps) == written * 2000
    assert np.unique(steps).tolist() == list(range(written))
    assert [event.step for event in run.events()] == list(range(written))
    assert run.snapshots() == [kept]
    assert run.source()["w"].read().sum() == 100


def test_full_disk_after_a_kill_is_still_readable(small_disk, start):
    code = """
        import sys
        import numpy as np
        from weightsmith.errors import StoreError
        from weightsmith.store import Event, Store
        run = Store.open(sys.argv[1]).create_run(name="full", recipe=None, environment={}, weights=[])
        run.snapshot(0, {"w": np.ones(100)})
        try:
            for step in range(10_000):
                run.write(series={("loss", None): ([step] * 2000, [0.5] * 2000)}, events=[Event(step, "tick", {})])
        except StoreError as error:
            with open(sys.argv[1] + "/filler", "wb", buffering=0) as filler:
                try:
                    while filler.write(b"x" * 100):
                        pass
                except OSError:
                    pass
            print(step)
            sys.stdin.read()
    """
    process = start(code, str(small_disk))
    written = int(process.stdout.readline())
    process.send_signal(signal.SIGKILL)
    process.wait()
    with Store.open(small_disk) as store:
        run = store.run("full")
        check(store, written, run.snapshots()[0])


def test_a_new_store_on_a_full_disk_says_so(small_disk):
    (small_disk / "filler").write_bytes(b"x" * (2 * 1024 * 1024 - 8192))
    with pytest.raises(StoreError, match=r"disk full|No space left") as caught:
        Store.open(small_disk / "store")
    assert "\n" not in str(caught.value)
