"""Signs of life: what a watcher asks for several times a second."""

import time

import numpy as np

from weightsmith.store import Event


def test_signs_are_status_and_time_of_the_last_write(store, begin):
    writer = begin()
    (first,) = store.signs()
    assert (first.id, first.status) == (writer.id, "running")
    writer.write(events=[Event(1, "note", {})])
    (second,) = store.signs()
    assert second.updated > first.updated
    writer.finish("completed")
    assert [sign.status for sign in store.signs()] == ["completed"]
    assert [sign.updated for sign in store.signs()] == [run.updated for run in store.runs()]
    store.delete_run(writer.id)
    assert list(store.signs()) == []


def test_the_last_step_is_that_of_the_runs_own_series(store, begin):
    writer = begin()
    assert store.last_step(writer.id) is None
    writer.write(series={("loss", None): ([1, 7], [1.0, 2.0]), ("norm", "fc.weight"): ([9], [1.0])})
    assert store.last_step(writer.id) == 7
    writer.finish("completed")
    assert store.last_step(writer.id) == 7
    assert store.last_step("nobody") is None


def test_the_revision_of_a_file_differs_after_every_kind_of_write(store, begin):
    if store.revision() is None:  # a database server has no such sign
        return
    seen = [store.revision()]

    def changed():
        time.sleep(0.02)  # times of files are that coarse
        seen.append(store.revision())
        return seen[-1] != seen[-2]

    writer = begin()
    assert changed()
    store.runs()
    store.run(writer.id)
    assert not changed()
    for write in (
        lambda: writer.write(events=[Event(1, "note", {})]),
        writer.heartbeat,
        lambda: writer.snapshot(1, {"w": np.ones(2, np.float32)}),
        lambda: writer.finish("completed"),
        lambda: store.delete_run(writer.id),
    ):
        write()
        assert changed()


def test_quantities_that_were_sketched_are_listed(store, begin):
    from weightsmith.sketch import Sketch
    from weightsmith.store import SketchRecord

    writer = begin()
    assert store.run(writer.id).sketched() == frozenset()
    records = [SketchRecord("fc.weight", kind, 1, Sketch.of(np.ones(3))) for kind in ("weight", "gradient", "weight")]
    writer.write(sketches=records)
    assert store.run(writer.id).sketched() == {"weight", "gradient"}


def test_a_snapshot_keeps_its_file_so_that_a_scan_of_it_is_kept_too(store, begin):
    writer = begin()
    writer.snapshot(1, {"fc.weight": np.ones((2, 3), np.float32)})
    source = store.run(writer.id).source()
    assert source.file_format == "safetensors"
    assert len(source.files) == 1
