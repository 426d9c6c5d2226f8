import numpy as np
import pytest
import sqlalchemy

from weightsmith.errors import InputError, StoreError
from weightsmith.sources import open_safetensors
from weightsmith.store import schema


def test_snapshots(store, begin):
    run = begin()
    weights = {"fc.weight": np.arange(6, dtype=np.float32).reshape(2, 3), "bn.running_mean": np.zeros(2)}
    first = run.snapshot(10, weights)
    best = run.snapshot(20, {**weights, "fc.weight": weights["fc.weight"] * 2}, "best")
    read = store.run()
    assert read.snapshots() == [first, best]
    assert first.bytes == first.path.stat().st_size
    assert first.path.parent == run.files / "snapshots"
    assert read.files == run.files
    source = read.source()
    assert source["fc.weight"].read().sum() == 30
    assert source["fc.weight"].info.activation == "relu"
    assert source["bn.running_mean"].role == "other"
    assert read.source(19)["fc.weight"].read().sum() == 15
    with pytest.raises(StoreError, match="no snapshot at or before step 9"):
        read.source(9)


def test_a_run_without_snapshots_says_so(store, begin):
    begin()
    with pytest.raises(StoreError, match="has no snapshot:"):
        store.run().source()


def test_two_snapshots_of_one_step_are_both_kept(store, begin):
    run = begin()
    for value in range(3):
        run.snapshot(5, {"a": np.full(2, value)})
    read = store.run()
    assert [open_and_sum(taken.path) for taken in read.snapshots()] == [0, 2, 4]
    assert read.source()["a"].read().tolist() == [2, 2]


def open_and_sum(path):
    return open_safetensors(path)["a"].read().sum()


@pytest.mark.parametrize("label", ["", "../up", "a/b", ".hidden", "a b", "x" * 65, "a\n"])
def test_unusable_snapshot_labels(store, begin, label):
    run = begin()
    with pytest.raises(InputError, match="cannot be labeled"):
        run.snapshot(1, {"a": np.zeros(1)}, label)
    assert store.run().snapshots() == []


def test_missing_snapshot_file(store, begin):
    run = begin()
    run.snapshot(1, {"a": np.zeros(1)}).path.unlink()
    with pytest.raises(StoreError, match="is gone") as caught:
        store.run().source()
    assert "\n" not in str(caught.value)


def test_leftovers_of_a_killed_writer_are_ignored_and_cleaned(store, begin):
    run = begin()
    run.snapshot(1, {"a": np.zeros(1)})
    leftover = run.files / "snapshots" / ".snapshot-000000002.safetensors.abcd.tmp"
    leftover.write_bytes(b"half")
    orphan = run.files / "snapshots" / "snapshot-000000003.safetensors"
    orphan.write_bytes(b"whole, but never listed")
    assert len(store.run().snapshots()) == 1
    run.snapshot(3, {"a": np.ones(4)})
    assert not leftover.exists()
    assert open_and_sum(orphan) == 4


def test_forged_paths_are_refused(store, begin, tmp_path):
    run = begin()
    run.snapshot(1, {"a": np.ones(1)})
    outside = tmp_path / "outside.safetensors"
    outside.write_bytes(b"precious")
    with store._database.write() as connection:
        connection.execute(sqlalchemy.update(schema.snapshots).values(path="../" * 20 + str(outside)[1:]))
    with pytest.raises(StoreError, match="tampered"):
        store.run().source()
    with pytest.raises(StoreError, match="tampered"):
        run.truncate(0)
    with store._database.write() as connection:
        connection.execute(
            sqlalchemy.insert(schema.runs).from_select(
                [column.name for column in schema.runs.c],
                sqlalchemy.select(
                    *[sqlalchemy.literal("..") if column.name == "id" else column for column in schema.runs.c]
                ),
            )
        )
    with pytest.raises(StoreError, match="holds no run"):
        store.delete_run("..")
    assert outside.read_bytes() == b"precious"
